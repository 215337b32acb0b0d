"""Tables that stay in a remote storage: read where they are, by DVC's own means and with its configuration.

`data.path` may be whatever DVC takes as a dependency: `remote://name/key` of a remote that `dvc remote add` has set up,
with its endpoint and credentials, or `s3://bucket/key` where the machine has those. An object is known by what DVC
records of it in `dvc.lock`, which is the etag that the storage has for it; a folder by all the objects below it.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from record.notes import Object
from record.problem import CannotAsk, Problem, in_one_line

REQUIREMENTS, LOCKED = "requirements-remotes.txt", {"dvc-s3", "dvc-ssh"}  # the plugins of DVC that are in it


@dataclass(frozen=True)
class Remote:
    """An object, or a folder of them. It has what reading a table needs of the interface of `Path`."""

    url: str
    objects: dict[str, Object]  # by URL: itself, or all that is in the folder
    fs: Any = field(repr=False)  # DVC's file system of this storage
    key: str = field(repr=False)  # in that file system

    def __lt__(self, other: "Remote") -> bool:
        """As paths are ordered."""
        return PurePosixPath(self.url) < PurePosixPath(other.url)

    def __str__(self) -> str:
        """The URL, as params.yaml has it."""
        return self.url

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.url).name

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return PurePosixPath(self.url).suffix

    @property
    def suffixes(self) -> list[str]:
        """All endings of the name."""
        return PurePosixPath(self.url).suffixes

    def is_file(self) -> bool:
        """Whether it is an object."""
        return self.url in self.objects

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return not self.is_file()

    def as_posix(self) -> str:
        """The URL."""
        return self.url

    def stat(self) -> SimpleNamespace:
        """The size of an object."""
        return SimpleNamespace(st_size=self.objects[self.url].size)

    def rglob(self, pattern: str) -> list["Remote"]:
        """The objects of a folder whose names match."""
        return [
            Remote(url, {url: found}, self.fs, self.key + url.removeprefix(self.url))
            for url, found in self.objects.items()
            if PurePosixPath(url).match(pattern)
        ]

    def open(self, mode: str = "rb") -> "Stream":
        """Its bytes, of which those are fetched that are read."""
        with asking(self.url):
            return Stream(self.url, self.fs.open(self.key, mode))


class Stream(io.RawIOBase):
    """A file of a storage whose failures are told in a sentence, however late they come."""

    def __init__(self, url: str, file: Any) -> None:
        super().__init__()
        self.url, self.file = url, file

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        with asking(self.url):
            content: bytes = self.file.read(size)
            return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go on from elsewhere; nothing is fetched by that."""
        place: int = self.file.seek(offset, whence)
        return place

    def tell(self) -> int:
        """Where the next byte is."""
        place: int = self.file.tell()
        return place


def source_of(path: str) -> Path | Remote:
    """The table that `data.path` names: a file or folder of this repository, or what a remote storage has there now."""
    return find(path) if "://" in path else Path(path)


def objects_of(source: Path | Remote) -> dict[str, Object]:
    """What a storage has there now, by URL; nothing for a file of this repository."""
    return find(source.url).objects if isinstance(source, Remote) else {}


def find(url: str) -> Remote:
    """What DVC finds under a URL at this moment.

    Raises:
        Problem: when there is nothing, or DVC is not set up for such URLs.
        CannotAsk: when the storage does not answer, or not to this person.
    """
    with asking(url):
        from dvc.config import Config  # noqa: PLC0415 - a table of this repository needs none of DVC
        from dvc.fs import parse_external_url  # noqa: PLC0415

        # Some servers send the checksum of a whole object with a part of it; the etag is compared at both ends.
        os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        fs, key = parse_external_url(url, config=Config.from_cwd())
        return Remote(url, dict(_objects(url, fs, key)), fs, key)


def _objects(url: str, fs: Any, key: str) -> Iterator[tuple[str, Object]]:
    from dvc_data.hashfile.hash import hash_file  # noqa: PLC0415

    fs.fs.invalidate_cache()  # of what was listed before
    top = fs.info(key)
    listed = {key: top} if top["type"] != "directory" else fs.fs.find(key, detail=True)
    for each, info in listed.items():
        if info["type"] != "directory" and not each.endswith("/"):
            meta, known = hash_file(each, fs, fs.PARAM_CHECKSUM, info=info)
            found = {"kind": known.name, "hash": known.value, "size": meta.size, "url": fs.unstrip_protocol(each)}
            yield url + each.removeprefix(key), Object.model_validate(found)


@contextmanager
def asking(url: str) -> Iterator[None]:
    """Around what is asked of a storage: what it answers instead of bytes ends in a sentence."""
    try:
        yield
    except Problem:
        raise
    except FileNotFoundError as error:
        above = url.rpartition("/")[0]
        raise Problem(f"{url}: not found ({in_one_line(error)}); dvc list-url {above}/ shows what is there") from None
    except Exception as error:  # noqa: BLE001 - each storage's library raises its own, which have no common base
        match type(error).__name__:
            case "RemoteMissingDepsError" | "ModuleNotFoundError" | "ImportError":
                found = re.search(r"dvc-[a-z]+", f"dvc-{getattr(error, 'protocol', None) or ''} {error}")
                plugin = found[0] if found else "dvc-s3"
                install = f"-r {REQUIREMENTS}" if plugin in LOCKED else plugin
                raise Problem(f"{url}: {plugin} is not installed; python -m pip install {install}") from None
            case "RemoteNotFoundError":
                raise Problem(f"{url}: DVC knows no remote of this name; dvc remote list shows its own") from None
            case _:
                way = "docs/your-table.md says where DVC finds its address and credentials"
                raise CannotAsk(f"{url}: the storage does not hand it out: {in_one_line(error)}; {way}") from None
