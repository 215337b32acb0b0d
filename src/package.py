"""Stage 3: put the candidate into its versioned package, with its lineage. Run it with `dvc repro`.

Nothing is unpickled here and nothing computed anew: the stage hashes the bytes that stand there, holds them against
what the other stages noted and what `dvc.lock` recorded, and refuses where any of the three disagree.
"""

import json
import os
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import candidate
import git
import manifest
import packages
import parameters
import prepared
from answer import word
from candidate import Description
from checksums import digest, dvc_md5
from comparison import compare
from environment import REQUIREMENTS, check_environment
from lock import PATH as LOCK
from lock import Lock, Stage, read_lock
from manifest import Manifest
from parameters import Parameters, read_parameters
from prepared import Profile
from problem import Problem, refuse_if, run, say
from witness import Readings


def disagreements(name: str, stage: Stage, readings: Readings, packaged: Iterable[Path]) -> Iterator[str]:
    """Where the three witnesses of a stage differ: `dvc.lock`, the bytes that stand there, the stage's own notes."""
    recorded = stage.dependencies() | stage.outputs()
    for file in packaged:
        md5, found = recorded.get(file.as_posix()), dvc_md5(file) if file.exists() else "missing"
        if md5 and found != md5:
            yield f"{file}: {LOCK} records {md5} for {name}, found is {found}; run dvc repro"
    for path, md5 in readings.files.items():
        if path not in recorded:
            yield f"{path}: {name} reads it, but dvc.yaml does not list it in the stage's deps; add it"
        elif recorded[path] != md5:
            yield f"{path}: {name} read {md5}, {LOCK} records {recorded[path]}: it changed meanwhile; run dvc repro"
    for key, value in readings.params.items():
        if stage.params.get(parameters.PATH.name, {}).get(key) != value:
            yield f"{parameters.PATH}: {key}: {name} used other values than {LOCK} records; run dvc repro"


def stage_of(recorded: Lock, name: str) -> Stage:
    """The entry of a stage in dvc.lock."""
    try:
        return recorded.stages[name]
    except KeyError:
        raise Problem(f"{LOCK}: has no stage '{name}'; dvc repro runs it") from None


def describe_run(decisive: list[str]) -> manifest.Run:
    """When and where this happens; `decisive` are the files whose difference from HEAD makes the record dirty."""
    commit = git.commit_of("HEAD")
    if commit is None:
        say("warning: no Git commit; the manifest cannot say which code made this model. Commit, then dvc repro")
    name, baseline = os.environ.get("DVC_EXP_NAME"), os.environ.get("DVC_EXP_BASELINE_REV")
    root = os.environ.get("DVC_ROOT")  # in a temporary copy of the repository, the one it was copied from
    return manifest.Run(
        created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        git=manifest.Git(
            commit=commit, dirty=git.differs_from_head(decisive), remote=git.remote(Path(root) if root else None)
        )
        if commit
        else None,
        experiment=manifest.Experiment(name=name, baseline=baseline) if name and baseline else None,
        platform=f"{platform.system()}-{platform.machine()}",
    )


def build_manifest(
    settings: Parameters, profile: Profile, description: Description, stages: dict[str, Stage], metrics: dict[str, Any]
) -> Manifest:
    """The manifest of the candidate, from what stands on disk."""
    source = Path(settings.data.path)
    decisive = {path for stage in stages.values() for path in stage.dependencies()} - {
        prepared.TRAIN.as_posix(),
        prepared.TEST.as_posix(),
    }
    used = profile.readings.params | description.readings.params
    return Manifest(
        schema_version=1,
        name=settings.package.name,
        version=settings.package.version,
        model=manifest.Model.of(packages.MODEL, digest(candidate.MODEL), **dict(description.fitted)),
        data=manifest.Data(
            source=_table(source, profile.rows.read),
            train=_table(prepared.TRAIN, profile.rows.train),
            test=_table(prepared.TEST, profile.rows.test),
        ),
        params=manifest.Params(
            data=used["data"],
            prepare=used["prepare"],
            train=used["train"],
            estimator=used[f"estimators.{used['train']['estimator']}"],
            package=settings.package.model_dump(),
        ),
        metrics=metrics | {"folds": description.folds},
        stages={
            name: manifest.Stage(cmd=stage.cmd, deps=stage.dependencies(), outs=stage.outputs())
            for name, stage in stages.items()
        },
        environment=manifest.Environment(
            python=description.python,
            requirements_sha256=digest(REQUIREMENTS).sha256,
            packages=description.packages,
            numeric=description.numeric,
        ),
        run=describe_run(sorted(decisive | {"params.yaml", "dvc.yaml", f"{source.as_posix()}.dvc"})),
    )


def _table(path: Path, rows: int) -> manifest.Table:
    return manifest.Table.of(path.as_posix(), digest(path), rows=rows)


def as_released(new: Manifest, standing: Manifest | None) -> Manifest | None:
    """The released manifest of this version where it records the same lineage; None where it was not released.

    Raises:
        Problem: when another lineage was released under this version, or the package that stands there under
            another name, with what differs.
    """
    folder = os.environ.get("DVC_ROOT")  # a temporary copy of the repository has none of its tags
    root = Path(folder) if folder else None
    released = packages.released_manifest(new, root)
    if released is None and standing and standing.name != new.name:
        released = packages.released_manifest(standing, root)
    if released is None or released.lineage() == new.lineage():
        return released
    changes = [(group, change) for group, found in compare(released, new).items() for change in found]
    raise Problem(
        f"{packages.folder_of(new.version)}: released as {packages.release_tag(released)}, so it is not overwritten; "
        f"choose another package.version in {parameters.PATH}, or with -S in an experiment, then run again",
        *(f"  {group}: {c.name}: released {word(c.before)}, now {word(c.after)}" for group, c in changes),
    )


def with_first_birth(new: Manifest, standing: Manifest | None) -> Manifest:
    """The standing manifest where it records the same lineage, unless a clean run can replace a dirty record."""
    if standing is None or standing.lineage() != new.lineage():
        return new
    return new if _is_clean(new) and not _is_clean(standing) else standing


def _is_clean(document: Manifest) -> bool:
    record = document.run.git  # a commit of another repository, such as the template's, says nothing here
    return record is not None and not record.dirty and git.knows(record.commit)


def main() -> None:
    """Write models/<version>/ from models/candidate/."""
    settings = read_parameters()
    check_environment()
    profile = Profile.read(prepared.PROFILE)
    description = Description.read(candidate.DESCRIPTION)
    recorded = read_lock()
    stages = {name: stage_of(recorded, name) for name in ("prepare", "train")}
    packaged = [Path(settings.data.path), prepared.FOLDER, candidate.FOLDER, candidate.METRICS, REQUIREMENTS]
    notes = {"prepare": profile.readings, "train": description.readings}
    refuse_if(line for name in stages for line in disagreements(name, stages[name], notes[name], packaged))
    new = build_manifest(settings, profile, description, stages, json.loads(candidate.METRICS.read_bytes()))
    folder = packages.folder_of(settings.package.version)
    standing = packages.standing_manifest(folder)
    kept = as_released(new, standing) or with_first_birth(new, standing)
    packages.lay_down(folder, candidate.MODEL, kept, REQUIREMENTS.read_bytes())
    pointers = packages.leave_pointers(settings.package.version)
    for pointer in pointers:
        say(f"{pointer}: keeps that version with DVC; commit it")
    if pointers and "DVC_EXP_NAME" in os.environ:  # an experiment keeps only what Git knows of
        git.add(pointers)
    done = "holds this lineage already" if kept is standing else "packaged"
    say(f"{folder}: {done} (sha256 of the model: {kept.model.sha256[:12]}…)")


if __name__ == "__main__":
    run(main)
