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
from commands import contract
from modeling.table import read_table
from record.checksums import digest
from record.problem import Problem

SOURCE, TABLE = Path("data/raw/table.parquet"), Path("data/raw/table.csv")
PREPARED = Path("data/prepared")
FILES = ("train.parquet", "test.parquet", "profile.json")
TEN = pa.table(
    {
        "length": [39.0, 36.75] * 5,
        "island": ["Biscoe", "Dream"] * 5,
        "sex": ["female", "female", "male", "male", "female"] * 2,
    }
)
CSV = b"length,island,sex\n39.1,Biscoe,female\n39.5,Dream,male\n40.3,Biscoe,female\n36.7,Dream,male\n"


pytestmark = pytest.mark.usefixtures("template")  # whose params.yaml they start from


def make_repository(folder: Path) -> Project:
    """A folder with what `prepare` needs: ten rows, and in data/prepared what another run left."""
    for name in ("params.yaml", "requirements.txt"):
        shutil.copy(CHECKOUT / name, folder)
    (folder / PREPARED).mkdir(parents=True)
    for name in (*FILES, "leftover.csv"):
        (folder / PREPARED / name).write_text(f"{name} of another run")
    (folder / SOURCE).parent.mkdir()
    pq.write_table(TEN, folder / SOURCE)
    repository = Project(folder)
    repository.set(data__path=SOURCE.as_posix())
    return repository


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return make_repository(tmp_path)


def write_raw(**columns: Any) -> None:
    """Make the raw table of the ten rows with some columns changed or added."""
    pq.write_table(pa.table(dict(zip(TEN.column_names, TEN.columns, strict=True)) | columns), SOURCE)


def write_raw_csv(repository: Project, content: bytes) -> None:
    repository.set(data__path=TABLE.as_posix())
    TABLE.write_bytes(content)


def refusal(repository: Project) -> list[str]:
    """The problems of `prepare`, which must leave data/prepared as it was."""
    before = repository.snapshot("data/prepared")
    with pytest.raises(Problem) as caught:
        prepare.main()

    assert len(before) == 4
    assert repository.snapshot("data/prepared") == before
    return list(caught.value.lines)


def parts() -> list[pa.Table]:
    return [read_table(PREPARED / name) for name in FILES[:2]]


def prepared() -> list[bytes]:
    """Run `prepare`; the bytes of both parts."""
    prepare.main()
    return [(PREPARED / name).read_bytes() for name in FILES[:2]]


def test_a_missing_or_empty_table_is_refused_with_the_remedy(repository: Project) -> None:
    SOURCE.write_bytes(b"")
    empty = refusal(repository)
    SOURCE.unlink()
    remedy = "dvc pull brings what DVC tracks, dvc repro makes what a stage makes"

    assert (empty, refusal(repository)) == (
        [f"{SOURCE}: expected a table, found an empty file"],
        [f"{SOURCE}: not found; {remedy}"],
    )


DAMAGES = {
    "text": lambda _: CSV,
    "stub": lambda _: b"PAR1",
    "no tail": lambda content: content[:-100],
    "no head": lambda content: content[4:],
    "encoding of names": lambda content: content.replace(b"length", b"l\xe9ngth"),
    "encoding of a feature": lambda content: content.replace(b"Dream", b"Dr\xe9am"),
    "encoding of the target": lambda content: content.replace(b"female", b"f\xe9male"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_parquet_is_refused(repository: Project, damage: Any) -> None:
    SOURCE.write_bytes(damage(SOURCE.read_bytes()))
    (line,) = refusal(repository)

    assert line.startswith(f"{SOURCE}: not readable as Parquet: ")


UNREADABLE = f"{TABLE}: not readable as CSV in utf-8 with one header line: "
ENCODING = "has text that is not in utf-8; set data.csv.encoding in params.yaml"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (CSV + b"1,Dream,male,2\n", f"{UNREADABLE}CSV parse error: Expected 3 columns, got 4: 1,Dream,male,2"),
        (b"\n\n", f"{UNREADABLE}CSV parse error: Empty CSV file or block: cannot infer number of columns"),
        (
            CSV.replace(b"isl", b"\xee"),
            f"{UNREADABLE}'utf-8' codec can't decode byte 0xee in position 0: invalid contin",
        ),
        (CSV + b"1,Orn\xe9,male\n", f"{TABLE}: column 'island': {ENCODING}"),
        (CSV + b"1,Dream,m\xe2le\n", f"{TABLE}: column 'sex': {ENCODING}"),
    ],
    ids=["longer", "blank", "encoding of names", "encoding of a feature", "encoding of the target"],
)
def test_a_damaged_csv_is_refused_with_the_reason(repository: Project, content: bytes, line: str) -> None:
    write_raw_csv(repository, content)
    (found,) = refusal(repository)

    assert found.startswith(line)


def test_every_duplicate_column_name_is_refused(repository: Project) -> None:
    pq.write_table(TEN.append_column("island", TEN["sex"]).append_column("sex", TEN["sex"]), SOURCE)

    twice = "occurs 2 times; names must differ"
    assert refusal(repository) == [f"{SOURCE}: column '{name}' {twice}" for name in ("island", "sex")]


def test_the_environment_is_checked_before_the_parameters_the_table_and_the_split(repository: Project) -> None:
    repository.set(prepare__test_size=0.05)
    of_split = refusal(repository)
    write_raw(length=[float("inf"), *range(9)])
    of_table = refusal(repository)
    SOURCE.unlink()
    repository.set(prepare__test_size=2)
    of_parameters = refusal(repository)
    Path("requirements.txt").write_text("pyarrow==0.1\n")

    assert of_split[0].startswith("params.yaml: prepare.test_size: 0.05 of 10 rows leaves a part without ")
    assert of_table == ["column 'length': expected finite numbers, found 1 infinite; correct it or add it to data.drop"]
    assert of_parameters == ["params.yaml: prepare.test_size: expected less than 1, found 2"]
    assert refusal(repository)[0].startswith("requirements.txt: pins pyarrow 0.1, installed is ")


def test_each_row_with_a_target_is_in_one_part_in_full_and_the_target_comes_last(repository: Project) -> None:
    repository.set(data__target="length", data__task="regression", prepare__test_size=0.4)
    numbers = [2**53 + row for row in range(9)]  # beyond what a double can represent
    write_raw(length=[None, *numbers])
    prepare.main()
    train, test = parts()

    assert (len(train), len(test)) == (5, 4)
    assert sorted(pa.concat_tables([train, test])["length"].to_pylist()) == numbers
    assert train.column_names == test.column_names == ["island", "sex", "length"]


def test_the_same_table_in_other_types_or_as_a_csv_gives_the_same_bytes(repository: Project) -> None:
    plain = prepared()
    write_raw(length=TEN["length"].cast(pa.decimal128(5, 2)), sex=TEN["sex"].dictionary_encode())
    others = prepared()
    sink = io.BytesIO()
    pa.csv.write_csv(TEN, sink)
    write_raw_csv(repository, sink.getvalue())

    assert others == prepared() == plain


def test_the_profile_records_what_was_read_and_the_cost_and_leftovers_are_removed(repository: Project) -> None:
    repository.set(data__drop=["island"], prepare__test_size=0.4, prepare__seed=7)
    prepare.main()
    profile = json.loads((PREPARED / "profile.json").read_text("utf-8"))
    asked = {"path": SOURCE.as_posix(), "target": "sex", "task": "classification", "drop": ["island"]}

    files, params = profile["readings"].values()
    assert files == {name: digest(Path(name)).md5 for name in (SOURCE.as_posix(), "requirements.txt")}
    prepare_section = {"split": "stratified", "split_by": None, "test_size": 0.4, "seed": 7}
    assert params == {"data": params["data"] | asked, "prepare": prepare_section, "train.slices": []}
    assert profile["rows"] == {"read": 10, "dropped": {}, "train": 6, "test": 4}
    assert list(profile["columns"]) == ["length", "island", "sex"]
    assert {path.name for path in PREPARED.iterdir()} == set(FILES)
    assert Path(f".dvc/tmp/lineage/{digest(PREPARED / 'profile.json').md5}.json").is_file()


def test_rows_and_warnings_are_reported_and_noted(capsys: pytest.CaptureFixture[str]) -> None:
    write_raw(tag=[None, *"bcdefghij"], sex=[None, *"ffmmffmm", None])
    prepare.main()
    text = "column 'tag': every value is different; if it is an identifier, add it to data.drop"
    warning = {"name": "identifier", "column": "tag", "text": text}

    assert json.loads((PREPARED / "profile.json").read_text("utf-8"))["warnings"] == [warning]
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {text}",
        f"{SOURCE}: 10 rows read, 2 dropped because sex is missing",
        "6 rows to train on, 2 to test on",
    ]


USABLE = "expected what a model can learn from, found list<element: string>"
CONTRACT = Path("data/contract.yaml")


def test_the_contract_is_checked_first_with_all_breaches_and_its_missing_values_count(repository: Project) -> None:
    repository.set(data__target="nothing")
    CONTRACT.write_text(
        "missingValues: ['', '?']\nfields:\n"
        "  - {name: length, type: number, constraints: {maximum: 38}}\n"
        "  - {name: island, constraints: {required: true}}\n"
        "  - {name: tags, type: any, constraints: {required: true}}\n"
    )
    write_raw(island=["?", "", *["Dream"] * 8], tags=[["a"]] * 10)

    assert [line.removeprefix(f"{SOURCE}: ") for line in refusal(repository)] == [
        "column 'length': expected at most 38; 5 rows differ: 39 in row 1, 39 in row 3, 39 in row 5, …",
        "column 'island': expected a value; 2 rows differ: nothing in row 1, nothing in row 2",
        f"column 'tags': {USABLE}; 10 rows differ: ['a'] in row 1, ['a'] in row 2, ['a'] in row 3, …",
        f"{CONTRACT}: asks for this; correct the table in a new snapshot, or change what is asked",
    ]


def test_a_contract_that_holds_is_kept_in_the_profile_and_among_what_was_read() -> None:
    CONTRACT.write_text("fields: [{name: sex, constraints: {required: true}}, {name: tags, type: any}]\n")
    write_raw(tags=[["a"]] * 10)
    prepare.main()
    profile = json.loads((PREPARED / "profile.json").read_text("utf-8"))

    assert profile["contract"]["fields"] == [
        {"name": "sex", "constraints": {"required": True}},
        {"name": "tags", "type": "any"},
    ]
    assert profile["readings"]["files"][CONTRACT.as_posix()] == digest(CONTRACT).md5


def test_a_drafted_contract_holds_where_its_missing_values_are_in_the_table() -> None:
    write_raw(island=["", *["Dream"] * 9], day=["", *["2024-01-01"] * 9])
    shutil.copy(CHECKOUT / "dvc.yaml", "dvc.yaml")
    contract.run(None)
    prepare.main()

    assert json.loads((PREPARED / "profile.json").read_text("utf-8"))["contract"]["fields"][3]["type"] == "date"
