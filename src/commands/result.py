"""What a verb results in: facts for a program, and the lines that a person reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

WIDTH = 100  # of a table for a person
SHORTEST = 8  # of a column that is shortened


@dataclass(frozen=True)
class Result:
    """The facts, the lines that say them, and whether what was asked is so."""

    facts: Any
    lines: list[str]
    holds: bool = True


def table(rows: Iterable[Sequence[str]], width: int | None = None) -> list[str]:
    """Rows of words as lines with aligned columns; the widest columns are shortened until a line fits the width."""
    words = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip_longest(*words, fillvalue="")]
    while width and sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > SHORTEST:
        widths[widths.index(max(widths))] -= 1
    return ["  ".join(map(_fitted, row, widths)).rstrip() for row in words]


def _fitted(word: str, width: int) -> str:
    return word.ljust(width) if len(word) <= width else f"{word[: width - 1]}…"
