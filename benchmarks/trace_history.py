"""Time `trace` in a repository of many versions: `python benchmarks/trace_history.py [COUNT]`, 5,000 unless told.

Builds a scratch repository whose every commit adds another version's manifest beside the others, asks it for a data
file, a model's hash and a commit as a user does, and prints the median of several whole processes beside that of a
Python that does nothing. Takes about a minute. Nothing of the checkout is changed.
"""

import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOP = Path(__file__).parent.parent
COUNT = 5_000
RUNS = 7
SNAPSHOTS = 50  # raw tables that the versions share
NOTHING = [sys.executable, "-c", "pass"]
TRACE = [sys.executable, str(TOP / "src/lineage.py"), "trace"]


def some_hash(kind: str, *what: object) -> str:
    """A hash that looks like one, the same each time."""
    return hashlib.new(kind, repr(what).encode(), usedforsecurity=False).hexdigest()


def address(*what: object) -> dict[str, Any]:
    """What a manifest records of a file."""
    return {"size": 4096, "md5": some_hash("md5", *what), "sha256": some_hash("sha256", *what)}


def snapshot(number: int) -> bytes:
    """The bytes of a raw table."""
    return f"snapshot {number}\n".encode()


def manifest_of(number: int, template: dict[str, Any]) -> bytes:
    """Another version's manifest, as large as a real one and different from every other one."""
    content = snapshot(number % SNAPSHOTS)
    digests = {kind: hashlib.new(kind, content, usedforsecurity=False).hexdigest() for kind in ("md5", "sha256")}
    path = f"data/raw/{number % SNAPSHOTS}.parquet"
    inputs = [{"path": path, "size": len(content), **digests, "rows": 344, "origin": None}]
    data = {
        "train": template["data"]["train"] | address("train", number),
        "test": template["data"]["test"] | address("test", number),
    }
    run = template["run"] | {"git": {"commit": some_hash("sha1", number), "dirty": False, "remote": None}}
    model = template["model"] | address("model", number)
    changed = {
        "version": f"v1.{number}.0",
        "model": model,
        "inputs": inputs,
        "data": data,
        "run": run,
    }
    return (json.dumps(template | changed, indent=2, ensure_ascii=False) + "\n").encode()


def commits(count: int, template: dict[str, Any]) -> Iterator[bytes]:
    """A stream for `git fast-import`: a commit for each version, which stays beside those before it."""
    for number in range(count):
        content = manifest_of(number, template)
        who = f"committer A <a@example.org> {1_700_000_000 + 60 * number} +0000"
        yield f"commit refs/heads/main\n{who}\ndata 0\n".encode()
        yield f"M 100644 inline models/v1.{number}.0/manifest.json\ndata {len(content)}\n".encode()
        yield content + b"\n"


def build(folder: Path, count: int) -> None:
    """The scratch repository, with one raw table in its workspace."""
    template = json.loads(min(TOP.glob("models/v*/manifest.json")).read_bytes())
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", folder], check=True)
    stream = b"".join(commits(count, template))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=stream, check=True)
    (folder / "dvc.yaml").write_text("stages: {}\n")  # by which lineage.py knows the top folder
    (folder / "data").mkdir()
    (folder / "data/renamed.bin").write_bytes(snapshot(0))


def seconds(command: list[str], folder: Path, runs: int = RUNS) -> list[float]:
    """How long each of several whole processes took."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return times


def answers(command: list[str], folder: Path) -> int:
    """How many packages an answer names."""
    done = subprocess.run([*command, "--json"], cwd=folder, check=True, capture_output=True)
    return len(json.loads(done.stdout))


def main() -> None:
    """Print a row for each question, with its ratio to a Python that does nothing."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    out = sys.stdout.write
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        start = time.perf_counter()
        build(folder, count)
        out(f"{count:,} versions in {count:,} commits, built in {time.perf_counter() - start:.1f} s\n\n")
        tip = subprocess.run(["git", "rev-parse", "main"], cwd=folder, check=True, capture_output=True, text=True)
        questions = {
            "a data file, renamed": "data/renamed.bin",
            "a model's SHA-256": some_hash("sha256", "model", count // 2),
            "a commit": tip.stdout.strip(),
        }
        nothing = statistics.median(seconds(NOTHING, folder))
        out("| asked for | answers | median | slowest | × `python -c pass` |\n|---|---|---|---|---|\n")
        out(f"| nothing | – | {nothing:.3f} s | – | 1.0 |\n")
        for name, what in questions.items():
            command = [*TRACE, what]
            times = seconds(command, folder)
            median = statistics.median(times)
            took = f"{median:.3f} s | {max(times):.3f} s | {median / nothing:.1f}"
            out(f"| {name} | {answers(command, folder):,} | {took} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
