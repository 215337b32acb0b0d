import json
import math
import runpy
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from files import to_json
from manifest import Manifest, json_schema, parse_manifest, read_manifest
from problem import Problem

TOP = Path(__file__).parent.parent
MISSING = object()


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "size": 1, "md5": "0" * 32, "sha256": "0" * 64, **more}


def document() -> dict[str, Any]:
    """A manifest with something in every place, its keys in the order in which they are kept."""
    return {
        "schema_version": 1,
        "name": "penguins",
        "version": "v1.0.0",
        "model": {
            **file("model.joblib"),
            "class": "sklearn.pipeline.Pipeline",
            "steps": [{"name": "model", "class": "sklearn.linear_model._logistic.LogisticRegression"}],
            "task": "classification",
            "target": "sex",
            "classes": ["female", "male"],
            "features": [{"name": "bill_length_mm", "dtype": "double", "nullable": True}],
            "deterministic": True,
            "nondeterminism": None,
        },
        "data": {
            "source": file("data/raw/penguins.parquet", rows=10),
            "train": file("data/prepared/train.parquet", rows=8),
            "test": file("data/prepared/test.parquet", rows=2),
        },
        "params": {
            "data": {"drop": []},
            "prepare": {"test_size": 0.2},
            "train": {"seed": 42},
            "estimator": {"class": "sklearn.linear_model.LogisticRegression", "C": 1.0},
            "package": {"name": "penguins"},
        },
        "metrics": {"balanced_accuracy": {"test": 0.875}},
        "stages": {
            "prepare": {
                "cmd": "python src/prepare.py",
                "deps": {"src/prepare.py": "1" * 32},
                "outs": {"data/prepared": f"{'2' * 32}.dir"},
            }
        },
        "environment": {
            "python": "3.11.7",
            "requirements_sha256": "3" * 64,
            "packages": {"numpy": "2.4.6"},
            "numeric": {"OMP_NUM_THREADS": "1"},
        },
        "run": {
            "created_at": "2026-11-23T03:19:00Z",
            "git": {"commit": "4" * 40, "dirty": False, "remote": "https://example.org/penguins.git"},
            "experiment": {"name": "dingy-arum", "baseline": "5" * 40},
            "platform": "Linux-x86_64",
        },
    }


def changed(path: str, value: object) -> dict[str, Any]:
    """The document with another value at one place, or without the place."""
    whole = document()
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    part: Any = whole
    for key in parents:
        part = part[key]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    return whole


def problems_of(content: bytes) -> tuple[str, ...]:
    with pytest.raises(Problem) as problem:
        parse_manifest(content)
    return problem.value.lines


def test_a_manifest_keeps_the_bytes_it_was_read_from() -> None:
    """So the order of the keys, the two spaces and the final newline are those of the document above."""
    content = to_json(document())

    assert parse_manifest(content).to_bytes() == content


NAME = b'  "name": "penguins",\n'
DROP = b'      "drop": []\n'


@pytest.mark.parametrize(
    "content",
    [
        to_json(dict(reversed(document().items()))),
        to_json(changed("data.train", dict(reversed(document()["data"]["train"].items())))),
        to_json(document()).replace(NAME, NAME * 2, 1),
        to_json(document()).replace(DROP, DROP.replace(b"\n", b",\n") + DROP, 1),
        *(to_json(document()).replace(b"0.875", number) for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400")),
        to_json(document()).replace(b"0.875", b"0.8750"),
        to_json(document()).replace(b"penguins", b"\\u0070enguins", 1),
        json.dumps(document()).encode(),
        to_json(document()).removesuffix(b"\n"),
        to_json(document()) + b"\n",
        to_json(document()).replace(b"\n", b"\r\n"),
    ],
    ids=[
        *("order", "inner order", "twice", "parameter twice", "nan", "infinity", "minus infinity", "too large"),
        *("zero", "escape", "compact", "no newline", "two newlines", "windows"),
    ],
)
def test_what_packaging_would_write_otherwise_is_no_manifest(content: bytes) -> None:
    assert content != to_json(document())
    assert problems_of(content) == (
        "manifest.json: expected exactly the form in which packaging writes it; dvc repro makes it anew",
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_no_count(number: float) -> None:
    content = to_json(document()).replace(b'"size": 1', f'"size": {json.dumps(number)}'.encode(), 1)

    assert problems_of(content) == ("manifest.json: model.size: Input should be a valid integer",)


def test_lineage_is_everything_but_the_run() -> None:
    expected = document()
    del expected["run"]

    assert parse_manifest(to_json(document())).lineage() == expected


def test_two_runs_of_one_pipeline_share_their_lineage() -> None:
    first, second = (parse_manifest(to_json(whole)) for whole in (document(), changed("run.git", None)))

    assert first.lineage() == second.lineage()
    assert first != second


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
sections = st.dictionaries(st.text(), json_values, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    whole = deepcopy(document())
    whole["name"] = draw(st.text())
    whole["model"]["size"] = draw(st.integers(min_value=0))
    whole["model"]["classes"] = draw(st.none() | st.lists(st.text() | st.booleans() | st.integers() | st.just(1.5)))
    whole["params"]["estimator"] = draw(sections)
    whole["metrics"] = draw(sections)
    whole["environment"]["numeric"] = draw(st.dictionaries(st.text(), st.text(), max_size=3))
    whole["run"]["git"] = draw(st.none() | st.just(whole["run"]["git"]))
    whole["run"]["experiment"] = draw(st.none() | st.just(whole["run"]["experiment"]))
    return whole


@settings(max_examples=50, deadline=None)
@given(documents())
def test_any_manifest_survives_writing_and_reading(whole: dict[str, Any]) -> None:
    content = parse_manifest(to_json(whole)).to_bytes()

    assert content == to_json(whole)
    assert parse_manifest(content) == Manifest.model_validate(whole)
    assert SCHEMA.is_valid(json.loads(content))


SCHEMA = Draft202012Validator(json_schema())


def test_the_schema_is_a_json_schema_that_accepts_a_manifest() -> None:
    Draft202012Validator.check_schema(json_schema())

    assert list(SCHEMA.iter_errors(document())) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("run.git", None),
        ("run.git.remote", None),
        ("run.experiment", None),
        ("run.git.commit", "a" * 64),
        ("model.classes", None),
        ("model.classes", [True, False]),
        ("model.classes", [1, 2.5]),
        ("model.task", "regression"),
        ("metrics", {}),
        ("stages", {}),
    ],
)
def test_model_and_schema_agree_on_what_they_accept(path: str, value: object) -> None:
    whole = changed(path, value)

    assert SCHEMA.is_valid(whole)
    assert parse_manifest(to_json(whole)).to_bytes() == to_json(whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 2),
        ("schema_version", "1"),
        ("schema_version", True),
        ("name", MISSING),
        ("name", None),
        ("surname", "adelie"),
        ("model.size", -1),
        ("model.size", 1.5),
        ("model.size", "1"),
        ("model.size", True),
        ("model.md5", "0" * 31),
        ("model.md5", "A" * 32),
        ("model.md5", f"{'0' * 32}.dir"),
        ("model.sha256", "0" * 65),
        ("model.task", "clustering"),
        ("model.classes", MISSING),
        ("model.classes.1", None),
        ("model.steps.0.class", MISSING),
        ("model.steps.0", {"name": "model", "class_": "sklearn.linear_model._logistic.LogisticRegression"}),
        ("model.features.0.nullable", 0),
        ("data.test", MISSING),
        ("data.train.rows", -1),
        ("data.source.columns", 7),
        ("params.estimator", []),
        ("metrics", None),
        ("stages.prepare.deps", {"src/prepare.py": "0"}),
        ("stages.prepare.outs", {"data/prepared": f"{'0' * 32}.file"}),
        ("environment.packages", {"numpy": 2}),
        ("run.created_at", "2026-11-23 03:19:00"),
        ("run.git.commit", "main"),
        ("run.git.dirty", "no"),
        ("run.experiment.baseline", MISSING),
    ],
)
def test_model_and_schema_agree_on_what_they_reject(path: str, value: object) -> None:
    whole = changed(path, value)

    assert not SCHEMA.is_valid(whole)
    assert all(line.startswith(f"manifest.json: {path}") for line in problems_of(to_json(whole)))


def test_the_schema_in_the_repository_is_the_one_that_the_code_writes(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    runpy.run_path(str(TOP / "src/manifest.py"), run_name="__main__")
    written = capsysbinary.readouterr().out

    assert (TOP / "docs/manifest.schema.json").read_bytes() == written


def test_every_key_that_does_not_hold_what_it_must_is_named_and_sorted() -> None:
    whole = document() | {"version": 1, "surname": "adelie"}
    del whole["name"]
    whole["data"]["test"]["rows"] = "2"
    whole["model"]["steps"][0]["class"] = None

    assert problems_of(to_json(whole)) == (
        "manifest.json: data.test.rows: Input should be a valid integer",
        "manifest.json: model.steps.0.class: Input should be a valid string",
        "manifest.json: name: Field required",
        "manifest.json: surname: Extra inputs are not permitted",
        "manifest.json: version: Input should be a valid string",
    )


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"null", b"[]", b'"manifest"', b"---\nname: penguins\n"])
def test_what_is_no_json_object_is_refused_in_one_line(content: bytes) -> None:
    lines = problems_of(content)

    assert len(lines) == 1
    assert lines[0].startswith("manifest.json: document: ")


def test_a_manifest_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(to_json(document()))

    assert read_manifest(tmp_path / "manifest.json") == parse_manifest(to_json(document()))


def test_a_manifest_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem) as problem:
        read_manifest(tmp_path / "manifest.json")

    assert problem.value.lines == (f"{tmp_path / 'manifest.json'}: not found",)
