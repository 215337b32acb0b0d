from typing import Any

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import RIDGE, make_parameters

from modeling.dividing import Split
from modeling.split import Folds, folds_of
from modeling.summary import survey
from modeling.table import to_mask
from record.parameters import Parameters
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
    return parts_by("stratified", None, share, seed, task, target=target)


def parts_by(
    rule: str, by: Any, share: float = 0.2, seed: int = 1, task: str = "classification", **columns: Any
) -> tuple[pa.Table, pa.Table]:
    """Both parts of a table by one rule; `by` holds the values of the column of the groups or times."""
    table = pa.table({"row": range(len(next(iter(columns.values())))), **columns, **({} if by is None else {"by": by})})
    section = {"split": rule, "split_by": None if by is None else "by", "test_size": share, "seed": seed}
    return split(table, make_parameters(RIDGE, task=task, prepare=section))


def split(table: pa.Table, parameters: Parameters, rows: int = 7) -> tuple[pa.Table, pa.Table]:
    """Both parts of a table that goes by in batches of so many rows."""
    batches = [table.slice(start, rows) for start in range(0, len(table), rows)]
    runs = list(Split(survey(batches, table.schema, parameters), parameters).runs(batches))
    masks = [(run, to_mask(~is_test), to_mask(is_test)) for run, is_test in runs]
    train, test = (pa.concat_tables(run.filter(both[k]) for run, *both in masks) for k in range(2))
    return train, test


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
    assert parts_by("random", None, target=whole)[1]["row"].to_pylist() == [5, 13, 17, 18]
    assert parts(range(20), task="regression")[1]["row"].to_pylist() == [2, 6, 12, 17]
    groups = list("abcdefghij") * 2
    numbers = parts_by("group", groups, task="regression", target=range(20))
    assert numbers[1]["by"].unique().to_pylist() == ["e", "i"]


NUMBERS = st.floats(-9, 9).map(lambda number: number + 0.0)  # without -0.0, which the split takes for less than 0.0


@given(st.lists(NUMBERS, min_size=40, max_size=80), SHARES, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_each_tenth_of_a_numeric_target_has_its_share(target: list[float], share: float, seed: int) -> None:
    ranks = sorted(range(len(target)), key=lambda row: target[row])
    tenth_of = {row: rank * 10 // len(target) for rank, row in enumerate(ranks)}
    _, test = parts(target, share, seed, "regression")
    tested = [tenth_of[row] for row in test["row"].to_pylist()]

    for tenth in range(10):
        assert abs(tested.count(tenth) - [*tenth_of.values()].count(tenth) * share) < 1 + 1e-9


@given(st.lists(st.sampled_from("abcdefgh"), min_size=20, max_size=60), SHARES, st.integers(0, 99), st.data())
@settings(max_examples=100, deadline=None)
def test_no_group_is_on_both_sides_and_the_test_is_as_near_to_its_share_as_a_group_allows(
    groups: list[str], share: float, seed: int, data: st.DataObject
) -> None:
    hypothesis.assume(len({*groups}) > 3)
    target = data.draw(st.lists(st.floats(0, 1), min_size=len(groups), max_size=len(groups)))
    try:
        train, test = parts_by("group", groups, share, seed, "regression", target=target)
    except Problem as problem:
        assert "leaves a part with fewer than 2 rows" in str(problem)  # noqa: PT017
        return
    sides = [{*part["by"].to_pylist()} for part in (train, test)]

    assert not sides[0] & sides[1]
    assert len(train) + len(test) == len(groups)
    assert abs(len(test) - share * len(groups)) <= max(groups.count(name) for name in groups)


@given(st.lists(st.integers(0, 30), min_size=20, max_size=60), SHARES)
@settings(max_examples=100, deadline=None)
def test_no_training_row_is_as_late_as_a_test_row(times: list[int], share: float) -> None:
    times = times[: len(times) // 2 * 2]
    hypothesis.assume(len({*times}) > 5)
    try:
        train, test = parts_by("time", times, share, task="regression", target=[0.0, 1.0] * (len(times) // 2))
    except Problem as problem:
        assert "leaves a part with fewer than 2 rows" in str(problem)  # noqa: PT017
        return

    assert max(train["by"].to_pylist()) < min(test["by"].to_pylist())
    assert abs(len(test) - share * len(times)) <= max(times.count(time) for time in times)


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

    merge = ", or remove or merge such classes in a stage before" if isinstance(target, str) else ""
    assert caught.value.lines == (
        f"params.yaml: prepare.test_size: {share} of {len(target)} rows leaves a part {without}; change it{merge}",
    )


@pytest.mark.parametrize(("rule", "by"), [("group", ["a"] * 8 + ["b"] * 2), ("time", range(10))])
def test_a_split_that_leaves_a_part_without_a_class_names_what_to_change(rule: str, by: Any) -> None:
    with pytest.raises(
        Problem, match=rf"10 rows split by {rule} of 'by' leaves a part without .* change it, or another"
    ):
        parts_by(rule, by, target=list("aaaaaaaabb") if rule == "group" else list("abababaaaa"))


def folds(rule: str, target: Any, by: Any = None, task: str = "classification", count: int = 3) -> Folds:
    table = pa.table({"target": target} | ({} if by is None else {"by": by}))
    prepare = {"split": rule, "split_by": None if by is None else "by"}
    return folds_of(table, make_parameters(RIDGE, task=task, prepare=prepare, train={"folds": count}))


@pytest.mark.parametrize(
    ("rule", "by", "task"),
    [
        ("stratified", None, "classification"),
        ("stratified", None, "regression"),
        ("random", None, "classification"),
        ("random", None, "regression"),
        ("group", list("abcdef") * 10, "classification"),
        ("group", list("abcdef") * 10, "regression"),
        ("time", [row // 5 for row in range(60)], "classification"),
        ("time", [row // 5 for row in range(60)], "regression"),
    ],
)
def test_the_folds_follow_the_rule_of_the_split(rule: str, by: Any, task: str) -> None:
    target = [0, 1] * 30 if task == "classification" else [row**2 % 61 + 0.5 for row in range(60)]
    found = folds(rule, target, by, task)

    assert len(found) == 3
    scored = [row for _, rows in found for row in rows]
    assert len(scored) == len({*scored}) == (45 if rule == "time" else 60)
    for fit, score in found:
        assert not {*fit} & {*score}
        if rule == "group":
            assert not {by[row] for row in fit} & {by[row] for row in score}
        if rule == "time":
            assert max(by[row] for row in fit) < min(by[row] for row in score)
        if rule == "stratified":
            assert abs(sum(target[row] for row in score) - sum(target) / 3) < 0.1 * sum(target)
    assert all(
        (one == other).all()
        for a, b in zip(found, folds(rule, target, by, task), strict=True)
        for one, other in zip(a, b, strict=True)
    )


@pytest.mark.parametrize(
    ("rule", "target", "by", "task", "said"),
    [
        ("stratified", list("aaaab"), None, "classification", "each class needs 3 rows to train on, but 'b' has 1"),
        ("random", range(5), None, "regression", "3 folds need 6 rows, found 5 to train on"),
        ("random", list("ab"), None, "classification", "3 folds need 3 rows, found 2 to train on"),
        ("group", range(6), list("aabbab"), "regression", "3 folds need 3 groups of 'by' to train on, found 2"),
        ("group", range(6), list("aaaaaa"), "regression", "found 1; choose another prepare.split_by"),
        ("time", range(6), [1, 1, 2, 2, 3, 3], "regression", "need 4 different times of 'by' to train on, found 3"),
        ("time", list("aaaaab"), range(6), "classification", "by a time split leave one without 'b' to learn from"),
        ("random", list("aaaaaaab"), None, "classification", "by a random split leave one without 'b' to learn from"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(rule: str, target: Any, by: Any, task: str, said: str) -> None:
    with pytest.raises(Problem, match=r"params\.yaml: train\.folds: ") as refused:
        folds(rule, target, by, task)

    assert said in str(refused.value)
