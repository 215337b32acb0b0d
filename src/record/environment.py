"""What a model is computed with: the installed libraries, the numeric settings (environment variables), the memory.

A model is made by the versions that ran, not by those that a file asks for, so `prepare` and `train` check first
that the two are the same. Most of the switches that choose between numeric kernels are read once, before Python runs
a line, so a script that needs other ones sets them and starts itself again.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from record.problem import Problem, refuse_if

CONTROL_GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # of a container, or a service
IN_GROUPS = {  # by controller, the second version of which has no name: limit, use, and what is cached of files
    "": ("memory.max", "memory.current", ("active_file", "inactive_file")),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
}
REQUIREMENTS = Path("requirements.txt")
PYTHONS = {(3, 11), (3, 12), (3, 13)}  # what requirements.txt was locked for
OTHER_FILES = ("-r", "-c", "-e", "--requirement", "--constraint", "--editable")  # what a lock does not hold itself

# Whatever else the caller set for these libraries would be a parameter that the manifest does not show.
NUMERIC_PREFIXES = ("BLIS_", "GOTO_", "KMP_", "MKL_", "NPY_", "NUMEXPR_", "OMP_", "OPENBLAS_", "SKLEARN_", "VECLIB_")
NUMERIC_NAMES = ("GLIBC_TUNABLES", "PYTHONHASHSEED")
PINS = {
    "GLIBC_TUNABLES",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
}
STARTED_AGAIN = "LINEAGE_STARTED_AGAIN"


def pinned(requirements: str, machine: Mapping[str, str] | None = None) -> dict[NormalizedName, str]:
    """The version that a lock file pins for each package that applies to this Python and system, or to another machine.

    Lines that say where packages come from, such as `--index-url`, are passed over: they pin nothing.
    """
    versions = {}
    for line in requirements.replace("\\\n", " ").splitlines():
        specification = line.partition(" #")[0].partition(" --hash=")[0].strip()
        is_option = specification.startswith("-") and not specification.startswith(OTHER_FILES)
        if not specification or specification.startswith("#") or is_option:
            continue
        try:
            requirement = Requirement(specification)
            (pin,) = requirement.specifier
            Version(pin.version)
            applies = requirement.marker is None or requirement.marker.evaluate(dict(machine or {}))
        except (InvalidRequirement, InvalidVersion, ValueError):
            raise Problem(f"{REQUIREMENTS}: expected 'name==version', found '{specification}'") from None
        if pin.operator != "==":
            raise Problem(f"{REQUIREMENTS}: expected one version with '==', found '{specification}'")
        if applies:
            versions[canonicalize_name(requirement.name)] = pin.version
    return versions


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean one version, as 1.17 and 1.17.0 do (PEP 440)."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def check_environment(path: Path = REQUIREMENTS) -> None:
    """Refuse to go on unless every pinned package is installed in exactly its pinned version.

    Raises:
        Problem: naming each package that differs, what is pinned, what is installed, and the command that installs it.
    """
    if sys.version_info[:2] not in PYTHONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in sorted(PYTHONS))
        raise Problem(f"Python: expected one of {known}, found {platform.python_version()} at {sys.executable}")
    different = [
        f"{path}: pins {name} {version}, installed is {installed}"
        for name, version in sorted(pinned(path.read_text(encoding="utf-8")).items())
        if not same_version(installed := installed_version(name), version)
    ]
    if different:
        raise Problem(*different, f"install what is pinned: {sys.executable} -m pip install -r {path}")


def installed_version(name: str) -> str:
    """The version of a package that is imported here, or `none`."""
    with suppress(metadata.PackageNotFoundError, FileNotFoundError):  # which a broken installation leaves behind
        return metadata.version(name) or "none"
    return "none"


def all_installed() -> dict[str, str]:
    """The version of every package that is installed here."""
    versions: dict[str, str] = {}
    for found in metadata.distributions():  # in the order of sys.path: the first is the one that is imported
        with suppress(FileNotFoundError):  # of what a broken installation left behind
            about = found.metadata  # once: whoever asks for the name or the version has the whole file parsed again
            if about["Name"]:
                versions.setdefault(canonicalize_name(about["Name"]), about["Version"])
    return versions


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The installed versions of some packages and of all that they require: what a model's bytes depend on."""
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


def start_with(settings: Mapping[str, str]) -> None:
    """Return at once where exactly these numeric settings are in force; otherwise start this script again with them.

    They may come from a package that nobody has verified yet, so no other variable than a known one is ever set.
    """
    refuse_if(f"{name}: is not a numeric setting, so it is not set" for name in settings if name not in PINS)
    found = numeric_variables()
    if settings == found:
        return
    if STARTED_AGAIN in os.environ:
        names = ", ".join(sorted(name for name in {**settings, **found} if settings.get(name) != found.get(name)))
        raise Problem(f"{names}: set anew whenever Python starts, by a sitecustomize module or a wrapper; remove that")
    kept = {name: value for name, value in os.environ.items() if not _is_numeric(name)}
    environment = {**kept, **settings, STARTED_AGAIN: "1"}
    command = [sys.executable, *sys.orig_argv[1:]]
    if os.name == "nt":  # there, exec returns to the caller while the new process still runs
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    os.execve(sys.executable, command, environment)  # noqa: S606


def numeric_variables() -> dict[str, str]:
    """The environment variables of this process that decide how numbers are computed."""
    return {name: value for name, value in sorted(os.environ.items()) if _is_numeric(name)}


def _is_numeric(name: str) -> bool:
    return name in NUMERIC_NAMES or name.startswith(NUMERIC_PREFIXES)


def left_in_groups() -> Iterator[int]:
    """The bytes that the control groups of this process leave it, its own and those around it.

    What is cached of files counts as used there, and is given up when memory is short.
    """
    for line in OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.is_file() else ():
        _, controller, path = line.split(":", 2)
        limit, used, caches = IN_GROUPS.get(controller, ("", "", ()))
        inside = CONTROL_GROUPS / controller / path.lstrip("/")
        for group in (inside, *inside.parents) if limit else ():
            if (group / limit).is_file() and (most := (group / limit).read_text().strip()).isdigit():
                pairs = (line.split() for line in (group / "memory.stat").read_text().splitlines())
                cached = sum(int(size) for name, size in pairs if name in caches)
                yield int(most) - int((group / used).read_text()) + cached


def available_memory() -> int:
    """The bytes that this process can still take: of the machine, of its container, and of its own limits."""
    import psutil  # noqa: PLC0415 - only `train` asks

    found: list[int] = [psutil.virtual_memory().available]
    found += left_in_groups()
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Windows does not have it

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        found += [soft - psutil.Process().memory_info().vms] if soft != resource.RLIM_INFINITY else []
    return max(0, min(found))
