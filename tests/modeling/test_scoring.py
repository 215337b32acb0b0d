from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from tables import PENGUINS, ROW, make_data, write_package_of

from modeling import scoring
from modeling.loading import Loaded, load_model
from modeling.scoring import BATCH, as_feature, check_columns, read_batches, score_file
from modeling.table import to_frame
from record.notes import Feature
from record.problem import Problem

IDENTITY = ["model_version", "model_sha256"]
SCORES = ["prediction", "probability_female", "probability_male"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("packages") / "v1.0.0"
    write_package_of(folder)
    return load_model(folder, trust_unvouched=True)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BLOCK", 1024 * 1024)  # as a text file has more than one of only if it is large


def table(count: int = 3, **columns: Any) -> pa.Table:
    """Rows that the model takes, with some columns of them replaced, added or, where None, left out."""
    columns = {name: [value] * count for name, value in ROW.items()} | columns
    return pa.table({name: column for name, column in columns.items() if column is not None})


def write(rows: pa.Table, path: Path) -> Path:
    pyarrow.csv.write_csv(rows, path) if path.suffix == ".csv" else pq.write_table(rows, path)
    return path


def scored(
    rows: pa.Table, loaded: Loaded, folder: Path, source: str = ".parquet", target: str = ".parquet"
) -> pa.Table:
    """The rows with their scores, by way of two files."""
    count = score_file(write(rows, folder / f"in{source}"), folder / f"out{target}", loaded)
    found = (pyarrow.csv.read_csv if target == ".csv" else pq.read_table)(folder / f"out{target}")
    assert count == len(found) == len(rows)
    return found


@pytest.mark.parametrize("source", [".csv", ".parquet"])
@pytest.mark.parametrize("target", [".csv", ".parquet"])
def test_each_row_gets_its_prediction_probabilities_and_model(
    loaded: Loaded, tmp_path: Path, source: str, target: str
) -> None:
    rows = PENGUINS.drop(["sex"])
    found = scored(rows, loaded, tmp_path, source, target)
    identity = {"model_version": "v1.0.0", "model_sha256": loaded.manifest.model.sha256}

    assert found.column_names == [*rows.column_names, *SCORES, *(IDENTITY if target == ".csv" else [])]
    assert found.select(list(ROW)).to_pylist() == rows.to_pylist()
    assert found["prediction"].to_pylist() == loaded.model.predict(to_frame(rows)).tolist()
    probabilities = np.column_stack([found[name].to_numpy() for name in SCORES[1:]])
    assert probabilities.tolist() == loaded.model.predict_proba(to_frame(rows)).tolist()
    if target == ".csv":
        assert [found[name].unique().to_pylist() for name in IDENTITY] == [[value] for value in identity.values()]
    else:
        assert found.schema.metadata == {key.encode(): value.encode() for key, value in identity.items()}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_in_many_batches_are_scored_as_they_are_in_one(loaded: Loaded, tmp_path: Path, suffix: str) -> None:
    masses = np.random.default_rng(0).integers(2700, 6300, 2 * BATCH + 1)
    found = scored(table(len(masses), mass_g=masses), loaded, tmp_path, suffix)
    some = slice(BATCH - 2, BATCH + 3)

    assert len(list(read_batches(tmp_path / f"in{suffix}", loaded.manifest))) > 1
    assert found["mass_g"].to_pylist() == masses.tolist()
    few = scored(table(5, mass_g=masses[some]), loaded, tmp_path)
    assert found["prediction"].to_pylist()[some] == few["prediction"].to_pylist()


def test_a_csv_may_have_missing_values_digits_as_text_and_fractions_that_come_late(
    loaded: Loaded, tmp_path: Path
) -> None:
    rows = "".join(f"{row}\n" for row in [",".join(ROW), "7,NA,,null", *["8,Mars,39.1,3750"] * BATCH, "9,1,39,3000.5"])
    (tmp_path / "in.csv").write_text(rows)

    assert score_file(tmp_path / "in.csv", tmp_path / "out.csv", loaded) == BATCH + 2


@pytest.mark.parametrize(
    ("column", "values"),
    [
        *(("species", values) for values in (pa.array(["Adelie"] * 3).dictionary_encode(), pa.nulls(3))),
        *(("mass_g", pa.array([3750] * 3).cast(kind)) for kind in (pa.uint16(), pa.float32(), pa.decimal128(19))),
    ],
    ids=str,
)
def test_equivalent_types_are_scored_alike_and_the_order_of_the_columns_does_not_matter(
    loaded: Loaded, tmp_path: Path, column: str, values: pa.Array
) -> None:
    rows = table(**{column: values})
    turned = scored(rows.select(rows.column_names[::-1]), loaded, tmp_path)

    assert scored(rows, loaded, tmp_path).select(SCORES) == turned.select(SCORES)
    if values.null_count == 0:
        assert turned.select(SCORES) == scored(table(), loaded, tmp_path).select(SCORES)


def test_all_problems_of_the_columns_are_reported_at_once(loaded: Loaded) -> None:
    rows = table(species=None, island=[1, 2, 3], mass_g=["a", "b", "c"])
    with pytest.raises(Problem) as caught:
        check_columns(rows.append_column("bill_mm", rows["bill_mm"]), loaded.manifest, Path("in.parquet"))

    assert caught.value.lines == (
        "in.parquet: column 'species' is missing; the model needs one, of string",
        "in.parquet: column 'island': expected string, found int64",
        "in.parquet: column 'bill_mm' occurs 2 times; the model needs one, of double",
        "in.parquet: column 'mass_g': expected int64, found string",
    )


def test_extra_columns_are_named_and_kept_but_not_used(
    loaded: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = scored(table(sex=["?"] * 3, id=[7, 8, 9]), loaded, tmp_path)

    assert "not used by the model: sex, id\n" in capsys.readouterr().err
    assert found["id"].to_pylist() == [7, 8, 9]
    assert found.select(SCORES) == scored(table(), loaded, tmp_path).select(SCORES)


def test_columns_of_the_input_that_the_output_needs_are_all_named(loaded: Loaded, tmp_path: Path) -> None:
    scored(table(), loaded, tmp_path, target=".csv")
    with pytest.raises(Problem) as caught:
        score_file(tmp_path / "out.csv", tmp_path / "again.csv", loaded)

    assert caught.value.lines == tuple(
        f"column '{name}' is in the input already, and the output needs it; rename it" for name in [*SCORES, *IDENTITY]
    )


def test_a_regression_has_a_prediction_and_no_probabilities(loaded: Loaded, tmp_path: Path) -> None:
    model = make_pipeline(DummyRegressor(strategy="constant", constant=4.5)).fit([[0]], [1])
    found = scored(table(), replace(loaded, model=model), tmp_path, target=".csv")

    assert found.column_names == [*ROW, "prediction", *IDENTITY]
    assert found["prediction"].to_pylist() == [4.5] * 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", None, "not found"),
        ("in.csv", b"", "cannot be read or scored: Empty CSV file"),
        ("in.csv", b"species,island\n", "expected rows, found none"),
        ("in.csv", b"species,island\nAdelie\n", "cannot be read or scored: CSV parse error"),
        ("in.parquet", b"PAR1", "cannot be read or scored: "),
        ("in.parquet", b"", "cannot be read or scored: "),
        ("in.parquet", table(0), "expected rows, found none"),
    ],
)
def test_a_file_that_is_not_a_table_of_rows_is_refused_in_a_sentence(
    loaded: Loaded, tmp_path: Path, name: str, content: bytes | pa.Table | None, message: str
) -> None:
    if isinstance(content, pa.Table):
        write(content, tmp_path / name)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Problem) as caught:
        score_file(tmp_path / name, tmp_path / "out.csv", loaded)

    assert caught.value.lines[0].startswith(f"{tmp_path / name}: {message}")
    assert not (tmp_path / "out.csv").exists()


def test_an_unreadable_row_leaves_the_previous_output(loaded: Loaded, tmp_path: Path) -> None:
    source = write(table(BATCH), tmp_path / "in.csv")
    with source.open("a") as file:
        file.write("Adelie,Dream,39.1,heavy\n")
    (tmp_path / "out.csv").write_text("the previous output")
    with pytest.raises(Problem, match=rf"column 'mass_g': expected int64, found 'heavy' in row {BATCH + 1:,}$"):
        score_file(source, tmp_path / "out.csv", loaded)

    assert (tmp_path / "out.csv").read_text() == "the previous output"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize(
    ("kinds", "texts", "values"),
    [
        ((pa.float32(), pa.int8(), pa.uint64()), ["1", None, "2.5"], [1.0, None, 2.5]),
        ((pa.int8(), pa.bool_()), ["NA", None], [None, None]),
        ((pa.bool_(),), ["true", None, "FALSE"], [True, None, False]),
        ((pa.string(),), ["1", None, "x"], ["1", None, "x"]),
    ],
)
def test_the_text_of_a_csv_becomes_the_kind_of_its_feature(kinds: Any, texts: list[Any], values: list[Any]) -> None:
    column = pa.chunked_array([texts])
    for kind in kinds:
        feature = Feature(name="x", dtype=str(kind), nullable=False)

        assert as_feature(column, feature, make_data(), "x", 0).to_pylist() == values
