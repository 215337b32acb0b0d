import json
import re
from typing import Any

import pytest
from conftest import OLDER
from manifests import document
from projects import Project, append
from tables import seal

from commands.show import lines, run
from commands.versions import find_version
from record.comparison import code_of, flatten
from record.manifest import Manifest


def words(found: list[str]) -> list[str]:
    """The lines, each with single blanks."""
    return [" ".join(line.split()) for line in found]


def test_whatever_is_shown_the_facts_are_the_manifest(story: Project) -> None:
    for asked, version in {"v1.0.0": "v1.0.0", "main": "v1.0.0", "forest": "v1.1.0", "workspace": "v1.1.0"}.items():
        shown = run(asked)

        assert shown.lines[0] == f"penguins {version}: classification of sex"
        assert any(line.startswith("experiment  forest on ") for line in shown.lines) is (asked == "forest")
        assert list(shown.facts)[-1] == "run"
        if asked != "forest":
            assert shown.facts == json.loads((story.path / f"models/{version}/manifest.json").read_bytes())


def test_every_link_of_the_chain_is_in_the_text_the_result_first_and_details_last(story: Project) -> None:
    shown = run("v1.0.0")
    facts, found = shown.facts, [line.split() for line in shown.lines]
    titles = [match[1] for line in shown.lines if (match := re.match(r"── (\w+)", line))]
    code = {path for stage in facts["stages"].values() for path in stage["deps"] if not path.startswith("data/")}
    commit = story.run("git rev-parse --short=8 HEAD~3").stdout.strip()

    assert [line[0] for line in found[1:8]] == ["result", "data", "code", "model", "classes", "bytes", "made"]
    assert titles == ["data", "prepare", "train", "metrics", "parameters", "features", "environment"]
    assert ["code", *f"{len(code)} files of commit {commit}".split()] in found
    for table in (*facts["inputs"], facts["data"]["train"], facts["data"]["test"]):
        assert any(table["path"] in line and table["sha256"][:8] in line for line in found)
    for name, stage in facts["stages"].items():
        assert f"── {name}: {stage['cmd']}" in shown.lines
        for verb, kind in (("reads", "deps"), ("makes", "outs")):
            for path, md5 in stage[kind].items():
                assert ([verb, path, md5[:8]] in found) is (path not in code)
    for name, version in (facts["environment"]["packages"] | facts["environment"]["numeric"]).items():
        assert [name, *version.split()] in found
    for feature in facts["model"]["features"]:
        assert [feature["name"], feature["kind"], feature["dtype"]] in [line[:3] for line in found]
    assert {*flatten(facts["params"])} <= {line[0] for line in found if line}
    assert f"sha256 {facts['model']['sha256'][:8]}" in " ".join(shown.lines)
    spelled = {"train.portable true", "estimator.C 1.0", "data.drop []", f"data.path {OLDER}"}
    assert spelled <= {*words(shown.lines)}  # as params.yaml spells them


GIT = {"commit": "1" * 40, "dirty": True, "remote": None}
THREADS = {"deterministic": False, "nondeterminism": "the order of threads"}
ORIGIN = {"tracked_by": "x.dvc", "url": "https://a/b", "path": None, "revision": None, "etag": None}
INPUT = f"input {OLDER} 224 rows sha256 00161572"


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("run", {"git": GIT}, "code {} files of commit 11111111, with uncommitted changes"),
        ("run", {"git": GIT | {"remote": "git@host:a"}}, "remote git@host:a"),
        ("run", {"git": None}, "code {} files, without a commit"),
        ("model", {"classes": None}, "bytes reproducible"),
        ("model", THREADS, "bytes not reproducible: the order of threads"),
        ("params", {"train": {"seed": None}}, "train.seed null"),
        ("metrics", {"a": {"test": 0.123456789}}, "a.test 0.123457"),
        ("inputs", {"origin": ORIGIN | {"revision": "2" * 40}}, f"{INPUT} from https://a/b 22222222"),
        ("inputs", {"origin": ORIGIN | {"etag": "x"}}, f"{INPUT} from https://a/b x"),
        ("inputs", {"origin": ORIGIN}, f"{INPUT} from https://a/b"),
        ("inputs", {"origin": ORIGIN | {"url": None}}, INPUT),
    ],
)
def test_what_is_recorded_is_said(part: str, changes: dict[str, Any], said: str) -> None:
    manifest = find_version("v1.0.0").manifest()
    document = manifest.model_dump(by_alias=True)
    (document[part][0] if part == "inputs" else document[part]).update(changes)

    found = words(list(lines(type(manifest).model_validate(document, by_alias=True))))
    assert said.format(len(code_of(manifest.stages, manifest.inputs))) in found


def test_code_that_the_recorded_commit_does_not_hold_is_named(own: Project) -> None:
    manifest = find_version("workspace").manifest()
    commit = own.run("git rev-parse --short=8 HEAD~1").stdout.strip()
    for edit, said in [("", "with uncommitted data or parameters"), ("# more\n", "but for src/train.py")]:
        append(own.path / "src/train.py", edit.encode())
        md5 = own.run("md5sum src/train.py").stdout.split()[0]
        deps = manifest.stages["train"].deps | {"src/train.py": md5}
        seal(own.path / "models/v1.1.0", run__git__dirty=True, stages__train__deps=deps)

        assert f"code {len(code_of(manifest.stages, manifest.inputs))} files of commit {commit}, {said}" in words(
            run("v1.1.0").lines
        )


def test_warnings_come_before_the_chain_and_a_feature_says_what_training_saw_of_it() -> None:
    whole = document()
    whole["warnings"] = [{"name": "leak", "column": "x", "text": "column 'x': determines the target"}]
    whole["model"]["features"].append({"name": "island", "dtype": "string", "nullable": False, "kind": "category"})
    whole["model"]["features"][-1] |= {"missing": 0.0, "minimum": None, "maximum": None, "values": ["Biscoe", "Dream"]}
    found = list(lines(Manifest.model_validate(whole, by_alias=True)))

    assert found[found.index("── warnings") + 1].split(maxsplit=1) == ["leak", "column 'x': determines the target"]
    assert found.index("── warnings") < found.index("── data")
    features = [line.split() for line in found[found.index("── features") + 1 :]]
    assert features[0] == ["bill_length_mm", "number", "double", "32.1", "to", "59.6", "10.0%", "missing"]
    assert features[1] == ["island", "category", "string", "2", "values"]
