"""The packages of a version's own requirements.txt, as they were installed where the model was made.

A lock is for several systems and Pythons at once. The manifest says on which of them the model was made, so an export
names the same packages wherever it is written.
"""

from record.environment import pinned
from record.manifest import Manifest


def packages_of(manifest: Manifest, requirements: str) -> dict[str, str]:
    """The version of each package by name: all that was locked, and in any case what the model was fitted with."""
    return dict(sorted((pinned(requirements, machine_of(manifest)) | manifest.environment.packages).items()))


def machine_of(manifest: Manifest) -> dict[str, str]:
    """What the markers of requirements ask about, of the machine that made the model."""
    system, _, processor = manifest.run.platform.partition("-")
    python = manifest.environment.python
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "nt" if system == "Windows" else "posix",
        "platform_machine": processor,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system,
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "win32" if system == "Windows" else system.lower(),
    }
