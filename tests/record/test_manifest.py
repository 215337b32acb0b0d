import json
import runpy
from pathlib import Path

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
GOOD = to_json(document())
SCHEMA = Draft202012Validator(json_schema())


def problems_of(content: bytes) -> tuple[str, ...]:
    with pytest.raises(Problem) as problem:
        parse_manifest(content)
    return problem.value.lines


NAME, DROP = b'  "name": "penguins",\n', b'      "drop": []\n'


@pytest.mark.parametrize(
    "content",
    [
        to_json(dict(reversed(document().items()))),
        to_json(changed("data.train", dict(reversed(document()["data"]["train"].items())))),
        *(GOOD.replace(*twice, 1) for twice in ((NAME, NAME * 2), (DROP, DROP.replace(b"\n", b",\n") + DROP))),
        *(GOOD.replace(b"0.875", number) for number in (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"0.8750")),
        GOOD.replace(b"penguins", b"\\u0070enguins", 1),
        json.dumps(document()).encode(),
        *(GOOD.removesuffix(b"\n"), GOOD + b"\n", GOOD.replace(b"\n", b"\r\n")),
    ],
)
def test_a_manifest_in_any_other_form_is_refused(content: bytes) -> None:
    assert content != GOOD
    assert problems_of(content) == (BAD_FORM,)


def test_lineage_is_everything_but_the_run() -> None:
    first, second = (parse_manifest(to_json(whole)) for whole in (document(), changed("run.git", None)))
    assert first.lineage() == second.lineage() == {key: part for key, part in document().items() if key != "run"}
    assert first != second


def test_counts_of_a_column_are_kept_and_a_manifest_from_before_there_were_any_is_still_read() -> None:
    whole = document()
    assert parse_manifest(to_json(whole)).model.features[0].counts is None

    whole["model"]["features"][0]["counts"] = [1, 0, 7]
    assert parse_manifest(to_json(whole)).model.features[0].counts == [1, 0, 7]
    whole["model"]["features"][0]["counts"] = None
    assert problems_of(to_json(whole)) == (BAD_FORM,)


values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
sections = st.dictionaries(st.text(), values | st.lists(values) | st.dictionaries(st.text(), values), max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_manifest_survives_writing_and_reading(data: st.DataObject) -> None:
    whole = document()
    whole["name"] = data.draw(st.text())
    whole["stages"]["prepare"]["params"] = {"params.yaml": data.draw(sections)}
    whole["model"]["classes"] = data.draw(st.lists(st.text() | st.booleans() | st.integers() | st.just(1.5)))
    whole["metrics"], whole["params"]["estimator"] = data.draw(sections), data.draw(sections)
    content = parse_manifest(to_json(whole)).to_bytes()
    assert content == to_json(whole)
    assert parse_manifest(content) == Manifest.model_validate(whole)
    assert SCHEMA.is_valid(json.loads(content))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, None) for path in ("run.git", "run.git.remote", "run.experiment", "model.classes", "inputs.0.rows")),
        *((path, {}) for path in ("metrics", "stages", "run.peak_memory_mib")),
        *(("model.classes", classes) for classes in ([True, False], [1, 2.5])),
        *(("run.git.commit", "a" * 64), ("model.task", "regression"), ("inputs", [])),
        ("stages.prepare.deps", {"https://example.org/a.csv": '"etag"'}),
    ],
)
def test_model_and_schema_agree_on_what_they_accept(path: str, value: object) -> None:
    whole = changed(path, value)
    assert list(SCHEMA.iter_errors(whole)) == []
    assert parse_manifest(to_json(whole)).to_bytes() == to_json(whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, MISSING) for path in ("name", "model.classes", "model.steps.0.class", "data.test", "inputs.0.origin")),
        *((path, MISSING) for path in ("stages.prepare.cmd", "run.experiment.baseline")),
        *((path, None) for path in ("name", "model.classes.1", "inputs.1.origin.tracked_by", "metrics")),
        *((path, 7) for path in ("surname", "inputs.0.columns")),
        *(("schema_version", version) for version in (3, "2", True)),
        *(("model.size", size) for size in (-1, 1.5, "1", True)),
        *(("model.md5", md5) for md5 in ("0" * 31, "A" * 32, f"{'0' * 32}.dir")),
        *(("model.sha256", "0" * 65), ("model.task", "clustering"), ("model.features.0.nullable", 0)),
        ("model.steps.0", {"name": "model", "class_": "sklearn.linear_model._logistic.LogisticRegression"}),
        *(("data.train.rows", -1), ("inputs.1.md5", f"{'0' * 32}.dir")),
        *(("params.estimator", []), ("stages.prepare.params", []), ("stages.prepare.deps", {"src/prepare.py": 0})),
        *(("run.seconds", {"prepare": "1"}), ("environment.packages", {"numpy": 2})),
        *(("run.created_at", "2026-11-23 03:19:00"), ("run.git.commit", "main"), ("run.git.dirty", "no")),
    ],
)
def test_model_and_schema_agree_on_what_they_reject(path: str, value: object) -> None:
    whole = changed(path, value)
    assert not SCHEMA.is_valid(whole)
    assert all(line.startswith(f"manifest.json: {path}") for line in problems_of(to_json(whole)))


def test_the_schema_in_the_repository_is_the_one_the_code_writes(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    Draft202012Validator.check_schema(json_schema())
    runpy.run_path(str(CHECKOUT / "src/record/manifest.py"), run_name="__main__")
    assert (CHECKOUT / "docs/manifest.schema.json").read_bytes() == capsysbinary.readouterr().out


def test_every_key_that_does_not_hold_what_it_must_is_named_and_sorted() -> None:
    whole = changed("name", MISSING, document() | {"version": 1, "surname": "adelie"})
    whole["model"]["steps"][0]["class"] = None
    assert problems_of(to_json(whole)) == (
        "manifest.json: model.steps.0.class: Input should be a valid string",
        "manifest.json: name: Field required",
        "manifest.json: surname: Extra inputs are not permitted",
        "manifest.json: version: Input should be a valid string",
    )


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"null", b"[]", b'"manifest"', b"---\nname: penguins\n"])
def test_what_is_not_a_json_object_is_refused_in_one_line(content: bytes) -> None:
    (line,) = problems_of(content)
    assert line.startswith("manifest.json: document: ")


def test_a_manifest_of_schema_1_is_read_under_the_keys_of_schema_2_and_keeps_its_bytes() -> None:
    raw, manifest = json.loads(OLD)["data"]["source"], parse_manifest(OLD)
    assert isinstance(manifest, OldManifest)
    assert (manifest.schema_version, manifest.data.train.rows) == (1, 266)
    assert [entry.model_dump() for entry in manifest.inputs] == [raw | {"origin": None}]
    assert {name: stage.params for name, stage in manifest.stages.items()} == {"prepare": {}, "train": {}}
    assert manifest.to_bytes() == OLD
    assert manifest.lineage().keys() == document().keys() - {"run"}


def test_of_the_first_manifests_it_is_not_known_whether_the_model_is_deterministic() -> None:
    first = json.loads(OLD)
    del first["model"]["deterministic"], first["model"]["nondeterminism"]
    manifest = parse_manifest(to_json(first))

    assert manifest.model.nondeterminism == "not known, since no second fit was compared"
    assert manifest.to_bytes() == to_json(first)


FORM = "expected exactly the form"


def damaged(path: str, value: object) -> bytes:
    return to_json(changed(path, value, json.loads(OLD)))


@pytest.mark.parametrize(
    ("said", "content"),
    [
        *((FORM, content) for content in (OLD.replace(b"\n", b"\r\n"), OLD.replace(b"  ", b"", 1))),
        *((FORM, damaged(*new)) for new in (("content", "more"), ("inputs", []), ("run.seconds", {}))),
        ("document: Invalid JSON", OLD[:-2]),
        *(("not a manifest of schema 1", damaged(*new)) for new in (("data", {}), ("data", [1]), ("run", []))),
        ("inputs.0.md5: String should match", damaged("data.source.md5", "x")),
        ("model.size: Input should be a valid integer", damaged("model.size", "1")),
        ("data.source: Extra", damaged("schema_version", 1.0)),
        ("model.class_: Extra", damaged("model.class_", "twice")),
    ],
)
def test_a_damaged_manifest_of_schema_1_is_refused(said: str, content: bytes) -> None:
    assert any(problem.startswith(f"manifest.json: {said}") for problem in problems_of(content))
