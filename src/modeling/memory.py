"""How much memory a fit takes, estimated before it is taken, so that a run is refused rather than killed.

What the columns take follows from their kinds. What the estimator takes beside them is seen when it is fitted on two
samples: how much more for the larger one, and how that grows. A forest keeps a node for every few rows, and a Gaussian
process a number for every pair of them.
"""

import math
import tracemalloc
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc

from modeling.dumping import dump_into
from modeling.estimator import build_pipeline
from modeling.features import COMPONENTS, KNOTS
from modeling.stored import Stored, evenly, first_rows
from modeling.table import FEW, feature_names, features_and_target, kinds_of
from record.parameters import Kind, Parameters
from record.problem import Problem, progress, say

COPIES = 4  # of all numbers: encoded, scaled, those of a fold, the estimator's own
NUMBER = 8  # bytes
N_GRAM = 30  # bytes for each letter of free text, of which about two n-grams begin at each
WIDTHS: dict[Kind, int] = {"number": 1, "boolean": 3, "time": KNOTS - 1, "date": 10, "text": COMPONENTS}  # encoded
SAMPLES = 500, 2000  # rows
CLASS_ROWS = 10  # of each class that are among them
LARGE = 20_000  # rows, from which on an estimator is tried on samples; a fit of fewer is fitted in the same time
MODELS = 2  # how often a model is held: the one that was fitted, and as it is loaded again to see that it can be
SHOWN = 3  # columns that are named
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def check_rows(train: Stored, parameters: Parameters, available: int) -> None:
    """Raise a problem, before the table is read, when one number for each value would take more than is available."""
    least = len(train) * len(feature_names(train, parameters)) * NUMBER * COPIES
    if least > available:
        raise Problem(_too_much(len(train), least, available, "at least"))


def check_memory(train: pa.Table, parameters: Parameters, available: int) -> None:
    """Say about how many bytes the fit takes, and of how many.

    Raises:
        Problem: when it is more, with what takes most.
    """
    needed = {f"'{name}'": size for name, size in bytes_by_column(train, parameters).items()}
    if sum(needed.values()) <= available:
        needed[f"the estimator {parameters.train.estimator}"] = bytes_of_estimator(train, parameters, available)
    if sum(needed.values()) > available:
        most = sorted(needed, key=lambda name: -needed[name])[:SHOWN]
        listed = ", ".join(f"{name} ({size_of(needed[name])})" for name in most)
        raise Problem(_too_much(len(train), sum(needed.values()), available, "about", f"; most for {listed}"))
    say(f"learning takes about {size_of(sum(needed.values()))} of memory, of {size_of(available)} that are available")


def _too_much(rows: int, needed: int, available: int, how: str, most: str = "") -> str:
    takes = f"learning from {rows:,} rows takes {how} {size_of(needed)} of memory"
    ways = "add columns to data.drop, choose another estimator, learn from fewer rows, run where there is more"
    stream = "or set train.stream: true, which learns in batches with estimators such as sgd"
    return f"{takes}, and {size_of(available)} are available{most}; {ways}, {stream}"


def size_of(count: float) -> str:
    """A number of bytes as a person reads it."""
    power = min(int(math.log(max(count, 1), 1024)), len(UNITS) - 1)
    return f"{count / 1024**power:.{1 if power else 0}f} {UNITS[power]}"


def bytes_by_column(train: pa.Table, parameters: Parameters) -> dict[str, int]:
    """About how many bytes each feature takes while a model is fitted."""
    table = train.select(feature_names(train, parameters))
    kinds = kinds_of(table, parameters.data)
    classes = 1 if parameters.data.task == "regression" else pc.count_distinct(train[parameters.data.target]).as_py()
    needed = {}
    for name, kind in kinds.items():
        width = WIDTHS.get(kind, 0)
        if kind == "category":
            values = pc.count_distinct(table[name]).as_py()
            width = values + 1 if values <= FEW else classes
        letters = pc.sum(pc.binary_length(table[name])).as_py() or 0 if kind == "text" else 0
        needed[name] = len(table) * width * NUMBER * COPIES + letters * N_GRAM
    return needed


@dataclass(frozen=True)
class Cost:
    """What a fit of some rows takes: the bytes of the model, and the most that it worked with."""

    rows: int
    model: int
    work: int


def bytes_of_estimator(train: pa.Table, parameters: Parameters, available: int) -> int:
    """About how many bytes a fit takes beside the columns, as the fits of two samples let expect.

    0 for a small table, and where a sample cannot be fitted: the fit of all rows then says why. The larger sample is
    not fitted where the smaller one says that there is too little memory even for that.
    """
    if len(train) < LARGE:
        return 0
    costs: list[Cost] = []
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        samples = [_sample(train, rows, parameters) for rows in SAMPLES]
        for sample in progress(samples, "estimating the memory", " fits", len(samples), at_once=True):
            each = MODELS * costs[0].model / costs[0].rows if costs else 0
            if each * len(sample) > available:
                return round(each * len(train))
            costs.append(cost_of(sample, parameters))
        return expected(costs[0], costs[1], len(train))
    return 0


def expected(less: Cost, more: Cost, rows: int) -> int:
    """The bytes for all rows, of which these are the costs for few and for more.

    A model grows along a line or along a power, whichever is more. Of what a fit works with, that which grows as the
    rows do is among `COPIES`, so what is more is counted, such as the matrix of a kernel.
    """
    times, each = rows / more.rows, (more.model - less.model) / (more.rows - less.rows)

    def power(few: int, some: int) -> float:
        return float(some * times ** math.log(max(some, 1) / max(few, 1), more.rows / less.rows))

    model = max(more.model, more.model + each * (rows - more.rows), power(less.model, more.model))
    return round(MODELS * model + max(0, power(less.work, more.work) - times * more.work))


def _sample(train: pa.Table, rows: int, parameters: Parameters) -> pa.Table:
    """Rows in equal steps, and some of each class."""
    numbers, target = {*evenly(len(train), rows)}, train[parameters.data.target]
    if parameters.data.task == "classification":
        numbers |= first_rows([target], rows, CLASS_ROWS)
    return train.take(sorted(numbers))


def cost_of(sample: pa.Table, parameters: Parameters) -> Cost:
    """What a fit takes beside the encoded columns."""
    pipeline = build_pipeline(sample, parameters)
    frame, target = features_and_target(sample, parameters)
    encoded, estimator = pipeline[:-1].fit_transform(frame, target), pipeline[-1]
    tracemalloc.start()
    try:
        estimator.fit(encoded, target)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    file = BytesIO()
    dump_into(file, estimator)
    return Cost(len(sample), file.tell(), most)
