"""What makes floating-point work give the same bytes on every processor of one kind.

Libraries choose their kernels by the processor they find and share work by the cores they find, and sums taken
in another order differ in the last bit. Most of the switches are environment variables that are read once, before
Python runs a line, so a script that needs them sets them and starts itself again, once.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

from problem import Problem, refuse_if

# Whatever else the caller set for these libraries would be a parameter that the manifest does not show.
PREFIXES = ("BLIS_", "GOTO_", "KMP_", "MKL_", "NPY_", "NUMEXPR_", "OMP_", "OPENBLAS_", "SKLEARN_", "VECLIB_")
NAMES = ("GLIBC_TUNABLES", "PYTHONHASHSEED")
PINS = {
    "GLIBC_TUNABLES",
    "NPY_DISABLE_CPU_FEATURES",
    "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
}
STARTED_AGAIN = "LINEAGE_STARTED_AGAIN"


def pins(threads: int, portable: bool) -> dict[str, str]:
    """The environment variables, by name, under which a model is to be fitted."""
    variables = {
        "OMP_NUM_THREADS": str(threads),  # HistGradientBoosting stores the number, reductions depend on it
        "OPENBLAS_NUM_THREADS": str(threads),  # the order of sums in matrix products
        "PYTHONHASHSEED": "0",  # the order of sets
    }
    if portable and platform.machine() in {"x86_64", "AMD64"}:
        # Kernels differ by processor. Nehalem's are in every build and ran all estimators that were tried;
        # Haswell's with one thread crashed LogisticRegression(solver="newton-cholesky") on one table.
        variables["OPENBLAS_CORETYPE"] = "Nehalem"
        variables["NPY_DISABLE_CPU_FEATURES"] = " ".join(_dispatched())  # sums, exp and log have SIMD variants
        if platform.libc_ver()[0] == "glibc":
            # exp, log and pow of libm, which compiled loss functions call, have variants with other last bits
            variables["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"
    return dict(sorted(variables.items()))


def _dispatched() -> list[str]:
    import numpy as np  # noqa: PLC0415 - only a portable run needs it here

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return sorted({*extensions.get("found", []), *extensions.get("not found", [])})


def pin(variables: Mapping[str, str]) -> None:
    """Return at once where exactly `variables` are set; otherwise start this script again with them.

    They may come from a package that nobody has verified yet, so no other variable than a pin is ever set.
    """
    refuse_if(f"{name}: is no numeric setting, so it is not set" for name in variables if name not in PINS)
    found = {name: value for name, value in os.environ.items() if _is_numeric(name)}
    if variables == found:
        return
    if STARTED_AGAIN in os.environ:
        names = ", ".join(sorted(name for name in {**variables, **found} if variables.get(name) != found.get(name)))
        raise Problem(f"{names}: set anew whenever Python starts, by a sitecustomize module or a wrapper; remove that")
    kept = {name: value for name, value in os.environ.items() if not _is_numeric(name)}
    environment = {**kept, **variables, STARTED_AGAIN: "1"}
    command = [sys.executable, *sys.orig_argv[1:]]
    if os.name == "nt":  # there, exec returns to the caller while the new process still runs
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    os.execve(sys.executable, command, environment)  # noqa: S606


def _is_numeric(name: str) -> bool:
    return name in NAMES or name.startswith(PREFIXES)
