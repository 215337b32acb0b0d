"""Small tables, parameters for them, and a package of a model, made without DVC."""

import hashlib
import json
import platform
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
from manifests import document
from projects import VERSION

from modeling.dumping import dump_into
from modeling.estimator import describe, fit_pipeline
from modeling.reading import DEFAULTS
from record.checksums import digest, format_sums
from record.environment import installed_versions
from record.files import to_json
from record.models import CHECKED, MANIFEST, MODEL, REQUIREMENTS, SUMS
from record.parameters import Data, Estimator, Package, Parameters, Prepare, Train

LOGISTIC = {"class": "sklearn.linear_model.LogisticRegression"}
RIDGE = {"class": "sklearn.linear_model.Ridge"}
TREE = {"class": "sklearn.tree.DecisionTreeClassifier"}
FOREST = {"class": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 5}
LINEAR_SVC = {"class": "sklearn.svm.LinearSVC"}
SEARCH = {"class": "sklearn.model_selection.GridSearchCV", "estimator": LOGISTIC, "param_grid": {"C": [0.1, 1.0]}}
VOTING = {"class": "sklearn.ensemble.VotingClassifier", "estimators": [["logistic", LOGISTIC], ["forest", FOREST]]}

PREPARE_SECTION = {"split": "stratified", "split_by": None, "test_size": 0.2, "seed": 42}
TRAIN_SECTION = {
    "estimator": "mine",
    "features": [],
    "metric": "auto",
    "slices": [],
    "folds": 3,
    "seed": 7,
    "threads": 1,
    "portable": False,
    "cluster": "none",
    "stream": False,
    "batch_rows": 100,
    "order": "shuffled",
    "passes": 1,
}
ROW = {"species": "Adelie", "island": "Dream", "bill_mm": 39.1, "mass_g": 3750}
PENGUINS = pa.table(
    {
        "species": ["Adelie", "Gentoo"] * 6,
        "island": ["Dream", "Biscoe", "Dream"] * 4,
        "bill_mm": [39.0 + row / 4 for row in range(12)],
        "mass_g": [3000, 5000] * 6,
        "sex": ["female", "male"] * 6,
    }
)


def make_data(**changes: Any) -> Data:
    asked = {"path": "table.csv", "target": "target", "task": "classification", "drop": []}
    return Data.model_validate(DEFAULTS | asked | changes)


def make_parameters(
    settings: dict[str, Any], target: str = "target", task: str = "classification", **sections: dict[str, Any]
) -> Parameters:
    """Parameters for an estimator's settings; `data`, `prepare` and `train` differ from the usual ones as asked."""
    return Parameters(
        data=make_data(**{"target": target, "task": task} | sections.get("data", {})),
        prepare=Prepare.model_validate(PREPARE_SECTION | sections.get("prepare", {})),
        train=Train.model_validate(TRAIN_SECTION | sections.get("train", {})),
        estimators={"mine": Estimator.model_validate(settings)},
        package=Package(name="penguins", version=VERSION),
    )


def dumped(model: object) -> bytes:
    content = BytesIO()
    dump_into(content, model)
    return content.getvalue()


def write_package_of(folder: Path) -> None:
    """A package of a model of the penguins."""
    parameters = make_parameters(LOGISTIC, "sex")
    pipeline = fit_pipeline(PENGUINS, parameters)
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(dumped(pipeline))
    (folder / REQUIREMENTS).write_text("pyarrow==1.0\n")
    requirements, whole = digest(folder / REQUIREMENTS), document()
    fitted = describe(pipeline, PENGUINS, parameters, None).model_dump(by_alias=True)
    whole["model"] |= fitted | vars(digest(folder / MODEL))
    whole["environment"] = {
        "python": platform.python_version(),
        "requirements_sha256": requirements.sha256,
        "packages": installed_versions(["scikit-learn"]),
        "numeric": {},
    }
    (folder / MANIFEST).write_bytes(to_json(whole))
    reseal(folder)


def seal(folder: Path, model: bytes | None = None, **changes: Any) -> None:
    """Change a package as an expert would: each hash in it is right again afterwards.

    A key's dots are written as two underscores.
    """
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for key, value in changes.items():
        *parents, name = key.split("__")
        section = manifest
        for parent in parents:
            section = section[parent]
        section[name] = value
    if model is not None:
        (folder / MODEL).write_bytes(model)
        manifest["model"] |= vars(digest(folder / MODEL))
    (folder / MANIFEST).write_bytes(to_json(manifest))
    reseal(folder)


def reseal(folder: Path) -> None:
    """Write the checksums of the files as they are."""
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in CHECKED}
    (folder / SUMS).write_bytes(format_sums(sums))
