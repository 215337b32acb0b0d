"""The lineage manifest: which data, code, parameters and environment made a model, and when and where it happened.

Everything but `run` is a pure function of the pipeline's inputs. The JSON Schema in the repository is made from these
classes: `python src/record/manifest.py > docs/manifest.schema.json`, with src/ on the PYTHONPATH.
"""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from record.checksums import Digest
from record.files import to_json
from record.notes import Fitted, Pitfall
from record.parameters import Strict
from record.problem import Problem
from record.tracking import Stage

SCHEMA = 2
BAD_FORM = "manifest.json: expected exactly the form in which packaging writes it; dvc repro writes it"
NOT_TRIED = {"deterministic": False, "nondeterminism": "not known, since no second fit was compared"}
LARGEST = 64 * 1024 * 1024  # bytes
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]


def as_time(moment: datetime) -> str:
    """A time in UTC, as a record gives it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> str:
    """The present time, as a record gives it."""
    return as_time(datetime.now(UTC))


class _Sized(Strict):
    path: str
    size: Count

    @classmethod
    def of(cls, path: str, digest: Digest, **more: Any) -> Self:
        """The record of a file that has been hashed."""
        return cls(path=path, **asdict(digest), **more)


class File(_Sized):
    """A file by its content."""

    md5: Md5
    sha256: Sha256

    def digest(self) -> Digest:
        """What identifies its content."""
        return Digest(self.size, self.md5, self.sha256)


class Model(Fitted, File):
    """The model file and what it holds."""


class Table(File):
    """A table with its number of rows."""

    rows: Count


class Origin(Strict):
    """Where an input came from: the source of an import, or the storage in which it was read."""

    tracked_by: str  # the `.dvc` file, or dvc.lock for what was read in a storage
    url: str | None
    path: str | None  # in the repository that it was imported from
    revision: str | None  # the commit there
    etag: str | None  # of a URL


class Input(_Sized):
    """A data file that no stage made; its rows where `prepare` read and counted it.

    Of one that was read in a storage the path is a URL, and the etag of its origin says what was there.
    """

    md5: Md5 | None
    sha256: Sha256 | None
    rows: Count | None
    origin: Origin | None  # None for what Git keeps

    @property
    def hash(self) -> str:
        """By what DVC knows it."""
        return self.md5 or (self.origin and self.origin.etag) or ""

    @property
    def identity(self) -> tuple[str, str]:
        """What says which bytes they are, and its name."""
        return ("sha256", self.sha256) if self.sha256 else ("etag", self.hash)


class Data(Strict):
    """The two parts that the model was fitted and scored on, and how dates that are text are read."""

    train: Table
    test: Table
    date_orders: dict[str, Literal["dmy", "mdy"]]  # by column


class Params(Strict):
    """The parameters that were used; of the estimators, the chosen one alone."""

    data: dict[str, Any]
    prepare: dict[str, Any]
    train: dict[str, Any]
    estimator: dict[str, Any]
    package: dict[str, Any]


class Environment(Strict):
    """The software that fitted the model, and the numeric settings, which are environment variables by name."""

    python: str
    requirements_sha256: Sha256
    packages: dict[str, str]
    numeric: dict[str, str]


class Git(Strict):
    """The commit that was checked out, and whether it lacks anything that decides the model."""

    commit: Commit
    dirty: bool
    remote: str | None


class Experiment(Strict):
    """The DVC experiment that the run belongs to."""

    name: str
    baseline: Commit


class Run(Strict):
    """When and where it happened: the only part that two runs of one pipeline do not share."""

    created_at: Time
    git: Git | None
    experiment: Experiment | None
    platform: str
    seconds: dict[str, float]  # by stage, as far as they were noted
    peak_memory_mib: dict[str, int]  # the same


class Manifest(Strict):
    """The birth certificate of one model."""

    schema_version: Annotated[int, Field(ge=SCHEMA, le=SCHEMA)]
    name: str
    version: str
    model: Model
    inputs: list[Input]
    stages: dict[str, Stage]  # every one that `package` rests on, in order from raw data to model
    data: Data
    params: Params
    metrics: dict[str, Any]
    warnings: list[Pitfall]  # of `prepare` and `train`
    contract: dict[str, Any] | None  # that the raw table was checked against, and new rows are
    environment: Environment
    run: Run

    def to_bytes(self) -> bytes:
        """The manifest as it is written in a package."""
        return to_json(self.model_dump(mode="json", by_alias=True))

    def lineage(self) -> dict[str, Any]:
        """Everything but `run`: what two packages must share to be the same model."""
        return self.model_dump(mode="json", by_alias=True, exclude={"run"})


class OldManifest(Manifest):
    """A manifest of schema 1 under the keys of schema 2, with the bytes that it was read from."""

    schema_version: Literal[1]
    content: Annotated[bytes, Field(exclude=True)]

    def to_bytes(self) -> bytes:
        """The manifest as it is written in its package, in its own schema."""
        return self.content


def parse_manifest(content: bytes) -> Manifest:
    """Read a manifest; raise a `Problem` that names every key with a value that it cannot have.

    Its form is as strict as its content: a manifest with keys that come twice, or numbers that JSON does not have, is
    refused. One of schema 1 is returned under the keys of schema 2.
    """
    try:
        old = _from_schema_1(content)
        manifest = old or Manifest.model_validate_json(content, by_alias=True, by_name=False)
    except ValidationError as error:
        lines = [
            f"manifest.json: {'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}"
            for e in error.errors(include_input=False)
        ]
        raise Problem(*sorted(lines)) from None
    if old is None and not _has_form(manifest, content):
        raise Problem(BAD_FORM)
    return manifest


def _has_form(manifest: Manifest, content: bytes) -> bool:
    try:
        return manifest.to_bytes() == content
    except ValueError:  # NaN and the infinities
        return False


def _from_schema_1(content: bytes) -> OldManifest | None:
    """The manifest, if it is of schema 1, which had one raw table and knew no parameters of stages."""
    try:
        document = json.loads(content)
        if not isinstance(document, dict) or repr(document.get("schema_version")) != "1":  # neither true nor 1.0
            return None
        later = {"inputs", "content"} & document.keys() or {"seconds", "peak_memory_mib"} & document["run"].keys()
        if later or to_json(document) != content:
            raise Problem(BAD_FORM)
        document["model"] = NOT_TRIED | document["model"]  # the first ones knew neither
        document["data"]["date_orders"] = {}
        document["inputs"] = [document["data"].pop("source") | {"origin": None}]
        document |= {"warnings": [], "contract": None}
        document["run"] |= {"seconds": {}, "peak_memory_mib": {}}
    except (ValueError, RecursionError):
        return None
    except (KeyError, TypeError, AttributeError):
        raise Problem("manifest.json: not a manifest of schema 1; git checkout brings the committed one back") from None
    return OldManifest.model_validate(document | {"content": content}, by_alias=True, by_name=True)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema(by_alias=True)}


if __name__ == "__main__":
    sys.stdout.buffer.write(to_json(json_schema()))
