"""The only way by which a model is loaded from its package.

Unpickling runs code, so nothing is unpickled before it is known to be what the package says, and then only by an
unpickler that builds what a fitted scikit-learn Pipeline is made of. The bytes are read once: what was checked is what
is loaded, whoever swaps the file meanwhile. This is hardening against a tampered package, not a sandbox.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from modeling.structures import ForbiddenError
from modeling.unpickling import SOURCES, file_of, libraries_in, unpickle
from record import git
from record.environment import same_version
from record.manifest import Environment, Manifest
from record.models import MODEL, MissingFileError, Package, check_package, read_package
from record.problem import Problem, in_one_line
from record.vouching import refuse_unvouched


class PackageNotFoundError(Problem):
    """The package or a file of it is missing."""


class NotIntactError(Problem):
    """A file is not what the package says it is, or does not have the form of a package's file."""


class EnvironmentDiffersError(Problem):
    """The installed versions are not those that the model was trained with."""


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
            libraries = libraries_in(manifest.params.estimator, manifest.params.train.get("features", []))
            model = unpickle(content, libraries, is_committed)
        except ForbiddenError as problem:
            rebuild = f"python src/lineage.py rebuild {manifest.version}"
            what, *advice = problem.lines
            raise ForbiddenError(what, *(advice or [f"make it anew where it comes from: {rebuild}"])) from None
        except Exception as error:
            raise NotIntactError(f"{path}: {MODEL} cannot be loaded: {in_one_line(error)}") from error
    if not isinstance(model, Pipeline):
        raise NotIntactError(f"{path}: {MODEL} holds a {type(model).__name__}, expected a Pipeline")
    return Loaded(model, manifest)


def is_committed(module: str) -> bool:
    """Whether a module is code of this repository, unchanged since Git's HEAD: what was reviewed."""
    file = file_of(module)
    if file is None or git.ask("ls-files", "--error-unmatch", "--", file, cwd=SOURCES) is None:
        return False
    return git.ask("status", "--porcelain", "--", file, cwd=SOURCES) == ""


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
