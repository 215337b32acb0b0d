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
from manifests import MISSING, changed, document
from projects import CHECKOUT

from record.files import to_json
from record.manifest import BAD_FORM, Manifest, OldManifest, json_schema, parse_manifest
from record.problem import Problem

OLD = (Path(__file__).parent / "manifest_schema_1.json").read_bytes()


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
def test_a_manifest_in_any_other_form_is_refused(content: bytes) -> None:
    assert content != to_json(document())
    assert problems_of(content) == (BAD_FORM,)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_not_a_count(number: float) -> None:
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
    whole["stages"]["prepare"]["params"] = {"params.yaml": draw(sections)}
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
        ("stages.prepare.deps", {"https://example.org/a.csv": '"etag"'}),
        ("inputs", []),
        ("inputs.0.rows", None),
        ("run.peak_memory_mib", {}),
    ],
)
def test_model_and_schema_agree_on_what_they_accept(path: str, value: object) -> None:
    whole = changed(path, value)

    assert SCHEMA.is_valid(whole)
    assert parse_manifest(to_json(whole)).to_bytes() == to_json(whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", 3),
        ("schema_version", "2"),
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
        ("inputs.0.columns", 7),
        ("inputs.0.origin", MISSING),
        ("inputs.1.origin.tracked_by", None),
        ("inputs.1.md5", f"{'0' * 32}.dir"),
        ("params.estimator", []),
        ("metrics", None),
        ("stages.prepare.cmd", MISSING),
        ("stages.prepare.deps", {"src/prepare.py": 0}),
        ("stages.prepare.params", []),
        ("run.seconds", {"prepare": "1"}),
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
    runpy.run_path(str(CHECKOUT / "src/record/manifest.py"), run_name="__main__")
    written = capsysbinary.readouterr().out

    assert (CHECKOUT / "docs/manifest.schema.json").read_bytes() == written


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
def test_what_is_not_a_json_object_is_refused_in_one_line(content: bytes) -> None:
    lines = problems_of(content)

    assert len(lines) == 1
    assert lines[0].startswith("manifest.json: document: ")


def test_a_manifest_of_schema_1_is_read_under_the_keys_of_schema_2() -> None:
    raw = json.loads(OLD)["data"]["source"]
    manifest = parse_manifest(OLD)

    assert isinstance(manifest, OldManifest)
    assert manifest.schema_version == 1
    assert [entry.model_dump() for entry in manifest.inputs] == [raw | {"origin": None}]
    assert list(manifest.stages) == ["prepare", "train"]
    assert manifest.stages["train"].params == {}
    assert manifest.data.train.rows == 266


def test_a_manifest_of_schema_1_keeps_its_bytes_and_its_lineage_is_not_those_bytes() -> None:
    manifest = parse_manifest(OLD)

    assert manifest.to_bytes() == OLD
    assert not {"content", "run"} & manifest.lineage().keys()
    assert len(json.dumps(manifest.lineage())) > 1000


def damaged(path: str, value: object) -> bytes:
    whole = json.loads(OLD)
    *parents, last = path.split(".")
    part = whole
    for key in parents:
        part = part[key]
    part[last] = value
    return to_json(whole)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (OLD.replace(b"\n", b"\r\n"), "expected exactly the form"),
        (OLD.replace(b"  ", b"", 1), "expected exactly the form"),
        (OLD[:-2], "document: Invalid JSON"),
        (damaged("data", {}), "not a manifest of schema 1"),
        (damaged("data", [1]), "not a manifest of schema 1"),
        (damaged("run", []), "not a manifest of schema 1"),
        (damaged("data.source.md5", "x"), "inputs.0.md5: String should match"),
        (damaged("model.size", "1"), "model.size: Input should be a valid integer"),
        (damaged("content", "more"), "expected exactly the form"),
        (damaged("inputs", []), "expected exactly the form"),
        (damaged("run.seconds", {}), "expected exactly the form"),
        (damaged("schema_version", 1.0), "data.source: Extra"),
        (damaged("model.class_", "twice"), "model.class_: Extra"),
    ],
)
def test_a_damaged_manifest_of_schema_1_is_refused(content: bytes, said: str) -> None:
    assert problems_of(content)[0].startswith(f"manifest.json: {said}")
