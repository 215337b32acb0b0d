"""Time `page` and weigh what it writes: `python benchmarks/page.py [COUNT …]`, 100 and 5,000 versions unless told.

Builds a scratch repository in which every commit adds another released version with scores and charts of its own, and
every fifth one with another table, writes the page as a user does, and prints the median of three whole processes.
Nothing of the checkout is changed.
"""

import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trace_history import TOP, manifest_of, seconds, some_hash

COUNTS = (100, 5_000)
PAGE = [sys.executable, str(TOP / "src/lineage.py"), "page"]
PLOTS = "reports/plots"
SAME_DATA = 5  # versions that were made from one raw table


def charts_of(number: int) -> dict[str, bytes]:
    """The data of a version's charts, other ones for each."""
    chosen = random.Random(number)  # noqa: S311 - the same each time
    right = chosen.randrange(20, 34)
    shifted = {"predictions.csv": f"actual,predicted,rows\nf,f,{right}\nf,m,{34 - right}\nm,f,3\nm,m,31\n"}
    for name in ("errors.csv", "importance.csv"):
        head, *rows = (TOP / PLOTS / name).read_text().splitlines()
        moved, factor = [], chosen.uniform(0.9, 1)
        for row in rows:
            *words, last = row.split(",")
            moved.append(",".join([*words, str(float(last) * factor)]))
        shifted[name] = "\n".join([head, *moved, ""])
    return {name: text.encode() for name, text in sorted(shifted.items())}


def hash_of_folder(files: dict[str, bytes]) -> str:
    """The hash under which DVC records a folder."""
    listing = [
        {"md5": hashlib.md5(content, usedforsecurity=False).hexdigest(), "relpath": name}
        for name, content in files.items()
    ]
    return f"{hashlib.md5(json.dumps(listing).encode(), usedforsecurity=False).hexdigest()}.dir"


def manifest(number: int, template: dict[str, Any], charts: dict[str, bytes]) -> bytes:
    """A version with another score and setting than the one before; data and code change with some versions."""
    chosen, seen = random.Random(number), random.Random(number // SAME_DATA)  # noqa: S311
    found = json.loads(manifest_of(number, template))
    data = json.loads(manifest_of(number // SAME_DATA, template))
    found |= {key: data[key] for key in ("inputs", "data")}
    for stage, old in ((stage, entry) for stage in found["stages"].values() for entry in template["inputs"]):
        if stage["deps"].pop(old["path"], None):
            stage["deps"] = {entry["path"]: entry["md5"] for entry in found["inputs"]} | stage["deps"]
    found["data"]["date_orders"] = {}
    for feature in found["model"]["features"]:
        bins = len(feature["values"]) if feature["values"] else 20
        feature["counts"] = [seen.randrange(40) for _ in range(bins)]
    train = found["stages"]["train"]
    train["outs"][PLOTS] = hash_of_folder(charts)
    train["deps"]["src/train.py"] = some_hash("md5", "code", number // 5)
    scores = found["metrics"]["balanced_accuracy"]
    scores["test"] = round(0.8 + chosen.random() / 10, 4)
    found["metrics"]["folds"] = [round(0.8 + chosen.random() / 10, 4) for _ in found["metrics"]["folds"]]
    found["params"]["estimator"]["C"] = round(chosen.random(), 3)
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()


def commits(count: int, template: dict[str, Any]) -> Iterator[bytes]:
    """A stream for `git fast-import`: a commit and a release tag for each version."""
    for number in range(count):
        charts = charts_of(number)
        files = {f"models/v1.{number}.0/manifest.json": manifest(number, template, charts)}
        files |= {f"{PLOTS}/{name}": content for name, content in charts.items()}
        who = f"A <a@example.org> {1_700_000_000 + 60 * number} +0000"
        yield f"commit refs/heads/main\nmark :{number + 1}\ncommitter {who}\ndata 0\n".encode()
        for path, content in files.items():
            yield f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n"
        yield f"tag penguins@v1.{number}.0\nfrom :{number + 1}\ntagger {who}\ndata 0\n".encode()


def build(folder: Path, count: int) -> None:
    """The scratch repository."""
    template = json.loads(min(TOP.glob("models/v*/manifest.json")).read_bytes())
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main", folder], check=True)
    stream = b"".join(commits(count, template))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=stream, check=True)
    subprocess.run(["git", "remote", "add", "origin", "git@example.org:team/penguins.git"], cwd=folder, check=True)
    (folder / "dvc.yaml").write_text("stages: {}\n")  # by which lineage.py knows the top folder


def main() -> None:
    """Print a row for each number of versions."""
    sys.stdout.write("| versions | median | slowest | size |\n|---|---|---|---|\n")
    for count in map(int, sys.argv[1:] or COUNTS):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            build(folder, count)
            times = seconds(PAGE, folder, runs=3)
            size = (folder / "reports/lineage.html").stat().st_size
            row = f"| {count:,} | {statistics.median(times):.2f} s | {max(times):.2f} s | {size / 1000:,.0f} kB |\n"
            sys.stdout.write(row)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
