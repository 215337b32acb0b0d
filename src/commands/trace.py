"""`lineage.py trace`: which versions, in all of Git's history, came from a file, hash, commit or experiment.

It answers both ways: for data, code or a commit, which models came from it; for a model file, even one that was
copied away and renamed, which data and code made it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from commands import versions
from commands.result import Result, table
from commands.versions import Record
from record import git
from record.checksums import digest
from record.problem import Problem, progress, say
from record.tracking import PARAMETERS, PIPELINE, content_hash, files_in

SHORTEST_HASH = 7
HASH = re.compile(rf"[0-9a-f]{{{SHORTEST_HASH},64}}(\.dir)?")


def run(what: str) -> Result:
    """Every version that came from it, or that it is a part of."""
    meanings = identify(what)
    records = [*versions.in_workspace(), *versions.in_commits(meanings)]
    if cut := git.what_is_cut():
        say(f"note: this answer is partial, since of this clone {cut}")
    watched = progress(records, "versions", " versions", len(records))
    roles = {id(record.document): list(dict.fromkeys(roles_of(record, meanings))) for record in watched}
    present = {record.identity() for record in records if record.present}
    found = versions.one_for_each_model(
        replace(record, present=record.identity() in present) for record in records if roles[id(record.document)]
    )
    described = zip(found, versions.describe(found), strict=True)
    facts = [known | {"roles": roles[id(record.document)]} for record, known in described]
    if not facts:
        return Result([], [f"no version came from {what}"], holds=False)
    rows = [[*versions.row(fact), _as(fact["roles"])] for fact in facts]
    return Result(facts, table([(*versions.HEADER, "AS"), *rows]))


def _as(roles: list[str]) -> str:
    first, *more = roles
    return f"{first}{f' +{len(more)}' if more else ''}"


def identify(what: str) -> list[str]:
    """The hashes, or else the path or the experiment's name, by which something may be in a manifest."""
    path = Path(what)
    if not what:
        raise Problem("expected a file, a hash, a commit, an experiment or a path, found nothing")
    if path in {PARAMETERS, PIPELINE}:
        raise Problem(f"{what}: its values are recorded, not its hash; python src/lineage.py diff A B compares them")
    if path.is_file():
        found = digest(path)
        return [found.md5, found.sha256]
    if path.is_dir():
        return [content_hash(path), *(digest(file).md5 for file in files_in(path))]
    if HASH.fullmatch(what.lower()):
        return [what.lower()]
    if commit := git.commit_of(what):
        return [commit]
    if is_experiment(what):
        return [what]
    if "/" in what or git.commits_of(path, revision="--all"):
        return [what if "://" in what else path.as_posix()]
    raise Problem(
        f"'{what}' is not a file, hash (at least {SHORTEST_HASH} digits), commit, experiment or path in Git's history"
    )


def is_experiment(name: str) -> bool:
    """Whether there is such an experiment, or a version that was made in one: a clone has no experiments."""
    if name in versions.experiments():
        return True
    records = [*versions.in_workspace(), *versions.in_commits([name])]
    return any(record.text("run", "experiment", "name") == name for record in records)


def roles_of(record: Record, meanings: list[str]) -> Iterator[str]:
    """As what something is in a manifest: a name for each place, with the path there."""
    for role, path, value in places(record):
        if any(path == meaning or (HASH.fullmatch(meaning) and value.startswith(meaning)) for meaning in meanings):
            yield f"{role} {path}".strip()


def places(record: Record) -> Iterator[tuple[str, str, str]]:
    """All that a manifest says its model came from: the role of each, its path or name, and its hash."""
    for entry in record.inputs():
        for kind in ("md5", "sha256"):
            yield "input", str(entry.get("path") or ""), str(entry.get(kind) or "")
        origin = entry.get("origin")
        if isinstance(origin, dict):
            yield "origin of", str(origin.get("url") or ""), str(origin.get("revision") or origin.get("etag") or "")
    for part in ("train", "test"):
        for kind in ("md5", "sha256"):
            yield part, record.text("data", part, "path") or "", record.text("data", part, kind) or ""
    for kind in ("md5", "sha256"):
        yield "model", "", record.text("model", kind) or ""
    for stage in record.keys("stages"):
        for kind, role in (("deps", f"read by {stage}"), ("outs", f"made by {stage}")):
            for path in record.keys("stages", stage, kind):
                yield role, path, record.text("stages", stage, kind, path) or ""
    yield "requirements", "", record.text("environment", "requirements_sha256") or ""
    yield "commit", "", record.text("run", "git", "commit") or ""
    yield "experiment", record.text("run", "experiment", "name") or "", ""
    yield "baseline", "", record.text("run", "experiment", "baseline") or ""
    yield "recorded in", "", record.commit or ""
