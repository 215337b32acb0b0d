"""What a question of `lineage.py` is answered with: facts for a program, the same as text for a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The facts, the text that says them, and whether what was asked holds."""

    facts: Any
    text: str
    holds: bool = True


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows of words as a table whose columns are aligned."""
    table = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(max(map(len, table), default=0))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def short(digest: str) -> str:
    """A hash as far as a person reads it."""
    return digest[:12]
