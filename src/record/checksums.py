"""Two addresses for the same bytes: MD5, by which DVC knows a file, and SHA-256, by which we do.

Where both were taken of the same bytes, and recorded together, one of them is enough to know the other.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from record.problem import progress

BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Digest:
    """What identifies a file's content: its size in bytes and both its hashes, in hexadecimal."""

    size: int
    md5: str
    sha256: str


def digest(path: Path) -> Digest:
    """Both hashes of a file's bytes."""
    with path.open("rb") as file:
        return digest_of(file)


def digest_of(file: BinaryIO) -> Digest:
    """Both hashes of what is left of a file, in one pass and constant memory, both at work at once."""
    if isinstance(file, BytesIO):
        content = file.read()
        return Digest(len(content), md5_of(content), sha256_of(content))
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most verbs hash nothing

    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    with ThreadPoolExecutor(1) as other:
        for block in blocks_of(file):
            size += len(block)
            done = other.submit(md5.update, block)
            sha256.update(block)
            done.result()
    return Digest(size, md5.hexdigest(), sha256.hexdigest())


def digest_like(file: BinaryIO, recorded: Digest) -> Digest:
    """As `digest_of`, by the SHA-256 alone where it is the recorded one."""
    start = file.tell()
    if _hash(file, "sha256") == recorded.sha256:
        return Digest(file.tell() - start, recorded.md5, recorded.sha256)
    file.seek(start)
    return digest_of(file)


def md5_of_file(path: Path, recorded: Sequence[Digest] = ()) -> str:
    """The MD5 of a file, which its SHA-256 tells where the pair is recorded."""
    size = path.stat().st_size
    pairs = {pair.sha256: pair.md5 for pair in recorded if pair.size == size}
    with path.open("rb") as file:
        known = pairs.get(_hash(file, "sha256")) if pairs else None
        file.seek(0)
        return known or _hash(file, "md5")


def md5s_of_files(files: Sequence[Path], recorded: Sequence[Digest] = ()) -> list[str]:
    """As `md5_of_file` for each file, several at once."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(partial(md5_of_file, recorded=recorded), files), "files", " files", len(files)))


def _hash(file: BinaryIO, algorithm: str) -> str:
    found = hashlib.new(algorithm, usedforsecurity=False)
    for block in blocks_of(file):
        found.update(block)
    return found.hexdigest()


def blocks_of(file: BinaryIO) -> Iterator[bytes]:
    """What is left of a file, in blocks, with a progress bar where a person waits."""
    blocks = iter(lambda: file.read(BLOCK), b"")
    total = 0 if isinstance(file, BytesIO) else os.fstat(file.fileno()).st_size
    name = getattr(file, "name", None)  # a number, where it was opened as one
    return progress(blocks, Path(name).name if isinstance(name, str) else "reading", "B", total, size=len)


def copy(source: Path, target: Path) -> None:
    """Copy the bytes of a file."""
    with source.open("rb") as file, target.open("wb") as written:
        written.writelines(blocks_of(file))


def md5_of(content: bytes) -> str:
    """The MD5 of bytes that are in memory."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256_of(content: bytes) -> str:
    """The SHA-256 of bytes that are in memory."""
    return hashlib.sha256(content).hexdigest()


def format_sums(sums: Mapping[str, str]) -> bytes:
    """The content of a SHA256SUMS file, from file name to SHA-256, as `sha256sum` writes it."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
