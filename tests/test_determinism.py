"""A model that cannot be made again is found out."""

import json
from pathlib import Path

import pytest
from conftest import Project

UNSTABLE = """
from sklearn.linear_model import LogisticRegression


class KeepsItsAddress(LogisticRegression):
    def fit(self, X, y):
        super().fit(X, y)
        self.address_ = id(self)
        return self


class KeepsASet(LogisticRegression):
    def fit(self, X, y):
        super().fit(X, y)
        self.names_ = {f"name {i}" for i in range(100)}
        return self
"""


@pytest.mark.parametrize(
    ("name", "reason"),
    [("KeepsItsAddress", "model.address_ differs from process to process"), ("KeepsASet", None)],
)
def test_an_id_makes_a_model_not_deterministic_and_a_set_does_not(
    project: Project, name: str, reason: str | None
) -> None:
    """The order of a set follows PYTHONHASHSEED, which is pinned; an address cannot be."""
    (project.path / "src/unstable.py").write_text(UNSTABLE)
    dvc_yaml = project.path / "dvc.yaml"
    dvc_yaml.write_text(
        dvc_yaml.read_text().replace("      - src/train.py", "      - src/train.py\n      - src/unstable.py")
    )
    project.set(train__estimator="mine", estimators__mine={"class": f"unstable.{name}"})
    done = project.run("dvc repro")
    model = json.loads((project.path / "models/v1.0.0/manifest.json").read_text())["model"]

    assert (model["deterministic"], model["nondeterminism"]) == (reason is None, reason)
    assert ("warning: this model cannot be made again byte for byte" in done.stderr) == (reason is not None)


def test_code_of_the_repository_that_dvc_yaml_does_not_name_is_refused(project: Project) -> None:
    (project.path / "src/unstable.py").write_text(UNSTABLE)
    project.set(train__estimator="mine", estimators__mine={"class": "unstable.KeepsASet"})
    done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "error: src/unstable.py: train reads it, but dvc.yaml does not list it" in done.stderr


def test_a_second_fit_that_fails_is_a_reason_and_no_failure(project: Project) -> None:
    """Fails wherever the memory is filled with a pattern, which is how the second process is told apart here."""
    code = UNSTABLE.replace("self.address_ = id(self)", "import os; assert 'MALLOC_PERTURB_' not in os.environ, 'no'")
    (project.path / "src/unstable.py").write_text(code)
    project.set(train__estimator="mine", estimators__mine={"class": "unstable.KeepsItsAddress"})
    project.run("python src/train.py")
    description = json.loads(Path(project.path / "models/candidate/description.json").read_text())

    assert not description["fitted"]["deterministic"]
    assert description["fitted"]["nondeterminism"].startswith("the second fit failed: ")
