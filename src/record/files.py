"""Files that are whole or do not exist: written beside their place, then moved into it in one step."""

import ast
import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from record.problem import Problem, refuse_if

PART = ".part"  # what a killed process leaves behind; ignored by Git and DVC
LARGEST_YAML = 1_000_000  # values; aliases can make a file of 4 KB stand for billions


def check_inputs(*inputs: Any) -> None:
    """Refuse inputs of a stage that do not exist; each is a `Path`, or has as much of its interface."""
    way = "dvc pull brings what DVC tracks, dvc repro makes what a stage makes"
    refuse_if(f"{path}: not found; {way}" for path in inputs if not path.is_file())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` if the block ends well and is gone if it does not.

    The temporary file has a name that nobody else uses and cannot be a link. Replacing also cuts a link into DVC's
    cache, which writing in place would corrupt.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{PART}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not say where
    finally:
        part.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process, or a killed DVC, left in a folder; what another process is writing stays."""
    import psutil  # noqa: PLC0415 - only packaging and restoring ask

    for part in folder.glob(f".*{PART}"):
        process = re.fullmatch("[0-9]{1,9}", part.name.split(".")[-3])
        if process is None or not psutil.pid_exists(int(process[0])):
            part.unlink(missing_ok=True)
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically; leave a file alone that has this content already."""
    if path.is_symlink() or not path.is_file() or path.read_bytes() != content:
        with replacing(path) as part:
            part.write_bytes(content)


def keep_only(folder: Path, names: set[str]) -> None:
    """Remove the files of a folder of outputs that an earlier run left there and this one did not write."""
    for path in folder.iterdir():
        if path.name not in names and path.is_file():
            path.unlink()


def to_json(document: Any) -> bytes:
    """JSON as this repository keeps it: two spaces, keys in the order given, a final newline."""
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def from_yaml(content: bytes) -> Any:
    """The document in a YAML file, as DVC reads it.

    Raises:
        ValueError: when it is not YAML in UTF-8, or its aliases make it too large; with the reason on one line.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - DVC's own reader, so that `1e-3` and `yes` mean the same to both
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        document = YAML(typ="safe").load(content.decode())
    except (YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).partition("To suppress this check")[0].split())) from None
    if _values(document, {}) > LARGEST_YAML:
        raise ValueError(f"its aliases make it larger than {LARGEST_YAML:,} values")
    return document


def from_document(content: bytes, path: Path | str, what: str = "YAML") -> Any:
    """The document in a JSON, TOML or YAML file, or the constants in one of Python, as DVC takes parameters from them.

    Raises:
        Problem: when it is not one, nor `what` it should be.
    """
    try:
        match Path(path).suffix.lower():
            case ".json":  # not all of which YAML can read: tabs, letters that are spelled as a pair
                return json.loads(content or b"null")
            case ".toml":
                return tomllib.loads(content.decode())
            case ".py":
                return _constants(ast.parse(content))
        return from_yaml(content)
    except (ValueError, SyntaxError, RecursionError) as error:
        raise Problem(f"{path}: not readable as {what}: {error}") from None


def _constants(code: ast.Module | ast.ClassDef | ast.FunctionDef) -> dict[str, Any]:
    """The constants of a module or class by name, those that `__init__` sets on `self` among them."""
    found: dict[str, Any] = {}
    for node in code.body:
        match node:
            case ast.ClassDef():
                found[node.name] = _constants(node)
            case ast.FunctionDef(name="__init__"):
                found |= _constants(node)
            case (
                ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), value=ast.expr() as value)
            ):
                with suppress(ValueError):  # it is computed, and no parameter
                    found[name] = ast.literal_eval(value)
    return found


def _values(value: Any, known: dict[int, float]) -> float:
    """How many values there are once every alias is followed."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = float("inf")  # for an alias to what it is inside of
        known[id(value)] = 1 + sum(
            _values(item, known) for item in (value.values() if isinstance(value, dict) else value)
        )
    return known[id(value)]
