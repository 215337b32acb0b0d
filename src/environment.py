"""The libraries that are installed, held against the ones that `requirements.txt` pins.

A model is made by the versions that ran, not by those that a file asks for, so every stage checks first that
the two are the same.
"""

import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from problem import Problem

REQUIREMENTS = Path("requirements.txt")
PYTHONS = {(3, 11), (3, 12), (3, 13)}  # what requirements.txt was locked for


def pinned(requirements: str) -> dict[NormalizedName, str]:
    """The version that a lock file pins for each package that applies to this Python and system."""
    versions = {}
    for line in requirements.replace("\\\n", " ").splitlines():
        specification = line.partition(" #")[0].partition(" --hash=")[0].strip()
        if not specification or specification.startswith("#"):
            continue
        try:
            requirement = Requirement(specification)
        except InvalidRequirement:
            raise Problem(f"{REQUIREMENTS}: expected 'name==version', found '{specification}'") from None
        (pin, *more) = requirement.specifier or [None]
        if pin is None or more or pin.operator != "==":
            raise Problem(
                f"{REQUIREMENTS}: expected one version of {requirement.name} with '==', found '{specification}'"
            )
        if _applies(requirement.marker):
            versions[canonicalize_name(requirement.name)] = pin.version
    return versions


def _applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate()


def check_environment(path: Path = REQUIREMENTS) -> None:
    """Refuse to go on unless every pinned package is installed in exactly its pinned version.

    Raises:
        Problem: naming each package that differs, what is pinned, what is installed, and the mending command.
    """
    if sys.version_info[:2] not in PYTHONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in sorted(PYTHONS))
        raise Problem(f"Python: expected one of {known}, found {platform.python_version()} at {sys.executable}")
    installed: dict[str, str] = {}
    for found in metadata.distributions():  # in the order of sys.path: the first is the one that is imported
        if found.name:
            installed.setdefault(canonicalize_name(found.name), found.version)
    different = [
        f"{path}: pins {name} {version}, installed is {installed.get(name, 'none')}"
        for name, version in sorted(pinned(path.read_text(encoding="utf-8")).items())
        if installed.get(name) != version
    ]
    if different:
        raise Problem(*different, f"install what is pinned: {sys.executable} -m pip install -r {path}")


def packages_behind(names: Iterable[str]) -> dict[str, str]:
    """The installed versions of some packages and of all that they require: what a model's bytes rest on."""
    versions: dict[str, str] = {}
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in versions:
            continue
        found = metadata.distribution(name)
        versions[name] = found.version
        for text in found.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return dict(sorted(versions.items()))
