"""What a stage notes for the stages after it: what it read, what it found, and what it made.

DVC hashes dependencies after a command has run (iterative/dvc#11058), so a file that changes meanwhile would be
recorded with a hash that made nothing. A stage therefore notes the hashes of what it reads when it starts, refuses to
end when a file has changed under it, and `package` compares the notes with `dvc.lock`. The other notes let `package`
describe a model without loading it.
"""

import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from record.checksums import md5_of_file
from record.files import check_inputs, to_json, write
from record.parameters import Kind, PitfallName, Strict
from record.problem import Problem, refuse_if, say

CONTRACT = Path("data/contract.yaml")  # of the raw table; there need not be one
PREPARED = Path("data/prepared")
TRAIN, TEST, PROFILE = "train.parquet", "test.parquet", "profile.json"  # in the folder of a prepared table
CANDIDATE = Path("models/candidate")
MODEL, DESCRIPTION = "model.joblib", "description.json"  # in the folder of a candidate
METRICS = Path("reports/metrics.json")
ALL = (PROFILE, DESCRIPTION)  # the notes, by which a stage tells what it read
PLOTS = Path("reports/plots")
COSTS = Path(".dvc/tmp/lineage")  # of each stage; apart from what DVC keeps, since no two runs share them
STARTED = time.perf_counter()


class Object(Strict):
    """What a remote storage has under a URL: the size, and by what DVC knows it, most often its etag."""

    kind: str  # as DVC names it: etag, checksum or md5
    hash: str
    size: int
    url: str  # in the storage; the other one may begin with the name that DVC's configuration has for it


class Readings(Strict):
    """What a stage read: the MD5 of every file by path, objects of a storage by URL, sections of params.yaml."""

    files: dict[str, str]
    objects: Annotated[dict[str, Object], Field(default_factory=dict, exclude_if=lambda objects: not objects)]
    params: dict[str, Any]

    @classmethod
    def start(cls, *inputs: Path, params: dict[str, Any], objects: Mapping[str, Object] | None = None) -> Self:
        """Note the inputs, and all of this repository's code that the process has loaded."""
        check_inputs(*inputs)
        paths = sorted({path.as_posix() for path in [*inputs, *loaded_code()]})
        return cls(files={path: md5_of_file(Path(path)) for path in paths}, params=params, objects=dict(objects or {}))

    def finish(self, objects: Mapping[str, Object] | None = None) -> Self:
        """Raise a problem when a file no longer is what was read; add the code that was loaded meanwhile.

        `objects` is what the storage has now.
        """
        now = objects or {}
        changed = [p for p, md5 in self.files.items() if not Path(p).is_file() or md5_of_file(Path(p)) != md5]
        changed += [url for url in sorted({*self.objects, *now}) if self.objects.get(url) != now.get(url)]
        refuse_if(
            f"{path}: changed while it was being used, so what was made of it has no known origin; run dvc repro again"
            for path in changed
        )
        loaded = {path.as_posix() for path in loaded_code()} - self.files.keys()
        files = self.files | {path: md5_of_file(Path(path)) for path in loaded}
        return self.model_copy(update={"files": dict(sorted(files.items()))})


def loaded_code() -> set[Path]:
    """The source files of this repository that the process has imported or runs, relative to its top folder."""
    top = Path.cwd()
    files = {
        Path(file).absolute() for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
    }
    return {file.relative_to(top) for file in files if file.is_relative_to(top / "src")}


class Notes(Strict):
    """What a stage writes of its own work beside its outputs, for the stages after it."""

    readings: Readings

    def write(self, path: Path) -> None:
        """Keep the notes as JSON."""
        write(path, to_json(self.model_dump(mode="json", by_alias=True)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The notes that an earlier stage kept."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise Problem(f"{path}: not found; dvc repro makes it") from None
        except ValidationError:
            raise Problem(f"{path}: not what this version of the code writes; run dvc repro --force") from None


def readings_in(notes: Path) -> Readings:
    """What the stage read that wrote some notes, of whichever kind they are."""

    class AnyNotes(Notes):
        model_config = ConfigDict(extra="ignore")

    return AnyNotes.read(notes).readings


class Rows(Strict):
    """How many rows were read, dropped (by reason), and put in each part."""

    read: int
    dropped: dict[str, int]
    train: int
    test: int


class Column(Strict):
    """One column of the raw table, counted before rows were dropped; missing values are not counted as distinct.

    From 65,536 distinct values on, their number is an estimate to within 2 %.
    """

    type: str
    role: Literal["feature", "target", "split", "dropped"]
    missing: int
    distinct: int | None  # None for types whose values cannot be compared
    date_order: Literal["dmy", "mdy"] | None  # of dates that were text


class Pitfall(Strict):
    """What makes a score misleading, or may: its name, the column if it is about one, and a sentence with counts."""

    name: PitfallName
    column: str | None
    text: str


def warn_of(pitfalls: Iterable[Pitfall]) -> None:
    """Say each warning."""
    for pitfall in pitfalls:
        say(f"warning: {pitfall.text}")


def refuse_named(pitfalls: list[Pitfall], refused: Sequence[str]) -> None:
    """Raise a problem for each warning that `data.refuse` names."""
    refuse_if(f"{p.text} (data.refuse names '{p.name}')" for p in pitfalls if p.name in refused)


class Profile(Notes):
    """What `prepare` read and found."""

    rows: Rows
    columns: dict[str, Column]
    warnings: list[Pitfall]
    contract: dict[str, Any] | None  # that the table was checked against


class Step(Strict):
    """A named step of the fitted Pipeline."""

    name: str
    class_: Annotated[str, Field(alias="class")]


class Feature(Strict):
    """A column that the model expects, and what training saw of it, with which new rows are compared.

    Old manifests say the first three alone, and later ones all but the counts, which are left out where there are none.
    """

    name: str
    dtype: str  # as Arrow names it
    nullable: bool  # whether values were missing
    kind: Kind | None = None
    missing: float | None = None  # the share of rows without a value
    minimum: float | None = None  # of numbers
    maximum: float | None = None
    values: list[str] | None = None  # of categories, where there are not too many to list
    # Rows: of numbers in equal bins from minimum to maximum, of each of `values`, of false and true.
    counts: Annotated[list[int] | None, Field(exclude_if=lambda counts: counts is None)] = None


class Fitted(Strict):
    """What a model is, as far as that can be said without loading it."""

    class_: Annotated[str, Field(alias="class")]
    steps: list[Step]
    task: Literal["classification", "regression"]
    target: str
    classes: list[str | bool | int | float] | None
    features: list[Feature]
    deterministic: bool  # whether a second process made the same bytes
    nondeterminism: str | None  # what differed, when it did not


class Description(Notes):
    """What was fitted, on how many rows of which tables, with which libraries and settings, and how it scored."""

    fitted: Fitted
    tables: dict[str, str]  # `train` and `test`, by path
    rows: dict[str, int]  # of both
    folds: list[float]  # the main score on each
    warnings: list[Pitfall]
    python: str
    packages: dict[str, str]
    numeric: dict[str, str]


class Cost(Strict):
    """What a stage took: seconds, and the most memory that its process held, in MiB where the system can say."""

    seconds: float
    peak_memory_mib: int | None


def note_cost(notes: Path) -> None:
    """Note what this process has taken so far, for the run that wrote these notes and no other."""
    cost = Cost(seconds=round(time.perf_counter() - STARTED, 1), peak_memory_mib=peak_memory())
    write(COSTS / f"{md5_of_file(notes)}.json", to_json(cost.model_dump()))


def peak_memory() -> int | None:
    """The most memory that this process held, in MiB; None where the system cannot say.

    On Linux `getrusage` also counts what the process held that started this one, such as DVC, so it is asked last.
    """
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text("ascii"), re.MULTILINE):
            return int(found[1]) // 1024
    try:
        import resource  # noqa: PLC0415 - Windows does not have it
    except ImportError:
        return None
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def cost_of(notes: Path) -> Cost | None:
    """What the run took that wrote these notes; None where it was another machine's, or of another time."""
    try:
        return Cost.model_validate_json((COSTS / f"{md5_of_file(notes)}.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
