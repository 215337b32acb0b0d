"""The model's bytes do not depend on the machine or on the caller's environment."""

import os
import platform
import shutil
import sys

import pytest
from conftest import Project

import numeric

ON_LINUX = sys.platform == "linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not ON_LINUX, reason="promised for Linux on x86-64")
OUTPUTS = ("models/candidate", "reports")


needs_emulator = pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-x86_64 (Debian: qemu-user)")


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn, which other tests import here, sets some variables; with them, an emulated run would restart."""
    for name in [name for name in os.environ if name.startswith(numeric.PREFIXES)]:
        monkeypatch.delenv(name)


def emulating(processor: str) -> str:
    """Train on another processor. The pins must be set beforehand: a program that starts itself again runs natively."""
    return f"qemu-x86_64 -cpu {processor} {sys.executable} src/train.py"


def train(project: Project, command: str = "python src/train.py", **env: str) -> dict[str, bytes]:
    """All that the stage writes under some conditions."""
    project.run(command, **env)
    return project.snapshot(*OUTPUTS)


@pytest.mark.parametrize(
    "conditions",
    [
        {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
        {"PYTHONHASHSEED": "123"},
        {"OPENBLAS_CORETYPE": "Prescott"},
        {"OPENBLAS_CORETYPE": "SkylakeX", "NPY_DISABLE_CPU_FEATURES": "X86_V4"},
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2", "MALLOC_PERTURB_": "170"},
        {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"},
    ],
    ids="+".join,
)
def test_what_the_caller_sets_changes_no_byte(project: Project, conditions: dict[str, str]) -> None:
    before = project.snapshot(*OUTPUTS)

    assert train(project, **conditions) == before


def test_the_number_of_cores_and_the_umask_change_no_byte(project: Project) -> None:
    before = project.snapshot(*OUTPUTS)
    core = min(os.sched_getaffinity(0))

    assert train(project, f"sh -c 'umask 077; taskset -c {core} python src/train.py'") == before


@needs_emulator
@pytest.mark.parametrize("processor", ["Nehalem", "Haswell"])
def test_an_emulated_older_processor_changes_no_byte(project: Project, processor: str) -> None:
    before = project.snapshot(*OUTPUTS)

    assert train(project, emulating(processor), **numeric.pins(1, portable=True)) == before


@needs_emulator
def test_without_the_pins_an_older_processor_does_change_bytes_so_the_proof_can_fail(project: Project) -> None:
    project.set(train__portable=False)
    native = train(project)
    emulated = train(project, emulating("Nehalem"), **numeric.pins(1, portable=False))

    assert native["models/candidate/model.joblib"] != emulated["models/candidate/model.joblib"]
