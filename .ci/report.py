"""What a branch changes, as Markdown with pictures: `python .ci/report.py origin/main report`.

Compares the workspace, in which the pipeline has run, with the results that a revision committed, and writes
`report.md` and a PNG for each plot into the folder. `.github/workflows/report.yml` posts it on pull requests.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vl_convert

PIXELS = 2  # for each point of a plot, so that it is sharp on a dense screen
RESULTS = ("dvc.lock", "models", "reports")
LINEAGE = (sys.executable, "src/lineage.py", "diff")


def output(*command: str) -> str:
    """What a command prints; this process ends like it where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout.strip()


def headline(facts: dict[str, Any]) -> Iterator[str]:
    """The main score before and after, and whether the difference is more than noise."""
    changed = {change["name"]: change for change in facts["changes"].get("metrics", [])}
    main = (name for name, change in changed.items() if name.endswith(".cv_mean") and change["after"] is not None)
    name = next(main, None)
    if not facts["changes"]:
        yield "## The model is the same" if len(set(facts["models"])) == 1 else "## The same inputs, another model"
    elif name is None:
        yield "## No metric changed"
    else:
        before, after = changed[name]["before"], changed[name]["after"]
        both = isinstance(before, float) and isinstance(after, float)
        yield f"## {name}: {before:.3f} → {after:.3f}" if both else f"## Another metric: {name} {after:.3f}"
    if paired := facts["folds"]:
        verdict = "more than noise" if paired["significant"] else "within noise"
        yield (
            f"Over the same {paired['folds']} folds: {paired['mean']:+.4f} ± {paired['margin']:.4f} "
            f"(95 % interval of the paired difference), **{verdict}**."
        )


def stale() -> Iterator[str]:
    """A warning where the run changed results that are committed."""
    if changed := output("git", "ls-files", "--modified", "--others", "--exclude-standard", "--", *RESULTS):
        files = ", ".join(f"`{name}`" for name in changed.splitlines())
        yield f"> **The committed results are not what this code makes.** Run `dvc repro` and commit: {files}"


def table(*command: str) -> str:
    """The table of a `dvc … diff`, or that there is nothing in it."""
    found = output("dvc", *command, "--md")
    return found if len(found.splitlines()) > 2 else "None changed."


def pictures(revision: str, folder: Path) -> Iterator[str]:
    """Draw each plot of both revisions; returns the Markdown that shows them."""
    drawn = json.loads(output("dvc", "plots", "diff", revision, "--json"))["data"]
    for title, (plot, *_) in drawn.items():
        name = f"{'-'.join(title.lower().split())}.png"
        png = vl_convert.vegalite_to_png(json.dumps(plot["content"]), scale=PIXELS)
        width = int.from_bytes(png[16:20], "big") // PIXELS  # where every PNG has it
        (folder / name).write_bytes(png)
        yield f'<img alt="{title}" src="{name}" width="{width}">'


def report(revision: str, folder: Path) -> Iterator[str]:
    """The paragraphs of the report."""
    yield from headline(json.loads(output(*LINEAGE, revision, "workspace", "--json")))
    yield from stale()
    yield "### Metrics"
    yield table("metrics", "diff", revision)
    yield "### Parameters"
    yield table("params", "diff", revision)
    yield "### Plots"
    yield from pictures(revision, folder)
    yield "### Lineage"
    yield f"```text\n{output(*LINEAGE, revision, 'workspace')}\n```"


def main() -> None:
    """Write the report that the command line asks for."""
    parser = argparse.ArgumentParser(description="Report what the workspace changes, as Markdown with pictures.")
    parser.add_argument("revision", help="what to compare with, such as origin/main")
    parser.add_argument("folder", type=Path, help="where to write report.md and its pictures")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    paragraphs = list(report(asked.revision, asked.folder))
    written = asked.folder / "report.md"
    written.write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    sys.stdout.write(f"{written}\n")


if __name__ == "__main__":
    main()
