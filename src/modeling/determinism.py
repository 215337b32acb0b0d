"""Whether the same fit gives the same bytes in another process.

Some estimators keep what differs from process to process: an `id()`, the time, memory that was never written. Such a
model cannot be rebuilt byte for byte, and only a second fit shows it. So while `train` works, a second process fits a
sample of the rows under the same numeric settings, but with its memory filled with a pattern, and both are compared.
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
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pyarrow as pa

from modeling.dumping import dump_into
from modeling.estimator import fit_pipeline
from modeling.stored import CLASS_ROWS, Stored, evenly, in_memory
from modeling.streaming import fit_few
from modeling.table import read_table
from record.notes import TRAIN
from record.parameters import Data, Parameters, read_parameters
from record.problem import run

SAMPLE_ROWS = 1000  # enough to fill every attribute of a model, few enough to cost next to nothing


@contextmanager
def second_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that fits the sample of a prepared table, starts at once, and does not outlive the block."""
    sources = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "MALLOC_PERTURB_": "85",  # glibc's switch; elsewhere without effect
        "PYTHONPATH": os.pathsep.join(sources),
    }
    command = [sys.executable, "-P", "-m", "modeling.determinism", str(folder)]
    with subprocess.Popen(command, env=environment, stdout=PIPE, stderr=PIPE, text=True, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


def difference(second: subprocess.Popen[str], train: pa.Table | Stored, parameters: Parameters) -> str | None:
    """Why the model is not deterministic, in a few words; None when both processes made the same bytes."""
    said, complaint = second.communicate()
    if second.returncode != 0:
        return f"the second fit failed: {' '.join(complaint.split())}"
    ours = fingerprints(train, parameters)
    different = sorted(name for name, value in json.loads(said.splitlines()[-1]).items() if ours.get(name) != value)
    attributes = [name for name in different if name != "model.joblib"]
    return f"{', '.join(attributes or different)} differs from process to process" if different else None


def fingerprints(train: pa.Table | Stored, parameters: Parameters) -> dict[str, str]:
    """The SHA-256 of a model that is fitted on a sample, and of each attribute of its steps by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the fit on all rows reports them
        fit = fit_few if isinstance(train, Stored) else fit_pipeline
        model = fit(sample_of(in_memory(train), parameters.data), parameters)
    parts = {f"{name}.{key}": value for name, step in model.steps for key, value in vars(step).items()}
    return {"model.joblib": _sha256(model), **{name: _sha256(value) for name, value in parts.items()}}


def sample_of(train: pa.Table, data: Data) -> pa.Table:
    """Rows in equal steps through the table, or through each of its classes; all of a table that is small."""
    if data.task == "regression" or len(train) <= SAMPLE_ROWS:
        return train.take(evenly(len(train), SAMPLE_ROWS))
    codes = train[data.target].combine_chunks().dictionary_encode().indices.to_numpy()
    rows_of_classes = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    most = max(CLASS_ROWS, SAMPLE_ROWS // len(rows_of_classes))
    return train.take(np.sort(np.concatenate([rows[evenly(len(rows), most)] for rows in rows_of_classes])))


def _sha256(value: Any) -> str:
    content = BytesIO()
    dump_into(content, value)
    return hashlib.sha256(content.getvalue()).hexdigest()


def main() -> None:
    """What the second process does: print its fingerprints."""
    path, parameters = Path(sys.argv[1]) / TRAIN, read_parameters()
    found = fingerprints(Stored(path, parameters) if parameters.train.stream else read_table(path), parameters)
    sys.stdout.write(f"\n{json.dumps(found)}\n")  # some libraries, such as LightGBM, print before it what they do


if __name__ == "__main__":
    run(main)
