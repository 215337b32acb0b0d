"""`lineage.py verify`: is a package what it says? Everything that can be checked is, and each problem is named.

What Git or DVC cannot answer, as outside of a repository or in a cut clone, is named too, and never counts as a yes.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from commands import versions
from commands.processes import fetched
from commands.result import Result, table
from commands.versions import Version, find_version
from commands.witnesses import Witness, witnesses_of
from record import git, models, tracking
from record.bundles import PublicKey, read_public_key
from record.checksums import Digest
from record.comparison import decisive_files, short
from record.manifest import Manifest
from record.models import Package
from record.problem import Problem, progress
from record.tracking import LOCK, overlap

AGAIN = f"dvc repro && {tracking.PACKAGE_AGAIN}"
MOVE_ON = "it is released, so set the next package.version in params.yaml or undo the change, then dvc repro"


@dataclass
class Findings:
    """The problems of a version, in the order in which they should be looked at, and what could not be checked."""

    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)


def run(names: list[str], keys: Sequence[Path] = ()) -> Result:
    """Verify the named versions, or all that are under models/; where keys are named, one of them must have signed."""
    asked = names or models.versions()
    if not asked:
        raise Problem(f"{models.MODELS}/: no package found; dvc repro makes one")
    named = [read_public_key(path) for path in keys]
    watched = progress(asked, "versions", " versions", len(asked))
    found = {name: verify(find_version(name), keys=named) for name in watched}
    facts = [{"version": name, "holds": not f.problems, **asdict(f)} for name, f in found.items()]
    rows = []
    for name, findings in found.items():
        fine = "checksums, manifest, dvc.lock and Git agree"
        if findings.unchecked:
            fine = f"checksums, manifest and dvc.lock agree; not checked: {'; '.join(findings.unchecked)}"
        rows += [("FAILED" if findings.problems else "ok", name, line) for line in findings.problems or [fine]]
        rows += [(witness.kind, name, witness.line()) for witness in findings.witnesses]
    return Result(facts, table(rows), holds=not any(f.problems for f in found.values()))


def verify(version: Version, holder: str | None = None, keys: Sequence[PublicKey] = ()) -> Findings:
    """Check one version; `holder` is a commit that must hold all that made it, by default the one it records."""
    findings = Findings(list(check_folder(version)))
    if findings.problems:
        return findings
    package = models.read_files(lambda name, md5: open_file(version, name, md5))
    manifest, findings.problems = models.check_package(package, version.name)
    if manifest:
        findings.problems += check_params(manifest)
        findings.unchecked += [
            f"whether {entry.path} is still what was read (etag {short(entry.hash)}); dvc status checks that"
            for entry in manifest.inputs
            if "://" in entry.path
        ]
        released = versions.release_tags().get(models.release_tag(manifest))
        is_released = versions.holds(released, version.folder, package.texts[models.MANIFEST])
        findings.problems += check_tracking(version, manifest, package, MOVE_ON if is_released else AGAIN)
        # The commit of a release was checked to hold all of this, whatever became of the recorded commit.
        check_commit(manifest, holder or (released if is_released else None), findings)
        if released and not is_released:
            findings.problems += check_claim(version, models.release_tag(manifest), released)
        tag = models.release_tag(manifest) if is_released else None
        findings.witnesses, problems = witnesses_of(version.name, package, tag, keys)
        findings.problems += problems
    findings.problems = list(dict.fromkeys(findings.problems))
    return findings


def check_folder(version: Version) -> Iterator[str]:
    """What the folder of a package must not be or contain."""
    if version.commit:
        return
    if version.folder.is_symlink() or models.MODELS.is_symlink():
        yield f"{version.folder}: is a symbolic link, which is not followed; put the folder itself there"
        return
    expected = {*models.CHECKED, models.SUMS, models.SIGNATURE, *models.WRITTEN_BY_DVC}
    for name in sorted({path.name for path in version.folder.iterdir()} - expected):
        yield f"{name!r} is not part of a package; remove it"


@contextmanager
def open_file(version: Version, name: str, md5: str | None) -> Iterator[BinaryIO]:
    """A file of a package to read from: of the workspace or of a commit; the model of a commit wherever DVC has it."""
    path = version.folder / name
    if version.commit is None:
        with models.open_plain(path, md5) as file:
            yield file
    elif name == models.MODEL:
        with fetched(path, version.commit) as model, model.open("rb") as file:
            yield file
    elif (kept := git.read_blob(version.commit, path)) is not None:
        yield BytesIO(kept)
    else:
        raise models.MissingFileError(f"{path}: missing from commit {version.commit}")


def tracked_md5s(version: Version) -> dict[str, str]:
    """What DVC records of a version's files, from the entry of `package` in dvc.lock or from the pointer."""
    outs, model = tracking.package_outs(version.read), (version.folder / models.MODEL).as_posix()
    if model in outs:
        return outs
    tracked = tracking.pointer_to(model, version.read)
    return {model: tracked[2].hash} if tracked else {}


def check_tracking(version: Version, manifest: Manifest, package: Package, remedy: str) -> Iterator[str]:
    """Compare the files with DVC's record of them and, where the version is the current one, the lineage too."""
    try:
        tracked = tracked_md5s(version)
        is_current = (version.folder / models.MANIFEST).as_posix() in tracked
        recorded = tracking.recorded_stages(version.read) if is_current else {}
        yield from check_pointer(version, manifest, is_current)
    except Problem as problem:
        yield from problem.lines
        return
    if not tracked:
        yield f"{models.MODEL}: neither {LOCK} nor a pointer tracks it, so DVC cannot bring it back; dvc repro"
    for name, digest in package.digests.items():
        md5 = tracked.get((version.folder / name).as_posix(), digest.md5)
        if md5 != digest.md5:
            found = f"{models.MANIFEST} {digest.md5}" if digest == manifest.model.digest() else f"it is {digest.md5}"
            yield f"{name}: {LOCK if is_current else models.POINTER} records MD5 {md5}, {found}"
    if is_current:
        ends = tracking.declared_stages(version.read).get(tracking.PACKAGE)
        for name in tracking.ancestors(recorded, ends.deps if ends else []):
            if name not in manifest.stages:
                yield f"{name}: the model rests on it by {LOCK}, but {models.MANIFEST} does not have it; {remedy}"
        yield from check_stages(manifest, recorded, remedy)
        if version.commit is None:
            yield from check_files(manifest)
    else:
        yield from check_kept_files(version, package)


def check_pointer(version: Version, manifest: Manifest, is_current: bool) -> Iterator[str]:
    """Whether the pointer of a version that was left behind tracks its model, and nothing else."""
    pointer = version.folder / models.POINTER
    content = version.read(pointer)
    if content is not None and not is_current and not models.is_right_pointer(content, pointer, manifest):
        yield f"{pointer}: does not track the model of this package; remove it, then dvc repro --force writes it"


def check_params(manifest: Manifest) -> Iterator[str]:
    """Compare the sections of parameters with those that the stages used; schema 1 did not record the latter."""
    used = tracking.used_parameters(manifest.stages)
    for section, value in manifest.params.model_dump().items():
        if used.get(section, value) != value:
            yield f"{models.MANIFEST}: params.{section} is not what its stages record; restore it"


def check_stages(manifest: Manifest, recorded: Mapping[str, tracking.Stage], remedy: str) -> Iterator[str]:
    """Compare the stages that the manifest records with those of dvc.lock."""
    for name, then in manifest.stages.items():
        now = recorded.get(name)
        if now is None:
            yield f"{name}: recorded in {models.MANIFEST}, but not in {LOCK}; {remedy}"
            continue
        for kind, before, after in [("reads", then.deps, now.deps), ("makes", then.outs, now.outs)]:
            for path in sorted({*before, *after}):
                if before.get(path) != after.get(path):
                    yield (
                        f"{path}: {name} {kind} it; {models.MANIFEST} records {before.get(path)}, "
                        f"{LOCK} records {after.get(path)}; {remedy}"
                    )
        if then.cmd != now.cmd:
            yield f"{name}: {models.MANIFEST} records the command '{then.cmd}', {LOCK} '{now.cmd}'; {remedy}"
        if then.params and then.params != now.params:
            yield f"{name}: {models.MANIFEST} and {LOCK} record different parameters; {remedy}"
    read = {dep: md5 for stage in recorded.values() for dep, md5 in stage.deps.items()}
    for entry in manifest.inputs:
        if read.get(entry.path, entry.hash) != entry.hash or not any(overlap(entry.path, path) for path in read):
            yield f"{entry.path}: {models.MANIFEST} records MD5 {entry.hash}, {LOCK} does not; {remedy}"


def check_files(manifest: Manifest) -> Iterator[str]:
    """Compare data, code and what the stages made with the files themselves, where they are."""
    top, data = Path(git.ask("rev-parse", "--show-toplevel") or "").resolve(), manifest.data
    pairs = [file.digest() for file in (manifest.model, data.train, data.test)]
    pairs += [Digest(e.size, e.md5, e.sha256) for e in manifest.inputs if e.md5 and e.sha256]
    recorded = {p: m for stage in manifest.stages.values() for p, m in (stage.deps | stage.outs).items()}
    for path, md5 in {**recorded, **{entry.path: entry.hash for entry in manifest.inputs}}.items():
        file = Path(path)
        if "://" in path or not file.exists():
            continue
        if not file.resolve().is_relative_to(top) and not tracking.is_link_to_cache(file, md5):
            yield (
                f"{path}: {models.MANIFEST} names a path outside of the repository, where nothing keeps it; "
                f"dvc import-url {shlex.quote(path)} data/raw/ keeps it, and the stage is to read it there"
            )
        elif tracking.content_hash(file, pairs) != md5:
            yield f"{path}: changed since the pipeline ran; dvc repro, or git checkout and dvc checkout to go back"


def check_kept_files(version: Version, package: Package) -> Iterator[str]:
    """Compare the Git-kept files of a version that was left behind with HEAD, which alone still records them."""
    for name in models.KEPT_BY_GIT:
        kept = git.read_blob(version.commit or "HEAD", version.folder / name)
        if kept is not None and name in package.texts and kept != package.texts[name]:
            yield f"{name}: is not what Git's HEAD has; git checkout {version.folder / name}"


def check_commit(manifest: Manifest, holder: str | None, findings: Findings) -> None:
    """Whether a commit holds the code, data and parameters: `holder`, or the recorded one where the record is clean."""
    record = manifest.run.git
    if not git.has_repository():
        findings.unchecked.append("this is not a Git repository")
        return
    commit = holder or (record.commit if record else None)
    if record is None and not holder:
        findings.unchecked.append("it was made without a commit")
    elif commit is None or git.commit_of(commit) is None:
        cut = git.what_is_cut()
        if cut:
            findings.unchecked.append(f"the commit that made it is not in this clone, since {cut}")
        else:
            findings.problems.append(
                f"commit {commit}: not in this repository; if it was made elsewhere, {tracking.PACKAGE_AGAIN}"
            )
    elif record and record.dirty and not holder:
        findings.unchecked.append("the recorded commit did not hold all that made it, as the manifest says (dirty)")
    else:
        findings.problems += missing_from(commit, manifest)


def missing_from(commit: str, manifest: Manifest) -> Iterator[str]:
    """Everything that decides a model and that a commit does not hold as the manifest records it."""
    place, remedy = f"commit {short(commit)}", f"commit it, then {tracking.PACKAGE_AGAIN}"
    files = decisive_files(manifest.stages, manifest.inputs)
    for path, found in tracking.missing_from(commit, files).items():
        yield f"{path}: {models.MANIFEST} records MD5 {files[path]}, but {place} has {found}; {remedy}"
    read = tracking.reader_of(commit)
    used = {
        (file, key): value for s in manifest.stages.values() for file, p in s.params.items() for key, value in p.items()
    }
    documents = {file: tracking.mapping_in(read, Path(file)) for file in {file for file, _ in used}}
    for (file, key), value in used.items():
        if tracking.plain(tracking.value_at(documents[file], key)) != value:
            yield f"{file}: {place} has another value of {key}; {remedy}"
    declared = tracking.declared_stages(read)
    for name, stage in manifest.stages.items():
        known = declared.get(name.partition("@")[0])
        if known is None or not known.runs(stage.cmd):
            found = f"runs '{known.cmd}'" if known else "does not exist"
            yield f"{tracking.PIPELINE}: in {place} the stage {name} {found}; {remedy}"


def check_claim(version: Version, tag: str, released: str) -> Iterator[str]:
    """A manifest that is not the one that was released claims to be, unless it is of an experiment or came before."""
    is_claim = version.commit not in versions.experiments_by_commit()
    if version.commit is None or (is_claim and git.is_ancestor(released, version.commit)):
        yield f"{models.MANIFEST}: is not the one that was released as {tag}; git checkout {tag} -- {version.folder}"
