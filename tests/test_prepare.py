"""Stage 1: what it refuses, and what it makes of a table."""

import datetime as dt
import decimal
import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import CHECKOUT, Project

import prepare
from checksums import dvc_md5
from problem import Problem, run
from table import read_table

SOURCE = Path("data/raw/table.parquet")
PREPARED = Path("data/prepared")
TEN = pa.table(
    {
        "length": [39.0, 39.5, 40.25, 36.75, 39.25, 38.5, 38.75, 34.0, 42.5, 37.75],
        "island": ["Biscoe", "Dream"] * 5,
        "sex": ["female", "female", "male", "male", "female", "male", "female", "male", "male", "female"],
    }
)
CSV = """length,island,sex
39.1,Biscoe,female
39.5,Dream,male
40.3,Biscoe,female
36.7,Dream,male
"""


def make_repository(folder: Path) -> Project:
    """A folder with what `prepare` needs: ten rows, and in data/prepared what another run left."""
    for name in ("params.yaml", "requirements.txt"):
        shutil.copy(CHECKOUT / name, folder)
    for name in ("train.parquet", "test.parquet", "profile.json", "leftover.csv"):
        (folder / PREPARED).mkdir(parents=True, exist_ok=True)
        (folder / PREPARED / name).write_text(f"{name} of another run")
    (folder / SOURCE).parent.mkdir()
    pq.write_table(TEN, folder / SOURCE)
    repository = Project(folder)
    repository.set(data__path=SOURCE.as_posix())
    return repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return make_repository(tmp_path)


def lay(**columns: object) -> None:
    """Make the raw table of the ten rows with some columns changed or added."""
    pq.write_table(pa.table(dict(zip(TEN.column_names, TEN.columns, strict=True)) | columns), SOURCE)


def lay_csv(repository: Project, content: bytes) -> None:
    """Make the raw table a CSV file."""
    repository.set(data__path="data/raw/table.csv")
    (repository.path / "data/raw/table.csv").write_bytes(content)


def refusal(repository: Project) -> list[str]:
    """What `prepare` complains of, after which data/prepared must stand as it stood."""
    before = repository.snapshot("data/prepared")

    with pytest.raises(Problem) as caught:
        prepare.main()

    assert len(before) == 4
    assert repository.snapshot("data/prepared") == before
    return list(caught.value.lines)


def prepared() -> tuple[pa.Table, pa.Table]:
    """Run `prepare` and read both parts."""
    prepare.main()
    return read_table(PREPARED / "train.parquet"), read_table(PREPARED / "test.parquet")


def parts() -> list[bytes]:
    """The bytes of both parts."""
    return [(PREPARED / name).read_bytes() for name in ("train.parquet", "test.parquet")]


def profile() -> dict[str, object]:
    """What `prepare` noted."""
    return json.loads((PREPARED / "profile.json").read_text("utf-8"))


def test_a_missing_table_is_refused_with_what_brings_it(repository: Project) -> None:
    SOURCE.unlink()

    assert refusal(repository) == [
        f"{SOURCE.as_posix()}: not found; dvc pull brings what DVC tracks, dvc repro makes what a stage makes"
    ]


@pytest.mark.parametrize("name", ["data/raw/table.parquet", "data/raw/table.csv"])
def test_an_empty_file_is_refused(repository: Project, name: str) -> None:
    Path(name).write_bytes(b"")
    repository.set(data__path=name)

    assert refusal(repository) == [f"{name}: expected a table, found an empty file"]


@pytest.mark.parametrize("content", [b"length,sex\n39.1,female\n", b"PAR1", bytes(100)], ids=["text", "stub", "zeros"])
def test_a_file_that_is_no_parquet_is_refused(repository: Project, content: bytes) -> None:
    SOURCE.write_bytes(content)

    (line,) = refusal(repository)

    assert line.startswith("data/raw/table.parquet: not readable as Parquet: ")


@pytest.mark.parametrize("rest", [slice(-100), slice(4, None), slice(200)], ids=["tail", "head", "most"])
def test_a_truncated_file_is_refused(repository: Project, rest: slice) -> None:
    SOURCE.write_bytes(SOURCE.read_bytes()[rest])

    (line,) = refusal(repository)

    assert line.startswith("data/raw/table.parquet: not readable as Parquet: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{CSV}1,Dream,male,2\n", "CSV parse error: Expected 3 columns, got 4: 1,Dream,male,2"),
        (f"{CSV}1,Dream\n", "CSV parse error: Expected 3 columns, got 2: 1,Dream"),
        ("\n\n", "CSV parse error: Empty CSV file or block: cannot infer number of columns"),
    ],
    ids=["longer", "shorter", "blank"],
)
def test_a_csv_with_ragged_rows_is_refused_with_the_row(repository: Project, content: str, reason: str) -> None:
    lay_csv(repository, content.encode())

    assert refusal(repository) == [f"data/raw/table.csv: not readable as CSV in UTF-8 with one header line: {reason}"]


@pytest.mark.parametrize(
    ("content", "column", "end"),
    [
        (f"{CSV}1,Orné,male\n", "island", "correct it or add it to data.drop"),
        (f"{CSV}1,Dream,mâle\n", "sex", "correct it or choose another data.target"),
    ],
    ids=["feature", "target"],
)
def test_values_in_another_encoding_are_refused_by_column(
    repository: Project, content: str, column: str, end: str
) -> None:
    lay_csv(repository, content.encode("latin-1"))

    (line,) = refusal(repository)

    assert line == (
        f"column '{column}': expected numbers, text or booleans, found binary"
        f" (text that is not in UTF-8 is read as such); {end}"
    )


def test_column_names_in_another_encoding_are_refused(repository: Project) -> None:
    lay_csv(repository, CSV.replace("island", "île").encode("latin-1"))

    (line,) = refusal(repository)

    assert line == (
        "data/raw/table.csv: not readable as CSV in UTF-8 with one header line: "
        "'utf-8' codec can't decode byte 0xee in position 0: invalid continuation byte"
    )


@pytest.mark.parametrize(("number", "column"), [(1, "island"), (2, "sex")], ids=["feature", "target"])
def test_text_of_a_parquet_file_in_another_encoding_is_refused(repository: Project, number: int, column: str) -> None:
    binary = pa.array(["é".encode("latin-1"), b"a"] * 5)
    lay(**{column: pa.Array.from_buffers(pa.string(), 10, binary.buffers())})

    (line,) = refusal(repository)

    assert line == (
        "data/raw/table.parquet: not readable as Parquet: "
        f"Column {number}: In chunk 0: Invalid: Invalid UTF8 sequence at string index 0"
    )


def test_a_column_name_that_is_damaged_in_the_footer_is_refused(repository: Project) -> None:
    SOURCE.write_bytes(SOURCE.read_bytes().replace(b"length", b"l\xe9ngth"))

    (line,) = refusal(repository)

    assert line.startswith("data/raw/table.parquet: not readable as Parquet: ")


def test_a_csv_of_column_names_alone_is_refused(repository: Project) -> None:
    lay_csv(repository, b"length,island,sex\n")

    assert refusal(repository) == ["data/raw/table.csv: expected rows, found only column names"]


def test_a_parquet_of_column_names_alone_is_refused(repository: Project) -> None:
    pq.write_table(TEN.slice(0, 0), SOURCE)

    assert refusal(repository) == ["data/raw/table.parquet: expected rows, found only column names"]


def test_a_csv_that_names_a_column_twice_is_refused(repository: Project) -> None:
    lay_csv(repository, CSV.replace("island", "length", 1).encode())

    assert refusal(repository) == ["data/raw/table.csv: column 'length' is there 2 times; names must differ"]


def test_a_parquet_that_names_a_column_twice_is_refused(repository: Project) -> None:
    pq.write_table(TEN.rename_columns(["sex", "island", "sex"]), SOURCE)

    assert refusal(repository) == ["data/raw/table.parquet: column 'sex' is there 2 times; names must differ"]


def test_columns_that_are_not_there_are_refused_with_the_nearest_name(repository: Project) -> None:
    repository.set(data__target="sexe", data__drop=["iland", "iland", "zz"])

    assert refusal(repository) == [
        "params.yaml: data.target: 'sexe' is no column of data/raw/table.parquet; did you mean 'sex'?",
        "params.yaml: data.drop: 'iland' is no column of data/raw/table.parquet; did you mean 'island'?",
        "params.yaml: data.drop: 'zz' is no column of data/raw/table.parquet; known: island, length, sex",
    ]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (pa.nulls(10), "every value is missing"),
        (pa.nulls(10, pa.string()), "every value is missing"),
        ([float("nan")] * 10, "every value is missing"),
        ([float("inf"), -float("inf"), None, *range(7)], "expected finite numbers, found 2 infinite"),
        ([[1]] * 10, "expected numbers, text or booleans, found list<element: int64>"),
        ([{"a": 1}] * 10, "expected numbers, text or booleans, found struct<a: int64>"),
        (
            [b"\x00"] * 10,
            "expected numbers, text or booleans, found binary (text that is not in UTF-8 is read as such)",
        ),
        ([dt.datetime(2007, 11, 11)] * 10, "expected numbers, text or booleans, found timestamp[us]"),  # noqa: DTZ001
        ([dt.date(2007, 11, 11)] * 10, "expected numbers, text or booleans, found date32[day]"),
    ],
    ids=["null", "missing", "nan", "infinite", "list", "struct", "binary", "timestamp", "date"],
)
def test_a_feature_that_cannot_be_learned_from_is_refused_unless_it_is_dropped(
    repository: Project, values: object, complaint: str
) -> None:
    lay(extra=values)

    assert refusal(repository) == [f"column 'extra': {complaint}; correct it or add it to data.drop"]

    repository.set(data__drop=["extra"])
    train, test = prepared()

    assert train.column_names == test.column_names == TEN.column_names
    assert profile()["columns"]["extra"]["role"] == "dropped"


def test_a_feature_that_is_missing_wherever_the_target_is_known_is_refused(repository: Project) -> None:
    lay(length=[None] * 8 + [1.0, 2.0], sex=["f", "m"] * 4 + [None, None])

    assert refusal(repository) == ["column 'length': every value is missing; correct it or add it to data.drop"]


def test_a_table_without_features_is_refused(repository: Project) -> None:
    repository.set(data__drop=["length", "island"])

    assert refusal(repository) == [
        "data/raw/table.parquet: no feature is left beside the target 'sex'; shorten data.drop"
    ]


@pytest.mark.parametrize(
    ("task", "values", "complaint"),
    [
        ("classification", ["f"] * 9 + [None], "target 'sex': expected at least two classes, found only 'f'"),
        (
            "classification",
            ["f"] * 4 + ["m"] * 5 + ["x"],
            "target 'sex': 1 of 3 have one row only, such as 'x'; remove it",
        ),
        (
            "classification",
            ["f"] * 4 + ["m"] * 4 + ["x", "y"],
            "target 'sex': 2 of 4 have one row only, such as 'x'; remove it",
        ),
        (
            "classification",
            [0.5, 1.0] * 5,
            "target 'sex': expected classes for a classification, found fractions; check data.task",
        ),
        (
            "regression",
            ["f", "m"] * 5,
            "target 'sex': expected numbers for a regression, found string; check data.task",
        ),
        (
            "regression",
            [True, False] * 5,
            "target 'sex': expected numbers for a regression, found bool; check data.task",
        ),
        *(
            (task, pa.nulls(10), "column 'sex': every value is missing; correct it or choose another data.target")
            for task in ("classification", "regression")
        ),
        (
            "regression",
            [float("inf"), *range(9)],
            "column 'sex': expected finite numbers, found 1 infinite; correct it or choose another data.target",
        ),
    ],
    ids=[
        "one class",
        "one row",
        "two of one row",
        "fractions",
        "text",
        "boolean",
        "no classes",
        "no numbers",
        "infinite",
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    repository: Project, task: str, values: object, complaint: str
) -> None:
    repository.set(data__task=task)
    lay(sex=values)

    assert refusal(repository) == [complaint]


def test_all_columns_that_cannot_be_used_are_named_at_once(repository: Project) -> None:
    lay(length=pa.nulls(10), island=[float("inf")] * 10, sex=["f"] * 10)

    assert refusal(repository) == [
        "target 'sex': expected at least two classes, found only 'f'",
        "column 'length': every value is missing; correct it or add it to data.drop",
        "column 'island': expected finite numbers, found 10 infinite; correct it or add it to data.drop",
    ]


@pytest.mark.parametrize("test_size", [0.05, 0.1, 0.95])
def test_a_test_size_without_a_row_for_each_class_is_refused(repository: Project, test_size: float) -> None:
    repository.set(prepare__test_size=test_size)

    (line,) = refusal(repository)

    assert line.startswith(f"params.yaml: prepare.test_size: {test_size} of 10 rows cannot be split off: ")


@pytest.mark.parametrize("test_size", [0.1, 0.9])
def test_a_test_size_that_leaves_a_part_without_a_rare_class_is_refused(repository: Project, test_size: float) -> None:
    pq.write_table(pa.table({"length": range(20), "sex": ["f"] * 18 + ["m"] * 2}), SOURCE)
    repository.set(prepare__test_size=test_size)

    assert refusal(repository) == [
        f"params.yaml: prepare.test_size: {test_size} leaves a part without class 'm'; change it"
    ]


def test_a_regression_needs_two_rows_to_test_on(repository: Project) -> None:
    repository.set(data__task="regression", data__target="length", prepare__test_size=0.1)

    assert refusal(repository) == ["params.yaml: prepare.test_size: expected at least two rows to test on, found 1"]


def test_parameters_are_checked_before_the_table(repository: Project) -> None:
    SOURCE.unlink()
    repository.set(prepare__test_size=2)

    assert refusal(repository) == ["params.yaml: prepare.test_size: expected less than 1, found 2"]


def test_libraries_that_are_not_the_pinned_ones_are_refused(repository: Project) -> None:
    Path("requirements.txt").write_text("pyarrow==0.1\n")

    assert refusal(repository)[0].startswith("requirements.txt: pins pyarrow 0.1, installed is ")


def test_a_folder_that_cannot_be_written_ends_in_one_line(
    repository: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(PREPARED)
    PREPARED.write_bytes(b"a file in the folder's place")
    before = repository.snapshot(".")

    with pytest.raises(SystemExit) as end:
        run(prepare.main)

    said = capsys.readouterr().err
    assert end.value.code == 1
    assert said.startswith("error: data/prepared: ")
    assert said.count("\n") == 1
    assert repository.snapshot(".") == before


def test_the_parts_hold_every_row_once_in_the_order_of_the_table(repository: Project) -> None:
    repository.set(prepare__test_size=0.5)

    train, test = prepared()

    order = {length: row for row, length in enumerate(TEN["length"].to_pylist())}
    rows = [[order[length] for length in part["length"].to_pylist()] for part in (train, test)]
    assert sorted(rows[0] + rows[1]) == list(range(10))
    assert rows == [sorted(part) for part in rows]
    assert train.equals(TEN.take(rows[0]))
    assert test.equals(TEN.take(rows[1]))


@pytest.mark.usefixtures("repository")
def test_rows_without_a_target_are_dropped_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lay(sex=[None, "f", "f", "f", "f", "m", "m", "m", "m", None])

    train, test = prepared()

    assert sorted(train["length"].to_pylist() + test["length"].to_pylist()) == sorted(TEN["length"].to_pylist()[1:9])
    assert profile()["rows"] == {"read": 10, "dropped": {"sex is missing": 2}, "train": 6, "test": 2}
    assert capsys.readouterr().err.splitlines() == [
        "data/raw/table.parquet: 10 rows read, 2 dropped because sex is missing",
        "data/prepared: 6 rows to train on, 2 to test on",
    ]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    "values", [["f", "f", "f", "m"], [1, 1, 1, 0], [1.0, 1.0, 1.0, 0.0], [True, True, True, False]]
)
def test_each_class_has_its_share_of_both_parts(values: list[object]) -> None:
    pq.write_table(pa.table({"length": range(40), "sex": values * 10}), SOURCE)

    train, test = prepared()

    assert sorted(train["sex"].to_pylist()) == sorted(values * 8)
    assert sorted(test["sex"].to_pylist()) == sorted(values * 2)


def test_a_regression_takes_any_numbers(repository: Project) -> None:
    repository.set(data__task="regression", data__target="length")

    train, test = prepared()

    assert (len(train), len(test)) == (8, 2)
    assert train.column_names == ["island", "sex", "length"]


def test_test_size_decides_how_many_rows_are_kept_for_the_test(repository: Project) -> None:
    repository.set(prepare__test_size=0.6)

    train, test = prepared()

    assert (len(train), len(test)) == (4, 6)


def test_the_seed_alone_decides_which_rows_are_in_which_part(repository: Project) -> None:
    tests = {}
    for seed in (1, 2, 3, 1):
        repository.set(prepare__seed=seed)
        before, tests[seed] = tests.get(seed), prepared()[1].to_pydict()["length"]

    assert before == tests[1]
    assert len({tuple(lengths) for lengths in tests.values()}) > 1


def test_a_second_run_and_one_in_another_directory_give_the_same_bytes(
    repository: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.main()
    first = repository.snapshot("data/prepared")
    prepare.main()
    second = repository.snapshot("data/prepared")
    elsewhere = make_repository(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.chdir(elsewhere.path)
    prepare.main()

    assert second == first
    assert elsewhere.snapshot("data/prepared") == first


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    "columns",
    [
        {"length": TEN["length"].cast(pa.decimal128(5, 2))},
        {"island": TEN["island"].dictionary_encode(), "sex": TEN["sex"].dictionary_encode()},
        {"island": TEN["island"].cast(pa.large_string()), "sex": TEN["sex"].cast(pa.large_string())},
    ],
    ids=["decimals", "categories", "large strings"],
)
def test_another_spelling_of_the_same_table_gives_the_same_bytes(columns: dict[str, pa.Array]) -> None:
    prepare.main()
    plain = parts()
    lay(**columns)
    prepare.main()

    assert parts() == plain


def test_a_csv_gives_the_same_bytes_as_a_parquet_file(repository: Project) -> None:
    prepare.main()
    parquet = parts()
    sink = io.BytesIO()
    pa.csv.write_csv(TEN, sink)
    lay_csv(repository, sink.getvalue())
    prepare.main()

    assert parts() == parquet


@pytest.mark.usefixtures("repository")
def test_integers_beyond_what_a_double_holds_are_kept_as_they_are() -> None:
    numbers = [2**53 + 1 + row for row in range(10)]
    lay(length=numbers)

    train, test = prepared()

    assert sorted(train["length"].to_pylist() + test["length"].to_pylist()) == numbers


@pytest.mark.usefixtures("repository")
def test_nan_and_null_are_counted_alike() -> None:
    lay(length=[float("nan"), None, *range(8)])

    prepare.main()

    assert profile()["columns"]["length"] == {"type": "double", "role": "feature", "missing": 2, "distinct": 8}


def test_the_profile_says_what_was_read_and_found(repository: Project) -> None:
    repository.set(data__drop=["id", "when"], prepare__test_size=0.4, prepare__seed=7)
    lay(
        id=range(10),
        when=[dt.date(2007, 11, 11)] * 10,
        mass=[decimal.Decimal("3.5"), None] * 5,
        sex=[None, "f", "f", "f", "f", "m", "m", "m", "m", "m"],
    )

    prepare.main()

    assert profile() == {
        "readings": {
            "files": {name: dvc_md5(Path(name)) for name in ("data/raw/table.parquet", "requirements.txt")},
            "params": {
                "data": {
                    "path": "data/raw/table.parquet",
                    "target": "sex",
                    "task": "classification",
                    "drop": ["id", "when"],
                },
                "prepare": {"test_size": 0.4, "seed": 7},
            },
        },
        "rows": {"read": 10, "dropped": {"sex is missing": 1}, "train": 5, "test": 4},
        "columns": {
            "length": {"type": "double", "role": "feature", "missing": 0, "distinct": 10},
            "island": {"type": "string", "role": "feature", "missing": 0, "distinct": 2},
            "sex": {"type": "string", "role": "target", "missing": 1, "distinct": 2},
            "id": {"type": "int64", "role": "dropped", "missing": 0, "distinct": 10},
            "when": {"type": "date32[day]", "role": "dropped", "missing": 0, "distinct": None},
            "mass": {"type": "double", "role": "feature", "missing": 5, "distinct": 1},
        },
    }


@pytest.mark.usefixtures("repository")
def test_a_text_that_differs_in_every_row_is_noted_as_an_identifier(capsys: pytest.CaptureFixture[str]) -> None:
    lay(tag=[None, *"bcdefghij"])

    prepare.main()

    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == ["note: every value of 'tag' is different; if it is an identifier, add it to data.drop"]


@pytest.mark.usefixtures("repository")
def test_what_another_run_left_is_removed() -> None:
    prepare.main()

    assert {path.name for path in PREPARED.iterdir()} == {"train.parquet", "test.parquet", "profile.json"}


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("column", range(3))
def test_a_flipped_byte_of_a_value_is_found_when_the_part_is_read(column: int) -> None:
    prepare.main()
    path = PREPARED / "train.parquet"
    chunk = pq.read_metadata(path).row_group(0).column(column)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset - 1] ^= 1  # the end of the page before, which holds the column's distinct values
    path.write_bytes(content)

    with pytest.raises(Problem, match=r"^data/prepared/train\.parquet: not readable as Parquet: .*CRC"):
        read_table(path)
