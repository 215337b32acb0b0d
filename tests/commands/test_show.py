"""The whole chain of one version, for a person."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import OLDER
from projects import Project, append
from tables import seal

from commands.show import lines, run
from commands.versions import find_version
from record.manifest import Origin


def words(found: list[str]) -> list[str]:
    """The lines, each with single blanks."""
    return [" ".join(line.split()) for line in found]


@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
def test_the_facts_are_the_manifest(story: Project, version: str) -> None:
    facts = run(version).facts

    assert facts == json.loads((story.path / f"models/{version}/manifest.json").read_bytes())
    assert list(facts)[-1] == "run"


@pytest.mark.parametrize(("asked", "version"), [("main", "v1.0.0"), ("forest", "v1.1.0"), ("workspace", "v1.1.0")])
@pytest.mark.usefixtures("story")
def test_revisions_and_experiments_are_shown_too(asked: str, version: str) -> None:
    shown = run(asked)

    assert shown.facts["version"] == version
    assert shown.lines[0] == f"penguins {version}: classification of sex"
    assert any(line.startswith("experiment  forest on ") for line in shown.lines) is (asked == "forest")


@pytest.mark.usefixtures("story")
def test_what_most_people_want_to_know_comes_first_and_details_last() -> None:
    shown = run("v1.0.0").lines
    titles = [match[1] for line in shown if (match := re.match(r"── (\w+)", line))]

    assert [line.split()[0] for line in shown[1:8]] == ["result", "data", "code", "model", "classes", "bytes", "made"]
    assert titles == ["data", "prepare", "train", "metrics", "parameters", "features", "environment"]


def test_every_link_of_the_chain_is_in_the_text(story: Project) -> None:
    shown = run("v1.0.0")
    facts, found = shown.facts, [line.split() for line in shown.lines]
    code = {path for stage in facts["stages"].values() for path in stage["deps"] if not path.startswith("data/")}
    commit = story.run("git rev-parse --short=8 HEAD~3").stdout.strip()

    assert ["code", *f"{len(code)} files of commit {commit}".split()] in found
    for table in (*facts["inputs"], *facts["data"].values()):
        assert any(table["path"] in line and table["sha256"][:8] in line for line in found)
    for name, stage in facts["stages"].items():
        assert f"── {name}: {stage['cmd']}" in shown.lines
        for verb in ("reads", "makes"):
            for path, md5 in stage["deps" if verb == "reads" else "outs"].items():
                assert ([verb, path, md5[:8]] in found) is (path not in code)
    for name, version in (facts["environment"]["packages"] | facts["environment"]["numeric"]).items():
        assert [name, *version.split()] in found
    for feature in facts["model"]["features"]:
        assert [feature["name"], feature["dtype"]] in found
    for section, parameters in facts["params"].items():
        assert {f"{section}.{name}" for name in parameters} <= {line[0] for line in found if line}
    assert f"sha256 {facts['model']['sha256'][:8]}" in " ".join(shown.lines)


@pytest.mark.usefixtures("story")
def test_values_are_spelled_as_params_yaml_spells_them() -> None:
    found = words(run("v1.0.0").lines)

    assert {"train.portable true", "estimator.C 1.0", "data.drop []", f"data.path {OLDER}"} <= {*found}


def origin(**values: str) -> list[Any]:
    entry = find_version("v1.0.0").manifest().inputs[0]
    nothing = {"url": None, "path": None, "revision": None, "etag": None}
    return [entry.model_copy(update={"origin": Origin(tracked_by="x.dvc", **nothing | values)})]


GIT = {"commit": "1" * 40, "dirty": True, "remote": None}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "dirty": ({"run": {"git": GIT}}, "code 16 files of commit 11111111, with uncommitted changes"),
    "remote": ({"run": {"git": GIT | {"remote": "git@host:a"}}}, "remote git@host:a"),
    "no commit": ({"run": {"git": None}}, "code 16 files, without a commit"),
    "no classes": ({"model": {"classes": None}}, "bytes reproducible"),
    "threads": (
        {"model": {"deterministic": False, "nondeterminism": "the order of threads"}},
        "bytes not reproducible: the order of threads",
    ),
    "null": ({"params": {"train": {"seed": None}}}, "train.seed null"),
    "digits": ({"metrics": {"a": {"test": 0.123456789}}}, "a.test 0.123457"),
}


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(("changes", "said"), SAID.values(), ids=SAID)
def test_what_is_recorded_is_said(changes: dict[str, Any], said: str) -> None:
    manifest = find_version("v1.0.0").manifest()
    document = manifest.model_dump(by_alias=True)
    for key, values in changes.items():
        document[key] |= values

    assert said in words(list(lines(type(manifest).model_validate(document, by_alias=True))))


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"url": "https://a/b", "path": "c", "revision": "2" * 40}, "from https://a/b 22222222"),
        ({"url": "https://a/b", "etag": "x"}, "from https://a/b x"),
        ({"url": "https://a/b"}, "from https://a/b"),
        ({}, ""),
    ],
)
def test_an_imported_input_is_shown_with_its_origin(values: dict[str, str], said: str) -> None:
    manifest = find_version("v1.0.0").manifest().model_copy(update={"inputs": origin(**values)})
    (line,) = (line for line in words(list(lines(manifest))) if line.startswith("input "))

    assert line.partition(" 00161572")[2].strip() == said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda project: append(project.path / "src/train.py"), "but for src/train.py"),
        (lambda project: project.set(train__seed=7), "with uncommitted data or parameters"),
    ],
)
def test_code_that_the_recorded_commit_does_not_hold_is_named(
    own: Project, edit: Callable[[Project], None], said: str
) -> None:
    before = find_version("workspace").manifest().run.git
    assert before
    edit(own)
    deps = json.loads((own.path / "models/v1.1.0/manifest.json").read_bytes())["stages"]["train"]["deps"]
    deps["src/train.py"] = own.run("md5sum src/train.py").stdout.split()[0]
    seal(own.path / "models/v1.1.0", run__git__dirty=True, stages__train__deps=deps)

    assert f"code 16 files of commit {before.commit[:8]}, {said}" in words(run("v1.1.0").lines)
