"""`lineage.py trace`: which packages, in all of Git's history, came from a file, hash, commit or experiment.

It answers both ways: for data, code or a commit, which models came from it; for a model file, even one that was
copied away and renamed, which data and code made it.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import git
from answer import Answer, columns, short
from checksums import digest, dvc_md5
from history import Record, experiments_by_commit, in_commits, in_workspace
from problem import Problem

HEADER = ("VERSION", "WHERE", "AS", "SCORE", "DATA", "ROWS", "CODE", "MODEL", "CREATED")
SHORTEST_HASH = 7
HASH = re.compile(rf"[0-9a-f]{{{SHORTEST_HASH},64}}(\.dir)?")


def answer(what: str) -> Answer:
    """Every package that came from it, or that it is a part of."""
    history = in_commits()
    known = [record.document for record in history]
    records = [record for record in in_workspace() if record.document not in known] + history
    experiments = experiments_by_commit()
    # In a clone there are no experiments, but the versions that were made in one still name it.
    meanings = identify(
        what, {record.text("run", "experiment", "name") for record in records} | {*experiments.values()}
    )
    found = [(record, roles) for record in records if (roles := list(roles_of(record, meanings)))]
    facts = [describe(record, roles, experiments) for record, roles in found]
    if not facts:
        return Answer([], f"no package came from {what} ({', '.join(meanings)})", holds=False)
    return Answer(facts, columns([HEADER, *map(_row, facts)]))


def identify(what: str, names: Collection[str | None]) -> list[str]:
    """The hashes, or else the path or the experiment's name, by which something may stand in a manifest."""
    path = Path(what)
    if not what:
        raise Problem("expected a file, a hash, a commit, an experiment or a path, found nothing")
    if path.is_file():
        found = digest(path)
        return [found.md5, found.sha256]
    if path.is_dir():
        return [dvc_md5(path)]
    if HASH.fullmatch(what.lower()):
        return [what.lower()]
    if commit := git.commit_of(what):
        return [commit]
    if what in names:
        return [what]
    if git.commits_of(path, revision="--all") or "/" in what:
        return [path.as_posix()]
    raise Problem(
        f"'{what}' is no file, hash (at least {SHORTEST_HASH} digits), commit, experiment or path in Git's history"
    )


def roles_of(record: Record, meanings: list[str]) -> Iterator[str]:
    """As what something stands in a manifest: a name for each place, with the path there."""
    for role, path, value in places(record):
        if any(path == meaning or (HASH.fullmatch(meaning) and value.startswith(meaning)) for meaning in meanings):
            yield f"{role} {path}".strip()


def places(record: Record) -> Iterator[tuple[str, str, str]]:
    """All that a manifest says it came from: the role of each, its path or name, and its hash."""
    for part in ("source", "train", "test"):
        for kind in ("md5", "sha256"):
            yield f"data.{part}", record.text("data", part, "path") or "", record.text("data", part, kind) or ""
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


def describe(record: Record, roles: list[str], experiments: dict[str, str]) -> dict[str, Any]:
    """One package: as what the thing stands in it, and the chain that it belongs to."""
    metric, score = record.main_score()
    return {
        "version": record.version,
        "commit": record.commit,
        "experiment": experiments.get(record.commit or "") or record.text("run", "experiment", "name"),
        "roles": list(dict.fromkeys(roles)),
        "metric": metric,
        "score": score,
        "data": {
            "path": record.text("data", "source", "path"),
            "sha256": record.text("data", "source", "sha256"),
            "rows": record.get("data", "source", "rows"),
        },
        "made_from": record.text("run", "git", "commit"),
        "model": record.text("model", "sha256"),
        "created_at": record.text("run", "created_at"),
    }


def _row(fact: dict[str, Any]) -> list[str]:
    where = fact["experiment"] or short(fact["commit"] or "workspace")
    score = "-" if fact["score"] is None else f"{fact['metric']} {fact['score']:.3f}"
    words = [fact["data"]["path"], fact["data"]["rows"], short(fact["made_from"] or "-"), short(fact["model"] or "-")]
    role, *more = fact["roles"]
    return [
        fact["version"],
        where,
        f"{role}{f' +{len(more)}' if more else ''}",
        score,
        *map(str, words),
        str(fact["created_at"]),
    ]
