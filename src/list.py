"""`lineage.py list`: which versions are there, what they scored, from which data and commit, and in what state."""

from typing import Any

import packages
from answer import Answer, columns, short
from checksums import digest, parse_sums
from history import Record, experiments_by_commit, in_commits, in_workspace, release_tags
from problem import Problem

HEADER = ("VERSION", "SCORE", "DATA", "ROWS", "COMMIT", "CREATED", "RELEASED", "PRESENT", "INTACT", "WHERE")
WORKSPACE = "workspace"


def answer(everywhere: bool) -> Answer:
    """The versions under models/; or everywhere, with those that only Git's history and experiments have."""
    standing = in_workspace()
    records = standing
    if everywhere:
        here = [record.document for record in standing]
        records = standing + [record for record in in_commits() if record.document not in here]
    experiments, tags = experiments_by_commit(), release_tags()
    facts = [describe(record, experiments, tags) for record in records]
    return Answer(facts, columns([HEADER, *map(_row, facts)]) if facts else "no version yet; dvc repro makes one")


def describe(record: Record, experiments: dict[str, str], tags: dict[str, str]) -> dict[str, Any]:
    """What is known of one version."""
    metric, score = record.main_score()
    present = record.commit is None and (packages.folder_of(record.version) / packages.MODEL).is_file()
    return {
        "version": record.version,
        "metric": metric,
        "score": score,
        "data": record.text("data", "source", "path"),
        "rows": record.get("data", "source", "rows"),
        "commit": record.text("run", "git", "commit"),
        "created_at": record.text("run", "created_at"),
        "released": record.is_released(tags),
        "present": present,
        "intact": is_intact(record.version) if present else None,
        "recorded_in": record.commit,
        "experiment": experiments.get(record.commit or ""),
    }


def is_intact(version: str) -> bool:
    """Whether the files of a package are what its SHA256SUMS says; `verify` checks much more."""
    folder = packages.folder_of(version)
    try:
        sums = parse_sums((folder / packages.SUMS).read_bytes(), packages.CHECKED)
        return all(digest(folder / name).sha256 == sums[name] for name in packages.CHECKED)
    except (Problem, OSError):
        return False


def _row(fact: dict[str, Any]) -> list[str]:
    score = "-" if fact["score"] is None else f"{fact['metric']} {fact['score']:.3f}"
    states = ["-" if fact[key] is None else "yes" if fact[key] else "no" for key in ("released", "present", "intact")]
    facts = [fact["data"], fact["rows"], short(fact["commit"] or "-"), fact["created_at"]]
    words = ["-" if value is None else str(value) for value in facts]
    return [fact["version"], score, *words, *states, fact["experiment"] or short(fact["recorded_in"] or WORKSPACE)]
