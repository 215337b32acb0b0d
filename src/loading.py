"""The one door through which a model comes out of its package.

Unpickling runs code, so nothing is unpickled before it is known to be what the package says, and then only by an
unpickler that builds what a fitted scikit-learn Pipeline is made of. The bytes are read once: what was checked is what
is loaded, whoever swaps the file meanwhile. This hardens against a package that was tampered with; it is no sandbox.
"""

import hashlib
import inspect
import sys
import warnings
from dataclasses import dataclass
from importlib import import_module, metadata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from joblib.numpy_pickle import NumpyUnpickler
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

import git
import packages
from checksums import parse_sums
from manifest import Environment, Manifest, parse_manifest
from problem import Problem

SOURCES = Path(__file__).parent

# By module: single names, which are all that models of every estimator of scikit-learn were seen to need.
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
}
# Packages whose own classes may be built, but for those parts whose classes open files or run tests.
CLASSES = ("sklearn.", "scipy.interpolate.", "scipy.sparse.")
NO_CLASSES = ("sklearn.datasets", "sklearn.externals", "sklearn.utils", "sklearn.tests", "sklearn.conftest")
CONSTRUCTORS = ("newObj", "__pyx_unpickle_")  # how Cython classes of scikit-learn are made


class PackageNotFoundError(Problem):
    """There is no package, or a file of it is missing."""


class NotAPackageError(Problem):
    """What stands there does not have the form of a package."""


class NotIntactError(Problem):
    """A file is not what the package says of it."""


class EnvironmentDiffersError(Problem):
    """The installed versions are not those that the model was trained with."""


class ForbiddenError(Problem):
    """The model file asks for something that no fitted Pipeline is made of."""


@dataclass(frozen=True)
class Loaded:
    """A model with the manifest that says where it came from."""

    model: Pipeline
    manifest: Manifest


def load_model(path: Path) -> Loaded:
    """Load the model of the package in a folder, once it is found to be intact and at home in this environment.

    Raises:
        PackageNotFoundError, NotAPackageError, NotIntactError, EnvironmentDiffersError, ForbiddenError
    """
    files = _read(Path(path))
    manifest = check_bytes(files)
    check_versions(manifest.environment)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            model = ModelUnpickler(files[packages.MODEL]).load()
        except Problem:
            raise
        except Exception as error:
            raise NotIntactError(f"{path}: {packages.MODEL} cannot be loaded: {error}") from error
    return Loaded(model, manifest)


def _read(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise PackageNotFoundError(f"{folder}: not found; packages are the folders of {packages.MODELS}/")
    names = (*packages.CHECKED, packages.SUMS)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        hint = f"python src/lineage.py restore {folder.name}"
        raise PackageNotFoundError(*(f"{folder / name}: not found; {hint} brings it back" for name in missing))
    return {name: (folder / name).read_bytes() for name in names}


def check_bytes(files: dict[str, bytes]) -> Manifest:
    """Hold the files of a package against its checksums and its manifest; returns the manifest."""
    try:
        sums = parse_sums(files[packages.SUMS], packages.CHECKED)
        found = {name: hashlib.sha256(files[name]).hexdigest() for name in packages.CHECKED}
        different = [name for name in packages.CHECKED if found[name] != sums[name]]
    except Problem as problem:
        raise NotAPackageError(*problem.lines) from None
    if different:
        raise NotIntactError(*(f"{name}: is not what {packages.SUMS} says; restore the package" for name in different))
    try:
        manifest = parse_manifest(files[packages.MANIFEST])
    except Problem as problem:
        raise NotAPackageError(*problem.lines) from None
    recorded = {packages.MODEL: manifest.model.sha256, packages.REQUIREMENTS: manifest.environment.requirements_sha256}
    if different := [name for name, sha256 in recorded.items() if found[name] != sha256]:
        raise NotIntactError(*(f"{name}: is not what {packages.MANIFEST} says; restore it" for name in different))
    return manifest


def check_versions(environment: Environment) -> None:
    """Refuse versions other than those that the model was trained with; they may load it and then fail or differ."""
    minor = environment.python.rpartition(".")[0]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    lines = [f"Python: the model was trained with {minor}, this is {here}"] if minor != here else []
    for name, version in environment.packages.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = "none"
        if installed != version:
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
            raise ForbiddenError(
                f"model.joblib: asks for {module}.{name}, which no model is made of; nothing was loaded"
            )
        return super().find_class(module, name)


def is_allowed(module: str, name: str) -> bool:
    """Whether a model may be made of what a module calls by this name."""
    if "." in name:  # a path through what a module happens to import
        return False
    if name in NAMES.get(module, ()):
        return True
    if module == "numpy":
        return _is_class(module, name, "numpy") and issubclass(getattr(np, name), np.generic)
    if module.startswith(CLASSES) and not module.startswith(NO_CLASSES):
        return name.startswith(CONSTRUCTORS) or _is_class(module, name, module.partition(".")[0])
    return is_committed(module) and _is_class(module, name, module)


def _is_class(module: str, name: str, home: str) -> bool:
    """Whether it is a class that was made in the package, not one that it imported from elsewhere."""
    value = getattr(import_module(module), name, None)
    return inspect.isclass(value) and value.__module__.partition(".")[0] == home


def is_committed(module: str) -> bool:
    """Whether a module is code of this repository, as Git's HEAD has it: what was reviewed, not what was dropped in."""
    file = f"{module}.py"
    if not module.isidentifier() or git.git("ls-files", "--error-unmatch", "--", file, cwd=SOURCES) is None:
        return False
    return git.git("status", "--porcelain", "--", file, cwd=SOURCES) == ""
