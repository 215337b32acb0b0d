from typing import Any

import pytest
from manifests import changed, document

from record.comparison import GROUPS, Change, compare
from record.manifest import Manifest


def changes(whole: dict[str, Any]) -> dict[str, list[Change]]:
    """What differs from the unchanged document."""
    return compare(Manifest.model_validate(document()), Manifest.model_validate(whole))


@pytest.mark.parametrize(
    ("group", "name", "before", "after", "path"),
    [
        ("data", "data/raw/penguins.parquet.size", 1, 9, "inputs.0.size"),
        ("data", "data/shared/islands.csv.origin.revision", "6" * 40, "7" * 40, "inputs.1.origin.revision"),
        ("data", "target", "sex", "species", "model.target"),
        ("code", "prepare.cmd", "python src/prepare.py", "python x.py", "stages.prepare.cmd"),
        ("parameters", "estimator.C", 1.0, 0.1, "params.estimator.C"),
        ("parameters", "estimator.l1", None, 0.1, "params.estimator.l1"),
        ("parameters", "data.drop", [], ["id"], "params.data.drop"),
        ("environment", "packages.numpy", "2.4.6", "2.5.0", "environment.packages.numpy"),
        ("environment", "python", "3.11.7", "3.12.1", "environment.python"),
        ("environment", "platform", "Linux-x86_64", "Darwin-arm64", "run.platform"),
        ("metrics", "balanced_accuracy.test", 0.875, 0.5, "metrics.balanced_accuracy.test"),
    ],
)
def test_a_change_is_named_in_its_group_alone(group: str, name: str, before: Any, after: Any, path: str) -> None:
    assert changes(changed(path, after)) == {group: [Change(name, before, after)]}


@pytest.mark.parametrize(
    ("path", "value"), [("run.created_at", "2027-01-01T00:00:00Z"), ("run.git", None), ("run.experiment", None)]
)
def test_when_and_by_whom_it_was_made_is_no_change(path: str, value: object) -> None:
    assert changes(changed(path, value)) == {}


def test_code_and_parameters_of_any_stage_are_named_and_tables_and_our_sections_only_in_their_place() -> None:
    whole = document()
    whole["stages"]["prepare"] |= {
        "deps": {"src/prepare.py": "9" * 32, "data/raw/penguins.parquet": "8" * 32},
        "params": {"params.yaml": {"data": {"drop": ["id"]}, "clean": {"above": 4}}},
    }
    whole["stages"]["clean"] = {
        "cmd": "python clean.py",
        "params": {"other.yaml": {"a": 1}, "params.yaml": {"clean": {"below": 1}}},
        "deps": {"src/clean.py": "7" * 32, "data/shared": f"{'8' * 32}.dir"},
        "outs": {"data/clean.csv": "6" * 32},
    }
    added = [("src/clean.py", None, "7" * 32), ("clean.cmd", None, "python clean.py")]
    code = [("src/prepare.py", "1" * 32, "9" * 32), *added]
    parameters = [("clean.above", 3, 4), ("other.yaml: a", None, 1), ("clean.below", None, 1)]

    assert changes(whole) == {"code": [Change(*c) for c in code], "parameters": [Change(*p) for p in parameters]}


def test_causes_come_before_effects() -> None:
    whole = document() | {"metrics": {}}
    for path in ("params.estimator.C", "environment.python", "model.target", "stages.prepare.cmd"):
        whole = changed(path, 2.0 if path.endswith("C") else "other", whole)
    assert tuple(changes(whole)) == GROUPS == ("data", "code", "parameters", "environment", "metrics")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, 3, "added: 3"),
        ("a", None, "removed: a"),
        ("0123456789abcdef" * 4, "b" * 32 + ".dir", "01234567 → bbbbbbbb"),
        (True, [1.0, "x", {"name": "id", "dtype": "int64", "nullable": True}], "true → [1.0, x, id int64?]"),
        (0.1 + 0.2, 1e-9, "0.3 → 1e-09"),
        (3, "aaaaaaaaa", "3 → aaaaaaaaa"),
    ],
)
def test_a_change_is_told_in_the_words_of_params_yaml(before: object, after: object, words: str) -> None:
    assert str(Change("a.b", before, after)) == f"a.b: {words}"
