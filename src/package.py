"""Stage 3: put the candidate into its versioned package, with its lineage. Run it with `dvc repro`.

Nothing is loaded here and nothing computed anew: the stage hashes the files that the model came from, compares them
with what `dvc.lock` records and with what the other stages noted, and refuses where any of the three disagree.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from record.problem import Problem, importing, refuse_if, run, say

with importing():
    from record import git, manifest, models, notes, tracking
    from record.checksums import digest
    from record.comparison import compare, decisive_files
    from record.files import from_document
    from record.manifest import Manifest
    from record.notes import Description, Object, Profile, Readings
    from record.parameters import PATH as PARAMETERS
    from record.parameters import Parameters, read_parameters
    from record.tracking import LOCK, PACKAGE, PACKAGE_AGAIN, PIPELINE, Stage

REQUIREMENTS = Path("requirements.txt")
SHOWN = 6  # differences from a released version that are named
CODE = {".py", ".ipynb", ".sh", ".sql", ".r", ".jl", ".js"}
SETTINGS = {".yaml", ".yml", ".toml", ".cfg", ".ini", ".md", ""}


def stages_behind() -> dict[str, Stage]:
    """Every stage that the package rests on, from raw data to model, as `dvc.lock` records it.

    Raises:
        Problem: when `dvc.lock` lacks one of them, or one is of another `dvc.yaml`.
    """
    recorded = tracking.recorded_stages(tracking.read_workspace)
    declared = tracking.declared_stages(tracking.read_workspace)
    ends = declared[PACKAGE].deps if PACKAGE in declared else []
    templated = [end for end in ends if "*" in end]
    refuse_if(f"{PIPELINE}: {PACKAGE}: only DVC can fill in the dependency {end}; write the path" for end in templated)
    stages = tracking.ancestors(recorded, ends)
    read = [dep for stage in stages.values() for dep in stage.deps]
    refuse_if(tracking.unrecorded([*ends, *read], recorded))
    if not stages:
        raise Problem(f"{LOCK}: records no stage that {PACKAGE} depends on; dvc repro runs them")
    return stages


def notes_of(stages: dict[str, Stage]) -> dict[str, Path]:
    """The notes that stages left in their outs, by the stage's name."""
    found = ((name, Path(out) / note) for name, s in stages.items() for out in s.outs for note in notes.ALL)
    return {name: path for name, path in found if path.is_file()}


def disagreements(name: str, stage: Stage, found: dict[str, str], readings: Readings | None) -> Iterator[str]:
    """Where the three accounts of a stage differ: `dvc.lock`, the files as they are now, the stage's own notes."""
    recorded = stage.deps | stage.outs
    for path, md5 in recorded.items():
        if found.get(path, md5) != md5:
            yield f"{path}: {LOCK} records {md5} for {name}, found is {found[path]}; run dvc repro"
    read = readings.files | hashes_of_objects(readings.objects, recorded) if readings else {}
    for path, md5 in read.items():
        if path not in recorded and not any(tracking.overlap(path, folder) for folder in recorded):
            yield f"{path}: {name} reads it, but dvc.yaml does not list it in the stage's deps; add it"
        elif recorded.get(path, md5) != md5:
            yield f"{path}: {name} read {md5}, {LOCK} records {recorded[path]}: it changed meanwhile; run dvc repro"
    for key, value in readings.params.items() if readings else ():
        if stage.params.get(PARAMETERS.as_posix(), {}).get(key) != value:
            yield f"{PARAMETERS}: {key}: {name} used other values than {LOCK} records; run dvc repro"


def hashes_of_objects(objects: dict[str, Object], recorded: Iterable[str]) -> dict[str, str]:
    """The hash of each object of a storage, those of a folder that is recorded as a whole under one hash."""
    hashes = {url: found.hash for url, found in objects.items() if url in recorded}
    for folder in recorded:
        inside = {url.removeprefix(f"{folder}/"): o for url, o in objects.items() if url.startswith(f"{folder}/")}
        if "://" in folder and inside:
            kind = next(iter(inside.values())).kind
            hashes[folder] = tracking.hash_of_listing({name: o.hash for name, o in inside.items()}, kind)
    return hashes | {url: o.hash for url, o in objects.items() if not any(tracking.is_inside(url, h) for h in hashes)}


def hashes_now(stages: dict[str, Stage]) -> dict[str, str]:
    """The hash of every file and folder that the stages read or made, as it is now; a URL is not looked at."""
    paths = {path for stage in stages.values() for path in stage.deps | stage.outs if "://" not in path}
    return {path: tracking.content_hash(Path(path)) if Path(path).exists() else "nothing" for path in sorted(paths)}


def is_data(path: str) -> bool:
    """Whether what no stage made is data: what DVC tracks, what is in data/, and what is not code elsewhere."""
    name = Path(path)
    if name == notes.CONTRACT:  # says what the data must be, as code does
        return False
    if "://" in path or tracking.is_inside(path, "data") or tracking.pointer_to(path, tracking.read_workspace):
        return "://" not in path
    if name.is_dir():
        return not any(file.suffix.lower() in CODE for file in tracking.files_in(name))
    return name.suffix.lower() not in CODE | SETTINGS and not name.match("requirements*.txt")


def describe_inputs(
    stages: dict[str, Stage], rows: dict[str, int], objects: dict[str, Object] | None = None
) -> list[manifest.Input]:
    """The data files that no stage made, those of a folder one by one, and the objects that were read in a storage."""
    outs = [out for stage in stages.values() for out in stage.outs]
    paths = [Path(path) for path in tracking.inputs_of(stages) if is_data(path)]
    files = [file.as_posix() for path in paths for file in (tracking.files_in(path) if path.is_dir() else [path])]
    raw = [file for file in files if not any(tracking.is_inside(file, out) for out in outs)]
    found = [(file, digest(Path(file))) for file in raw if Path(file).name != ".gitignore"]
    folders = (Path(above, name) for path in paths for above, below, _ in os.walk(path) for name in below)
    refuse_if(
        f"{folder}: is a link to a folder, and DVC does not see what is in it; put the folder itself there"
        for folder in folders
        if folder.is_symlink()
    )
    refuse_if(
        f"{path}: is a link, and not to DVC's cache; put the file itself there, or dvc add it"
        for path, hashed in found
        if Path(path).is_symlink() and not tracking.is_link_to_cache(Path(path), hashed.md5)
    )
    local = [manifest.Input.of(path, d, rows=rows.get(path), origin=origin_of(path)) for path, d in found]
    return local + [in_storage(url, found, rows.get(url)) for url, found in (objects or {}).items()]


def in_storage(url: str, found: Object, rows: int | None) -> manifest.Input:
    """An input that was read where it is. Nobody has hashed all its bytes: the storage says by what it is known."""
    place = git.without_credentials(found.url)
    origin = manifest.Origin(tracked_by=LOCK.as_posix(), url=place, path=None, revision=None, etag=found.hash)
    return manifest.Input(path=url, size=found.size, md5=None, sha256=None, rows=rows, origin=origin)


def origin_of(path: str) -> manifest.Origin | None:
    """Where the `.dvc` file of an input says that it came from; None for what Git keeps."""
    tracked = tracking.pointer_to(path, tracking.read_workspace)
    if tracked is None:
        return None
    file, pointer, _ = tracked
    source = pointer.deps[0] if pointer.deps else None
    repo = source.repo if source else None
    url = repo.url if repo else source.path if source else ""
    return manifest.Origin(
        tracked_by=file.as_posix(),
        url=git.without_credentials(url) or url or None,
        path=source.path if source and repo else None,
        revision=repo.rev_lock if repo else None,
        etag=source.etag if source else None,
    )


def read_metrics(stages: dict[str, Stage]) -> dict[str, Any]:
    """The content of metrics.json, then that of the metrics of other stages under their paths."""
    declared = tracking.declared_stages(tracking.read_workspace)
    made = {path for stage in stages.values() for path in stage.outs}
    named = {path for stage in declared.values() for path in stage.metrics} & made - {notes.METRICS.as_posix()}
    main: dict[str, Any] = json.loads(notes.METRICS.read_bytes())
    return main | {
        path: tracking.plain(from_document(Path(path).read_bytes(), path, "metrics")) for path in sorted(named)
    }


def describe_run(files: dict[str, str], written: dict[str, Path]) -> manifest.Run:
    """When and where this happens; the record is clean only if HEAD holds all of `files`, path → MD5."""
    commit = git.commit_of("HEAD")
    if commit is None:
        reason = "no commit yet" if git.has_repository() else "no Git repository"
        say(f"warning: {reason}, so the manifest cannot say which code made this model; commit, then {PACKAGE_AGAIN}")
    missing = tracking.missing_from(commit, files) if commit else {}
    for path, found in missing.items() if "DVC_EXP_NAME" not in os.environ else ():  # whose parameters differ by intent
        say(f'warning: {path}: HEAD has {found}, so the manifest says "dirty"; commit it, then {PACKAGE_AGAIN}')
    name, baseline = os.environ.get("DVC_EXP_NAME"), os.environ.get("DVC_EXP_BASELINE_REV")
    costs = {stage: cost for stage, path in written.items() if (cost := notes.cost_of(path))}
    return manifest.Run(
        created_at=manifest.now(),
        git=manifest.Git(commit=commit, dirty=bool(missing), remote=git.remote(models.places()[-1] if name else None))
        if commit
        else None,
        experiment=manifest.Experiment(name=name, baseline=baseline) if name and baseline else None,
        platform=f"{platform.system()}-{platform.machine()}",
        seconds={stage: cost.seconds for stage, cost in costs.items()},
        peak_memory_mib={stage: cost.peak_memory_mib for stage, cost in costs.items() if cost.peak_memory_mib},
    )


def build_manifest(settings: Parameters, candidate: Path, stages: dict[str, Stage]) -> Manifest:
    """The manifest of the candidate, from the files as they are."""
    profile = Profile.read(notes.PREPARED / notes.PROFILE)
    description = Description.read(candidate / notes.DESCRIPTION)
    used = tracking.used_parameters(stages)
    inputs = describe_inputs(stages, {used["data"]["path"]: profile.rows.read}, profile.readings.objects)
    decisive = decisive_files(stages, inputs)
    settings_files = {path.as_posix(): digest(path).md5 for path in (PARAMETERS, PIPELINE)}
    return Manifest(
        schema_version=manifest.SCHEMA,
        name=settings.package.name,
        version=settings.package.version,
        model=manifest.Model.of(models.MODEL, digest(candidate / notes.MODEL), **dict(description.fitted)),
        inputs=inputs,
        stages=stages,
        data=manifest.Data(
            **{
                part: manifest.Table.of(path, digest(Path(path)), rows=description.rows[part])
                for part, path in description.tables.items()
            },
            date_orders={name: c.date_order for name, c in profile.columns.items() if c.date_order},
        ),
        params=manifest.Params(
            data=used["data"],
            prepare=used["prepare"],
            train=used["train"],
            estimator=used[f"estimators.{used['train']['estimator']}"],
            package=settings.package.model_dump(),
        ),
        metrics=read_metrics(stages) | {"folds": description.folds},
        warnings=profile.warnings + description.warnings,
        contract=profile.contract,
        environment=manifest.Environment(
            python=description.python,
            requirements_sha256=digest(REQUIREMENTS).sha256,
            packages=description.packages,
            numeric=description.numeric,
        ),
        run=describe_run(decisive | settings_files, notes_of(stages)),
    )


def refuse_unreadable(document: Manifest) -> None:
    """Refuse what could be written, but not read again: metrics and parameters of other stages may be anything."""
    try:
        manifest.parse_manifest(document.to_bytes())
    except (Problem, ValueError) as error:
        what = "metrics or parameters that no manifest can hold, such as lists in lists without end"
        raise Problem(f"{PIPELINE}: a stage of your own has {what}: {error}; make them plainer") from None


def refuse_to_change_a_release(new: Manifest, current: Manifest | None) -> Manifest | None:
    """The released manifest of this version where it records the same lineage; None where it was not released.

    Raises:
        Problem: when another lineage was released under this version, or the package that is there under another
            name, with what differs.
        CannotAsk: when it cannot be known whether the version was released.
    """
    is_same = current is not None and current.lineage() == new.lineage()
    released = models.released_manifest(new, ask_remote=not is_same)
    if released is None and current and current.name != new.name:
        released = models.released_manifest(current)
    if released is None or released.lineage() == new.lineage():
        return released
    changes = [
        f"  {group}: {c}" for group, found in compare(released, new).items() for c in found if group != "metrics"
    ]
    more = [f"  and {len(changes) - SHOWN} more"] if len(changes) > SHOWN else []
    raise Problem(
        f"{models.folder_of(new.version)}: released as {models.release_tag(released)}, so it is not overwritten; "
        f"choose another package.version in {PARAMETERS}, or with -S in an experiment, then run again",
        *changes[:SHOWN],
        *more,
    )


def with_first_record(new: Manifest, current: Manifest | None) -> Manifest:
    """The current manifest where it records the same lineage, unless the new record says more of where it was made."""
    if current is None or current.lineage() != new.lineage() or _worth(new) > _worth(current):
        return new
    return current


def _worth(document: Manifest) -> int:
    """2 for a clean record, 1 for another, 0 for one of another repository, such as the template's."""
    record = document.run.git
    if record and git.has_repository() and not git.commit_of(record.commit) and not git.what_is_cut():
        return 0
    return 2 if record and not record.dirty else 1


def leave_note(document: Manifest) -> None:
    """Note in Git's own folder that this clone made the package, so that it can be loaded before it is committed."""
    for place in models.places():
        git.leave_note(document.to_bytes(), f"{document.name} {document.version}", place)


def main() -> None:
    """Write models/<version>/ from the candidate."""
    parser = argparse.ArgumentParser(prog="package.py", description="Put the candidate into its versioned package.")
    parser.add_argument("candidate", nargs="?", type=Path, default=notes.CANDIDATE, help="the folder of the candidate")
    candidate = parser.parse_args().candidate
    settings = read_parameters()
    stages = stages_behind()
    found, written = hashes_now(stages), notes_of(stages)
    readings = {name: notes.readings_in(path) for name, path in written.items()}
    refuse_if(line for name in stages for line in disagreements(name, stages[name], found, readings.get(name)))
    new = build_manifest(settings, candidate, stages)
    refuse_unreadable(new)
    if not new.inputs:
        say("warning: no stage names a raw table among its deps, so this lineage has no data; add it in dvc.yaml")
    folder = models.folder_of(settings.package.version)
    current = models.current_manifest(folder)
    kept = refuse_to_change_a_release(new, current) or with_first_record(new, current)
    models.write_package(folder, candidate / notes.MODEL, kept, REQUIREMENTS.read_bytes())
    leave_note(kept)
    models.keep_others(settings.package.version)
    done = "holds this lineage already" if kept is current else "packaged"
    say(f"{folder}: {done} (sha256 of the model: {kept.model.sha256[:12]}…)")


if __name__ == "__main__":
    run(main)
