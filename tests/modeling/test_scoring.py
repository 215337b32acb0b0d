from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.pipeline import make_pipeline
from tables import PENGUINS, ROW, write_package_of

from modeling import new_rows
from modeling.loading import Loaded, load_model
from modeling.new_rows import BATCH, read_batches
from modeling.scoring import DiffersError, score_file
from modeling.table import to_frame
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
    monkeypatch.setattr(new_rows, "BLOCK", 1024 * 1024)  # as a text file has more than one of only if it is large


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
    count, _ = score_file(write(rows, folder / f"in{source}"), folder / f"out{target}", loaded)
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

    assert score_file(tmp_path / "in.csv", tmp_path / "out.csv", loaded)[0] == BATCH + 2


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


def test_all_problems_of_the_columns_are_reported_at_once(loaded: Loaded, tmp_path: Path) -> None:
    source = write(
        table(species=None, island=[1, 2, 3], bill_mm=[[1], [2], [3]], mass_g=["8", "b", "c"]), tmp_path / "in.parquet"
    )
    with pytest.raises(Problem) as caught:
        score_file(source, tmp_path / "out.csv", loaded)

    assert [line.removeprefix(f"{source}: ") for line in caught.value.lines] == [
        "column 'species' is missing; the model needs one, of string",
        "column 'island': expected string, found int64; write it as it was in training",
        "column 'bill_mm': expected double, found list<element: int64>; write it as it was in training",
        "column 'mass_g': expected int64, found the text '8' in row 1; write it as it was in training",
    ]


def test_a_feature_that_occurs_twice_is_refused(loaded: Loaded, tmp_path: Path) -> None:
    rows = table()
    source = write(rows.append_column("bill_mm", rows["bill_mm"]), tmp_path / "in.parquet")
    with pytest.raises(Problem, match="column 'bill_mm' occurs 2 times; the model needs one, of double"):
        score_file(source, tmp_path / "out.csv", loaded)


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
    found = f"column 'mass_g': expected int64, found the text 'heavy' in row {BATCH + 1:,}"
    with pytest.raises(Problem, match=f"{found}; correct it, or leave the cell empty$"):
        score_file(source, tmp_path / "out.csv", loaded)

    assert (tmp_path / "out.csv").read_text() == "the previous output"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_files_of_a_folder_that_differ_in_a_type_are_refused_in_our_words(loaded: Loaded, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    write(table(more=[1, 2, 3]), folder / "a.parquet")
    write(table(more=["1", "2", "3"]), folder / "b.parquet")

    with pytest.raises(Problem, match=r"rows: its files differ: .*more.*; write that column in one type in all files"):
        score_file(folder, tmp_path / "out.parquet", loaded)


@pytest.mark.parametrize("source", [".feather", ".csv.zst", ".tsv.bz2", "-folder"])
def test_every_format_of_a_raw_table_is_scored(loaded: Loaded, tmp_path: Path, source: str) -> None:
    rows, path = PENGUINS.drop(["sex"]), tmp_path / f"in{source}"
    if source == ".feather":
        pyarrow.feather.write_feather(rows, path, chunksize=5)
    elif source == "-folder":
        path.mkdir()
        pq.write_table(rows.slice(0, 5), path / "a.parquet")
        pq.write_table(rows.slice(5).append_column("more", pa.array([1] * 7)), path / "b.parquet")
    else:
        options = pyarrow.csv.WriteOptions(delimiter="\t" if ".tsv" in source else ",")
        with pa.output_stream(path, compression="zstd" if source.endswith("zst") else "bz2") as stream:
            pyarrow.csv.write_csv(rows, stream, options)
    score_file(path, tmp_path / "out.parquet", loaded)

    assert pq.read_table(tmp_path / "out.parquet").select(SCORES) == scored(rows, loaded, tmp_path).select(SCORES)


def test_text_is_scored_whatever_its_arrow_type_is(loaded: Loaded, tmp_path: Path) -> None:
    plain = scored(table(), loaded, tmp_path, target=".csv")
    for kind in (pa.string_view(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        rows = table(species=pa.array(["Adelie"] * 3).cast(kind), note=pa.array(["x"] * 3).cast(kind))

        assert scored(rows, loaded, tmp_path, target=".csv").select(SCORES) == plain.select(SCORES)


def test_a_list_in_an_unused_column_is_kept_in_parquet_and_named_for_csv(loaded: Loaded, tmp_path: Path) -> None:
    rows = table(tags=[["a"]] * 3)
    with pytest.raises(Problem, match=r"column 'tags': list<element: string> cannot be in a CSV; name a \.parquet"):
        scored(rows, loaded, tmp_path, target=".csv")

    assert scored(rows, loaded, tmp_path)["tags"].to_pylist() == [["a"]] * 3


def test_infinite_numbers_are_counted_to_the_end_and_nothing_is_written(loaded: Loaded, tmp_path: Path) -> None:
    lengths = [float("inf"), *[39.0] * BATCH, float("-inf")]
    source = write(table(len(lengths), bill_mm=lengths), tmp_path / "in.parquet")
    with pytest.raises(Problem, match="column 'bill_mm': expected finite numbers, found 2 infinite"):
        score_file(source, tmp_path / "out.csv", loaded)

    assert not (tmp_path / "out.csv").exists()


def test_rows_that_differ_from_training_are_told_and_with_strict_refused(loaded: Loaded, tmp_path: Path) -> None:
    source, target = write(table(species=["Adelie "] * 3), tmp_path / "in.csv"), tmp_path / "out.csv"
    _, (tell,) = score_file(source, target, loaded)
    target.write_text("the previous output")
    with pytest.raises(DiffersError) as refused:
        score_file(source, target, loaded, is_strict=True)

    assert (tell.name, tell.column, tell.rows) == ("unseen_values", "species", 3)
    assert refused.value.tells == [tell]
    assert refused.value.lines == (f"{source}: {tell.text}", "nothing was written, as --strict asks")
    assert target.read_text() == "the previous output"


def test_new_rows_are_compared_with_the_contract_of_the_features(
    loaded: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = [
        {"name": "mass_g", "type": "integer", "constraints": {"minimum": 3000, "unique": True}},
        {"name": "sex", "type": "string", "constraints": {"required": True}},
    ]
    document = {"fields": fields, "missingValues": ["none"], "primaryKey": "sex"}
    kept = replace(loaded, manifest=loaded.manifest.model_copy(update={"contract": document}))
    _, found = score_file(write(table(mass_g=["none", "3000", "8"]), tmp_path / "in.csv"), tmp_path / "out.csv", kept)

    assert [tell.text for tell in found if tell.name == "contract"] == [
        "column 'mass_g': expected at least 3000; 1 row differs: 8 in row 3 (contract)"
    ]
    assert "note: whether values come once, as the contract asks of mass_g, is not checked" in capsys.readouterr().err
