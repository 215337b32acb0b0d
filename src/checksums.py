"""Two addresses for the same bytes: MD5, by which DVC knows a file, and SHA-256, by which we do."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from files import PART
from problem import refuse_if

BLOCK = 1024 * 1024
LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[ -.0-\[\]-~]+)")


@dataclass(frozen=True)
class Digest:
    """What identifies a file's content: its size in bytes and both its hashes, in hexadecimal."""

    size: int
    md5: str
    sha256: str


def digest(path: Path) -> Digest:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return digest_of(file)


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, none at the end."""


def digest_of(file: Readable) -> Digest:
    """Hash what is left of a stream, in one pass and constant memory, with both hashes at work at once."""
    size, md5, sha256 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with ThreadPoolExecutor(1) as other:
        while block := file.read(BLOCK):
            size += len(block)
            done = other.submit(md5.update, block)
            sha256.update(block)
            done.result()
    return Digest(size, md5.hexdigest(), sha256.hexdigest())


def md5_of(content: bytes) -> str:
    """The MD5 of bytes that are at hand."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def dvc_md5(path: Path) -> str:
    """The hash under which `dvc.lock` records a file, or a folder: the MD5 of its listing and `.dir`."""
    if not path.is_dir():
        return digest(path).md5
    found = [file for file in path.rglob("*") if file.is_file() and not _is_ignored(file)]
    files = sorted((file.relative_to(path).as_posix(), file) for file in found)
    listing = [{"md5": digest(file).md5, "relpath": relative} for relative, file in files]
    return f"{md5_of(json.dumps(listing).encode())}.dir"


def _is_ignored(file: Path) -> bool:
    """Whether .dvcignore keeps DVC from counting a file."""
    return file.suffix == PART or "__pycache__" in file.parts


def format_sums(sums: Mapping[str, str]) -> bytes:
    """The content of a SHA256SUMS file, from file name to SHA-256, as `sha256sum` writes it."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def parse_sums(content: bytes, expected: Iterable[str]) -> dict[str, str]:
    """Read a SHA256SUMS file that must name exactly the `expected` files, each once and without a path.

    `sha256sum -c` is content with extra entries, missing ones and `../`; this is not.
    """
    *lines, rest = content.decode("ascii", errors="replace").split("\n")
    lines += [rest] if rest else []
    matches = [LINE.fullmatch(line) for line in lines]
    names = [match["name"] for match in matches if match]
    problems = [
        *(f"line {number} is not 'SHA-256, two spaces, file name'" for number, m in enumerate(matches, 1) if not m),
        *(f"names {name} {count} times" for name, count in sorted(Counter(names).items()) if count > 1),
        *(f"names {name!r}, which is no file of a package" for name in sorted(set(names) - set(expected))),
        *(f"does not name {name}" for name in sorted(set(expected) - set(names))),
    ]
    sums = {match["name"]: match["sha256"] for match in matches if match}
    if not problems and format_sums(sums) != content:
        problems.append("expected its lines sorted by file name, and a newline at its end")
    refuse_if(f"SHA256SUMS: {problem}" for problem in problems)
    return sums
