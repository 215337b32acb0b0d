"""`dvc.lock`: what DVC recorded of the last run of each stage, by hash."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from problem import Problem

PATH = Path("dvc.lock")
Written = TypeVar("Written", bound=BaseModel)  # by DVC


class Entry(BaseModel):
    """A file or folder with its hash; folders end in `.dir`."""

    model_config = ConfigDict(frozen=True)

    path: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$")]
    md5: str


class Stage(BaseModel):
    """One stage as it last ran."""

    model_config = ConfigDict(frozen=True)

    cmd: str
    deps: list[Entry] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[Entry] = []

    def dependencies(self) -> dict[str, str]:
        """The hash of each file that the stage depends on, by path."""
        return {entry.path: entry.md5 for entry in self.deps}

    def outputs(self) -> dict[str, str]:
        """The hash of each file or folder that the stage made, by path."""
        return {entry.path: entry.md5 for entry in self.outs}


class Lock(BaseModel):
    """The stages of dvc.lock by name."""

    model_config = ConfigDict(frozen=True)

    stages: dict[str, Stage]


class Pointer(BaseModel):
    """A `.dvc` file: what DVC tracks outside of any stage."""

    model_config = ConfigDict(frozen=True)

    outs: list[Entry]


def read_lock(path: Path = PATH) -> Lock:
    """Read dvc.lock; raise a `Problem` when it is not there or not what DVC writes."""
    try:
        return parse_lock(path.read_bytes())
    except FileNotFoundError:
        raise Problem(f"{path}: not found; dvc repro writes it") from None


def parse_lock(content: bytes) -> Lock:
    """The stages that the content of a dvc.lock records."""
    return _parse(Lock, content, PATH.name)


def parse_pointer(content: bytes) -> Pointer:
    """What the content of a `.dvc` file tracks."""
    return _parse(Pointer, content, "'*.dvc'")


def _parse(kind: type[Written], content: bytes, name: str) -> Written:
    try:
        return kind.model_validate(YAML(typ="safe").load(content.decode()))
    except (YAMLError, ValueError, RecursionError):
        raise Problem(f"{name}: not what DVC writes; git checkout {name} brings the committed one back") from None
