"""The pipeline against a plain script that does the same work: `python benchmarks/pipeline.py [ROWS …]`.

By default 10 thousand and 1 million rows of 19 columns. Writes the rows of docs/size.md to stdout. Both run in turns on
a table of their own, in processes of their own, with one numeric thread and `train.portable: false`; the ratio of the
times is what to quote. The memory is the most that a single process held.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

TOP = Path(__file__).parent.parent
PLAIN = TOP / "benchmarks/plain_script.py"
STAGES = ("prepare", "train")
ROUNDS = {10_000: 5, 1_000_000: 2}
SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def table_of(rows: int, random: np.random.Generator) -> pa.Table:
    """A table of 12 numbers, 4 categories, a boolean and a category of many values, some missing, and two classes."""
    numbers = random.normal(size=(12, rows))
    columns: dict[str, pa.Array] = {
        f"number_{k}": pa.array(values, mask=random.random(rows) < 0.02) for k, values in enumerate(numbers)
    }
    effect = numbers[:4].sum(axis=0)
    for k, count in enumerate((3, 6, 12, 24, 500)):
        codes = random.integers(count, size=rows)
        effect = effect + (codes % 3) / 2
        values = pa.DictionaryArray.from_arrays(pa.array(codes), [f"value {n}" for n in range(count)]).cast(pa.string())
        columns[f"category_{k}"] = values
    columns["flag"] = pa.array(random.random(rows) < 0.3)
    chance = 1 / (1 + np.exp(-(effect - effect.mean())))
    columns["outcome"] = pa.array(np.where(random.random(rows) < chance, "yes", "no"))
    return pa.table(columns)


def project(folder: Path, rows: int) -> Path:
    """A clone whose parameters name such a table."""
    clone = folder / "project"
    subprocess.run(["git", "clone", "-q", TOP, clone], check=True)
    path = clone / "data/raw/table_v1.0.0.parquet"
    pq.write_table(table_of(rows, np.random.default_rng(0)), path)
    yaml = YAML()
    parameters = yaml.load(clone / "params.yaml")
    parameters["data"] |= {"path": "data/raw/table_v1.0.0.parquet", "target": "outcome"}
    parameters["train"]["portable"] = False
    yaml.dump(parameters, clone / "params.yaml")
    return clone


def cost(folder: Path, *commands: list[str]) -> tuple[float, float]:
    """The seconds that some commands take one after another, and the most MiB that one of them held."""
    started, most = time.perf_counter(), 0.0
    for command in commands:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | SETTINGS, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)}: failed")
        most = max(most, used.ru_maxrss / 1024)
    return time.perf_counter() - started, most


def main() -> None:
    """Print a row for each number of rows."""
    out = sys.stdout.write
    out("| rows | plain script | pipeline | ratio of times | memory | ratio |\n|---|---|---|---|---|---|\n")
    for rows in map(int, sys.argv[1:]) if len(sys.argv) > 1 else ROUNDS:
        with tempfile.TemporaryDirectory() as folder:
            clone = project(Path(folder), rows)
            stages = [[sys.executable, f"src/{stage}.py"] for stage in STAGES]
            plain = [sys.executable, str(PLAIN), str(clone / "data/raw/table_v1.0.0.parquet"), str(Path(folder, "out"))]
            pairs = [(cost(clone, plain), cost(clone, *stages)) for _ in range(ROUNDS.get(rows, 1))]
            times, memory = ([(one[k], other[k]) for one, other in pairs] for k in range(2))
            script, ours = (statistics.median(column) for column in zip(*times, strict=True))
            ratio = statistics.median(other / one for one, other in times)
            held = [max(column) for column in zip(*memory, strict=True)]
            out(
                f"| {rows:,} | {script:.1f} s | {ours:.1f} s | {ratio:.2f} | {held[0]:.0f} MiB, {held[1]:.0f} MiB "
                f"| {held[1] / held[0]:.2f} |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
