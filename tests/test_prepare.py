"""Stage 1: which files it reads and writes."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from projects import CHECKOUT, Project

import prepare
from modeling.table import read_table
from record.checksums import digest
from record.problem import Problem, run

SOURCE = Path("data/raw/table.parquet")
PREPARED = Path("data/prepared")
TEN = pa.table(
    {
        "length": [39.0, 39.5, 40.25, 36.75, 39.25, 38.5, 38.75, 34.0, 42.5, 37.75],
        "island": ["Biscoe", "Dream"] * 5,
        "sex": ["female", "female", "male", "male", "female", "male", "female", "male", "male", "female"],
    }
)
CSV = b"length,island,sex\n39.1,Biscoe,female\n39.5,Dream,male\n40.3,Biscoe,female\n36.7,Dream,male\n"


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


def write_raw(**columns: Any) -> None:
    """Make the raw table of the ten rows with some columns changed or added."""
    pq.write_table(pa.table(dict(zip(TEN.column_names, TEN.columns, strict=True)) | columns), SOURCE)


def write_raw_csv(repository: Project, content: bytes) -> None:
    """Make the raw table a CSV file."""
    repository.set(data__path="data/raw/table.csv")
    (repository.path / "data/raw/table.csv").write_bytes(content)


def refusal(repository: Project) -> list[str]:
    """The problems of `prepare`, which must leave data/prepared as it was."""
    before = repository.snapshot("data/prepared")

    with pytest.raises(Problem) as caught:
        prepare.main()

    assert len(before) == 4
    assert repository.snapshot("data/prepared") == before
    return list(caught.value.lines)


def parts() -> list[bytes]:
    """Run `prepare`; the bytes of both parts."""
    prepare.main()
    return [(PREPARED / name).read_bytes() for name in ("train.parquet", "test.parquet")]


def test_a_missing_table_is_refused_with_the_remedy(repository: Project) -> None:
    SOURCE.unlink()

    assert refusal(repository) == [
        f"{SOURCE.as_posix()}: not found; dvc pull brings what DVC tracks, dvc repro makes what a stage makes"
    ]


@pytest.mark.parametrize("name", ["data/raw/table.parquet", "data/raw/table.csv"])
def test_an_empty_file_is_refused(repository: Project, name: str) -> None:
    Path(name).write_bytes(b"")
    repository.set(data__path=name)

    assert refusal(repository) == [f"{name}: expected a table, found an empty file"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"length,sex\n39.1,female\n",
        lambda _: b"PAR1",
        lambda _: bytes(100),
        lambda content: content[:-100],
        lambda content: content[4:],
        lambda content: content[:200],
        lambda content: content.replace(b"length", b"l\xe9ngth"),
    ],
    ids=["text", "stub", "zeros", "no tail", "no head", "only the head", "column name"],
)
def test_a_damaged_parquet_is_refused(repository: Project, damage: Any) -> None:
    SOURCE.write_bytes(damage(SOURCE.read_bytes()))

    (line,) = refusal(repository)

    assert line.startswith("data/raw/table.parquet: not readable as Parquet: ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CSV + b"1,Dream,male,2\n", "CSV parse error: Expected 3 columns, got 4: 1,Dream,male,2"),
        (CSV + b"1,Dream\n", "CSV parse error: Expected 3 columns, got 2: 1,Dream"),
        (b"\n\n", "CSV parse error: Empty CSV file or block: cannot infer number of columns"),
        (
            CSV.replace(b"island", b"\xeele"),
            "'utf-8' codec can't decode byte 0xee in position 0: invalid continuation byte",
        ),
    ],
    ids=["longer", "shorter", "blank", "encoding of names"],
)
def test_a_damaged_csv_is_refused_with_the_reason(repository: Project, content: bytes, reason: str) -> None:
    write_raw_csv(repository, content)

    assert refusal(repository) == [f"data/raw/table.csv: not readable as CSV in UTF-8 with one header line: {reason}"]


@pytest.mark.parametrize(
    ("row", "column", "end"),
    [
        ("1,Orné,male\n", "island", "correct it or add it to data.drop"),
        ("1,Dream,mâle\n", "sex", "correct it or choose another data.target"),
    ],
    ids=["feature", "target"],
)
def test_csv_values_in_another_encoding_are_refused_by_column(
    repository: Project, row: str, column: str, end: str
) -> None:
    write_raw_csv(repository, CSV + row.encode("latin-1"))

    found = "expected numbers, text or booleans, found binary (text that is not in UTF-8 is read as such)"
    assert refusal(repository) == [f"column '{column}': {found}; {end}"]


@pytest.mark.parametrize(("number", "column"), [(1, "island"), (2, "sex")], ids=["feature", "target"])
def test_parquet_text_in_another_encoding_is_refused(repository: Project, number: int, column: str) -> None:
    binary = pa.array(["é".encode("latin-1"), b"a"] * 5)
    write_raw(**{column: pa.Array.from_buffers(pa.string(), 10, binary.buffers())})

    reason = f"Column {number}: In chunk 0: Invalid: Invalid UTF8 sequence at string index 0"
    assert refusal(repository) == [f"data/raw/table.parquet: not readable as Parquet: {reason}"]


def test_a_duplicate_column_name_is_refused(repository: Project) -> None:
    pq.write_table(TEN.rename_columns(["sex", "island", "sex"]), SOURCE)
    in_parquet = refusal(repository)
    write_raw_csv(repository, CSV.replace(b"island", b"length", 1))

    assert in_parquet == ["data/raw/table.parquet: column 'sex' occurs 2 times; names must differ"]
    assert refusal(repository) == ["data/raw/table.csv: column 'length' occurs 2 times; names must differ"]


def test_an_unusable_table_is_refused(repository: Project) -> None:
    write_raw(length=pa.nulls(10))

    assert refusal(repository) == ["column 'length': every value is missing; correct it or add it to data.drop"]


def test_an_impossible_split_is_refused(repository: Project) -> None:
    repository.set(prepare__test_size=0.05)

    (line,) = refusal(repository)

    assert line.startswith("params.yaml: prepare.test_size: 0.05 of 10 rows leaves a part without ")


def test_parameters_are_checked_before_the_table(repository: Project) -> None:
    SOURCE.unlink()
    repository.set(prepare__test_size=2)

    assert refusal(repository) == ["params.yaml: prepare.test_size: expected less than 1, found 2"]


def test_libraries_in_other_versions_are_refused_first(repository: Project) -> None:
    repository.set(prepare__test_size=2)
    Path("requirements.txt").write_text("pyarrow==0.1\n")

    assert refusal(repository)[0].startswith("requirements.txt: pins pyarrow 0.1, installed is ")


def test_an_unwritable_folder_is_reported_in_one_line(repository: Project, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_each_row_with_a_target_is_in_one_part_and_the_target_comes_last(repository: Project) -> None:
    repository.set(data__target="length", data__task="regression", prepare__test_size=0.4)
    write_raw(length=[None, *TEN["length"].to_pylist()[1:]])
    prepare.main()
    train, test = (read_table(PREPARED / name) for name in ("train.parquet", "test.parquet"))

    assert (len(train), len(test)) == (5, 4)
    assert sorted(pa.concat_tables([train, test])["length"].to_pylist()) == sorted(TEN["length"].to_pylist()[1:])
    assert train.column_names == test.column_names == ["island", "sex", "length"]


@pytest.mark.usefixtures("repository")
def test_integers_beyond_what_a_double_can_represent_are_kept() -> None:
    numbers = [2**53 + 1 + row for row in range(10)]
    write_raw(length=numbers)
    prepare.main()
    tables = [read_table(PREPARED / name) for name in ("train.parquet", "test.parquet")]

    assert sorted(tables[0]["length"].to_pylist() + tables[1]["length"].to_pylist()) == numbers


def test_a_second_run_and_one_in_another_folder_give_the_same_bytes(
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
def test_the_same_table_in_other_types_gives_the_same_bytes(columns: dict[str, pa.Array]) -> None:
    plain = parts()
    write_raw(**columns)

    assert parts() == plain


def test_a_csv_gives_the_same_bytes_as_a_parquet_file(repository: Project) -> None:
    parquet = parts()
    sink = io.BytesIO()
    pa.csv.write_csv(TEN, sink)
    write_raw_csv(repository, sink.getvalue())

    assert parts() == parquet


def test_the_profile_records_what_was_read(repository: Project) -> None:
    repository.set(data__drop=["island"], prepare__test_size=0.4, prepare__seed=7)
    prepare.main()
    profile = json.loads((PREPARED / "profile.json").read_text("utf-8"))
    data = {"path": SOURCE.as_posix(), "target": "sex", "task": "classification", "drop": ["island"]}

    assert profile["readings"] == {
        "files": {name: digest(Path(name)).md5 for name in (SOURCE.as_posix(), "requirements.txt")},
        "params": {"data": data, "prepare": {"test_size": 0.4, "seed": 7}},
    }
    assert profile["rows"] == {"read": 10, "dropped": {}, "train": 6, "test": 4}
    assert list(profile["columns"]) == ["length", "island", "sex"]


@pytest.mark.usefixtures("repository")
def test_rows_and_possible_identifiers_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    write_raw(tag=[None, *"bcdefghij"], sex=[None, *["f", "m"] * 4, None])
    prepare.main()

    assert capsys.readouterr().err.splitlines() == [
        "data/raw/table.parquet: 10 rows read, 2 dropped because sex is missing",
        "note: every value of 'tag' is different; if it is an identifier, add it to data.drop",
        "6 rows to train on, 2 to test on",
    ]


@pytest.mark.usefixtures("repository")
def test_leftovers_of_another_run_are_removed_and_the_cost_is_noted() -> None:
    prepare.main()

    assert {path.name for path in PREPARED.iterdir()} == {"train.parquet", "test.parquet", "profile.json"}
    assert Path(f".dvc/tmp/lineage/{digest(PREPARED / 'profile.json').md5}.json").is_file()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("column", range(3))
def test_a_flipped_byte_of_a_value_is_detected_when_the_part_is_read(column: int) -> None:
    prepare.main()
    path = PREPARED / "train.parquet"
    chunk = pq.read_metadata(path).row_group(0).column(column)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset - 1] ^= 1  # the end of the page before, which holds the column's distinct values
    path.write_bytes(content)

    with pytest.raises(Problem, match=r"^data/prepared/train\.parquet: not readable as Parquet: .*CRC"):
        read_table(path)
