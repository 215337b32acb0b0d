"""Files that are whole or not there: written beside their place, then moved into it in one step."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PART = ".part"  # what a killed process leaves behind; ignored by Git and DVC, overwritten by the next run


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` if the block ends well and is gone if it does not.

    Replacing also cuts a link into DVC's cache, which writing in place would corrupt.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{PART}")
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not say where
    finally:
        part.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with replacing(path) as part:
        part.write_bytes(content)


def to_json(document: Any) -> bytes:
    """JSON as this repository keeps it: two spaces, keys in the order given, a final newline."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def keep_only(folder: Path, names: set[str]) -> None:
    """Remove the files of a folder of outputs that an earlier run left there and this one did not write."""
    for path in folder.iterdir():
        if path.name not in names and path.is_file():
            path.unlink()
