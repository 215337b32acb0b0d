import math
import shutil
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml
from projects import CHECKOUT, Project
from pydantic import ValidationError
from ruamel.yaml import YAML

from record.parameters import Card, read_card, read_parameters
from record.problem import Problem

UNKNOWN = "train.estimator: expected a name from estimators, found 'rigde'; did you mean 'ridge'?"
KEY = "expected a plain key, as in remote://name/key, with forward slashes"
URL = "expected a URL that DVC reads, such as remote://name/key"
PLAIN = "expected a plain path inside the repository, with forward slashes"
FORMATS = (
    "expected a folder of Parquet files, or a .parquet, .feather, .csv or .tsv file "
    "(the last two also with .gz, .bz2, .zst, .lz4)"
)
JSON = "expected finite numbers, text, booleans, null, lists or mappings of these"
NAME = "expected lower-case letters, digits and inner hyphens, such as 'penguins'"
SEMANTIC = "expected a plain semantic version, such as 'v1.0.0'"


pytestmark = pytest.mark.usefixtures("template")  # whose params.yaml they start from


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with the params.yaml of this checkout, to run in."""
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def refusal() -> list[str]:
    """What reading params.yaml complains of."""
    with pytest.raises(Problem) as caught:
        read_parameters()
    return list(caught.value.lines)


def test_the_chosen_estimator_has_its_class_apart_from_its_settings_and_nothing_can_be_changed(folder: Project) -> None:
    folder.set(train__estimator="mine", estimators__mine={"class": "a.B", "max_depth": None, "n": 3})
    parameters = read_parameters()
    assert parameters.estimator.class_ == "a.B"
    assert parameters.estimator.settings == {"max_depth": None, "n": 3}
    with pytest.raises(ValidationError, match="frozen"):
        parameters.prepare.seed = 1


@pytest.mark.parametrize(
    ("key", "complaint", "value"),
    [
        *(("data__path", FORMATS, path) for path in ("data.txt", "data.CSV")),
        *(("data__path", PLAIN, path) for path in ("/a.csv", "../a.csv", "a/../b.csv", "a//b.csv", "a\\b", "")),
        *(("data__path", KEY, f"s3://b/{key}") for key in ("../a.csv", "a//b.csv", "")),
        *(("data__path", URL, f"{scheme}://b/a.csv") for scheme in ("S3", "", "s3://b")),
        ("data__path", FORMATS, "s3://b/a.txt"),
        ("data__task", "expected 'classification' or 'regression'", "clustering"),
        ("data__csv__delimiter", "expected at most 1 character", "::"),
        ("prepare__test_size", "expected greater than 0", 0),
        *(("prepare__test_size", "expected less than 1", value) for value in (1, math.nan)),
        *(("prepare__test_size", "expected a valid number", value) for value in ("0.2", True)),
        ("prepare__seed", "expected greater than or equal to 0", -1),
        ("prepare__seed", "expected less than 4294967296", 2**32),
        ("train__folds", "expected greater than or equal to 2", 1),
        *(("train__seed", "expected a valid integer", value) for value in (None, 1.0)),
        ("train__threads", "expected greater than or equal to 1", 0),
        *(("train__portable", "expected a valid boolean", value) for value in ("yes", 1)),
        ("estimators__ridge", "expected a valid dictionary", 3),
        ("estimators__ridge__class", "expected a valid string", 3),
        *(("estimators__ridge__alpha", JSON, value) for value in (math.nan, [math.inf], {"a": [-math.inf]}, {1: 2})),
        *(("card__license", "expected a valid string", value) for value in (3, ["MIT"])),
        *(("package__name", NAME, name) for name in ("Penguins", "a_b", "1st", "penguins-", "a/b", "a\n", "", None)),
        *(("package__version", SEMANTIC, version) for version in ("1.0.0", "v1.0", "v01.0.0", "v1.0.0-", "v1.0.0+1")),
        *(("package__version", SEMANTIC, version) for version in ("v1.0.0\n", "../v1.0.0", "v1.0.0-01", 1.0)),
    ],
)
def test_a_value_that_is_not_allowed_is_named(folder: Project, key: str, complaint: str, value: object) -> None:
    folder.set(**{key: value})
    assert refusal() == [f"params.yaml: {key.replace('__', '.')}: {complaint}, found {value!r}"]


def test_a_value_that_is_allowed_is_taken_as_it_is(folder: Project) -> None:
    for path, seed, name, version in [("a.csv", 0, "p", "v0.10.0"), ("folder", 2**32 - 1, "penguins-2", "v1.0.0-rc.1")]:
        folder.set(data__path=path, prepare__seed=seed, package__name=name, package__version=version)
        found = read_parameters()
        assert (found.data.path, found.prepare.seed) == (path, seed)
        assert (found.package.name, found.package.version) == (name, version)


@pytest.mark.parametrize(
    "key",
    [
        *("data", "prepare", "train", "estimators", "package", "estimators.ridge.class", "package.name"),
        *("data.path", "data.target", "data.missing", "data.csv.encoding", "prepare.seed", "train.portable"),
    ],
)
def test_no_value_has_a_default_in_the_code(key: str) -> None:
    yaml = YAML()
    document = yaml.load(Path("params.yaml"))
    *parents, name = key.split(".")
    del reduce(getitem, parents, document)[name]
    yaml.dump(document, Path("params.yaml"))
    assert refusal() == [f"params.yaml: {key}: missing; params.yaml has no defaults, so write it down"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"data__tarjet": "x"}, "data.tarjet: unknown key; did you mean 'target'?"),
        ({"prepare__zzz": "x"}, "prepare.zzz: unknown key; known: seed, split, split_by, test_size"),
        ({"card__licence": "MIT"}, "card.licence: unknown key; did you mean 'license'?"),
        ({"cards": {}}, "cards: unknown section; did you mean 'card'?"),
        ({"estimator": "x"}, "estimator: unknown section; did you mean 'estimators'?"),
        ({"train__estimator": "rigde"}, UNKNOWN),
        ({"data__drop": ["year", "sex"]}, "data.drop: expected columns other than the target, found 'sex'"),
        ({"data__csv__thousands": "."}, "data.csv.thousands: expected another mark than data.csv.decimal '.'"),
    ],
)
def test_an_unknown_name_or_a_contradiction_is_refused(folder: Project, values: Any, complaint: str) -> None:
    folder.set(**values)
    assert refusal() == [f"params.yaml: {complaint}"]


@pytest.mark.parametrize("written", ["", "card:", "card: {}", "card:\n  purpose:\n", 'card: {contact: " "}'])
def test_what_people_say_may_be_left_out_or_empty(folder: Project, written: str) -> None:
    file = folder.path / "params.yaml"
    file.write_text(file.read_text("utf-8").partition("# ── card")[0] + written, "utf-8")

    assert read_parameters().card == Card()
    assert read_card(file.read_bytes(), "params.yaml") == Card()


def test_a_card_is_read_from_a_file_whose_other_sections_are_of_another_time() -> None:
    assert read_card(b"data: 3\ncard: {purpose: ' To sort. '}", "params.yaml").purpose == "To sort."
    with pytest.raises(Problem, match=r"^old: card.purpos: unknown key; did you mean 'purpose'\?$"):
        read_card(b"card: {purpos: x}", "old")


def test_all_that_is_wrong_is_said_at_once_and_sorted(folder: Project) -> None:
    folder.set(train__folds=1, prepare__sed=1, data__task="x")
    assert [line.split(" ")[1] for line in refusal()] == ["data.task:", "prepare.sed:", "train.folds:"]


def test_a_missing_file_says_where_to_run_and_one_without_sections_what_they_are() -> None:
    for content in ("", "# only a comment", "[]", "text"):
        Path("params.yaml").write_text(content)
        assert refusal() == ["params.yaml: expected sections data, prepare, train, estimators, package; found none"]
    Path("params.yaml").unlink()
    assert refusal() == ["params.yaml: not found; run from the top folder of the repository"]


@pytest.mark.parametrize(
    "content", [b"data: [", b"data: {}\ndata: {}", b"\xe9: 1", b"\x00", b"[" * 9999, b"!!python/object x"]
)
def test_a_file_that_is_not_yaml_is_refused_in_one_line(content: bytes) -> None:
    Path("params.yaml").write_bytes(content)
    (line,) = refusal()
    assert line.startswith("params.yaml: not readable as YAML: ")
    assert "\n" not in line


@pytest.mark.parametrize("text", ["1e-3", "yes", "on", "010", "0x10", "1_000", "~", "1:30", ".5", "'1'"])
def test_a_value_means_the_same_to_dvc(text: str) -> None:
    file = Path("params.yaml")
    file.write_text(file.read_text("utf-8").replace("C: 1.0", f"C: {text}"), "utf-8")
    ours = read_parameters().estimators["logistic_regression"].settings["C"]
    theirs = load_yaml(file)["estimators"]["logistic_regression"]["C"]
    assert (ours, type(ours)) == (theirs, type(theirs))
