"""What a branch changes, as a comment with pictures: `python .ci/report.py origin/main report`.

Compares the workspace, in which the pipeline has run, with the results that a revision committed, and writes
`report.md` and a PNG for each plot into the folder. `.github/workflows/report.yml` posts it on pull requests.

Whatever a branch names itself (a metric, an estimator, a plot, a file) is a stranger's text: it is written as HTML that
is escaped, inside of `<code>` or `<pre>`, where GitHub sees neither Markdown nor `@mentions`, and names no file.
"""

import argparse
import html
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import vl_convert

PIXELS = 2  # for each point of a plot, so that it is sharp on a dense screen
LONGEST = 30_000  # characters of the lineage; a comment has room for 65,536
FOLDS = "folds"
RESULTS = ("dvc.lock", "models", "reports")
LINEAGE = (sys.executable, "src/lineage.py", "diff")


def output(*command: str) -> str:
    """What a command prints; this process ends like it where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout.strip()


def code(text: str) -> str:
    """A stranger's text, on one line of HTML."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return f"<code>{html.escape(printable)}</code>"


def headline(facts: dict[str, Any], lines: list[str]) -> Iterator[str]:
    """The main score before and after, what became of the model, and whether the scores differ: as `diff` says it."""
    changed = (change for change in facts["changes"].get("metrics", []) if change["after"] is not None)
    name = next((change["name"] for change in changed if change["name"].endswith(".cv_mean")), None)
    said = [" ".join(line.split()) for line in lines]
    score = next((line for line in said if name and line.startswith(f"{name} ")), None)
    yield f"<h2>{code(score or said[0])}</h2>"
    if score:
        yield f"<p>{code(said[0])}</p>"
    if facts["changes"]:
        yield f"<p><b>{code(said[-1])}</b></p>"


def stale() -> Iterator[str]:
    """A warning where the run changed results that are committed."""
    changed = output("git", "ls-files", "--modified", "--others", "--exclude-standard", "--", *RESULTS).splitlines()
    if changed:
        files = ", ".join(map(code, changed))
        yield f"<p><b>The committed results are not what this code makes.</b> Run dvc repro and commit: {files}</p>"


def table(changes: Iterable[dict[str, Any]]) -> str:
    """Names and values, before and after; the score on each fold is left out, as in what `diff` says to a person."""
    rows = [[word(change[key]) for key in ("name", "before", "after")] for change in changes if change["name"] != FOLDS]
    if not rows:
        return "<p>None changed.</p>"
    cells = ["".join(f"<td>{code(cell)}</td>" for cell in row) for row in rows]
    head = "<tr><th></th><th>before</th><th>after</th></tr>"
    return "\n".join(["<table>", head, *(f"<tr>{row}</tr>" for row in cells), "</table>"])


def word(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def pictures(revision: str, folder: Path) -> Iterator[str]:
    """Draw each plot of both revisions, and show it."""
    drawn = json.loads(output("dvc", "plots", "diff", revision, "--json"))["data"]
    for number, (title, (plot, *_)) in enumerate(drawn.items(), start=1):
        png = vl_convert.vegalite_to_png(json.dumps(plot["content"]), scale=PIXELS)
        width = int.from_bytes(png[16:20], "big") // PIXELS  # where every PNG has it
        (folder / f"plot-{number}.png").write_bytes(png)
        yield f"<p>{code(title)}</p>"
        yield f'<img alt="plot {number}" src="plot-{number}.png" width="{width}">'


def report(revision: str, folder: Path) -> Iterator[str]:
    """The paragraphs of the report."""
    facts = json.loads(output(*LINEAGE, revision, "workspace", "--json"))
    lines = output(*LINEAGE, revision, "workspace").splitlines()
    yield from headline(facts, lines)
    yield from stale()
    for title, group in (("Metrics", "metrics"), ("Parameters", "parameters")):
        yield f"<h3>{title}</h3>"
        yield table(facts["changes"].get(group, []))
    yield "<h3>Plots</h3>"
    yield from pictures(revision, folder)
    yield "<h3>Lineage</h3>"
    text = "\n".join(lines)
    cut = "\n…" if len(text) > LONGEST else ""
    yield f"<pre>{html.escape(text[:LONGEST])}{cut}</pre>"


def main() -> None:
    """Write the report that the command line asks for."""
    parser = argparse.ArgumentParser(description="Report what the workspace changes, as a comment with pictures.")
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
