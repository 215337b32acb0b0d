"""For tables of any kinds of columns: one prediction a row, in the order of the rows, from CSV as from Parquet."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import document
from tables import LOGISTIC, RIDGE, dumped, make_parameters

from modeling import new_rows
from modeling.checks import check_table, prepared_columns
from modeling.dividing import divide
from modeling.estimator import describe, fit_pipeline
from modeling.loading import Loaded
from modeling.reading import Raw, read_raw
from modeling.scoring import score_file
from modeling.summary import survey
from modeling.table import read_table, to_frame
from modeling.unpickling import unpickle
from record.manifest import Manifest
from record.parameters import Parameters

ROWS = 60
START = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - as most tables write it
Make = Any


def spread(choice: Make, values: int) -> list[int]:
    """As many numbers as there are rows, up to a limit, of a seed that hypothesis chooses."""
    return np.random.default_rng(choice).integers(0, values, ROWS).tolist()  # type: ignore[no-any-return]


KINDS: dict[str, Make] = {
    "number": lambda seed: [value + 0.25 for value in spread(seed, 1000)],
    "integer": lambda seed: spread(seed, 9),
    "boolean": lambda seed: [value == 1 for value in spread(seed, 2)],
    "category": lambda seed: ["red", "blue", "grün", "a, b"][:2] * 10 + [f"c{value}" for value in spread(seed, 4)][20:],
    "many": lambda seed: [f"shop {value}" for value in spread(seed, 10_000)],
    "text": lambda seed: [f"a note about row {value}" for value in spread(seed, 10_000)],
    "date": lambda seed: [(START + dt.timedelta(days=value)).date() for value in spread(seed, 900)],
    "instant": lambda seed: [START + dt.timedelta(minutes=value) for value in spread(seed, 900_000)],
    "time": lambda seed: [(START + dt.timedelta(minutes=value)).time() for value in spread(seed, 1440)],
    "index": lambda _: list(range(ROWS)),
}
TARGETS: dict[str, Make] = {
    "classification": lambda _: [("no", "yes", "perhaps")[row % 3] for row in range(ROWS)],
    "regression": lambda seed: [row + 0.5 for row in spread(seed, 1000)],
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, str]:
    """A table of columns of some kinds, with missing values, and the task."""
    task, columns = draw(st.sampled_from(sorted(TARGETS))), {}
    for k, kind in enumerate(draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5))):
        values = KINDS[kind](draw(st.integers(0, 1000)))
        missing = draw(st.sets(st.integers(1, ROWS - 1), max_size=8))
        columns[f"{kind} {k}"] = [None if row in missing else value for row, value in enumerate(values)]
    return pa.table(columns | {"target": TARGETS[task](draw(st.integers(0, 1000)))}), task


def prepared(path: Path, parameters: Parameters) -> tuple[Raw, list[bytes]]:
    """The raw table and the bytes of both parts that `prepare` makes of a file."""
    raw = read_raw(path, parameters.data)
    found = survey(raw.batches(), raw.schema, parameters)
    check_table(found, parameters)
    files = path.with_name("train.parquet"), path.with_name("test.parquet")
    divide(raw, found, prepared_columns(found.columns, parameters), files, parameters)
    return raw, [file.read_bytes() for file in files]


def loaded_from(path: Path, raw: Raw, parameters: Parameters) -> Loaded:
    """A model of the prepared training part, as it is read from its file, with what its manifest says."""
    train = read_table(path)
    model = fit_pipeline(train, parameters)
    content = dumped(model)
    assert dumped(fit_pipeline(train, parameters)) == content
    whole = document()
    whole["model"] |= describe(model, train, parameters, None).model_dump(by_alias=True)
    whole["data"]["date_orders"] = raw.date_orders
    whole["params"]["data"] = parameters.data.model_dump()
    return Loaded(unpickle(content), Manifest.model_validate(whole, by_alias=True))


@given(tables())
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # of folds that lack a value, of no rows
def test_any_table_gives_one_prediction_a_row_whatever_the_format_and_the_batches(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[pa.Table, str]
) -> None:
    table, task = drawn
    folder = tmp_path_factory.mktemp("any")
    parameters = make_parameters(LOGISTIC | {"max_iter": 1000} if task == "classification" else RIDGE, task=task)
    pq.write_table(table, folder / "t.parquet")
    pyarrow.csv.write_csv(table, folder / "t.csv")
    raw, bytes_of_parquet = prepared(folder / "t.parquet", parameters)
    _, bytes_of_csv = prepared(folder / "t.csv", parameters)
    loaded = loaded_from(folder / "train.parquet", raw, parameters)
    names = [feature.name for feature in loaded.manifest.model.features]
    predicted = loaded.model.predict(to_frame(raw.table.select(names)))
    lost = 1e-3 if predicted.dtype == np.float32 else 1e-12  # free text alone becomes numbers of 32 bits
    expected = pytest.approx(predicted.tolist(), abs=lost)

    assert bytes_of_csv == bytes_of_parquet
    for source in ("t.csv", "t.parquet"):
        for batch, block in ((new_rows.BATCH, new_rows.BLOCK), (25, 1024)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(new_rows, "BATCH", batch)
                patch.setattr(new_rows, "BLOCK", block)
                assert score_file(folder / source, folder / "out.parquet", loaded)[0] == ROWS
            assert pq.read_table(folder / "out.parquet")["prediction"].to_pylist() == expected
