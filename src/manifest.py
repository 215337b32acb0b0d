"""The lineage manifest: which data, code, parameters and environment made a model, and when and where it happened.

Everything but `run` is a pure function of the pipeline's inputs. The JSON Schema that stands in the repository is
made from these classes: `python src/manifest.py > docs/manifest.schema.json`.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from checksums import Digest
from files import to_json
from problem import Problem

Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
DvcMd5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]


class Record(BaseModel):
    """A part of a manifest: nothing is coerced, nothing unknown is let through."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, ser_json_inf_nan="constants", defer_build=True
    )


class File(Record):
    """A file by its content."""

    path: str
    size: Count
    md5: Md5
    sha256: Sha256

    @classmethod
    def of(cls, path: str, digest: Digest, **more: Any) -> Self:
        """The record of a file that has been hashed."""
        return cls(path=path, size=digest.size, md5=digest.md5, sha256=digest.sha256, **more)


class Step(Record):
    """A named step of the fitted Pipeline."""

    name: str
    class_: Annotated[str, Field(alias="class")]


class Feature(Record):
    """A column that the model expects: its Arrow type, and whether values were missing in training."""

    name: str
    dtype: str
    nullable: bool


class Fitted(Record):
    """What a model is, as far as that can be said without loading it."""

    class_: Annotated[str, Field(alias="class")]
    steps: list[Step]
    task: Literal["classification", "regression"]
    target: str
    classes: list[str | bool | int | float] | None
    features: list[Feature]
    deterministic: bool  # whether a second process made the same bytes
    nondeterminism: str | None  # what differed, when it did not


class Model(Fitted, File):
    """The model file and what it holds."""


class Table(File):
    """A table with its number of rows."""

    rows: Count


class Data(Record):
    """The raw table and the two parts that were made of it."""

    source: Table
    train: Table
    test: Table


class Params(Record):
    """The parameters that were used; of the estimators, the chosen one alone."""

    data: dict[str, Any]
    prepare: dict[str, Any]
    train: dict[str, Any]
    estimator: dict[str, Any]
    package: dict[str, Any]


class Stage(Record):
    """A stage as `dvc.lock` records it: its command, and the hashes of all that it read and made."""

    cmd: str
    deps: dict[str, DvcMd5]
    outs: dict[str, DvcMd5]


class Environment(Record):
    """The software that fitted the model, and the numeric settings, which are environment variables by name."""

    python: str
    requirements_sha256: Sha256
    packages: dict[str, str]
    numeric: dict[str, str]


class Git(Record):
    """The commit that was checked out, and whether what decides the model differed from it."""

    commit: Commit
    dirty: bool
    remote: str | None


class Experiment(Record):
    """The DVC experiment that the run belongs to."""

    name: str
    baseline: Commit


class Run(Record):
    """When and where it happened: the only part that two runs of one pipeline do not share."""

    created_at: Time
    git: Git | None
    experiment: Experiment | None
    platform: str


class Manifest(Record):
    """The birth certificate of one model."""

    schema_version: Annotated[int, Field(ge=1, le=1)]
    name: str
    version: str
    model: Model
    data: Data
    params: Params
    metrics: dict[str, Any]
    stages: dict[str, Stage]
    environment: Environment
    run: Run

    def to_bytes(self) -> bytes:
        """The manifest as it stands in a package."""
        return to_json(self.model_dump(mode="json", by_alias=True))

    def inputs(self) -> list[tuple[str, str]]:
        """What the stages read and none of them made: path and MD5 of code, requirements and raw data, sorted."""
        made = [Path(path) for stage in self.stages.values() for path in stage.outs]
        read = {dep for stage in self.stages.values() for dep in stage.deps.items()}
        return sorted(dep for dep in read if not any(Path(dep[0]).is_relative_to(out) for out in made))

    def lineage(self) -> dict[str, Any]:
        """Everything but `run`: what two packages must share to be the same model."""
        return self.model_dump(mode="json", by_alias=True, exclude={"run"})


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest; raise a `Problem` that names every key that does not hold what it must.

    Its form is as strict as its content: keys that come twice, or numbers that JSON does not have, are no manifest.
    """
    try:
        manifest = Manifest.model_validate_json(content, by_alias=True, by_name=False)
        if _has_form(manifest, content):
            return manifest
        raise Problem("manifest.json: expected exactly the form in which packaging writes it; dvc repro makes it anew")
    except ValidationError as error:
        lines = [
            f"manifest.json: {'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}"
            for e in error.errors(include_input=False)
        ]
        raise Problem(*sorted(lines)) from None


def _has_form(manifest: Manifest, content: bytes) -> bool:
    try:
        return manifest.to_bytes() == content
    except ValueError:  # NaN and the infinities
        return False


def read_manifest(path: Path) -> Manifest:
    """Read the manifest that stands at `path`."""
    try:
        return parse_manifest(path.read_bytes())
    except FileNotFoundError:
        raise Problem(f"{path}: not found") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema(by_alias=True)}


if __name__ == "__main__":
    sys.stdout.buffer.write(to_json(json_schema()))
