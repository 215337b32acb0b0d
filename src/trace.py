"""`lineage.py trace`: which packages and experiments, in all of Git's history, came from a file, hash or commit.

It answers both ways: for data, code or a commit, which models came from it; for a model file, even one that was
copied away and renamed, which data and code made it.
"""

import re
from collections.abc import Iterator
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
    meanings = identify(what)
    here = in_workspace()
    known = [record.document for record in here]
    records = here + [record for record in in_commits() if record.document not in known]
    experiments = experiments_by_commit()
    found = [(record, roles) for record in records if (roles := list(roles_of(record, meanings)))]
    facts = [describe(record, roles, experiments) for record, roles in found]
    if not facts:
        return Answer([], f"no package came from {what} ({', '.join(meanings)})", holds=False)
    return Answer(facts, columns([HEADER, *map(_row, facts)]))


def identify(what: str) -> list[str]:
    """The hashes, or else the path, by which something may stand in a manifest."""
    path = Path(what)
    if path.is_file():
        found = digest(path)
        return [found.md5, found.sha256]
    if path.is_dir():
        return [dvc_md5(path)]
    if HASH.fullmatch(what):
        return [what]
    if commit := git.commit_of(what):
        return [commit]
    if git.commits_of(path, revision="--all") or "/" in what:
        return [path.as_posix()]
    raise Problem(f"'{what}' is no file, hash (at least {SHORTEST_HASH} digits), commit or path in Git's history")


def roles_of(record: Record, meanings: list[str]) -> Iterator[str]:
    """As what something stands in a manifest: a name for each place, with the path there."""
    for role, path, value in places(record):
        if any(path == meaning or (HASH.fullmatch(meaning) and value.startswith(meaning)) for meaning in meanings):
            yield f"{role} {path}".strip()


def places(record: Record) -> Iterator[tuple[str, str, str]]:
    """Every hash in a manifest, with its role and path."""
    for part in ("source", "train", "test"):
        for kind in ("md5", "sha256"):
            yield f"data.{part}", _text(record.get("data", part, "path")), _text(record.get("data", part, kind))
    for kind in ("md5", "sha256"):
        yield "model", "", _text(record.get("model", kind))
    for stage in record.get("stages") or ():
        for kind, role in (("deps", f"read by {stage}"), ("outs", f"made by {stage}")):
            for path in record.get("stages", stage, kind) or ():
                yield role, _text(path), _text(record.get("stages", stage, kind, path))
    yield "requirements", "", _text(record.get("environment", "requirements_sha256"))
    yield "commit", "", _text(record.get("run", "git", "commit"))
    yield "baseline", "", _text(record.get("run", "experiment", "baseline"))
    yield "recorded in", "", record.commit or ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def describe(record: Record, roles: list[str], experiments: dict[str, str]) -> dict[str, Any]:
    """One package: as what the thing stands in it, and the chain that it belongs to."""
    metric, score = record.main_score()
    return {
        "version": record.version,
        "commit": record.commit,
        "experiment": experiments.get(record.commit or "") or record.get("run", "experiment", "name"),
        "roles": list(dict.fromkeys(roles)),
        "metric": metric,
        "score": score,
        "data": {key: record.get("data", "source", key) for key in ("path", "sha256", "rows")},
        "made_from": record.get("run", "git", "commit"),
        "model": record.get("model", "sha256"),
        "created_at": record.get("run", "created_at"),
    }


def _row(fact: dict[str, Any]) -> list[str]:
    where = fact["experiment"] or short(fact["commit"] or "workspace")
    score = "-" if fact["score"] is None else f"{fact['metric']} {fact['score']:.3f}"
    words = [fact["data"]["path"], fact["data"]["rows"], short(_text(fact["made_from"])), short(_text(fact["model"]))]
    role, *more = fact["roles"]
    return [
        fact["version"],
        where,
        f"{role}{f' +{len(more)}' if more else ''}",
        score,
        *map(str, words),
        str(fact["created_at"]),
    ]
