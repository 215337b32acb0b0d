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
from tables import PENGUINS, ROW, write_package_of

from modeling.loading import Loaded, load_model
from modeling.scoring import BATCH, check_columns, csv_types, read_batches, score_file
from modeling.table import to_frame
from record.notes import Feature
from record.problem import Problem

IDENTITY = ["model_version", "model_sha256"]
SCORES = ["prediction", "probability_female", "probability_male"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("packages") / "v1.0.0"
    write_package_of(folder)
    return load_model(folder)


def table(count: int = 3, **columns: Any) -> pa.Table:
    """Rows that the model takes, with some columns of them replaced, added or, where None, left out."""
    columns = {name: [value] * count for name, value in ROW.items()} | columns
    return pa.table({name: column for name, column in columns.items() if column is not None})


def write(rows: pa.Table, path: Path) -> Path:
    pyarrow.csv.write_csv(rows, path) if path.suffix == ".csv" else pq.write_table(rows, path)
    return path


def read(path: Path) -> pa.Table:
    return pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)


@pytest.mark.parametrize("source", [".csv", ".parquet"])
@pytest.mark.parametrize("target", [".csv", ".parquet"])
def test_each_row_gets_its_prediction_probabilities_and_model(
    loaded: Loaded, tmp_path: Path, source: str, target: str
) -> None:
    rows = table(mass_g=[2900, 2900, 6000])
    count = score_file(write(rows, tmp_path / f"in{source}"), tmp_path / f"out{target}", loaded)
    found = read(tmp_path / f"out{target}")
    identity = {"model_version": "v1.0.0", "model_sha256": loaded.manifest.model.sha256}

    assert count == 3
    assert found.column_names == [*rows.column_names, *SCORES, *(IDENTITY if target == ".csv" else [])]
    assert found.select(list(ROW)).to_pylist() == rows.to_pylist()
    assert found["prediction"].to_pylist() == ["female", "female", "male"]
    assert np.allclose(np.add(*(found[name].to_numpy() for name in SCORES[1:])), 1)
    if target == ".csv":
        assert [found[name].unique().to_pylist() for name in IDENTITY] == [[value] for value in identity.values()]
    else:
        assert found.schema.metadata == {key.encode(): value.encode() for key, value in identity.items()}


def test_the_scores_are_those_of_the_model_itself(loaded: Loaded, tmp_path: Path) -> None:
    score_file(write(PENGUINS, tmp_path / "in.parquet"), tmp_path / "out.parquet", loaded)
    frame = to_frame(PENGUINS)
    found = read(tmp_path / "out.parquet")

    assert found["prediction"].to_pylist() == loaded.model.predict(frame).tolist()
    assert found["probability_male"].to_pylist() == loaded.model.predict_proba(frame)[:, 1].tolist()


def test_the_order_of_the_columns_does_not_matter(loaded: Loaded, tmp_path: Path) -> None:
    rows = table()
    turned = rows.select(rows.column_names[::-1])
    for name, some in (("one", rows), ("other", turned)):
        score_file(write(some, tmp_path / f"{name}-in.parquet"), tmp_path / f"{name}.parquet", loaded)

    one, other = read(tmp_path / "one.parquet"), read(tmp_path / "other.parquet")
    assert one.select(SCORES) == other.select(SCORES)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_in_many_batches_are_scored_as_they_are_in_one(loaded: Loaded, tmp_path: Path, suffix: str) -> None:
    count = 2 * BATCH + 1
    masses = np.random.default_rng(0).integers(2700, 6300, count)
    source = write(table(count, mass_g=masses), tmp_path / f"in{suffix}")
    score_file(source, tmp_path / "out.parquet", loaded)
    found = read(tmp_path / "out.parquet")
    some = slice(BATCH - 2, BATCH + 3)
    write(table(5, mass_g=masses[some]), tmp_path / "some.parquet")
    score_file(tmp_path / "some.parquet", tmp_path / "few.parquet", loaded)

    assert len(list(read_batches(source, {}))) > 1
    assert found["mass_g"].to_pylist() == masses.tolist()
    assert found["prediction"].to_pylist()[some] == read(tmp_path / "few.parquet")["prediction"].to_pylist()


def test_a_column_of_a_csv_that_is_whole_at_first_and_has_fractions_later_is_read(
    loaded: Loaded, tmp_path: Path
) -> None:
    count = BATCH
    masses = [3000.0] * (count - 1) + [3000.5]
    source = write(table(count, mass_g=masses), tmp_path / "in.csv")

    assert score_file(source, tmp_path / "out.csv", loaded) == count


def test_missing_values_are_scored_as_in_training(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(f"{','.join(ROW)}\nAdelie,NA,,null\nEmu,Mars,39.1,3750\n")

    assert score_file(tmp_path / "in.csv", tmp_path / "out.csv", loaded) == 2


def test_digits_of_a_csv_are_text_where_the_model_takes_text(loaded: Loaded, tmp_path: Path) -> None:
    source = write(table(species=[1, 2, 3]), tmp_path / "in.csv")

    assert score_file(source, tmp_path / "out.csv", loaded) == 3


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("species", pa.array(["Adelie"] * 3).dictionary_encode()),
        ("species", pa.array(["Adelie"] * 3, pa.large_string())),
        ("mass_g", pa.array([3750] * 3, pa.uint16())),
        ("mass_g", pa.array([3750.0] * 3, pa.float32())),
        ("mass_g", pa.array([3750] * 3, pa.decimal128(6))),
        ("mass_g", pa.nulls(3)),
        ("species", pa.nulls(3)),
    ],
    ids=str,
)
def test_equivalent_types_are_accepted(loaded: Loaded, tmp_path: Path, column: str, values: pa.Array) -> None:
    source = write(table(**{column: values}), tmp_path / "in.parquet")

    assert score_file(source, tmp_path / "out.parquet", loaded) == 3


def test_all_problems_of_the_columns_are_reported_at_once(loaded: Loaded) -> None:
    rows = table(species=None, island=[1, 2, 3], mass_g=["a", "b", "c"])
    rows = rows.append_column("bill_mm", rows["bill_mm"])
    with pytest.raises(Problem) as caught:
        check_columns(rows, loaded.manifest, Path("in.parquet"))

    assert caught.value.lines == (
        "in.parquet: column 'species' is missing; the model needs one, of string",
        "in.parquet: column 'island': expected string, found int64",
        "in.parquet: column 'bill_mm' occurs 2 times; the model needs one, of double",
        "in.parquet: column 'mass_g': expected int64, found string",
    )


def test_extra_columns_are_named_and_kept_but_not_used(
    loaded: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("with", {"sex": ["?"] * 3, "id": [7, 8, 9]}), ("without", {})):
        score_file(write(table(**more), tmp_path / f"{name}-in.parquet"), tmp_path / f"{name}.parquet", loaded)
    found, plain = read(tmp_path / "with.parquet"), read(tmp_path / "without.parquet")

    assert "not used by the model: sex, id\n" in capsys.readouterr().err
    assert found["id"].to_pylist() == [7, 8, 9]
    assert found.select(SCORES) == plain.select(SCORES)


def test_columns_of_the_input_that_the_output_needs_are_all_named(loaded: Loaded, tmp_path: Path) -> None:
    score_file(write(table(), tmp_path / "in.csv"), tmp_path / "out.csv", loaded)
    with pytest.raises(Problem) as caught:
        score_file(tmp_path / "out.csv", tmp_path / "again.csv", loaded)

    assert caught.value.lines == tuple(
        f"column '{name}' is in the input already, and the output needs it; rename it" for name in [*SCORES, *IDENTITY]
    )


def test_a_regression_has_a_prediction_and_no_probabilities(loaded: Loaded, tmp_path: Path) -> None:
    model = make_pipeline(DummyRegressor(strategy="constant", constant=4.5)).fit([[0]], [1])
    score_file(write(table(), tmp_path / "in.csv"), tmp_path / "out.csv", replace(loaded, model=model))

    assert read(tmp_path / "out.csv").column_names == [*ROW, "prediction", *IDENTITY]
    assert read(tmp_path / "out.csv")["prediction"].to_pylist() == [4.5] * 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", None, "in.csv: not found"),
        ("in.csv", b"", "in.csv: cannot be read or scored: Empty CSV file"),
        ("in.csv", b"species,island\n", "in.csv: expected rows, found none"),
        ("in.csv", b"species,island\nAdelie\n", "in.csv: cannot be read or scored: CSV parse error"),
        ("in.parquet", b"PAR1", "in.parquet: cannot be read or scored: "),
        ("in.parquet", b"", "in.parquet: cannot be read or scored: "),
    ],
)
def test_a_file_that_is_not_a_table_is_refused_in_a_sentence(
    loaded: Loaded, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Problem) as caught:
        score_file(tmp_path / name, tmp_path / "out.csv", loaded)

    assert caught.value.lines[0].startswith(f"{tmp_path}/{message}")
    assert not (tmp_path / "out.csv").exists()


def test_a_table_without_rows_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    write(table(0), tmp_path / "in.parquet")
    with pytest.raises(Problem, match=r"in\.parquet: expected rows, found none"):
        score_file(tmp_path / "in.parquet", tmp_path / "out.parquet", loaded)


def test_an_unreadable_row_leaves_the_previous_output(loaded: Loaded, tmp_path: Path) -> None:
    source = write(table(BATCH), tmp_path / "in.csv")
    with source.open("a") as file:
        file.write("Adelie,Dream,39.1,heavy\n")
    (tmp_path / "out.csv").write_text("the previous output")
    with pytest.raises(Problem, match="heavy"):
        score_file(source, tmp_path / "out.csv", loaded)

    assert (tmp_path / "out.csv").read_text() == "the previous output"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int8(), pa.uint64(), pa.bool_(), pa.string()], ids=str)
def test_every_type_that_a_feature_can_have_is_known_when_a_csv_is_read(loaded: Loaded, kind: pa.DataType) -> None:
    feature = Feature(name="x", dtype=str(kind), nullable=False)
    model = loaded.manifest.model.model_copy(update={"features": [feature]})
    types = csv_types(pa.table({"x": []}), loaded.manifest.model_copy(update={"model": model}))

    assert types == {"x": kind if kind in {pa.bool_(), pa.string()} else pa.float64()}
