"""`lineage.py contract`: draft data/contract.yaml from a snapshot, and make it a dependency of `prepare`."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from commands.result import Result
from record.files import from_yaml, write
from record.notes import CONTRACT
from record.parameters import read_parameters
from record.problem import Problem
from record.tracking import PIPELINE

STAGE, LINE = "prepare", f"- {CONTRACT.as_posix()}"
BOOLEANS = {"y", "n", "yes", "no", "on", "off"}  # to readers of YAML 1.1
HEAD = """\
# What the raw table must be like: `prepare` lists every breach and stops, `predict` names those of new rows.
# Drafted from {path}: ranges and values are those of its {rows:,} rows, so loosen what others may have.
# The words are those of Table Schema, https://datapackage.org/standard/table-schema/: required, unique, minimum,
# maximum, minLength, maxLength, pattern, enum. Other columns than these are allowed, unless fieldsMatch is equal.
"""


def run(table: Path | None) -> Result:
    """Draft the contract of a table, by default of the one that params.yaml names."""
    from modeling.drafting import draft, read_as_drafted  # noqa: PLC0415 - Arrow is loaded only for this
    from modeling.remote import source_of  # noqa: PLC0415

    if CONTRACT.exists():
        raise Problem(f"{CONTRACT}: exists, and is not overwritten; edit it, or delete it to have a new one drafted")
    data = read_parameters().data
    path = table or source_of(data.path)
    rows = read_as_drafted(path, data)
    document = draft(rows, data).document()
    write(CONTRACT, HEAD.format(path=path.as_posix(), rows=len(rows)).encode() + to_yaml(document))
    added = add_to_pipeline()
    facts = {"contract": CONTRACT.as_posix(), "table": path.as_posix(), "fields": document["fields"], "added": added}
    count = len(document["fields"])
    return Result(facts, [f"{CONTRACT}: drafted {count} fields from {path}; read it and loosen it", said_of(added)])


def to_yaml(document: dict[str, Any]) -> bytes:
    """A contract as a person edits it; what is data is in quotes, so that every reader of YAML takes it as text."""
    fields = [{key: _written(key, value) for key, value in field.items()} for field in document["fields"]]
    yaml, stream = YAML(), io.BytesIO()
    yaml.width = 1 << 30
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({key: _written(key, value) for key, value in (document | {"fields": fields}).items()}, stream)
    return stream.getvalue()


def _written(key: str, value: Any) -> Any:
    if key == "constraints":
        return {name: _written(name, asked) for name, asked in value.items()}
    if isinstance(value, list) and key != "fields":
        row = CommentedSeq(_written(key, item) for item in value)
        row.fa.set_flow_style()
        return row
    is_word = key in {"type", "fieldsMatch"} or (
        key == "name" and value.isidentifier() and value.lower() not in BOOLEANS
    )
    return value if is_word or not isinstance(value, str) else DoubleQuotedScalarString(value)


def add_to_pipeline(path: Path = PIPELINE) -> bool | None:
    """Add the contract to the deps of `prepare`: True if done, False if it was there, None if the place is not found.

    One line is inserted and nothing else changes. The result is read again, and kept only if it means what it should.
    """
    content = path.read_bytes()
    before = deps_in(content)
    if before is None or CONTRACT.as_posix() in before:
        return None if before is None else False
    after = with_line(content)
    if sorted(deps_in(after) or []) != sorted([*before, CONTRACT.as_posix()]):
        return None
    write(path, after)
    return True


def deps_in(pipeline: bytes) -> list[str] | None:
    """The deps of `prepare` in the text of a dvc.yaml; None where there are none that can be read."""
    try:
        deps = from_yaml(pipeline)["stages"][STAGE]["deps"]
    except (ValueError, KeyError, TypeError):
        return None
    return deps if isinstance(deps, list) and all(isinstance(dep, str) for dep in deps) else None


def with_line(content: bytes) -> bytes:
    """The text of a dvc.yaml with one more line, before the second of the deps of `prepare`."""
    lines = content.splitlines(keepends=True)
    start = next((k for k, line in enumerate(lines) if line.split(b"#")[0].strip() == f"{STAGE}:".encode()), len(lines))
    deps = next((k for k, line in enumerate(lines) if k > start and line.strip() == b"deps:"), len(lines) - 2)
    first = lines[deps + 1]
    indent, ending = first[: len(first) - len(first.lstrip())], first[len(first.rstrip(b"\r\n")) :]
    return b"".join([*lines[: deps + 2], indent + LINE.encode() + ending, *lines[deps + 2 :]])


def said_of(added: bool | None) -> str:
    """What became of the pipeline, and what is to be done."""
    if added is None:
        return f"{PIPELINE}: add the line '{LINE}' to the deps of {STAGE}, then dvc repro"
    done = f"has '{LINE}' in" if not added else f"'{LINE}' added to"
    return f"{PIPELINE}: {done} the deps of {STAGE}; dvc repro checks the table"
