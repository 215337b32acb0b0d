"""What a question of `lineage.py` is answered with: facts for a program, the same as text for a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any


@dataclass(frozen=True)
class Answer:
    """The facts, the text that says them, and whether what was asked holds."""

    facts: Any
    text: str
    holds: bool = True


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows of words as a table whose columns are aligned; what could forge a line or move the cursor becomes '?'."""
    table = [["".join(c if c.isprintable() else "?" for c in word) for word in row] for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*table, fillvalue="")]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


def short(digest: str) -> str:
    """A hash as far as a person reads it."""
    return digest[:12]
