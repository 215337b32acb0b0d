"""The whole chain of one version, for a person."""

import json
import re

import pytest
from conftest import Project
from test_manifest import changed

from manifest import Manifest
from show import answer, text

pytest_plugins = ["story_repository"]


@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
def test_the_facts_are_the_manifest(story: Project, version: str) -> None:
    assert answer(version).facts == json.loads((story.path / f"models/{version}/manifest.json").read_bytes())


@pytest.mark.parametrize(("asked", "version"), [("main", "v1.0.0"), ("forest", "v1.1.0"), ("workspace", "v1.1.0")])
@pytest.mark.usefixtures("story")
def test_revisions_and_experiments_are_shown_too(asked: str, version: str) -> None:
    assert answer(asked).facts["version"] == version
    assert answer(asked).text.startswith(f"penguins {version}: classification of sex, made ")


@pytest.mark.usefixtures("story")
def test_the_text_goes_from_raw_data_over_the_stages_to_the_model() -> None:
    titles = re.findall(r"^── (\w+)", answer("v1.0.0").text, flags=re.MULTILINE)

    assert titles == ["data", "prepare", "train", "model", "parameters", "metrics", "environment"]


@pytest.mark.usefixtures("story")
def test_every_link_of_the_chain_is_in_the_text() -> None:
    shown = answer("v1.0.0")
    facts, lines = shown.facts, [line.split() for line in shown.text.splitlines()]

    for table in facts["data"].values():
        assert any(table["path"] in line and table["sha256"][:12] in line for line in lines)
    for stage in facts["stages"].values():
        assert stage["cmd"] in shown.text
        for verb in ("reads", "makes"):
            for path, md5 in stage["deps" if verb == "reads" else "outs"].items():
                assert [verb, path, md5[:12]] in lines
    for name, version in (facts["environment"]["packages"] | facts["environment"]["numeric"]).items():
        assert [name, *version.split()] in lines
    for feature in facts["model"]["features"]:
        assert f"{feature['name']} {feature['dtype']}" in shown.text
    for section, parameters in facts["params"].items():
        for name in parameters:
            assert any(line[:1] == [f"{section}.{name}"] for line in lines)
    assert facts["model"]["sha256"][:12] in shown.text
    assert facts["run"]["git"]["commit"] in shown.text


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "run.git.dirty",
            True,
            f"from commit {'4' * 40} with uncommitted changes, experiment dingy-arum on 555555555555",
        ),
        ("run.git.dirty", False, f"from commit {'4' * 40}, experiment dingy-arum on 555555555555"),
        ("run.experiment", None, f"from commit {'4' * 40}"),
        ("run.git", None, "from no commit, experiment dingy-arum on 555555555555"),
        ("model.deterministic", True, "bytes deterministic"),
        ("model.classes", None, "classes none"),
        ("params.data.drop", [], "data.drop none"),
        ("metrics.balanced_accuracy.test", 0.123456789, "balanced_accuracy.test 0.123457"),
    ],
)
def test_what_is_recorded_is_said(path: str, value: object, said: str) -> None:
    lines = text(Manifest.model_validate(changed(path, value))).splitlines()

    assert said in [" ".join(line.split()) for line in lines]


def test_a_model_that_is_not_deterministic_is_said_to_be_so() -> None:
    whole = changed("model.deterministic", value=False)
    whole["model"]["nondeterminism"] = "the order of threads"

    assert "not deterministic: the order of threads" in text(Manifest.model_validate(whole))
