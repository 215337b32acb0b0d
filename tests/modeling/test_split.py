from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import make_data

from modeling.split import split
from record.parameters import Prepare
from record.problem import Problem

SHARES = st.floats(0.15, 0.85)
TASKS = ["classification", "regression"]


@st.composite
def targets(draw: st.DrawFn) -> list[str]:
    """Classes of ten rows or more, in any order."""
    sizes = draw(st.lists(st.integers(10, 30), min_size=2, max_size=3))
    return draw(st.permutations([name for name, size in zip("abc", sizes, strict=False) for _ in range(size)]))


def parts(target: Any, share: float = 0.2, seed: int = 1, task: str = "classification") -> tuple[pa.Table, pa.Table]:
    """Both parts of a table with a target and the number of each row."""
    table = pa.table({"row": range(len(target)), "target": target})
    return split(table, make_data(task=task), Prepare(test_size=share, seed=seed))


@given(targets(), SHARES, st.sampled_from(TASKS), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_every_row_is_in_one_part_in_the_order_of_the_table_and_each_class_has_its_share_to_within_one_row(
    target: list[str], share: float, task: str, seed: int
) -> None:
    train, test = parts(target, share, seed, task)
    rows, classes = ([part[name].to_pylist() for part in (train, test)] for name in ("row", "target"))

    assert sorted(rows[0] + rows[1]) == list(range(len(target)))
    assert rows == [sorted(part) for part in rows]
    assert classes == [[target[i] for i in part] for part in rows]
    assert len(test) == int(len(target) * share + 0.5)
    for name in set(target) if task == "classification" else ():
        assert abs(classes[1].count(name) - target.count(name) * share) < 1 + 1e-9


@pytest.mark.parametrize("few", [["f", "f", "f", "m"], [1, 1, 1, 0], [1.0, 1.0, 1.0, 0.0], [True, True, True, False]])
def test_classes_of_every_type_are_in_equal_shares(few: list[Any]) -> None:
    train, test = parts(few * 10)

    assert sorted(train["target"].to_pylist()) == sorted(few * 8)
    assert sorted(test["target"].to_pylist()) == sorted(few * 2)


@pytest.mark.parametrize("task", TASKS)
def test_only_the_seed_decides_which_rows_are_in_the_test(task: str) -> None:
    tests = [parts([0, 1] * 20, seed=seed, task=task)[1]["row"].to_pylist() for seed in (1, 1, 2)]

    assert tests[0] == tests[1] != tests[2]


def test_the_split_of_a_seed_never_changes() -> None:
    """A release of a library that changed it would change every model."""
    whole = pa.array(["a", "b"] * 10)

    assert parts(whole)[1]["row"].to_pylist() == [0, 9, 11, 16]
    assert parts(pa.chunked_array([whole[:7], whole[7:]]))[1]["row"].to_pylist() == [0, 9, 11, 16]
    assert parts(range(20), task="regression")[1]["row"].to_pylist() == [5, 13, 17, 18]


@pytest.mark.parametrize(
    ("target", "share", "without"),
    [
        ("aaaaabbbbb", 0.05, "without 1 of 2 classes, such as 'a'"),
        *(("aaaaabbbbb", share, "without 2 of 2 classes, such as 'a'") for share in (0.01, 0.99)),
        *(("a" * 18 + "bb", share, "without 1 of 2 classes, such as 'b'") for share in (0.1, 0.9)),
        *((range(10), share, "with fewer than 2 rows") for share in (0.01, 0.1, 0.9, 0.99)),
    ],
)
def test_a_share_that_leaves_a_part_without_a_class_or_two_numbers_is_refused(
    target: Any, share: float, without: str
) -> None:
    with pytest.raises(Problem) as caught:
        parts(list(target), share, task="classification" if isinstance(target, str) else "regression")

    assert caught.value.lines == (
        f"params.yaml: prepare.test_size: {share} of {len(target)} rows leaves a part {without}; change it",
    )
