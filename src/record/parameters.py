"""The values that a person may change: `params.yaml`, read strictly and before any work.

A value is in `params.yaml` or nowhere, so no field has a default, but for what people say in `card`, which decides no
byte of a model. Whatever is wrong with the file is reported at once, a line for each problem.
"""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from record.files import from_document
from record.problem import Problem, did_you_mean, refuse_if

PATH = Path("params.yaml")
COMPRESSED = ("", ".gz", ".bz2", ".zst", ".lz4")  # endings that Arrow knows
FORMATS = (".parquet", ".feather", *(f"{kind}{ending}" for kind in (".csv", ".tsv") for ending in COMPRESSED))
Kind = Literal["number", "boolean", "category", "date", "time", "duration", "text"]
PitfallName = Literal[
    "index",
    "unusable",
    "missing_target",
    "missing_class",
    "identifier",
    "leading_zeros",
    "large_integers",
    "lost_column",
    "leak",
    "near_equal",
    "repeated_rows",
    "perfect_score",
    "not_above_baseline",
    "unstable_folds",
    "overfit",
    "few_test_rows",
]
NUMBER = r"(0|[1-9][0-9]*)"
PRERELEASE = rf"({NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
SEMANTIC_VERSION = rf"v{NUMBER}\.{NUMBER}\.{NUMBER}(-{PRERELEASE}(\.{PRERELEASE})*)?"
ARTIFACT_NAME = r"[a-z]([a-z0-9-]*[a-z0-9])?"


def _readable(path: str) -> str:
    scheme, is_url, place = path.rpartition("://")
    pure = PurePosixPath(place)
    if is_url and not re.fullmatch("[a-z][a-z0-9]*", scheme):
        raise PydanticCustomError("path", "expected a URL that DVC reads, such as remote://name/key")
    if pure.is_absolute() or ".." in pure.parts or set(place) & set("\\:") or pure.as_posix() != place:
        kind = "key, as in remote://name/key" if is_url else "path inside the repository"
        raise PydanticCustomError("path", "expected a plain {kind}, with forward slashes", {"kind": kind})
    if pure.suffix[1:].isalpha() and not path.endswith(FORMATS):  # a folder may end in a version
        endings = ", ".join(filter(None, COMPRESSED))
        kinds = f"a .parquet, .feather, .csv or .tsv file (the last two also with {endings})"
        raise PydanticCustomError("path", "expected a folder of Parquet files, or {kinds}", {"kinds": kinds})
    return path


def _as_json(value: Any) -> Any:
    """What a manifest can hold; YAML knows more, such as dates and keys that are numbers."""
    try:
        kept = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        kept = None
    if kept != value:
        raise PydanticCustomError("json", "expected finite numbers, text, booleans, null, lists or mappings of these")
    return value


def _matches(pattern: str, meaning: str) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise PydanticCustomError("name", "expected {meaning}", {"meaning": meaning})
        return value

    return BeforeValidator(check)


class Strict(BaseModel):
    """A part of a file in a form of ours, params.yaml among them: no key is unknown, no type is coerced."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, ser_json_inf_nan="constants", defer_build=True
    )


Kept = TypeVar("Kept", bound=Strict)


class Csv(Strict):
    """How text files write a table."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)]
    decimal: Annotated[str, Field(min_length=1, max_length=1)]
    thousands: Annotated[str, Field(max_length=1)]
    encoding: str
    compression: Literal["auto", "none", "gzip", "bz2", "zstd", "lz4"]


class Data(Strict):
    """Which table, how it is read, and what is to be learned from it."""

    path: Annotated[str, AfterValidator(_readable)]
    target: Annotated[str, Field(min_length=1)]
    task: Literal["classification", "regression"]
    drop: list[str]
    missing: dict[str, list[str]]
    types: dict[str, Kind]
    date_order: Literal["auto", "dmy", "mdy"]
    csv: Csv
    refuse: list[PitfallName]


class Prepare(Strict):
    """How the table is split."""

    split: Literal["random", "stratified", "group", "time"]
    split_by: str | None
    test_size: Annotated[float, Field(gt=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]


class Estimator(Strict):
    """A class by its dotted path; every other key is a setting for its constructor."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_as_json)]]

    class_: Annotated[str, Field(alias="class", min_length=1)]

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments as they are in the file."""
        return self.model_extra or {}


class Train(Strict):
    """Which estimator is fitted on which features, and how it is scored."""

    estimator: str
    features: list[str | Estimator]
    metric: str
    slices: list[str]
    folds: Annotated[int, Field(ge=2)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(ge=1)]
    portable: bool
    cluster: Literal["none", "dask"]
    stream: bool
    batch_rows: Annotated[int, Field(ge=1)]
    order: Literal["shuffled", "table"]
    passes: Annotated[int, Field(ge=1)]


class Package(Strict):
    """What the package is called."""

    name: Annotated[str, _matches(ARTIFACT_NAME, "lower-case letters, digits and inner hyphens, such as 'penguins'")]
    version: Annotated[str, _matches(SEMANTIC_VERSION, "a plain semantic version, such as 'v1.0.0'")]


def _stated(value: Any) -> Any:
    """A statement without blanks around it; one that is left out, as YAML's `purpose:` is, is empty."""
    return "" if value is None else value.strip() if isinstance(value, str) else value


Statement = Annotated[str, BeforeValidator(_stated)]


class Card(Strict):
    """What only people can say of a model; each may be empty or left out, and no stage depends on it."""

    purpose: Statement = ""
    not_for: Statement = ""
    license: Statement = ""
    data_origin: Statement = ""
    contact: Statement = ""


Statements = Annotated[Card, BeforeValidator(lambda value: {} if value is None else value)]


class Carded(Strict):
    """The card in a params.yaml, whatever its other sections are."""

    model_config = ConfigDict(extra="ignore")

    card: Statements = Field(default_factory=Card)


class Parameters(Carded):
    """The whole of params.yaml; sections beside these belong to stages of the user's own."""

    data: Data
    prepare: Prepare
    train: Train
    estimators: dict[str, Estimator]
    package: Package

    @property
    def estimator(self) -> Estimator:
        """The section of `estimators` that `train.estimator` names."""
        return self.estimators[self.train.estimator]

    @property
    def not_features(self) -> set[str]:
        """The columns that no model learns from: the target, those that are dropped, and that of the split."""
        return {self.data.target, *self.data.drop} | ({self.prepare.split_by} if self.prepare.split_by else set())


def modules_of_classes(estimator: dict[str, Any], features: list[Any]) -> set[str]:
    """The top modules of the classes that an estimator's section and `train.features` name, nested ones too."""
    named = json.dumps([estimator, [{"class": item} if isinstance(item, str) else item for item in features]])
    return {*re.findall(r'"class": "(\w+)', named)}


def read_parameters() -> Parameters:
    """Read and check params.yaml.

    Raises:
        Problem: with a line for every key that is unknown, missing or has a value that it cannot have.
    """
    try:
        document = _document(PATH.read_bytes(), PATH)
    except FileNotFoundError:
        raise Problem(f"{PATH}: not found; run from the top folder of the repository") from None
    parameters = _checked(Parameters, document, PATH)
    refuse_if(f"{PATH}: {line}" for line in [*_misspelt(document), *_contradictions(parameters)])
    return parameters


def read_card(content: bytes, path: str) -> Card:
    """The card in the content of a params.yaml whose other sections may be those of another time; empty without one."""
    return _checked(Carded, _document(content, path), path).card


def _document(content: bytes, path: Path | str) -> dict[Any, Any]:
    document = from_document(content, path)
    if not isinstance(document, dict):
        needed = [name for name, field in Parameters.model_fields.items() if field.is_required()]
        raise Problem(f"{path}: expected sections {', '.join(needed)}; found none")
    return document


def _checked(kind: type[Kept], document: dict[Any, Any], path: Path | str) -> Kept:
    missing = "params.yaml has no defaults, so write it down"
    try:
        return kind.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc']))}: {sentence(kind, each, missing)}" for each in error.errors()]
        raise Problem(*sorted(f"{path}: {line}" for line in [*_misspelt(document), *lines])) from None


def _misspelt(document: dict[Any, Any]) -> Iterator[str]:
    """Sections whose names are nearly those of ours; any other may be of a stage of the user's own."""
    for name in map(str, document.keys() - Parameters.model_fields.keys()):
        if near := get_close_matches(name.strip().casefold(), Parameters.model_fields, n=1, cutoff=0.8):
            yield f"{name}: unknown section; did you mean '{near[0]}'?"


def _contradictions(parameters: Parameters) -> Iterator[str]:
    chosen, known = parameters.train.estimator, parameters.estimators
    if chosen not in known:
        yield f"train.estimator: expected a name from estimators, found '{chosen}'; {did_you_mean(chosen, known)}"
    split, by = parameters.prepare.split, parameters.prepare.split_by
    if (split in {"group", "time"}) != (by is not None):
        expected = "null, found" if by else "the column of the groups or times, found"
        yield f"prepare.split_by: for prepare.split: {split}, expected {expected} {by or 'null'}"
    if parameters.train.stream and parameters.train.cluster != "none":
        yield "train.cluster: expected none with train.stream: true, which learns on this machine alone"
    if by == parameters.data.target:
        yield f"prepare.split_by: expected another column than the target '{by}'"
    if parameters.data.csv.thousands == parameters.data.csv.decimal:
        yield f"data.csv.thousands: expected another mark than data.csv.decimal '{parameters.data.csv.decimal}'"
    if parameters.data.target in parameters.data.drop:
        yield f"data.drop: expected columns other than the target, found '{parameters.data.target}'"


def sentence(kind: Any, details: ErrorDetails, missing: str = "write it down") -> str:
    """What pydantic says of a value in a document of some kind, in our words."""
    *parents, key = details["loc"]
    match details["type"]:
        case "extra_forbidden":
            for parent in parents:
                kind = get_args(kind)[0] if isinstance(parent, int) else kind.model_fields[parent].annotation
            known = [field.alias or name for name, field in kind.model_fields.items()]
            return f"unknown key; {did_you_mean(str(key), known)}"
        case "missing":
            return f"missing; {missing}"
    expected = re.sub(r"^(Input should be|String should have|Keys should be)", "expected", details["msg"])
    return re.sub(r" or instance of \w+$", "", expected) + f", found {details['input']!r}"
