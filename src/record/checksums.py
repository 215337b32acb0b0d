"""Two addresses for the same bytes: MD5, by which DVC knows a file, and SHA-256, by which we do."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

BLOCK = 1024 * 1024
WORTH_A_BAR = 256 * BLOCK


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


def digest_of(file: BinaryIO) -> Digest:
    """Hash what is left of a file, in one pass and constant memory, with both hashes at work at once.

    Where that takes a while and a person is there to see it, a progress bar is shown.
    """
    size, md5, sha256 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256()
    total = 0 if isinstance(file, BytesIO) else os.fstat(file.fileno()).st_size
    quiet = True if total < WORTH_A_BAR else None  # None: when stderr is not a terminal
    with (
        ThreadPoolExecutor(1) as other,
        tqdm(total=total, unit="B", unit_scale=True, disable=quiet, leave=False) as bar,
    ):
        while block := file.read(BLOCK):
            size += len(block)
            done = other.submit(md5.update, block)
            sha256.update(block)
            done.result()
            bar.update(len(block))
    return Digest(size, md5.hexdigest(), sha256.hexdigest())


def md5_of(content: bytes) -> str:
    """The MD5 of bytes that are in memory."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def format_sums(sums: Mapping[str, str]) -> bytes:
    """The content of a SHA256SUMS file, from file name to SHA-256, as `sha256sum` writes it."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
