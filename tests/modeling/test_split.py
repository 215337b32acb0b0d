import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import CHECKOUT

from modeling.split import split
from record.parameters import Data, Prepare
from record.problem import Problem

SHARES = st.floats(0.15, 0.85)


@st.composite
def targets(draw: st.DrawFn) -> list[str]:
    """Classes of ten rows or more, in any order."""
    sizes = draw(st.lists(st.integers(10, 30), min_size=2, max_size=3))
    return draw(st.permutations([name for name, size in zip("abc", sizes, strict=False) for _ in range(size)]))


def parts(target: Any, share: float = 0.2, seed: int = 1, task: str = "classification") -> tuple[pa.Table, pa.Table]:
    """Both parts of a table with a target and the number of each row."""
    table = pa.table({"row": range(len(target)), "target": target})
    return split(table, Data(path="t.csv", target="target", task=task, drop=[]), Prepare(test_size=share, seed=seed))


@given(targets(), SHARES, st.sampled_from(["classification", "regression"]))
@settings(max_examples=100, deadline=None)
def test_every_row_is_in_one_part_in_the_order_of_the_table(target: list[str], share: float, task: str) -> None:
    train, test = parts(target, share, task=task)
    rows = [part["row"].to_pylist() for part in (train, test)]

    assert sorted(rows[0] + rows[1]) == list(range(len(target)))
    assert rows == [sorted(part) for part in rows]
    assert [part["target"].to_pylist() for part in (train, test)] == [[target[i] for i in part] for part in rows]
    assert len(test) == int(len(target) * share + 0.5)


@given(targets(), SHARES, st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_each_class_has_its_share_to_within_one_row(target: list[str], share: float, seed: int) -> None:
    found = parts(target, share, seed)[1]["target"].to_pylist()

    assert all(abs(found.count(name) - target.count(name) * share) < 1 + 1e-9 for name in set(target))


@pytest.mark.parametrize("few", [["f", "f", "f", "m"], [1, 1, 1, 0], [1.0, 1.0, 1.0, 0.0], [True, True, True, False]])
def test_classes_of_every_type_are_in_equal_shares(few: list[Any]) -> None:
    train, test = parts(few * 10)

    assert sorted(train["target"].to_pylist()) == sorted(few * 8)
    assert sorted(test["target"].to_pylist()) == sorted(few * 2)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_only_the_seed_decides_which_rows_are_in_the_test(task: str) -> None:
    tests = [parts([0, 1] * 20, seed=seed, task=task)[1]["row"].to_pylist() for seed in (1, 1, 2)]

    assert tests[0] == tests[1] != tests[2]


def test_the_split_of_a_seed_never_changes() -> None:
    """A release of a library that changed it would change every model."""
    assert parts(["a", "b"] * 10)[1]["row"].to_pylist() == [0, 9, 11, 16]
    assert parts(range(20), task="regression")[1]["row"].to_pylist() == [5, 13, 17, 18]


def test_chunks_do_not_matter() -> None:
    whole = pa.array(["a", "b", "b", "a"] * 10)
    chunks = pa.chunked_array([whole.slice(0, 7), whole.slice(7)])

    assert parts(chunks)[1].equals(parts(whole)[1])


@pytest.mark.parametrize(
    ("target", "share", "without"),
    [
        ("aaaaabbbbb", 0.05, "without 1 of 2 classes, such as 'a'"),
        ("aaaaabbbbb", 0.01, "without 2 of 2 classes, such as 'a'"),
        ("aaaaabbbbb", 0.99, "without 2 of 2 classes, such as 'a'"),
        ("a" * 18 + "bb", 0.1, "without 1 of 2 classes, such as 'b'"),
        ("a" * 18 + "bb", 0.9, "without 1 of 2 classes, such as 'b'"),
    ],
)
def test_a_share_that_leaves_a_part_without_a_class_is_refused(target: str, share: float, without: str) -> None:
    with pytest.raises(Problem) as caught:
        parts(list(target), share)

    assert caught.value.lines == (
        f"params.yaml: prepare.test_size: {share} of {len(target)} rows leaves a part {without}; change it",
    )


@pytest.mark.parametrize("share", [0.01, 0.1, 0.9, 0.99])
def test_a_regression_needs_two_rows_in_each_part(share: float) -> None:
    with pytest.raises(Problem) as caught:
        parts(range(10), share, task="regression")

    assert caught.value.lines == (
        f"params.yaml: prepare.test_size: {share} of 10 rows leaves a part with fewer than 2 rows; change it",
    )


def test_splitting_loads_neither_pandas_nor_scikit_learn() -> None:
    code = """
import sys; sys.path.insert(0, "src")
from io import BytesIO
from pathlib import Path
from modeling import checks, split, table
from record.parameters import Data, Prepare
rows = table.parse_table(BytesIO(b"x,y\\n1.5,a\\n2.5,b\\n" + b"2.5,b\\n1.5,a\\n" * 9), Path("t.csv"))
for target, task in (("y", "classification"), ("x", "regression")):
    data = Data(path="t.csv", target=target, task=task, drop=[])
    checks.check_table(rows, data)
    checks.profile_columns(rows, data)
    checks.count_rows(rows, *split.split(checks.with_target(rows, data), data, Prepare(test_size=0.2, seed=1)), data)
print([name for name in ("pandas", "sklearn", "scipy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("[]\n", "")
