"""`lineage.py rebuild`: prove a version by making it again from its own commit, in a scratch clone, byte for byte.

The caller's working tree, Git and cache are only read: what DVC tracks is pulled from the cache as from a remote.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import git
import packages
from answer import Answer, columns, word
from checksums import md5_of, parse_sums
from comparison import compare
from environment import REQUIREMENTS
from lock import PATH as LOCK
from lock import Lock, Stage, parse_lock, read_lock
from manifest import Manifest, parse_manifest, read_manifest
from problem import Problem, say
from tools import Tools
from version import Version, find_version, version_made_in


@dataclass(frozen=True)
class Outcome:
    """Whether a file came out as it is recorded, and if not, the likely cause."""

    path: str
    identical: bool
    cause: str | None


def answer(version: str, fresh_env: bool) -> Answer:
    """Run the pipeline of a version again and compare all that it made."""
    asked = committed(find_version(version))
    with tempfile.TemporaryDirectory(prefix="rebuild-") as scratch:
        clone = check_out(asked, Path(scratch) / "repository")
        python = make_environment(clone, Path(scratch) / "venv") if fresh_env else Path(sys.executable)
        tools = Tools(python, clone)
        fetch_data(asked, tools)
        say("running the pipeline")
        if not tools.run("-m", "dvc", "repro", "--force", "--no-run-cache"):
            hint = "" if fresh_env else "; where installed packages differ, --fresh-env installs that commit's own"
            raise Problem(f"the pipeline of commit {asked.commit} does not run here{hint}")
        outcomes = list(compare_outs(asked, clone))
    return report(asked, outcomes)


def report(version: Version, outcomes: list[Outcome]) -> Answer:
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
    return Answer(facts, f"{columns(rows)}\n{version.name}: {verdict} from commit {version.commit}", holds=identical)


def committed(version: Version) -> Version:
    """The same version in the commit to rebuild it from: its release, or else the last that recorded it."""
    if version.commit:
        return version
    manifest_path = version.folder / packages.MANIFEST
    content = version.read(manifest_path)
    tag = f"refs/tags/{version.manifest().name}@{version.name}"
    for commit in filter(None, [git.commit_of(tag), *git.commits_of(manifest_path, LOCK)]):
        if git.read_blob(commit, manifest_path) == content and version_made_in(commit, commit) == version.name:
            return Version(version.name, commit)
    raise Problem(f"{manifest_path}: no commit holds it as it stands; commit it, then rebuild")


def check_out(version: Version, target: Path) -> Path:
    """A clone of this repository at the version's commit, without tags, so that nothing counts as released in it."""
    say(f"cloning commit {version.commit}")
    top, prefix = git.git("rev-parse", "--show-toplevel"), git.git("rev-parse", "--show-prefix")
    done = git.git("clone", "--quiet", "--shared", "--no-tags", "--no-checkout", str(top), str(target))
    if done is None or git.git("checkout", "--quiet", "--detach", str(version.commit), cwd=target) is None:
        raise Problem(f"commit {version.commit} cannot be cloned from {top}")
    return target / (prefix or "")


def make_environment(clone: Path, folder: Path) -> Path:
    """A new virtual environment from the commit's own requirements.txt; returns its Python."""
    say(f"installing {REQUIREMENTS} of that commit")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made = Tools(Path(sys.executable), clone).run("-m", "venv", str(folder))
    if not made or not Tools(python, clone).run("-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)):
        raise Problem(f"{REQUIREMENTS} of that commit cannot be installed here; pip says why above")
    return python


def fetch_data(version: Version, tools: Tools) -> None:
    """Get the raw data that DVC tracks: from the caller's cache, or from the remote that the caller has configured."""
    tracked = [path for path, _ in version.manifest().inputs() if (tools.cwd / f"{path}.dvc").is_file()]
    if not tracked:
        return
    here = Tools(tools.python, Path.cwd())
    cache = here.read("-m", "dvc", "cache", "dir")
    tools.run("-m", "dvc", "remote", "add", "--quiet", "--local", "cache-of-caller", str(Path(str(cache)).absolute()))
    for path in tracked:
        say(f"fetching {path}")
        cached = tools.run("-m", "dvc", "pull", "--quiet", "--remote", "cache-of-caller", path)
        target = str(tools.cwd / path)
        if not cached and not here.run(
            "-m", "dvc", "get", "--quiet", "--force", "--rev", str(version.commit), ".", path, "--out", target
        ):
            raise Problem(f"{path}: neither the cache nor the remote has it; dvc push it where it is, then rebuild")


def compare_outs(version: Version, clone: Path) -> Iterator[Outcome]:
    """Hold every out that the commit's `dvc.lock` records against what was made now, then the rest of `dvc.lock`."""
    recorded, made = _lock_of(version), read_lock(clone / LOCK)
    before, after = version.manifest(), read_manifest(clone / version.folder / packages.MANIFEST)
    cause = likely_cause(before, after)
    for name, stage in recorded.stages.items():
        found = made.stages[name].outputs() if name in made.stages else {}
        for path, md5 in stage.outputs().items():
            identical = found.get(path) == md5 or _differs_in_run_alone(version, clone, Path(path), md5)
            yield Outcome(path, identical, None if identical else cause)
    differing = [name for name, stage in recorded.stages.items() if _inputs(stage) != _inputs(made.stages.get(name))]
    yield Outcome(LOCK.as_posix(), not differing, f"what it records of {', '.join(differing)}" if differing else None)


def _lock_of(version: Version) -> Lock:
    content = version.read(LOCK)
    if content is None:
        raise Problem(f"{LOCK}: not in commit {version.commit}, so nothing says what the pipeline made")
    return parse_lock(content)


def _inputs(stage: Stage | None) -> Any:
    return stage and stage.model_dump(exclude={"outs"})


def _differs_in_run_alone(version: Version, clone: Path, path: Path, recorded_md5: str) -> bool:
    """Whether a file of the package is what `dvc.lock` records, and as it was made now but for the manifest's `run`."""
    if path not in {version.folder / name for name in (packages.MANIFEST, packages.SUMS)}:
        return False
    then, now = version.read(path) or b"", (clone / path).read_bytes()
    if md5_of(then) != recorded_md5:
        return False
    if path.name == packages.MANIFEST:
        return parse_manifest(then).lineage() == parse_manifest(now).lineage()
    sums = [parse_sums(content, packages.CHECKED) | {packages.MANIFEST: ""} for content in (then, now)]
    return sums[0] == sums[1]


def likely_cause(before: Manifest, after: Manifest) -> str:
    """Why a rebuilt version is another, from what the two manifests say."""
    if before.model.nondeterminism:
        return f"not deterministic: {before.model.nondeterminism}"
    changes = compare(before, after)
    for group in ("data", "code", "environment", "parameters"):
        if group in changes:
            first, *more = changes[group]
            others = f" and {len(more)} more" if more else ""
            return f"{group}: {first.name} {word(first.before)} → {word(first.after)}{others}"
    return "recorded otherwise than it was made: edited by hand, or made on other numeric settings"
