"""Versions of the model, wherever they are: in the workspace, and in every branch, tag and experiment of Git's history.

One row describes a version, for `list` and for `trace`, and one function says which commit holds it.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commands.deployments import during, events_by_name, replay
from record import git, models, tracking
from record.comparison import main_score, short
from record.manifest import Manifest, parse_manifest
from record.parameters import read_parameters
from record.problem import Problem, did_you_mean, progress, say

WORKSPACE = "workspace"
PATTERN = f"{models.MODELS.as_posix()}/*/{models.MANIFEST}"
VERSION_NAME = re.compile(r"v[0-9][0-9A-Za-z.-]*")
HEADER = ("VERSION", "STATE", "SCORE", "DATA", "ROWS", "CODE", "CREATED", "WHERE")


@dataclass(frozen=True)
class Version:
    """The name of a package, and the commit that holds it; None for the workspace."""

    name: str
    commit: str | None = None

    @property
    def folder(self) -> Path:
        """Where the package is, in the workspace or in the commit."""
        return models.folder_of(self.name)

    def read(self, path: Path) -> bytes | None:
        """A file of the repository as this version has it."""
        return tracking.reader_of(self.commit)(path)

    def manifest(self) -> Manifest:
        """The manifest, checked against its schema."""
        if self.commit is None:
            return models.read_manifest_of(self.folder)
        content = self.read(self.folder / models.MANIFEST)
        if content is None:
            raise Problem(
                f"{self.folder / models.MANIFEST}: not in commit {self.commit}; python src/lineage.py list --all"
            )
        return parse_manifest(content)


def find_version(what: str) -> Version:
    """The version that a person means.

    It is looked for among the folders of models/, as `workspace`, among experiments and Git revisions, and last
    among the versions that only Git's history still has. Where a name means several, that is said.
    """
    if what == WORKSPACE:
        name = read_parameters().package.version
        if name not in models.versions():
            raise Problem(
                f"{models.folder_of(name)}: params.yaml asks for it, but it was not made yet; dvc repro makes it"
            )
        return Version(name)
    known, named = models.versions(), experiments()
    revision = named.get(what) or git.commit_of(what)
    if what in known:
        if revision and git.commit_of(f"refs/tags/{what}") is None:
            say(f"note: '{what}' is also an experiment or a revision; {short(revision)} names that one")
        return Version(what)
    if what in named and (other := git.commit_of(what)) not in {None, revision}:
        say(f"note: '{what}' is also a revision; {short(str(other))} names that one")
    if revision:
        if made := version_made_in(revision):
            return Version(made, revision)
        raise Problem(
            f"'{what}': its dvc.lock records no package; python src/lineage.py list --all shows those there are"
        )
    if VERSION_NAME.fullmatch(what) and (commit := next(commits_holding(Version(what)), None)):
        return Version(what, commit)
    raise Problem(
        f"'{what}' is not a version, revision or experiment; {did_you_mean(what, [*known, *named, WORKSPACE])}"
    )


def version_made_in(commit: str) -> str | None:
    """The version that the pipeline packaged last in a commit, from its `dvc.lock`."""
    outs = map(Path, tracking.package_outs(tracking.reader_of(commit)))
    return next((path.parent.name for path in outs if path.name == models.MANIFEST), None)


def commit_that_made(version: Version) -> str:
    """The commit to rebuild a version from: that holds this manifest of it, and in which the pipeline made it."""
    if version.commit and version_made_in(version.commit) == version.name:
        return version.commit
    path = version.folder / models.MANIFEST
    for commit in commits_holding(version, version.read(path)):
        if version_made_in(commit) == version.name:
            return commit
    raise Problem(f"{path}: no commit holds it as it is, with the dvc.lock of that run; commit them, then rebuild")


def commits_holding(version: Version, manifest: bytes | None = None) -> Iterator[str]:
    """The commits that hold a version, or one manifest of it: its release, HEAD, then all others, the newest first."""
    path = version.folder / models.MANIFEST
    candidates = [release_commit(version), git.commit_of("HEAD"), *git.commits_of(path, revision="--all")]
    for commit in dict.fromkeys(filter(None, candidates)):
        content = git.read_blob(commit, path)
        if content is not None and manifest in {None, content}:
            yield commit


def release_commit(version: Version) -> str | None:
    """The commit of the version's release tag, if there is one."""
    found = models.current_manifest(version.folder)
    name = found.name if found else read_parameters().package.name  # damaged: go by the name in params.yaml
    return git.commit_of(f"refs/tags/{models.tag_of(name, version.name)}")


def experiments_by_commit() -> dict[str, str]:
    """The names of DVC's experiments, by commit, the oldest first."""
    refs = ("--sort=creatordate", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps/??/**")
    listed = git.ask("for-each-ref", *refs) or ""
    return dict(line.split(" ", 1) for line in listed.splitlines())


def experiments() -> dict[str, str]:
    """The commits of DVC's experiments, by name; the newest, where two baselines have one of the same name."""
    return {name: commit for commit, name in experiments_by_commit().items()}


def release_tags(tags: Iterable[git.Tag] | None = None) -> dict[str, str]:
    """The commits of all tags of the form `name@version`."""
    return {tag.name: tag.commit for tag in (git.tags() if tags is None else tags) if "@" in tag.name}


def stages_now(tags: Iterable[git.Tag]) -> dict[tuple[str, ...], list[str]]:
    """The stages of life that models are in now, by name, version and model."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, events in events_by_name(tags).items():
        for deployment in during(replay(events), datetime.now(UTC)):
            version = version_made_in(deployment.commit) or deployment.version
            content = git.read_blob(deployment.commit, models.folder_of(version) / models.MANIFEST)
            record = Record(version, (_load(content) if content else None) or {}, present=False)
            found.setdefault((name, *record.identity()), []).append(deployment.stage)
    return found


def holds(commit: str | None, folder: Path, manifest: bytes) -> bool:
    """Whether a commit holds this very manifest of a package."""
    return commit is not None and git.read_blob(commit, folder / models.MANIFEST) == manifest


@dataclass(frozen=True)
class Record:
    """A manifest as plain JSON, which may be anybody's, and where it was recorded.

    `present`: its package is under models/. `commit`: the first that holds it; None where none is known.
    """

    version: str
    document: dict[str, Any]
    present: bool
    commit: str | None = None
    times: int = 1  # how many manifests there are of this model and version
    content: bytes | None = None  # the manifest's own bytes, where a commit has them

    def get(self, *keys: str) -> Any:
        """A value by its keys; None where there is none."""
        value: Any = self.document
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def text(self, *keys: str) -> str | None:
        """A value that is text; None where it is not."""
        value = self.get(*keys)
        return value if isinstance(value, str) else None

    def keys(self, *keys: str) -> list[str]:
        """The keys of a mapping; none where it is not one."""
        value = self.get(*keys)
        return list(value) if isinstance(value, dict) else []

    def identity(self) -> tuple[str, str]:
        """The version and its model: what manifests of one model share."""
        return self.version, self.text("model", "sha256") or json.dumps(self.document)

    def inputs(self) -> list[dict[str, Any]]:
        """The raw data, of either schema: path and hashes."""
        found = self.get("inputs") or [self.get("data", "source")]
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    def experiment(self, by_commit: dict[str, str]) -> str | None:
        """The experiment that recorded it, or that it names."""
        return by_commit.get(self.commit or "") or self.text("run", "experiment", "name")

    def main_score(self) -> tuple[str | None, float | None]:
        """The name of the main metric and its value on the test part."""
        name, scores = main_score(self.get("metrics"))
        value = scores.get("test")
        return name, value if isinstance(value, float) and math.isfinite(value) else None


def in_workspace() -> list[Record]:
    """The manifests of the packages under models/; an empty one where it cannot be read."""
    found = []
    for version in models.versions():
        try:
            document = _load(models.read_plain(models.folder_of(version) / models.MANIFEST))
        except Problem:
            document = None
        found.append(Record(version, document or {}, present=True))
    return found


def released() -> dict[str, Record]:
    """The manifests that this project's release tags hold, by tag, from one process of Git."""
    start = models.tag_of("", "").removesuffix("@")
    tags = {tag: commit for tag, commit in release_tags().items() if tag.startswith(start)}
    paths = {tag: (models.folder_of(tag.rpartition("@")[2]) / models.MANIFEST).as_posix() for tag in tags}
    contents, here = git.read_places((tags[tag], paths[tag]) for tag in tags), {*models.versions()}
    found = {}
    for tag, commit in tags.items():
        name, _, version = tag.removeprefix(start).rpartition("@")
        document = _load(contents.get((commit, paths[tag]), b""))
        if document and document.get("name") == name:
            found[tag] = Record(version, document, version in here, commit, content=contents[commit, paths[tag]])
    return found


def in_commits(naming: Sequence[str] = ()) -> list[Record]:
    """All manifests in commits, each content once, the newest first; what is not a JSON object is left out.

    `naming`: only those in which one of these texts is, or which a commit of that name recorded.
    """
    blobs = first_commits()
    contents = git.read_blobs(list(blobs))
    asked = [text.encode(errors="surrogateescape") for text in naming]
    found = []
    for blob, (version, commit) in blobs.items():
        content = contents[blob]
        # To look for bytes is much faster than to parse them, and right unless JSON spells a letter in another way.
        may_name = not asked or b"\\" in content or any(text in content for text in asked)
        if (may_name or commit.startswith(tuple(naming))) and (document := _load(content)):
            found.append(Record(version, document, present=False, commit=commit))
    return found


def one_for_each_model(records: Iterable[Record]) -> list[Record]:
    """Of the manifests of one version and model the newest, with the commit of the oldest."""
    found: dict[tuple[str, str], Record] = {}
    for record in records:
        first = found.get(record.identity(), record)
        times = (first.times if record.identity() in found and first.commit else 0) + 1
        found[record.identity()] = replace(first, commit=record.commit or first.commit, times=times)
    return list(found.values())


def first_commits() -> dict[str, tuple[str, str]]:
    """The version and the first commit of each manifest's blob."""
    every = ("--all", "--full-history", "--sparse")  # or Git compares folders twice, to leave commits out
    form = ("-m", "--raw", "--no-abbrev", "--no-renames", "--format=commit %H", "--relative")
    log = git.ask("-c", "log.showRoot=true", "log", *every, *form, "--", PATTERN, no=()) or ""
    blobs: dict[str, tuple[str, str]] = {}
    commit = ""
    for line in log.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith(":"):
            fields, _, path = line.partition("\t")
            blob = fields.split()[3]
            if fields.split()[1].startswith("10"):  # a plain file, neither removed nor a link or a submodule
                blobs[blob] = (Path(path).parent.name, commit)  # the log goes backwards, so the first commit stays
    return blobs


def _load(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content.decode())
        if b"\\ud" in content.lower():
            json.dumps(document, ensure_ascii=False).encode()  # half a character cannot be printed
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def describe(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What is known of some versions, for `list` and `trace` alike."""
    experiments, tags = experiments_by_commit(), git.tags()
    released, stages = release_tags(tags), stages_now(tags)
    watched = progress(records, "versions", " versions", len(records))
    return [_facts(record, experiments, released, stages) for record in watched]


def _facts(
    record: Record, experiments: dict[str, str], tags: dict[str, str], stages: dict[tuple[str, ...], list[str]]
) -> dict[str, Any]:
    metric, score = record.main_score()
    return {
        "version": record.version,
        "state": state_of(record, tags),
        "deployed": stages.get((str(record.get("name")), *record.identity()), []),
        "metric": metric,
        "score": score,
        "data": [{"path": entry.get("path"), "sha256": entry.get("sha256")} for entry in record.inputs()],
        "rows": record.get("data", "train", "rows"),
        "model": record.text("model", "sha256"),
        "code_commit": record.text("run", "git", "commit"),
        "created_at": record.text("run", "created_at"),
        "recorded_in": record.commit,
        "recorded_times": record.times,
        "experiment": record.experiment(experiments),
    }


def state_of(record: Record, tags: dict[str, str]) -> str:
    """`history` for what only commits have; of a package under models/ `missing`, `damaged`, `released` or `intact`."""
    if not record.present:
        return "history"
    folder = models.folder_of(record.version)
    package = models.read_package(folder)
    if isinstance(package.unreadable.get(models.MODEL), models.MissingFileError):
        return "missing"
    if models.check_package(package, record.version)[1]:
        return "damaged"
    commit = tags.get(models.tag_of(str(record.get("name")), record.version))
    return "released" if holds(commit, folder, package.texts[models.MANIFEST]) else "intact"


def row(fact: dict[str, Any]) -> list[str]:
    """One version as a line of a table, under `HEADER`."""
    score = "-" if fact["score"] is None else f"{fact['score']:.3f} {fact['metric']}"
    paths = [Path(str(entry["path"])).stem for entry in fact["data"]]
    data = f"{paths[0]}{f' +{len(paths) - 1}' if paths[1:] else ''}" if paths else "-"
    where = WORKSPACE if fact["state"] != "history" else fact["experiment"] or short(fact["recorded_in"])
    times = f" ×{fact['recorded_times']}" if fact["recorded_times"] > 1 else ""
    created = str(fact["created_at"] or "-").partition("T")[0]
    code = short(fact["code_commit"] or "-")
    rows = "-" if fact["rows"] is None else str(fact["rows"])
    return [fact["version"], state_words(fact), score, data, rows, code, created, f"{where}{times}"]


def state_words(fact: dict[str, Any]) -> str:
    """The state of a version, and the stages that it is in, for which it must be released."""
    stages = f"in {', '.join(fact['deployed'])}" if fact["deployed"] else ""
    return ", ".join(filter(None, [fact["state"] if fact["state"] != "released" or not stages else "", stages]))
