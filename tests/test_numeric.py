"""The environment variables under which numbers are made."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHECKOUT

import numeric

SCRIPT = """
import json, os, sys
sys.path.insert(0, "src")
import numeric
sys.stderr.write("started\\n")
numeric.pin(numeric.pins(int(sys.argv[1]), sys.argv[2] == "portable"))
print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
"""
STRAY = (*numeric.PREFIXES, *numeric.NAMES)
ON_GLIBC = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


def start(*arguments: str, **env: str) -> tuple[dict, int]:
    """What a pinned script saw, and how often it was started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(STRAY)} | env
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=CHECKOUT, env=environment, capture_output=True, check=True
    )
    return json.loads(done.stdout), done.stderr.count(b"started")


def test_a_script_starts_itself_again_once_with_the_pins_and_its_arguments() -> None:
    seen, starts = start("3", "portable", "a b")

    assert starts == 2
    assert seen["arguments"] == ["3", "portable", "a b"]
    assert seen["environment"].items() >= numeric.pins(3, portable=True).items()


def test_a_script_that_finds_the_pins_set_goes_on_at_once() -> None:
    _, starts = start("3", "portable", **numeric.pins(3, portable=True))

    assert starts == 1


@pytest.mark.parametrize("stray", ["MKL_CBWR", "OPENBLAS_VERBOSE", "OMP_DYNAMIC", "SKLEARN_WORKING_MEMORY"])
def test_what_the_caller_set_for_numeric_libraries_does_not_reach_the_fit(stray: str) -> None:
    seen, starts = start("1", "portable", **{stray: "1"})

    assert starts == 2
    assert stray not in seen["environment"]


def test_what_the_caller_set_for_other_programs_stays() -> None:
    seen, _ = start("1", "fast", SOME_OTHER="kept", PYTHONHASHSEED="7")

    assert seen["environment"]["SOME_OTHER"] == "kept"
    assert seen["environment"]["PYTHONHASHSEED"] == "0"


@pytest.mark.skipif(not ON_GLIBC, reason="the pins of processors are for x86-64, those of libm for glibc")
def test_portable_pins_kernels_and_libm_and_the_other_way_leaves_them_free() -> None:
    kernels = {"OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES"}

    assert kernels <= numeric.pins(1, portable=True).keys()
    assert not kernels & numeric.pins(1, portable=False).keys()


@pytest.mark.parametrize(("machine", "expected"), [("arm64", set()), ("AMD64", {"OPENBLAS_CORETYPE"})])
def test_other_processors_get_only_the_pins_that_apply(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: set[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    pins = numeric.pins(1, portable=True)

    assert pins.keys() & {"OPENBLAS_CORETYPE", "GLIBC_TUNABLES"} == expected
    assert pins.keys() >= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED"}


@pytest.mark.skipif(not ON_GLIBC, reason="NumPy names other features on other processors")
def test_numpy_finds_none_of_the_features_that_are_disabled() -> None:
    code = "import numpy; print(numpy.show_config(mode='dicts')['SIMD Extensions'].get('found', []))"
    pins = os.environ | numeric.pins(1, portable=True)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=pins, capture_output=True, check=True)

    assert done.stdout.strip() == b"[]"


def test_a_pin_that_cannot_be_held_is_an_error_and_not_an_endless_restart(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['OPENBLAS_CORETYPE'] = 'Prescott'")

    with pytest.raises(subprocess.CalledProcessError) as caught:
        start("1", "portable", PYTHONPATH=str(tmp_path))

    assert b"OPENBLAS_CORETYPE: set anew whenever Python starts" in caught.value.stderr
