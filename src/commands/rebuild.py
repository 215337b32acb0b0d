"""`lineage.py rebuild`: prove a version by making it again from its own commit, in a scratch clone, byte for byte.

The caller's working tree, Git and cache are only read: what DVC tracks is pulled from the cache as from a remote.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from commands.attestations import Outcome, write_attestation
from commands.processes import Commands, fetch, scratch_clone
from commands.result import Result, table
from commands.versions import Version, commit_that_made, find_version
from record import models, tracking
from record.bundles import read_private_key
from record.checksums import md5_of
from record.comparison import compare
from record.environment import REQUIREMENTS, check_environment
from record.manifest import Manifest, now, parse_manifest
from record.problem import Problem, step
from record.tracking import LOCK, Stage

LOCAL_CONFIGURATION = Path(".dvc/config.local")


def run(version: str, fresh_env: bool, *, attest: bool = False, key: Path | None = None) -> Result:
    """Run the pipeline of a version again and compare all that it made; where asked to, sign what came out."""
    if attest != (key is not None):
        raise Problem("--attest and --key belong together: python src/lineage.py rebuild VERSION --attest --key me.pem")
    private = read_private_key(key) if key else None
    found, started = find_version(version), now()
    asked = Version(found.name, commit_that_made(found))
    with rebuilt(asked, fresh_env) as clone:
        outcomes = list(compare_outs(asked, clone))
        path = write_attestation(asked, clone, outcomes, private, started) if private else None
    result = report(asked, outcomes)
    if path is None:
        return result
    line = f"{path}: signed; commit it, and push it to where the version comes from"
    return replace(result, facts=result.facts | {"attestation": path.as_posix()}, lines=[*result.lines, line])


@contextmanager
def rebuilt(version: Version, fresh_env: bool) -> Iterator[Path]:
    """A scratch clone in which the pipeline of a version has run again."""
    with ExitStack() as stack:
        with step(f"cloning commit {version.commit}"):
            clone = stack.enter_context(scratch_clone(str(version.commit)))
        python = make_environment(clone) if fresh_env else Path(sys.executable)
        commands = Commands(python, clone)
        fetch_data(version, commands)
        forget_results(version, commands)
        with step("running the pipeline"):
            is_done = commands.run(
                "-m", "dvc", "repro", "--force", "--no-run-cache", "--single-item", *stages_of(version)
            )
        if not is_done:
            raise Problem(f"the pipeline of commit {version.commit} does not run here; {way_out(clone, fresh_env)}")
        yield clone


def way_out(clone: Path, fresh_env: bool) -> str:
    """What to do when a pipeline does not run: the packages are to blame only where they are other ones."""
    try:
        if not fresh_env:
            check_environment(clone / REQUIREMENTS)
    except Problem:
        return "other packages are installed than it asks for, and --fresh-env installs those"
    return "what the stage says above is why, such as access to a remote (dvc remote modify --local); then try again"


def report(version: Version, outcomes: list[Outcome]) -> Result:
    """A line for each file, and the verdict."""
    identical = all(outcome.identical for outcome in outcomes)
    rows = [("identical" if o.identical else "differs", o.path, f"({o.cause})" if o.cause else "") for o in outcomes]
    verdict = "rebuilt byte for byte" if identical else "not rebuilt byte for byte"
    facts = {
        "version": version.name,
        "commit": version.commit,
        "identical": identical,
        "files": [asdict(outcome) for outcome in outcomes],
    }
    return Result(facts, [*table(rows), f"{version.name}: {verdict} from commit {version.commit}"], holds=identical)


def make_environment(clone: Path) -> Path:
    """A new virtual environment beside the clone, from the commit's own requirements.txt; returns its Python."""
    folder = clone.absolute() / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    with step(f"installing {REQUIREMENTS} of that commit"):
        made = Commands(cwd=clone).run("-m", "venv", str(folder))
        made = made and Commands(python, clone).run("-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS))
    if not made:
        raise Problem(f"{REQUIREMENTS} of that commit cannot be installed here; pip says why above")
    return python


def fetch_data(version: Version, commands: Commands) -> None:
    """Get the raw data that DVC tracks: from the caller's cache, or from where the caller's remote or import has it.

    What a stage reads in a storage stays there, but the clone must know what the caller knows of it.
    """
    read = tracking.reader_of(version.commit)
    paths = tracking.inputs_of(version.manifest().stages)
    if any("://" in path for path in paths):
        lend_access(commands.cwd)
    pointers = dict.fromkeys(found[0] for path in paths if (found := tracking.pointer_to(path, read)))
    if not pointers:
        return
    cache = str(tracking.cache_folder(Path.cwd()))
    commands.run("-m", "dvc", "remote", "add", "--quiet", "--local", "cache-of-caller", cache)
    for pointer in pointers:
        target = pointer.with_suffix("")
        with step(f"fetching {target}"):
            is_there = not commands.complaint("-m", "dvc", "pull", "--remote", "cache-of-caller", pointer.as_posix())
            is_there = is_there or fetch(target, str(version.commit), commands.cwd.absolute() / target)
        if not is_there:
            raise Problem(f"{target}: neither the cache nor the remote has it; dvc push it where it is, then rebuild")


def lend_access(clone: Path) -> None:
    """Tell the clone what the caller's own configuration says of DVC's remotes, such as keys, and nothing else."""
    ours, theirs = RawConfigParser(), RawConfigParser()
    ours.read(LOCAL_CONFIGURATION, encoding="utf-8")
    theirs.read_dict({section: ours[section] for section in ours.sections() if section.startswith("'remote ")})
    (clone / LOCAL_CONFIGURATION).touch(mode=0o600)
    with (clone / LOCAL_CONFIGURATION).open("w", encoding="utf-8") as file:
        theirs.write(file)


def stages_of(version: Version) -> list[str]:
    """All stages that ran, in order. Without names DVC would also ask for each import whether its source is there."""
    recorded = tracking.recorded_stages(version.read)
    return list(tracking.ancestors(recorded, [out for stage in recorded.values() for out in stage.outs]))


def forget_results(version: Version, commands: Commands) -> None:
    """Remove what the pipeline made, and thaw its stages, so that only what is made again can be compared."""
    recorded = tracking.recorded_stages(version.read)
    for path in [path for stage in recorded.values() for path in stage.outs]:
        target = commands.cwd / path
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
    pipeline = tracking.mapping_in(version.read, tracking.PIPELINE).get("stages") or {}
    if frozen := [name for name, stage in pipeline.items() if isinstance(stage, dict) and stage.get("frozen")]:
        commands.run("-m", "dvc", "unfreeze", *frozen)


def compare_outs(version: Version, clone: Path) -> Iterator[Outcome]:
    """Compare every out that the commit's `dvc.lock` records with what was made now, then the rest of `dvc.lock`."""
    content = version.read(LOCK)
    if content is None:
        raise Problem(f"{LOCK}: not in commit {version.commit}, so nothing says what the pipeline made")
    live = tracking.recorded_stages(version.read)
    recorded = {name: stage for name, stage in tracking.parse_lock(content).items() if name in live}
    made = tracking.parse_lock((clone / LOCK).read_bytes())
    cause = likely_cause(version.manifest(), models.read_manifest_of(clone / version.folder))
    for name, stage in recorded.items():
        found = made[name].outs if name in made else {}
        for path, md5 in stage.outs.items():
            identical = found.get(path) == md5 or _differs_in_run_alone(version, clone, Path(path), md5)
            yield Outcome(path, identical, None if identical else cause)
    differing = [name for name, stage in recorded.items() if _inputs(stage) != _inputs(made.get(name))]
    yield Outcome(LOCK.as_posix(), not differing, f"what it records of {', '.join(differing)}" if differing else None)


def _inputs(stage: Stage | None) -> Any:
    return stage and stage.model_dump(exclude={"outs"})


def _differs_in_run_alone(version: Version, clone: Path, path: Path, recorded_md5: str) -> bool:
    """Whether a file of the package is what `dvc.lock` records, and as it was made now but for the manifest's `run`."""
    then, now = version.read(path) or b"", clone / path
    if path.parent != version.folder or not now.is_file() or md5_of(then) != recorded_md5:
        return False
    if path.name == models.MANIFEST:
        return parse_manifest(then).lineage() == parse_manifest(now.read_bytes()).lineage()
    return path.name == models.SUMS and _other_sums(then) == _other_sums(now.read_bytes())


def _other_sums(sums: bytes) -> list[bytes]:
    return [line for line in sums.splitlines() if not line.endswith(f"  {models.MANIFEST}".encode())]


def likely_cause(before: Manifest, after: Manifest) -> str:
    """Why a rebuilt version is another, from what the two manifests say."""
    if before.model.nondeterminism:
        return f"not deterministic: {before.model.nondeterminism}"
    changes = compare(before, after)
    for group in ("data", "code", "environment", "parameters"):
        if group in changes:
            first, *more = changes[group]
            return f"{group}: {first}{f' and {len(more)} more' if more else ''}"
    return "what was recorded is not what was made: edited by hand, or made with other numeric settings"
