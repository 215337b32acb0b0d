"""Whether the same fit gives the same bytes in another process.

Some estimators keep what differs from process to process: an `id()`, the time, memory that was never written. Such a
model cannot be made again, and nothing but a second fit shows it. So while `train` works, a twin process fits
a sample of the rows under the same pins, but with memory that is filled with another pattern, and both compare.
"""

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from subprocess import PIPE
from typing import Any

import joblib
import pyarrow as pa
import threadpoolctl

import prepared
from evaluation import evenly
from fitting import features_and_target
from model import build_pipeline, settle
from parameters import Parameters, read_parameters
from problem import run
from table import read_table

SAMPLE_ROWS = 1000  # enough to fill every attribute of a model, few enough to cost next to nothing


def fingerprints(train: pa.Table, parameters: Parameters) -> dict[str, str]:
    """The SHA-256 of a model that is fitted on a sample, and of each attribute of its steps by name."""
    sample = train.take(evenly(len(train), SAMPLE_ROWS))
    pipeline = build_pipeline(parameters, sample.schema)
    with threadpoolctl.threadpool_limits(parameters.train.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the real fit says them
        model = settle(pipeline.fit(*features_and_target(sample, parameters.data.target)))
    parts = {f"{name}.{key}": value for name, step in model.steps for key, value in vars(step).items()}
    return {"model.joblib": _sha256(model), **{name: _sha256(value) for name, value in parts.items()}}


def _sha256(value: Any) -> str:
    content = BytesIO()
    joblib.dump(value, content)
    return hashlib.sha256(content.getvalue()).hexdigest()


@contextmanager
def twin() -> Iterator[subprocess.Popen[str]]:
    """The other process, which starts to work at once and does not outlive the block."""
    environment = os.environ | {"MALLOC_PERTURB_": "85"}  # glibc's switch; elsewhere without effect
    command = [sys.executable, __file__]
    with subprocess.Popen(command, env=environment, stdout=PIPE, stderr=PIPE, text=True, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


def difference(other: subprocess.Popen[str], train: pa.Table, parameters: Parameters) -> str | None:
    """Why the model is not deterministic, in a few words; None when both processes made the same bytes."""
    theirs, complaint = other.communicate()
    if other.returncode != 0:
        return f"the second fit failed: {' '.join(complaint.split())}"
    ours = fingerprints(train, parameters)
    different = sorted(name for name, value in json.loads(theirs).items() if ours.get(name) != value)
    attributes = [name for name in different if name != "model.joblib"]
    return f"{', '.join(attributes or different)} differs from process to process" if different else None


def main() -> None:
    """What the twin does: print its fingerprints."""
    sys.stdout.write(json.dumps(fingerprints(read_table(prepared.TRAIN), read_parameters())))


if __name__ == "__main__":
    run(main)
