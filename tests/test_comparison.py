from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_manifest import changed, document

from comparison import GROUPS, Change, compare, flatten
from manifest import Manifest

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
        ("data.source.sha256", "9" * 64, "data", Change("source.sha256", "0" * 64, "9" * 64)),
        ("data.train.rows", 7, "data", Change("train.rows", 8, 7)),
        ("model.target", "species", "data", Change("target", "sex", "species")),
        ("stages.prepare.cmd", "python x.py", "code", Change("prepare.cmd", "python src/prepare.py", "python x.py")),
        ("params.estimator.C", 0.1, "parameters", Change("estimator.C", 1.0, 0.1)),
        ("params.estimator.l1", 0.1, "parameters", Change("estimator.l1", None, 0.1)),
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
