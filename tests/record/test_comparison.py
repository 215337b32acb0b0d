from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import changed, document

from record.comparison import GROUPS, Change, compare, flatten, short, word
from record.manifest import Manifest

KEYS = st.sampled_from(["a", "b", "ab"])
LEAVES = st.none() | st.integers() | st.just("text") | st.lists(st.integers(), max_size=2)
NESTED = LEAVES | st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES))


def changes(whole: dict[str, Any]) -> dict[str, list[Change]]:
    """What differs from the unchanged document."""
    return compare(Manifest.model_validate(document()), Manifest.model_validate(whole))


def test_nothing_differs_from_itself() -> None:
    assert changes(document()) == {}


@pytest.mark.parametrize(
    ("path", "value", "group", "change"),
    [
        ("inputs.0.size", 9, "data", Change("data/raw/penguins.parquet.size", 1, 9)),
        (
            "inputs.1.origin.revision",
            "7" * 40,
            "data",
            Change("data/shared/islands.csv.origin.revision", "6" * 40, "7" * 40),
        ),
        ("data.train.rows", 7, "data", Change("train.rows", 8, 7)),
        ("model.target", "species", "data", Change("target", "sex", "species")),
        ("stages.prepare.cmd", "python x.py", "code", Change("prepare.cmd", "python src/prepare.py", "python x.py")),
        ("params.estimator.C", 0.1, "parameters", Change("estimator.C", 1.0, 0.1)),
        ("params.estimator.l1", 0.1, "parameters", Change("estimator.l1", None, 0.1)),
        (
            "stages.prepare.params",
            {"params.yaml": {"data": {"drop": ["id"]}, "clean": {"above": 4}}},
            "parameters",
            Change("prepare.clean.above", 3, 4),
        ),
        ("params.data.drop", ["id"], "parameters", Change("data.drop", [], ["id"])),
        ("environment.packages.numpy", "2.5.0", "environment", Change("packages.numpy", "2.4.6", "2.5.0")),
        ("environment.numeric.OMP_NUM_THREADS", "2", "environment", Change("numeric.OMP_NUM_THREADS", "1", "2")),
        ("environment.python", "3.12.1", "environment", Change("python", "3.11.7", "3.12.1")),
        ("run.platform", "Darwin-arm64", "environment", Change("platform", "Linux-x86_64", "Darwin-arm64")),
        (
            "metrics.balanced_accuracy.test",
            0.5,
            "metrics",
            Change("balanced_accuracy.test", 0.875, 0.5),
        ),
    ],
)
def test_a_change_is_named_in_its_group_and_no_other(path: str, value: object, group: str, change: Change) -> None:
    assert changes(changed(path, value)) == {group: [change]}


@pytest.mark.parametrize("path", ["run.created_at", "run.git", "run.experiment"])
def test_when_and_by_whom_it_was_made_is_no_change(path: str) -> None:
    value = "2027-01-01T00:00:00Z" if path == "run.created_at" else None

    assert changes(changed(path, value)) == {}


def test_a_changed_file_of_code_is_named_and_a_table_counts_as_data_alone() -> None:
    whole = document()
    whole["stages"]["prepare"]["deps"] = {"src/prepare.py": "9" * 32, "data/raw/penguins.parquet": "8" * 32}

    assert changes(whole) == {"code": [Change("src/prepare.py", "1" * 32, "9" * 32)]}


def test_a_stage_that_was_added_is_named_by_its_command_code_and_parameters() -> None:
    whole = document()
    whole["stages"]["clean"] = {
        "cmd": "python clean.py",
        "params": {"other.yaml": {"a": 1}, "params.yaml": {"clean": {"above": 1}}},
        "deps": {"src/clean.py": "7" * 32, "data/shared": f"{'8' * 32}.dir"},
        "outs": {"data/clean.csv": "6" * 32},
    }

    assert changes(whole) == {
        "code": [Change("src/clean.py", None, "7" * 32), Change("clean.cmd", None, "python clean.py")],
        "parameters": [Change("clean.clean.above", None, 1)],
    }


def test_causes_come_before_effects() -> None:
    whole = document()
    whole["metrics"], whole["params"]["estimator"]["C"] = {}, 2.0
    whole["environment"]["python"], whole["model"]["target"] = "3.13.0", "species"
    whole["stages"]["prepare"]["cmd"] = "true"

    assert tuple(changes(whole)) == GROUPS == ("data", "code", "parameters", "environment", "metrics")


@given(st.dictionaries(KEYS, NESTED))
def test_a_flat_document_has_every_leaf_by_its_keys(nested: dict[str, Any]) -> None:
    def leaves(value: Any, *keys: str) -> list[tuple[str, Any]]:
        if not isinstance(value, dict):
            return [(".".join(keys), value)]
        return [leaf for key, part in value.items() for leaf in leaves(part, *keys, key)]

    assert flatten(nested) == dict(leaves(nested))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, 3, "added: 3"),
        ("a", None, "removed: a"),
        ("a" * 64, "b" * 32 + ".dir", "aaaaaaaa → bbbbbbbb"),
        (True, [1.0, "x", {"name": "id", "dtype": "int64", "nullable": True}], "true → [1.0, x, id int64?]"),
        (0.1 + 0.2, 1e-9, "0.3 → 1e-09"),
        (3, "aaaaaaaaa", "3 → aaaaaaaaa"),
    ],
)
def test_a_change_is_told_in_the_words_of_params_yaml(before: object, after: object, words: str) -> None:
    assert str(Change("a.b", before, after)) == f"a.b: {words}"


def test_a_short_hash_is_the_beginning_of_the_whole_one() -> None:
    assert short("0123456789abcdef") == word("0123456789abcdef" * 4) == "01234567"
