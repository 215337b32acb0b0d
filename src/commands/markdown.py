"""What strangers wrote, as Markdown that shows it as it is: no name, value or sentence can become markup."""

import re
from collections.abc import Iterable, Iterator, Sequence

from record.problem import printable

ADDRESS = re.compile(r"(https?://[^\s<>\"'`\\|*\[\]{}]+[^\s<>\"'`\\|*\[\]{}.,;:!?)])")
MARKUP = re.compile(r"([\\`*_\[\]<>~$])")
BEGINS_A_BLOCK = re.compile(r"^([0-9]*)([#+=:.)-])")


def text(words: str) -> str:
    """A line of prose; the addresses in it are links."""
    parts = ADDRESS.split(printable(words.strip()))
    return "".join(f"<{part}>" if k % 2 else _escaped(part) for k, part in enumerate(parts))


def _escaped(words: str) -> str:
    return MARKUP.sub(r"\\\1", words.replace("&", "&amp;")).replace("|", "&#124;")


def paragraphs(words: str) -> Iterator[list[str]]:
    """The lines of each paragraph of a text; none of them begins a list, a heading or another block."""
    for paragraph in re.split(r"\n\s*\n", words.strip()):
        lines = [text(line) for line in paragraph.splitlines() if line.strip()]
        yield [BEGINS_A_BLOCK.sub(r"\1\\\2", line) for line in lines]


def code(words: str) -> str:
    """A name or a value, on one line."""
    shown = printable(words)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    edges = f"{shown[:1]}{shown[-1:]}"
    space = " " if "`" in edges or edges == "  " else ""
    return f"{fence}{space}{shown}{space}{fence}" if shown else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already."""
    lines = [[cell.replace("|", r"\|") for cell in row] for row in (head, *rows)]
    first, *others = (f"| {' | '.join(line)} |" for line in lines)
    return [first, f"|{' --- |' * len(head)}", *others]
