"""What learning in batches takes: `python benchmarks/batches.py [ROWS …]`, by default 1 and 10 million rows.

Writes the prepared files of a table of 19 columns, four fifths of its rows to train on, lets `train` learn from them
with `train.stream: true` and the estimator `sgd`, and prints the rows of docs/size.md: the seconds, the most memory
that it held, and whether a second run makes the same bytes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from pipeline import TOP, cost, table_of
from ruamel.yaml import YAML

ROW_GROUP = 128 * 1024
MODEL = "models/candidate/model.joblib"


def write_part(path: Path, rows: int, seed: int) -> None:
    """A prepared file, of which no more than a row group is held."""
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, table_of(2, random).schema, store_schema=False, write_page_checksum=True) as writer:
        for start in range(0, rows, ROW_GROUP):
            writer.write_table(table_of(min(ROW_GROUP, rows - start), random), row_group_size=ROW_GROUP)


def project(folder: Path, rows: int) -> Path:
    """A clone with the prepared files and the parameters for them."""
    clone = folder / "project"
    subprocess.run(["git", "clone", "-q", TOP, clone], check=True)
    write_part(clone / "data/prepared/train.parquet", rows * 4 // 5, 1)
    write_part(clone / "data/prepared/test.parquet", rows - rows * 4 // 5, 2)
    yaml = YAML()
    parameters = yaml.load(clone / "params.yaml")
    parameters["data"]["target"] = "outcome"
    parameters["train"] |= {"estimator": "sgd", "stream": True}
    yaml.dump(parameters, clone / "params.yaml")
    return clone


def main() -> None:
    """Print a row for each number of rows."""
    sys.stdout.write("| rows | seconds | memory | the same bytes again |\n|---|---|---|---|\n")
    for rows in map(int, sys.argv[1:] or ["1000000", "10000000"]):
        with tempfile.TemporaryDirectory() as folder:
            clone, models, costs = project(Path(folder), rows), set(), []
            for _ in range(2):
                costs.append(cost(clone, [sys.executable, "src/train.py"]))
                models.add((clone / MODEL).read_bytes())
            seconds, held = (max(column) for column in zip(*costs, strict=True))
            same = "yes" if len(models) == 1 else "no"
            sys.stdout.write(f"| {rows:,} | {seconds:.0f} s | {held:.0f} MiB | {same} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
