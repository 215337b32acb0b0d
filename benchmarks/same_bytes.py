"""Train many estimators under many conditions and compare the model files: `python benchmarks/same_bytes.py`.

Writes the table of docs/same-bytes.md to stdout. Takes some ten minutes. Nothing of the checkout is changed: each
condition trains in a copy of its own folder.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

TOP = Path(__file__).parent.parent
sys.path.insert(0, str(TOP / "src"))

from train import numeric_settings  # noqa: E402 - from src/

CLASSIFIERS = {
    "LogisticRegression": "sklearn.linear_model",
    "RidgeClassifier": "sklearn.linear_model",
    "SGDClassifier": "sklearn.linear_model",
    "SVC": "sklearn.svm",
    "RandomForestClassifier": "sklearn.ensemble",
    "ExtraTreesClassifier": "sklearn.ensemble",
    "GradientBoostingClassifier": "sklearn.ensemble",
    "HistGradientBoostingClassifier": "sklearn.ensemble",
    "KNeighborsClassifier": "sklearn.neighbors",
    "GaussianNB": "sklearn.naive_bayes",
    "MLPClassifier": "sklearn.neural_network",
}
REGRESSORS = {
    "LinearRegression": "sklearn.linear_model",
    "Ridge": "sklearn.linear_model",
    "SGDRegressor": "sklearn.linear_model",
    "SVR": "sklearn.svm",
    "RandomForestRegressor": "sklearn.ensemble",
    "ExtraTreesRegressor": "sklearn.ensemble",
    "GradientBoostingRegressor": "sklearn.ensemble",
    "HistGradientBoostingRegressor": "sklearn.ensemble",
    "KNeighborsRegressor": "sklearn.neighbors",
    "BayesianRidge": "sklearn.linear_model",
    "MLPRegressor": "sklearn.neural_network",
}
TASKS = {"classification": ("sex", CLASSIFIERS), "regression": ("body_mass_g", REGRESSORS)}
PINS = numeric_settings(1, portable=True)
PYTHON = [sys.executable, "src/train.py"]

# What the caller's surroundings may be: a name, what comes before the command, and variables.
CONDITIONS: list[tuple[str, list[str], dict[str, str]]] = [
    ("a second process", [], {}),
    ("one core", ["taskset", "-c", "0"], {}),
    ("4 threads asked for", [], {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}),
    ("another hash seed", [], {"PYTHONHASHSEED": "123"}),
    ("a Turkish locale, another time zone", [], {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"}),
    ("kernels of Prescott", [], {"OPENBLAS_CORETYPE": "Prescott"}),
    ("kernels of SkylakeX", [], {"OPENBLAS_CORETYPE": "SkylakeX", "NPY_DISABLE_CPU_FEATURES": "AVX512_SPR"}),
    ("memory filled with a pattern", [], {"MALLOC_PERTURB_": "170"}),
    ("umask 077", ["sh", "-c", 'umask 077; exec "$0" "$@"'], {}),
]
if emulator := shutil.which("qemu-x86_64"):
    CONDITIONS += [(f"an emulated {name}", [emulator, "-cpu", name], PINS) for name in ("Nehalem", "Haswell")]


def prepare(folder: Path, task: str, target: str) -> None:
    """A copy of the checkout whose table is prepared for a task."""
    shutil.copytree(TOP, folder, ignore=shutil.ignore_patterns(".git", ".venv", ".dvc", "tests", "models"))
    set_parameters(folder, {"data": {"target": target, "task": task}})
    subprocess.run([sys.executable, "src/prepare.py"], cwd=folder, check=True, capture_output=True)


def set_parameters(folder: Path, values: dict[str, dict[str, object]]) -> None:
    """Change params.yaml."""
    yaml, file = YAML(), folder / "params.yaml"
    document = yaml.load(file)
    for section, settings in values.items():
        document[section] |= settings
    yaml.dump(document, file)


def train(folder: Path, prefix: list[str], variables: dict[str, str]) -> str:
    """The SHA-256 of the model file that is made."""
    done = subprocess.run([*prefix, *PYTHON], cwd=folder, env=os.environ | variables, capture_output=True, check=False)
    if done.returncode:
        return done.stderr.decode().strip().splitlines()[-1]
    return hashlib.sha256((folder / "models/candidate/model.joblib").read_bytes()).hexdigest()


def main() -> None:
    """Print a row for each estimator, with how each condition's model compares with the first one."""
    names = [name for name, _, _ in CONDITIONS]
    out = sys.stdout.write
    out(f"| estimator | SHA-256 | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}\n")
    with tempfile.TemporaryDirectory() as scratch:
        for task, (target, estimators) in TASKS.items():
            here, elsewhere = Path(scratch) / task, Path(scratch) / "another folder" / task
            for folder in (here, elsewhere):
                prepare(folder, task, target)
            for name, module in estimators.items():
                for folder in (here, elsewhere):
                    set_parameters(folder, {"estimators": {"one": {"class": f"{module}.{name}"}}})
                    set_parameters(folder, {"train": {"estimator": "one"}})
                first = train(here, [], {})
                others = [train(elsewhere, prefix, variables) for _, prefix, variables in CONDITIONS]
                cells = ["same" if other == first else f"**{other[:60]}**" for other in others]
                out(f"| {name} | `{first[:16]}` | {' | '.join(cells)} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
