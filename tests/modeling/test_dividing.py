"""A table is prepared to the same bytes whatever its format, its files and its batches, and in bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tables import RIDGE, make_data, make_parameters

from modeling import dividing, reading
from modeling.checks import check_table, prepared_columns
from modeling.dividing import divide
from modeling.pitfalls import pitfalls_of
from modeling.reading import read_raw
from modeling.summary import survey
from record.parameters import Parameters
from record.problem import Problem

ROWS = 400
RANDOM = np.random.default_rng(0)
DAYS = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]")


def table(rows: int = ROWS) -> pa.Table:
    mass = RANDOM.normal(size=rows)
    return pa.table(
        {
            "mass": pa.array(mass, mask=RANDOM.random(rows) < 0.1),
            "site": RANDOM.choice(["a", "b", "c d", "é"], rows),
            "shop": [f"shop {k}" for k in RANDOM.integers(0, 50, rows)],
            "day": pa.array(RANDOM.choice(DAYS, rows)),
            "flag": RANDOM.random(rows) < 0.5,
            "label": pa.array(np.where(mass > 0, "yes", "no"), mask=RANDOM.random(rows) < 0.05),
            "amount": mass * 3,
        }
    )


def asked(rule: str, task: str, share: float = 0.25) -> Parameters:
    by = {"group": "shop", "time": "day"}.get(rule)
    section = {"split": rule, "split_by": by, "test_size": share, "seed": 3}
    return make_parameters(RIDGE, {"classification": "label", "regression": "amount"}[task], task, prepare=section)


def prepared(path: Path, parameters: Parameters) -> tuple[list[bytes], Any]:
    raw = read_raw(path, parameters.data)
    found = survey(raw.batches(), raw.schema, parameters)
    check_table(found, parameters)
    parts = path.with_name("train.parquet"), path.with_name("test.parquet")
    divided = divide(raw, found, prepared_columns(found.columns, parameters), parts, parameters)
    pitfalls = pitfalls_of(found, divided.features, divided.sample.table, divided.overlap, parameters)
    return [part.read_bytes() for part in parts], [pitfall.text for pitfall in pitfalls]


@pytest.mark.parametrize("rule", ["stratified", "random", "group", "time"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_parts_do_not_depend_on_format_files_and_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, task: str
) -> None:
    rows, parameters = table(), asked(rule, task)
    pq.write_table(rows, tmp_path / "t.parquet")
    pyarrow.csv.write_csv(rows, tmp_path / "t.csv")
    (tmp_path / "folder").mkdir()
    for k, start in enumerate((0, 150, 151)):
        pq.write_table(rows.slice(start, (150, 1, ROWS)[k]), tmp_path / f"folder/{k}.parquet", row_group_size=60)
    expected = prepared(tmp_path / "t.parquet", parameters)

    for batch, block in ((7, 512), (64, 4096)):
        monkeypatch.setattr(reading, "BATCH", batch)
        monkeypatch.setattr(reading, "BLOCK", block)
        for name in ("t.parquet", "t.csv", "folder"):
            assert prepared(tmp_path / name, parameters) == expected, (name, batch)


@pytest.mark.parametrize("rule", ["stratified", "random", "group", "time"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_table_of_many_runs_has_the_shares_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, task: str
) -> None:
    monkeypatch.setattr(dividing, "RUN", 32)
    rows, parameters = table(3000), asked(rule, task)
    pq.write_table(rows, tmp_path / "t.parquet")
    prepared(tmp_path / "t.parquet", parameters)
    train, test = (pq.read_table(tmp_path / f"{part}.parquet") for part in ("train", "test"))
    target = parameters.data.target
    known = rows.filter(rows[target].is_valid())

    assert len(train) + len(test) == len(known)
    assert len(test) == pytest.approx(len(known) / 4, abs={"group": 40, "time": 60}.get(rule, 10))
    if rule == "group":
        assert not {*train["shop"].to_pylist()} & {*test["shop"].to_pylist()}
    elif rule == "time":
        assert max(train["day"].to_pylist()) < min(test["day"].to_pylist())
    elif (rule, task) == ("stratified", "classification"):
        for value in ("yes", "no"):
            count = known[target].to_pylist().count(value)
            assert abs(test[target].to_pylist().count(value) - count / 4) <= 1
    elif rule == "stratified":
        means = [np.mean(part[target].to_pylist()) for part in (train, test)]
        assert means[0] == pytest.approx(means[1], abs=0.1)


def test_one_odd_cell_in_the_last_row_of_a_long_file_is_named_with_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 16)
    monkeypatch.setattr(reading, "BLOCK", 1024)
    (tmp_path / "t.csv").write_text("x,y\n" + "1.5,a\n2,b\n" * 2000 + "-,a\n")

    with pytest.raises(
        Problem, match=r"column 'x': 4,000 of 4,001 values are numbers, but '-' is in 1 row, first in row 4,001"
    ):
        read_raw(tmp_path / "t.csv", make_parameters(RIDGE, "y").data)


@pytest.mark.parametrize("place", [0, 100, 200])
def test_a_row_that_is_larger_than_a_block_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    monkeypatch.setattr(reading, "BATCH", 4)
    monkeypatch.setattr(reading, "BLOCK", 1024)
    cells = ["short"] * place + ["long " * 1000] + ["short"] * (200 - place)
    (tmp_path / "t.csv").write_text("x,n\n" + "".join(f"{cell},{k}\n" for k, cell in enumerate(cells)))
    found = read_raw(tmp_path / "t.csv", make_parameters(RIDGE, "n").data).table

    assert (found["x"].to_pylist(), found["n"].to_pylist()) == (cells, [*range(201)])


def test_blocks_are_no_larger_than_twice_the_largest_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, usual = [], reading.text_options
    monkeypatch.setattr(reading, "text_options", lambda *asked: sizes.append(asked[-1]) or usual(*asked))
    (tmp_path / "t.csv").write_text("x,n\n" + "a,1\n" * 9000 + f"{'a' * 5000},2\n" + "a,1\n" * 9000)
    rows = reading.text_rows(tmp_path / "t.csv", make_data(), dict.fromkeys("xn", pa.string()), block=1024)

    assert sum(map(len, rows)) == 18_001
    assert max(sizes) in {4096, 8192}  # the row may lie so that it is in two blocks


def test_a_quote_that_is_left_open_is_named_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST_BLOCK", 1 << 20)
    (tmp_path / "t.csv").write_text("x,n\n1,2\n" + '"3,4\n' + "5,6\n" * 2**20)

    with pytest.raises(Problem, match=r"a row after the first \d+ is larger than 1 MiB; if a quote was left open"):
        read_raw(tmp_path / "t.csv", make_data(target="n"))


def test_a_header_that_is_larger_than_a_block_is_read(tmp_path: Path) -> None:
    names = [str(k) * 5000 for k in range(50)]
    (tmp_path / "t.csv").write_text(",".join(names) + "\n")

    assert reading.names_in(tmp_path / "t.csv", make_data()) == names


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_times_of_which_none_is_late_enough_are_refused(tmp_path: Path, task: str) -> None:
    """The test would be nearest to its share if it had no rows at all."""
    rows = table().drop_columns("day").append_column("day", pa.array(np.arange(ROWS) % 2))
    pq.write_table(rows, tmp_path / "t.parquet")

    with pytest.raises(Problem, match=r"test_size: 0\.2 of \d+ rows split by time of 'day' leaves a part with"):
        prepared(tmp_path / "t.parquet", asked("time", task, 0.2))


def test_a_feature_without_a_value_in_training_is_taken_out_of_both_parts(tmp_path: Path) -> None:
    rows = pa.table({"x": [*range(40)], "late": [None] * 39 + [1.0], "when": [*range(40)], "target": ["f", "m"] * 20})
    pq.write_table(rows, tmp_path / "t.parquet")
    parameters = make_parameters(RIDGE, prepare={"split": "time", "split_by": "when"}, train={"slices": ["x"]})
    _, said = prepared(tmp_path / "t.parquet", parameters)

    assert [pq.read_schema(tmp_path / f"{part}.parquet").names for part in ("train", "test")] == [
        ["x", "when", "target"]
    ] * 2
    assert "column 'late': has no value in any training row, so it is left out" in said
