"""What a question is answered with: facts for a program, and the words in which a person reads them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?|[0-9a-f]{40}|[0-9a-f]{64}")


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


def word(value: Any) -> str:
    """A value of a manifest as a person reads it."""
    match value:
        case None | []:
            return "none"
        case list():
            return ", ".join(map(word, value))
        case float():
            return f"{value:.6g}"
        case str() if HASH.fullmatch(value):
            return short(value)
        case {"name": name, "dtype": dtype, "nullable": nullable}:  # a feature
            return f"{name} {dtype}{'?' if nullable else ''}"
    return str(value)


def short(digest: str) -> str:
    """A hash as far as a person reads it."""
    return digest[:12]
