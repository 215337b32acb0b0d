"""What the page says of each version: its score beside the one before, what changed, who vouches for it, its charts.

Everything is read at once: all manifests, all signatures and all data of charts from one process of Git each. The data
of a chart are shown only where their hashes are those that the manifest records.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import Any

from commands import versions
from commands.attestations import FOLDER
from commands.deployments import deployments_of, words
from commands.diff import compare_folds, is_detail, judged
from commands.trace import places
from commands.versions import Record
from commands.web import chain, charts
from commands.witnesses import Witness, witnesses_of
from record import git, models, tracking
from record.bundles import PublicKey
from record.checksums import Digest, digest_of, format_sums, md5_of
from record.comparison import Change, code_of, compare, main_score, number
from record.files import to_json
from record.manifest import Manifest, parse_manifest
from record.models import Package
from record.notes import PLOTS
from record.problem import Problem, progress
from record.tracking import read_workspace

PLOT_FILES = ("errors.csv", "importance.csv", "predictions.csv")
CAUSES = ("data", "code", "parameters", "environment")
MOST_CHANGES = 12  # of a group, that are listed; `diff` lists all


@dataclass
class Shown:
    """One version as the page has it; `manifest` is None where it cannot be read, and `problems` say why."""

    record: Record
    tag: str | None
    experiment: str | None
    manifest: Manifest | None = None
    anchor: str = ""
    before: "Shown | None" = None
    noise: dict[str, Any] | None = None
    changes: dict[str, list[Change]] = field(default_factory=dict)
    witnesses: list[Witness] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    plots: dict[str, list[charts.Row]] = field(default_factory=dict)
    lived: list[str] = field(default_factory=list)  # in which stages of life it is and was, and when
    at_hand: bool = False

    @cached_property
    def scores(self) -> dict[str, float | None]:
        """The main score on the test part, over the folds and of the baseline, each only where it is a number."""
        scores = main_score(self.record.get("metrics"))[1]
        return {key: charts.number(number(scores.get(key))) for key in ("test", "baseline", "cv_mean", "cv_std")}

    @cached_property
    def against(self) -> dict[str, float | str] | None:
        """The difference of the score from the version before, with the noise where both had the same folds."""
        other, name = self.before, self.record.main_score()[0]
        mine, theirs = self.scores.get("test"), other.scores.get("test") if other else None
        if other is None or mine is None or theirs is None or other.record.main_score()[0] != name:
            return None
        found: dict[str, float | str] = {"difference": mine - theirs}
        if self.noise:
            found |= {"mean": self.noise["mean"], "margin": self.noise["margin"], "folds": self.noise["folds"]}
            found["verdict"] = judged(str(name), self.noise["mean"]) if self.noise["significant"] else "within noise"
        return found

    @cached_property
    def changed(self) -> set[chain.Node]:
        """The inputs and stages that are other ones than in the version before."""
        if self.manifest is None or self.before is None or self.before.manifest is None:
            return set()
        then, stages = self.before.manifest, self.before.manifest.stages
        inputs = {entry.path: entry.hash for entry in then.inputs}
        found = {("input", str(k)) for k, e in enumerate(self.manifest.inputs) if inputs.get(e.path) != e.hash}
        for name, stage in self.manifest.stages.items():
            known, files = stages.get(name), {**self.code, **self.before.code}
            same = known and (known.cmd, known.params) == (stage.cmd, stage.params)
            if known is None or not same or any(known.deps.get(path) != stage.deps.get(path) for path in files):
                found.add(("stage", name))
        if then.model.sha256 != self.manifest.model.sha256:
            found.add(("model", self.manifest.name))
        return found

    @cached_property
    def code(self) -> dict[str, str]:
        """The code that the stages read, path → MD5."""
        return code_of(self.manifest.stages, self.manifest.inputs) if self.manifest else {}


def collect(*, everywhere: bool) -> tuple[list[Shown], bool]:
    """The versions to show, in the order in which they were made, and whether any of them is released.

    Where nothing is released yet, those under models/ are shown.
    """
    released = versions.released()
    found = [Shown(record, tag, None) for tag, record in released.items()]
    if everywhere or not found:
        named, known = versions.experiments_by_commit(), {record.identity() for record in released.values()}
        others = versions.one_for_each_model([*versions.in_workspace(), *versions.in_commits()])
        found += [
            Shown(record, None, record.experiment(named))
            for record in others
            if record.identity() not in known and (everywhere or record.present)
        ]
    found.sort(key=lambda one: (one.record.text("run", "created_at") or "", _order(one.record.version)))
    return found, bool(released)


def _order(version: str) -> list[tuple[int, int, str]]:
    """Numbers in a name by their value, so that v1.10.0 comes after v1.9.0."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", version)]


def complete(found: list[Shown], keys: Sequence[PublicKey]) -> None:
    """Read all that there is to say of the versions."""
    taken: dict[str, int] = {}
    for shown in progress(found, "reading", " versions", len(found)):
        name = re.sub(r"[^\w.-]", "_", shown.record.version)
        taken[name] = taken.get(name, 0) + 1
        shown.anchor = name if taken[name] == 1 else f"{name}_{taken[name]}"
        try:
            shown.manifest = parse_manifest(shown.record.content or to_json(shown.record.document))
        except (Problem, ValueError) as problem:
            shown.problems += getattr(problem, "lines", ("manifest.json: not readable",))
    compare_with_before(found)
    read_plots(found)
    add_witnesses(found, keys)


def compare_with_before(found: list[Shown]) -> None:
    """Compare each version with the release that was made before it, or else with whatever was made before it."""
    release: Shown | None = None
    last: Shown | None = None
    for shown in progress(found, "comparing", " versions", len(found)):
        if shown.manifest is None:
            continue
        shown.before = release or last
        if shown.before and shown.before.manifest:
            changes = compare(shown.before.manifest, shown.manifest)
            shown.changes = {
                group: [c for c in changes[group] if not is_detail(c.name)] for group in CAUSES if group in changes
            }
            shown.noise = compare_folds(shown.before.manifest, shown.manifest)
        last, release = shown, shown if shown.tag else release


def read_plots(found: list[Shown]) -> None:
    """The data of the charts, from the commit that recorded the version or from the workspace."""
    paths = {name: (PLOTS / name).as_posix() for name in PLOT_FILES}
    commits = {shown.record.commit for shown in found if shown.record.commit}
    contents = git.read_places((commit, path) for commit in commits for path in paths.values())
    here = {name: content for name in PLOT_FILES if (content := read_workspace(PLOTS / name))}
    for shown in found:
        commit = str(shown.record.commit)
        there = {name: contents[at] for name, path in paths.items() if (at := (commit, path)) in contents}
        for files in filter(None, (there, here)):
            if not shown.plots and shown.manifest and _is_recorded(files, shown.manifest):
                shown.plots = {name: charts.read_rows(content) for name, content in files.items()}


def _is_recorded(files: dict[str, bytes], manifest: Manifest) -> bool:
    """Whether each file is what a stage made, as an out of its own or, in older manifests, in the folder of all."""
    md5s = {name: md5_of(content) for name, content in files.items()}
    outs = {path: md5 for stage in manifest.stages.values() for path, md5 in stage.outs.items()}
    is_folder = outs.get(PLOTS.as_posix()) == tracking.hash_of_listing(md5s)
    return is_folder or all(outs.get((PLOTS / name).as_posix()) == md5 for name, md5 in md5s.items())


def add_witnesses(found: list[Shown], keys: Sequence[PublicKey]) -> None:
    """Who signed each version, its tag, or a rebuild of it, and which stages of life it was put into."""
    signatures = read_signatures(found)
    form = "%(if)%(contents:signature)%(then)%(refname:lstrip=2)%(end)"
    signed = {*(git.ask("for-each-ref", f"--format={form}", "refs/tags/") or "").split()}
    known = {name: deployments_of(name) for name in {shown.manifest.name for shown in found if shown.manifest}}
    for shown in found:
        version = shown.record.version
        lived = known[shown.manifest.name] if shown.manifest and shown.tag else []
        shown.lived = [f"{each.place} {words(each, lived)}" for each in lived if each.version == version]
        shown.at_hand = shown.record.present and (models.folder_of(version) / models.MODEL).is_file()
        if shown.manifest and (version in signatures or shown.tag in signed or (FOLDER / version).is_dir()):
            package = package_of(shown.manifest, signatures.get(version))
            shown.witnesses, problems = witnesses_of(version, package, shown.tag if shown.tag in signed else None, keys)
            unsigned = models.SIGNATURE not in package.texts
            shown.problems += [line for line in problems if not (unsigned and line.startswith(models.SIGNATURE))]


def read_signatures(found: list[Shown]) -> dict[str, bytes]:
    """The signature of each version, in the workspace or else in HEAD: it may be younger than the release."""
    paths = {shown.record.version: models.folder_of(shown.record.version) / models.SIGNATURE for shown in found}
    kept = git.read_places(("HEAD", path.as_posix()) for path in paths.values())
    signatures = {
        version: models.read_plain(path) if path.is_file() else kept.get(("HEAD", path.as_posix()))
        for version, path in paths.items()
    }
    return {version: signature for version, signature in signatures.items() if signature}


def package_of(manifest: Manifest, signature: bytes | None) -> Package:
    """The package that a manifest describes, by its hashes alone: nothing is read, however large the model is."""
    digests = {
        models.MODEL: manifest.model.digest(),
        models.MANIFEST: digest_of(BytesIO(manifest.to_bytes())),
        models.REQUIREMENTS: Digest(0, "", manifest.environment.requirements_sha256),
    }
    sums = format_sums({name: digests[name].sha256 for name in models.CHECKED})
    digests[models.SUMS] = digest_of(BytesIO(sums))
    return Package({models.SIGNATURE: signature} if signature else {}, digests)


def files_of(found: list[Shown]) -> list[tuple[str, str, list[int]]]:
    """Every path and hash that some version names, with the numbers of those versions, for the search."""
    rows: dict[tuple[str, str], list[int]] = {}
    for position, shown in enumerate(found):
        hashes: dict[str, dict[str, None]] = {}
        for role, path, value in places(shown.record):
            hashes.setdefault(path or role, {})[value] = None
        for path, values in hashes.items():
            if any(values):
                rows.setdefault((path, " ".join(filter(None, values))), []).append(position)
    return [(path, values, numbers) for (path, values), numbers in rows.items()]


def ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as runs from first to last."""
    runs: list[tuple[int, int]] = []
    for one in numbers:
        runs[-1:] = [(runs[-1][0], one)] if runs and runs[-1][1] == one - 1 else [*runs[-1:], (one, one)]
    return runs
