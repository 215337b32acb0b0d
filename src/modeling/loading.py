"""The only way by which a model is loaded from its package.

Unpickling runs code, so nothing is unpickled before it is known to be what the package says, and then only by an
unpickler that builds what a fitted scikit-learn Pipeline is made of. The bytes are read once: what was checked is what
is loaded, whoever swaps the file meanwhile. This is hardening against a tampered package, not a sandbox.
"""

import inspect
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from joblib.numpy_pickle import NumpyUnpickler
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from record import git
from record.environment import same_version
from record.manifest import Environment, Manifest
from record.models import MODEL, MissingFileError, Package, check_package, read_package
from record.problem import Problem
from record.vouching import refuse_unvouched

SOURCES = Path(__file__).parent.parent

# By module, single names; with the estimators, which are found by their base class, this is all that models of every
# estimator of scikit-learn were seen to need. Nothing here does more than hold numbers or compute with them.
NAMES = {
    "builtins": {"bytearray", "complex", "frozenset", "object", "range", "set", "slice"},
    "collections": {"OrderedDict"},
    "joblib.numpy_pickle": {"NumpyArrayWrapper"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random._pickle": {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
    "numpy.random.bit_generator": {"SeedSequence", "__pyx_unpickle_SeedSequence"},
    "scipy._lib.array_api_compat.numpy._aliases": {"asarray"},
    "scipy.interpolate._bsplines": {"BSpline"},
    "scipy.interpolate._interpolate": {"interp1d"},
    "scipy.sparse._csc": {"csc_array", "csc_matrix"},
    "scipy.sparse._csr": {"csr_array", "csr_matrix"},
    "sklearn.calibration": {"_CalibratedClassifier"},
    "sklearn.ensemble._hist_gradient_boosting.predictor": {"TreePredictor"},
    "sklearn.feature_selection._univariate_selection": {"chi2", "f_classif", "f_regression"},
    "sklearn.gaussian_process._gpc": {"_BinaryGaussianProcessClassifierLaplace"},
    "sklearn.model_selection._split": {"KFold", "ShuffleSplit", "StratifiedKFold", "StratifiedShuffleSplit"},
    "sklearn.tree._tree": {"Tree"},
    "sklearn.utils._bunch": {"Bunch"},
}
# Modules of scikit-learn that hold only classes for numbers: losses, kernels, distances, trees of neighbours.
NUMERIC_MODULES = (
    "sklearn._loss.",
    "sklearn.gaussian_process.kernels",
    "sklearn.linear_model._sgd_fast",
    "sklearn.metrics._dist_metrics",
    "sklearn.neighbors._ball_tree",
    "sklearn.neighbors._kd_tree",
    "sklearn.neural_network._stochastic_optimizers",
)
CONSTRUCTORS = ("newObj", "__pyx_unpickle_")  # how their Cython classes are made


class PackageNotFoundError(Problem):
    """The package or a file of it is missing."""


class NotIntactError(Problem):
    """A file is not what the package says it is, or does not have the form of a package's file."""


class EnvironmentDiffersError(Problem):
    """The installed versions are not those that the model was trained with."""


class ForbiddenError(Problem):
    """The model file asks for something that a fitted Pipeline is never made of."""


@dataclass(frozen=True)
class Loaded:
    """A model with the manifest that says where it came from."""

    model: Pipeline
    manifest: Manifest


def load_model(path: Path, *, keys: Sequence[Path] = (), trust_unvouched: bool = False) -> Loaded:
    """Load the model of a package that is intact and vouched for, in the environment that made it.

    Where `keys` names public keys, one of them must have signed the package; otherwise this repository must know it.

    Raises:
        PackageNotFoundError, NotIntactError, UnvouchedError, EnvironmentDiffersError, ForbiddenError
    """
    manifest, package = read_intact(Path(path))
    if keys or not trust_unvouched:
        refuse_unvouched(Path(path), package, keys)
    check_versions(manifest.environment)
    content = package.texts[MODEL]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            model = ModelUnpickler(content).load()
        except Problem:
            raise
        except Exception as error:
            raise NotIntactError(f"{path}: {MODEL} cannot be loaded: {error}") from error
    if not isinstance(model, Pipeline):
        raise NotIntactError(f"{path}: {MODEL} holds a {type(model).__name__}, expected a Pipeline")
    return Loaded(model, manifest)


def read_intact(folder: Path) -> tuple[Manifest, Package]:
    """A package and its manifest, from one reading of its files, which were all checked."""
    try:
        package = read_package(folder, with_model=True)
    except MissingFileError as problem:
        raise PackageNotFoundError(*problem.lines) from None
    manifest, problems = check_package(package)
    if missing := [problem for problem in package.unreadable.values() if isinstance(problem, MissingFileError)]:
        raise PackageNotFoundError(*(line for problem in missing for line in problem.lines))
    if problems or manifest is None:
        raise NotIntactError(*problems)
    return manifest, package


def check_versions(environment: Environment) -> None:
    """Refuse versions other than those that the model was trained with; they may load it and then fail or differ."""
    minor = environment.python.rpartition(".")[0]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    lines = [f"Python: the model was trained with {minor}, this is {here}"] if minor != here else []
    for name, version in environment.packages.items():
        try:
            installed = metadata.version(name)
        except (metadata.PackageNotFoundError, ValueError):  # the second is of an empty name
            installed = "none"
        if not same_version(installed, version):
            lines.append(f"{name}: the model was trained with {version}, installed is {installed}")
    if lines:
        raise EnvironmentDiffersError(*lines, "install the requirements.txt of the package, then load it")


class ModelUnpickler(NumpyUnpickler):  # type: ignore[misc]
    """Builds what a fitted Pipeline is made of, and nothing else, whatever the file asks for."""

    def __init__(self, content: bytes) -> None:
        super().__init__("", BytesIO(content), ensure_native_byte_order=True)

    def find_class(self, module: str, name: str) -> Any:
        """The class or constructor of a name that is allowed."""
        if not is_allowed(module, name):
            raise ForbiddenError(f"{MODEL}: asks for {module}.{name}, {why_not(module)}; nothing was loaded")
        return super().find_class(module, name)


def is_allowed(module: str, name: str) -> bool:
    """Whether a model may be made of what a module calls by this name."""
    if "." in name or ".tests" in module:  # a path through what a module happens to import; code that runs tests
        return False
    if name in NAMES.get(module, ()):
        return True
    if module == "numpy":
        return inspect.isclass(found := getattr(np, name, None)) and issubclass(found, np.generic)
    if module.startswith(NUMERIC_MODULES):
        return name.startswith(CONSTRUCTORS) or _is_class_of(module, name)
    if module.startswith(("sklearn.", "skrub.")) or is_committed(module):
        return _is_class_of(module, name) and issubclass(getattr(import_module(module), name), BaseEstimator)
    return False


def _is_class_of(module: str, name: str) -> bool:
    """Whether it is a class that the module itself defines, not one that it imported from elsewhere."""
    found = getattr(import_module(module), name, None)
    return inspect.isclass(found) and found.__module__ == module


def why_not(module: str) -> str:
    """Why a model may not be made of what is in a module."""
    file = file_of(module)
    if file is None or is_committed(module):
        return "which a model is never made of"
    return f"and src/{file} is not committed as it is; review it, then git add src/{file} && git commit"


def file_of(module: str) -> str | None:
    """The file of a module of this repository, below src/."""
    file = f"{module.replace('.', '/')}.py"
    return file if all(map(str.isidentifier, module.split("."))) and (SOURCES / file).is_file() else None


def is_committed(module: str) -> bool:
    """Whether a module is code of this repository, unchanged since Git's HEAD: what was reviewed."""
    file = file_of(module)
    if file is None:
        return False
    if git.ask("ls-files", "--error-unmatch", "--", file, cwd=SOURCES) is None:
        return False
    return git.ask("status", "--porcelain", "--", file, cwd=SOURCES) == ""
