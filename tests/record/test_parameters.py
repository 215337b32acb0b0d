import math
import shutil
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from dvc.utils.serialize import load_yaml
from projects import CHECKOUT, Project
from pydantic import ValidationError
from ruamel.yaml import YAML

from record.parameters import read_parameters
from record.problem import Problem

FOREST = "sklearn.ensemble.RandomForestClassifier"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with the params.yaml of this checkout, to run in."""
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def refusal() -> list[str]:
    """What reading params.yaml complains of."""
    with pytest.raises(Problem) as caught:
        read_parameters()
    return list(caught.value.lines)


def test_the_file_that_is_delivered_is_valid() -> None:
    parameters = read_parameters(CHECKOUT / "params.yaml")

    assert parameters.data.target == "sex"
    assert parameters.estimator is parameters.estimators[parameters.train.estimator]


def test_the_chosen_estimator_has_its_class_apart_from_its_settings(repository: Project) -> None:
    repository.set(train__estimator="mine", estimators__mine={"class": FOREST, "max_depth": None, "n_estimators": 3})

    estimator = read_parameters().estimator

    assert estimator.class_ == FOREST
    assert estimator.settings == {"max_depth": None, "n_estimators": 3}


def test_parameters_cannot_be_changed_by_the_code_that_reads_them(repository: Project) -> None:
    parameters = read_parameters(repository.path / "params.yaml")

    with pytest.raises(ValidationError, match="frozen"):
        parameters.prepare.seed = 1


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("data__path", "data.txt", "expected a file that ends in .parquet or .csv"),
        ("data__path", "data.CSV", "expected a file that ends in .parquet or .csv"),
        ("data__path", 3, "expected a valid string"),
        *(
            ("data__path", path, "expected a plain path inside the repository, with forward slashes")
            for path in ("/data.csv", "../data.csv", "a/../data.csv", "./data.csv", "a//data.csv", "a\\data.csv", "")
        ),
        ("data__target", None, "expected a valid string"),
        ("data__task", "clustering", "expected 'classification' or 'regression'"),
        ("data__drop", "sex", "expected a valid list"),
        ("prepare__test_size", 0, "expected greater than 0"),
        ("prepare__test_size", 1, "expected less than 1"),
        ("prepare__test_size", math.nan, "expected less than 1"),
        ("prepare__test_size", "0.2", "expected a valid number"),
        ("prepare__test_size", True, "expected a valid number"),
        ("prepare__seed", -1, "expected greater than or equal to 0"),
        ("prepare__seed", 2**32, "expected less than 4294967296"),
        ("prepare__seed", 1.0, "expected a valid integer"),
        ("train__estimator", 3, "expected a valid string"),
        ("train__folds", 1, "expected greater than or equal to 2"),
        ("train__seed", None, "expected a valid integer"),
        ("train__threads", 0, "expected greater than or equal to 1"),
        ("train__portable", "yes", "expected a valid boolean"),
        ("train__portable", 1, "expected a valid boolean"),
        ("estimators__ridge", 3, "expected a valid dictionary"),
        ("estimators__ridge__class", 3, "expected a valid string"),
        *(
            (
                "estimators__ridge__alpha",
                value,
                "expected finite numbers, text, booleans, null, lists or mappings of these",
            )
            for value in (math.nan, math.inf, [math.inf], {"a": [-math.inf]}, {1: 2})
        ),
        *(
            ("package__name", name, "expected lower-case letters, digits and inner hyphens, such as 'penguins'")
            for name in ("Penguins", "pen_guins", "1st", "penguins-", "-penguins", "pen/guins", "penguins\n", "", None)
        ),
        *(
            ("package__version", version, "expected a plain semantic version, such as 'v1.0.0'")
            for version in (
                "1.0.0",
                "v1.0",
                "v01.0.0",
                "v1.0.0-",
                "v1.0.0+1",
                "v1.0.0\n",
                "../v1.0.0",
                "candidate",
                "v1.0.0-01",
                1.0,
            )
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_was_expected_and_found(
    repository: Project, key: str, value: object, complaint: str
) -> None:
    repository.set(**{key: value})

    assert refusal() == [f"params.yaml: {key.replace('__', '.')}: {complaint}, found {value!r}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data__path", "table.csv"),
        ("data__drop", ["island", "year"]),
        ("prepare__seed", 0),
        ("prepare__seed", 2**32 - 1),
        ("train__folds", 2),
        ("package__name", "p"),
        ("package__name", "penguins-2"),
        ("package__version", "v0.10.0"),
        ("package__version", "v1.0.0-rc.1"),
    ],
)
def test_a_value_that_is_allowed_is_taken_as_it_is(repository: Project, key: str, value: object) -> None:
    repository.set(**{key: value})
    section, name = key.split("__")

    assert getattr(getattr(read_parameters(), section), name) == value


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("data__tarjet", "data.tarjet: unknown key; did you mean 'target'?"),
        ("data__zzz", "data.zzz: unknown key; known: drop, path, target, task"),
        ("estimator", "estimator: unknown section; did you mean 'estimators'?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(repository: Project, key: str, complaint: str) -> None:
    repository.set(**{key: "x"})

    assert refusal() == [f"params.yaml: {complaint}"]


@pytest.mark.parametrize(
    "key",
    [
        *("data", "prepare", "train", "estimators", "package"),
        *("data.path", "data.target", "data.task", "data.drop", "prepare.test_size", "prepare.seed"),
        *("train.estimator", "train.folds", "train.seed", "train.threads", "train.portable"),
        *("estimators.ridge.class", "package.name", "package.version"),
    ],
)
def test_no_value_has_a_default_in_the_code(repository: Project, key: str) -> None:
    yaml = YAML()
    document = yaml.load(repository.path / "params.yaml")
    *parents, name = key.split(".")
    del reduce(getitem, parents, document)[name]
    yaml.dump(document, repository.path / "params.yaml")

    assert refusal() == [f"params.yaml: {key}: missing; every value is written down in params.yaml"]


def test_an_unknown_estimator_is_answered_with_the_nearest(repository: Project) -> None:
    repository.set(train__estimator="random_forrest")

    (line,) = refusal()

    assert line.startswith("params.yaml: train.estimator: expected a name from estimators, found 'random_forrest'; ")
    assert line.endswith("; did you mean 'random_forest'?")


def test_the_target_cannot_be_dropped(repository: Project) -> None:
    repository.set(data__drop=["year", "sex"])

    assert refusal() == ["params.yaml: data.drop: expected columns other than the target, found 'sex'"]


def test_all_that_is_wrong_is_said_at_once_and_sorted(repository: Project) -> None:
    repository.set(train__folds=1, prepare__sed=1, data__task="x", package__version="1")

    assert refusal() == [
        "params.yaml: data.task: expected 'classification' or 'regression', found 'x'",
        "params.yaml: package.version: expected a plain semantic version, such as 'v1.0.0', found '1'",
        "params.yaml: prepare.sed: unknown key; did you mean 'seed'?",
        "params.yaml: train.folds: expected greater than or equal to 2, found 1",
    ]


def test_a_missing_file_says_where_to_run(repository: Project) -> None:
    (repository.path / "params.yaml").unlink()

    assert refusal() == ["params.yaml: not found; run from the top folder of the repository"]


@pytest.mark.parametrize("content", ["", "# only a comment", "[]", "text"])
def test_a_file_without_sections_is_refused(repository: Project, content: str) -> None:
    (repository.path / "params.yaml").write_text(content)

    assert refusal() == ["params.yaml: expected sections data, prepare, train, estimators, package; found none"]


@pytest.mark.parametrize(
    "content",
    [b"data: [", b"data: {}\ndata: {}", b"data: !python/object x", b"a: 1\n---\na: 1", b"\xe9: 1", b"\x00"],
    ids=["open", "twice", "tag", "documents", "latin-1", "binary"],
)
def test_a_file_that_is_not_yaml_is_refused_in_one_line(repository: Project, content: bytes) -> None:
    (repository.path / "params.yaml").write_bytes(content)

    (line,) = refusal()

    assert line.startswith("params.yaml: not readable as YAML: ")
    assert "\n" not in line


@pytest.mark.parametrize("text", ["1e-3", "yes", "on", "010", "0x10", "1_000", "~", "1:30", ".5", "'1'"])
def test_a_value_means_the_same_to_dvc(repository: Project, text: str) -> None:
    file = repository.path / "params.yaml"
    file.write_text(file.read_text("utf-8").replace("C: 1.0", f"C: {text}"), "utf-8")

    ours = read_parameters().estimators["logistic_regression"].settings["C"]
    theirs = load_yaml(file)["estimators"]["logistic_regression"]["C"]

    assert (ours, type(ours)) == (theirs, type(theirs))
