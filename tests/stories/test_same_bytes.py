"""The model's bytes do not depend on the machine or on the caller's environment."""

import os
import platform
import shutil
import sys

import pytest
from projects import Project

from record.environment import NUMERIC_NAMES, NUMERIC_PREFIXES
from train import numeric_settings

ON_LINUX = sys.platform == "linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not ON_LINUX, reason="promised for Linux on x86-64")
OUTPUTS = ("models/candidate", "reports")
CONDITIONS = {
    "threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "hash seed": {"PYTHONHASHSEED": "123"},
    "old kernels": {"OPENBLAS_CORETYPE": "Prescott"},
    "locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"},
}
OTHERS = {
    "new kernels": {"OPENBLAS_CORETYPE": "SkylakeX", "NPY_DISABLE_CPU_FEATURES": "X86_V4"},
    "libm": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2", "MALLOC_PERTURB_": "170"},
}

needs_emulator = pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-x86_64 (Debian: qemu-user)")


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn, which other tests import here, sets some variables; with them, an emulated run would restart."""
    for name in [name for name in os.environ if name in NUMERIC_NAMES or name.startswith(NUMERIC_PREFIXES)]:
        monkeypatch.delenv(name)


def emulating(processor: str) -> str:
    """Train on another processor. The pins must be set beforehand: a program that starts itself again runs natively."""
    return f"qemu-x86_64 -cpu {processor} {sys.executable} src/train.py"


def train(project: Project, command: str = "python src/train.py", **env: str) -> dict[str, bytes]:
    """All that the stage writes under some conditions."""
    Project(project.path, env).run(command)
    return project.snapshot(*OUTPUTS)


def merged(*conditions: dict[str, str]) -> dict[str, str]:
    return {name: value for each in conditions for name, value in each.items()}


def on_one_core() -> str:
    """Train there, with files that nobody else may read."""
    return f"sh -c 'umask 077; taskset -c {min(os.sched_getaffinity(0))} python src/train.py'"


@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param(merged(*CONDITIONS.values()), id="all at once"),
        *(pytest.param(each, id=name, marks=pytest.mark.long) for name, each in (CONDITIONS | OTHERS).items()),
    ],
)
def test_what_the_caller_sets_changes_no_byte(project: Project, conditions: dict[str, str]) -> None:
    before = project.snapshot(*OUTPUTS)

    assert train(project, **conditions) == before


@pytest.mark.parametrize(
    "conditions",
    [pytest.param(merged(*OTHERS.values()), id="others too"), pytest.param({}, id="alone", marks=pytest.mark.long)],
)
def test_the_number_of_cores_and_the_umask_change_no_byte(project: Project, conditions: dict[str, str]) -> None:
    before = project.snapshot(*OUTPUTS)

    assert train(project, on_one_core(), **conditions) == before


@needs_emulator
@pytest.mark.parametrize("processor", ["Nehalem", pytest.param("Haswell", marks=pytest.mark.long)])
def test_an_emulated_older_processor_changes_no_byte(project: Project, processor: str) -> None:
    before = project.snapshot(*OUTPUTS)

    assert train(project, emulating(processor), **numeric_settings(1, portable=True)) == before


@pytest.mark.long
@needs_emulator
def test_without_the_pins_an_older_processor_does_change_bytes_so_the_proof_can_fail(project: Project) -> None:
    project.set(train__portable=False)
    native = train(project)
    emulated = train(project, emulating("Nehalem"), **numeric_settings(1, portable=False))

    assert native["models/candidate/model.joblib"] != emulated["models/candidate/model.joblib"]
