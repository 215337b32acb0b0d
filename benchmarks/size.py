"""What size costs: `python benchmarks/size.py [PART …]` prints the tables of docs/size.md, all or some.

    pipeline   prepare and train against a plain script, 10 thousand to 10 million rows; or of ROWS, as pipeline:ROWS
    growth     each stage and verb with learning in batches, 100 thousand to 10 million rows; or growth:ROWS
    csv        prepare and predict of a text file
    packaging  package against MLflow's save_model, with MLFLOW_PYTHON=… naming a Python that has mlflow
    hashing    what verify does with a model of 1 GiB, against sha256sum and hashlib
    floors     dvc repro without anything to do, and list, against what DVC and Python take for nothing
    cluster    a forest with 1, 2 and 4 workers against none
    large      prepare and predict of 100 million rows, which takes an hour and 100 GB of disk; or large:ROWS

Everything happens in clones of this repository, on tables of 19 columns and a target, with one numeric thread. What is
compared runs in turns; quote the ratios. The memory is the most that one process held.
"""

import hashlib
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from ruamel.yaml import YAML

TOP = Path(__file__).parent.parent
sys.path.insert(0, str(TOP / "src"))

from record.checksums import digest, digest_like  # noqa: E402 - from src/
from train import numeric_settings  # noqa: E402

PLAIN = TOP / "benchmarks/plain_script.py"
PYTHON = sys.executable
VERSION = "models/v1.0.0"
ROW_GROUP = 128 * 1024
ROUNDS = {10_000: 5, 1_000_000: 2, 10_000_000: 1}
SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
GIB = 2**30
# A process begins with the memory of the one that starts it, so a small one does.
MEASURED = """import resource, subprocess, sys, time
started = time.perf_counter()
status = subprocess.call(sys.argv[1:])
seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
sys.stderr.write(f"\\n{seconds} {used.ru_maxrss}\\n")
sys.exit(status)"""
Row = list[str]
Cost = tuple[float, float]  # seconds, MiB


def table_of(rows: int, random: np.random.Generator) -> pa.Table:
    """A table of 12 numbers, 4 categories, a category of many values, a boolean, some missing, and two classes."""
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
    chance = 1 / (1 + np.exp(-(effect - 2.5)))
    columns["outcome"] = pa.array(np.where(random.random(rows) < chance, "yes", "no"))
    return pa.table(columns)


def write_table(path: Path, rows: int) -> None:
    """Such a table as a Parquet or CSV file, of which no more than a row group is held."""
    random = np.random.default_rng(0)
    schema = table_of(2, random).schema
    writers: dict[str, Callable[..., Any]] = {".parquet": pq.ParquetWriter, ".csv": pa.csv.CSVWriter}
    with writers[path.suffix](path, schema) as writer:
        for start in range(0, rows, ROW_GROUP):
            writer.write_table(table_of(min(ROW_GROUP, rows - start), random))


def project(folder: Path, rows: int, ending: str = ".parquet", **train: Any) -> tuple[Path, Path]:
    """A clone whose parameters name such a table, and the table."""
    clone = folder / "project"
    subprocess.run(["git", "clone", "-q", TOP, clone], check=True)
    table = clone / f"data/raw/table_v1.0.0{ending}"
    write_table(table, rows)
    yaml = YAML()
    parameters = yaml.load(clone / "params.yaml")
    parameters["data"] |= {"path": table.relative_to(clone).as_posix(), "target": "outcome"}
    parameters["train"] |= {"portable": False} | train
    yaml.dump(parameters, clone / "params.yaml")
    return clone, table


def cost(folder: Path, *commands: list[str], settings: dict[str, str] | None = None) -> Cost:
    """What some commands take one after another."""
    seconds, most = 0.0, 0.0
    for command in commands:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(
            [PYTHON, "-S", "-c", MEASURED, *command],
            cwd=folder,
            env=environment | SETTINGS | (settings or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}: failed\n{done.stderr}")
        took, held = map(float, done.stderr.splitlines()[-1].split())
        seconds, most = seconds + took, max(most, held / 1024)
    return seconds, most


def stage(name: str) -> list[str]:
    """The command of a stage."""
    return [PYTHON, f"src/{name}.py"]


def in_turns(rounds: int, *runs: Callable[[], Cost]) -> list[Cost]:
    """The median seconds and the most MiB of some runs that take turns."""
    found = [[run() for run in runs] for _ in range(rounds)]
    return [(statistics.median(s for s, _ in of), max(m for _, m in of)) for of in zip(*found, strict=True)]


def shown(found: Cost) -> str:
    """Seconds and memory."""
    seconds, held = found
    return f"{seconds:.{0 if seconds >= 20 else 1}f} s, {held:.0f} MiB"


def pipeline(rows: int | None) -> Iterator[Row]:
    """Prepare and train against the plain script."""
    yield ["rows", "plain script", "pipeline", "ratio of times", "ratio of memory"]
    for count in [rows] if rows else ROUNDS:
        with tempfile.TemporaryDirectory() as folder:
            clone, table = project(Path(folder), count)
            plain = [PYTHON, str(PLAIN), str(table), str(Path(folder, "out"))]
            script, ours = in_turns(
                ROUNDS.get(count, 1),
                partial(cost, clone, plain),
                partial(cost, clone, stage("prepare"), stage("train")),
            )
        yield [f"{count:,}", shown(script), shown(ours), f"{ours[0] / script[0]:.2f}", f"{ours[1] / script[1]:.2f}"]


def growth(rows: int | None) -> Iterator[Row]:
    """What each stage and verb takes where nothing holds the table, and how the seconds grow with the rows."""
    names = ["prepare", "train", "package", "verify", "predict"]
    yield ["rows", *names, "rebuilt"]
    taken = {}
    for count in [rows] if rows else (100_000, 1_000_000, 10_000_000):
        with tempfile.TemporaryDirectory() as folder:
            clone, table = project(Path(folder), count, stream=True, estimator="sgd")
            for command in (
                ["dvc", "add", "-q", str(table)],
                ["git", "rm", "-rq", "--cached", VERSION],
                *committed("T"),
            ):
                cost(clone, command)
            cost(clone, ["dvc", "repro", "-q"])
            for command in committed("Run the pipeline"):
                cost(clone, command)
            run = json.loads((clone / VERSION / "manifest.json").read_bytes())["run"]
            found = [(run["seconds"][name], run["peak_memory_mib"][name]) for name in names[:2]]
            found.append(cost(clone, stage("package")))
            found.append(cost(clone, [PYTHON, "src/lineage.py", "verify"]))
            found.append(cost(clone, [*stage("predict"), VERSION, str(table), str(Path(folder, "scored.parquet"))]))
            cost(clone, [PYTHON, "src/lineage.py", "rebuild", "v1.0.0"])
        taken[count] = [seconds for seconds, _ in found]
        yield [f"{count:,}", *map(shown, found), "byte for byte"]
    if len(taken) > 1:
        (less, before), (more, after) = list(taken.items())[-2:]
        slopes = [math.log(b / a) / math.log(more / less) for a, b in zip(before, after, strict=True)]
        yield ["seconds grow as rows to the power of", *(f"{slope:.2f}" for slope in slopes), ""]


def large(rows: int | None) -> Iterator[Row]:
    """Prepare and predict of a table that no memory holds, with a model of its first rows."""
    count = rows or 100_000_000
    yield ["rows", "format", "GB", "prepare", "predict"]
    for ending in (".parquet", ".csv"):
        with tempfile.TemporaryDirectory() as folder:
            clone, table = project(Path(folder), 100_000, ending)
            shutil.rmtree(clone / VERSION)
            cost(clone, ["dvc", "repro", "-q"])
            write_table(table, count)
            prepared = cost(clone, stage("prepare"))
            scored = str(Path(folder, "scored.parquet"))
            predicted = cost(clone, [*stage("predict"), VERSION, str(table), scored])
            size = table.stat().st_size / 1e9
        yield [f"{count:,}", ending[1:], f"{size:.1f}", shown(prepared), shown(predicted)]


def committed(message: str) -> list[list[str]]:
    """The commands that commit all there is."""
    author = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org"]
    return [["git", "add", "-A"], ["git", *author, "commit", "-qm", message]]


def csv(rows: int | None) -> Iterator[Row]:
    """Prepare of text against prepare of Parquet."""
    yield ["rows", "Parquet", "CSV", "ratio of times"]
    for count in [rows] if rows else (100_000, 1_000_000, 10_000_000):
        costs = []
        for ending in (".parquet", ".csv"):
            with tempfile.TemporaryDirectory() as folder:
                costs.append(cost(project(Path(folder), count, ending)[0], stage("prepare")))
        yield [f"{count:,}", *map(shown, costs), f"{costs[1][0] / costs[0][0]:.2f}"]


def packaging(_: int | None) -> Iterator[Row]:
    """Package against MLflow, of the Python that MLFLOW_PYTHON names, since its requirements are others than ours."""
    yield ["", "MLflow", "package", "ratio"]
    python = os.environ.get("MLFLOW_PYTHON")
    if not python:
        yield ["MLFLOW_PYTHON names no Python that has mlflow", "", "", ""]
        return
    fitted = "from sklearn.linear_model import LogisticRegression as L; model = L().fit([[0], [1]], [0, 1])"
    save = f"import sys, mlflow.sklearn; {fitted}; mlflow.sklearn.save_model(model, sys.argv[1])"
    with tempfile.TemporaryDirectory() as folder:
        clone, _ = project(Path(folder), 10_000)
        shutil.rmtree(clone / VERSION)
        cost(clone, ["dvc", "repro", "-q"])
        out = Path(folder, "saved")

        def mlflow() -> Cost:
            shutil.rmtree(out, ignore_errors=True)
            return cost(clone, [python, "-c", save, str(out)])

        theirs, ours = in_turns(3, mlflow, lambda: cost(clone, stage("package")))
    yield ["a logistic regression", shown(theirs), shown(ours), f"{ours[0] / theirs[0]:.2f}"]


def hashing(_: int | None) -> Iterator[Row]:
    """The one hash that verify takes of a file."""
    yield ["", "seconds", "ratio to hashlib"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.joblib")
        with file.open("wb") as written:
            for _ in range(64):
                written.write(os.urandom(GIB // 64))
        recorded = digest(file)

        def timed(work: Callable[[], object]) -> Cost:
            started = time.perf_counter()
            work()
            return time.perf_counter() - started, 0

        def plain() -> None:
            with file.open("rb") as stream:
                hashlib.file_digest(stream, "sha256")

        def as_verify() -> None:
            with file.open("rb") as stream:
                digest_like(stream, recorded)

        runs = {
            "hashlib": plain,
            "sha256sum": lambda: subprocess.run(["sha256sum", file], capture_output=True, check=True),
            "verify's hash": as_verify,
        }
        found = in_turns(3, *(partial(timed, work) for work in runs.values()))
    for name, (seconds, _) in zip(runs, found, strict=True):
        yield [name, f"{seconds:.2f}", f"{seconds / found[0][0]:.2f}"]


def floors(_: int | None) -> Iterator[Row]:
    """What nothing costs."""
    yield ["", "floor", "ours", "ratio"]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "project")
        subprocess.run(["git", "clone", "-q", TOP, clone], check=True)
        cost(clone, ["dvc", "repro", "-q"])
        stages = YAML().load(clone / "dvc.yaml")["stages"]
        places = [trivial(clone, Path(folder, kind), stages, kind) for kind in ("files", "parameters")] + [clone]
        *floors, ours = in_turns(9, *(partial(cost, place, ["dvc", "repro", "-q"]) for place in places))
        for floor, kind in zip(floors, ("files", "files and the same parameters"), strict=True):
            name = f"`dvc repro` with nothing to do, against three trivial stages of as many {kind}"
            yield [name, *(f"{s:.2f} s" for s, _ in (floor, ours)), f"{ours[0] / floor[0]:.2f}"]
        bare_python = [PYTHON, "-c", "import pydantic, argparse, subprocess, json"]
        floor, ours = in_turns(
            15, lambda: cost(clone, bare_python), lambda: cost(clone, [PYTHON, "src/lineage.py", "list"])
        )
        yield [
            "`list`, against importing pydantic",
            *(f"{s:.2f} s" for s, _ in (floor, ours)),
            f"{ours[0] / floor[0]:.2f}",
        ]


def trivial(clone: Path, place: Path, stages: dict[str, Any], kind: str) -> Path:
    """A project of stages that do nothing, with the code of others as their files, and their parameters or none."""
    place.mkdir()
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        cost(place, command)
    shutil.copytree(clone / "src", place / "src")
    shutil.copy(clone / "params.yaml", place)
    estimator = YAML().load(clone / "params.yaml")["train"]["estimator"]
    simple = {
        name: {
            "cmd": f"echo > {name}",
            "deps": [dep for dep in found["deps"] if dep.startswith("src/")],
            "outs": [name],
            "params": [p.replace("${train.estimator}", estimator) for p in found["params"] if kind == "parameters"],
        }
        for name, found in stages.items()
    }
    YAML().dump({"stages": simple}, place / "dvc.yaml")
    cost(place, ["dvc", "repro", "-q"])
    return place


def cluster(rows: int | None) -> Iterator[Row]:
    """A forest on workers of this machine."""
    yield ["workers", "seconds", "ratio to none", "the same bytes"]
    forest = {"estimator": "random_forest", "folds": 3}
    with tempfile.TemporaryDirectory() as folder:
        clone, _ = project(Path(folder), rows or 50_000, **forest)
        cost(clone, stage("prepare"))
        (alone,) = in_turns(1, lambda: cost(clone, stage("train")))
        model = (clone / "models/candidate/model.joblib").read_bytes()
        yield ["none", f"{alone[0]:.0f}", "1.00", ""]
        text = (clone / "params.yaml").read_text()
        (clone / "params.yaml").write_text(text.replace("cluster: none", "cluster: dask"))
        for count in (1, 2, 4):
            with workers(clone, count) as address:
                seconds, _ = cost(clone, stage("train"), settings={"DASK_SCHEDULER_ADDRESS": address})
            same = (clone / "models/candidate/model.joblib").read_bytes() == model
            yield [str(count), f"{seconds:.0f}", f"{seconds / alone[0]:.2f}", "yes" if same else "no"]


@contextmanager
def workers(clone: Path, count: int) -> Iterator[str]:
    """The address of a scheduler on this machine with some workers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "OPENBLAS_"))}
    environment = kept | numeric_settings(1, portable=False) | {"PYTHONPATH": "src"}
    file = clone / ".dvc/tmp/scheduler.json"
    file.unlink(missing_ok=True)

    def start(kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [PYTHON, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"]
        log = (clone / f".dvc/tmp/{kind}.log").open("ab")
        return subprocess.Popen(command, cwd=clone, env=environment, stdout=log, stderr=log)

    started = [start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))]
    while not file.exists():
        time.sleep(0.1)
    address: str = json.loads(file.read_bytes())["address"]
    started += [start("worker", address, "--no-nanny", "--nthreads", "1") for _ in range(count)]
    time.sleep(5)
    try:
        yield address
    finally:
        for process in started:
            process.terminate()
            process.wait()


def machine() -> str:
    """What it was measured on."""
    names = ["scikit-learn", "numpy", "pandas", "pyarrow", "joblib", "dvc"]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    size = psutil.virtual_memory().total / GIB
    kind = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {size:.0f} GiB"
    return f"{kind}, Python {platform.python_version()}, {versions}."


PARTS = {of.__name__: of for of in (pipeline, growth, csv, packaging, hashing, floors, cluster, large)}


def main() -> None:
    """Print the parts that are asked for."""
    sys.stdout.write(f"{machine()}\n")
    for asked in sys.argv[1:] or [name for name in PARTS if name != "large"]:
        name, _, rows = asked.partition(":")
        sys.stdout.write(f"\n## {name}\n\n")
        for k, row in enumerate(PARTS[name](int(rows) if rows else None)):
            sys.stdout.write(f"| {' | '.join(row)} |\n{'|---' * len(row) + '|' + chr(10) if k == 0 else ''}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
