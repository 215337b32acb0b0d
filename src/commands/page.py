"""`lineage.py page`: the lineage of all released versions as one HTML file, which needs no server and no network.

What others wrote is escaped by Jinja2 in one place, with control characters replaced, and a content security policy
lets nothing run or load but the style and the script of this folder, by their hashes.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from commands.result import Result
from commands.web import chain, charts, history
from commands.web.history import Shown
from commands.web.links import commit_address, web_address
from record import git
from record.bundles import read_public_key
from record.comparison import short, word
from record.files import write
from record.problem import Problem, printable, say

TEMPLATES = Path(__file__).parent / "web"


def run(everywhere: bool, output: Path, keys: Sequence[Path] = ()) -> Result:
    """Write the page of the released versions, or of every version and experiment in Git's history."""
    named = [read_public_key(path) for path in keys]
    found, is_released = history.collect(everywhere=everywhere)
    if not found:
        raise Problem("no version yet; dvc repro makes one")
    if cut := git.what_is_cut():
        say(f"note: this page is partial, since of this clone {cut}")
    note = "" if is_released or everywhere else "no version is released yet, so this shows what is in models/"
    history.complete(found, named)
    content = render(found, note, git.remote()).encode(errors="replace")
    write(output, content)
    facts = {
        "page": output.as_posix(),
        "bytes": len(content),
        "released": is_released,
        "versions": [shown.record.version for shown in found],
    }
    count = f"{len(found)} version{'s' if len(found) > 1 else ''}"
    lines = [f"{output}: {count}, {len(content):,} bytes; open it in a browser"]
    return Result(facts, [*lines, *([f"{note}; python src/lineage.py release freezes one"] if note else [])])


def render(found: list[Shown], note: str, remote: str | None) -> str:
    """The page of some versions, in the order in which they were made."""
    style, script = (
        (TEMPLATES / name).read_text(encoding="utf-8").replace("\r\n", "\n").strip() for name in ("page.css", "page.js")
    )
    pictures: dict[str, tuple[int, chain.Picture]] = {}
    page = web_address(remote)
    return (
        environment()
        .get_template("page.html")
        .render(
            style=style,
            script=script,
            policy=policy(style, script),
            found=found,
            note=note,
            remote=page,
            name=found[-1].record.text("name") or "model",
            timeline=charts.timeline([(s.scores.get("test"), s.scores.get("baseline")) for s in found]),
            drawn={shown.anchor: picture_of(shown, pictures) for shown in found},
            pictures=pictures,
            files=[(path, hashes, history.ranges(numbers)) for path, hashes, numbers in history.files_of(found)],
            link=lambda commit: commit_address(page, commit),
            charts=charts,
            chain=chain,
            most=history.MOST_CHANGES,
        )
    )


def picture_of(shown: Shown, known: dict[str, tuple[int, chain.Picture]]) -> tuple[int, chain.Picture] | None:
    """The number and the picture of a version's chain; versions of one graph share one."""
    if shown.manifest is None:
        return None
    graph = chain.graph_of(shown.manifest)
    commands = {name: stage.cmd for name, stage in shown.manifest.stages.items()}
    key = repr((graph, commands))
    if key not in known:
        known[key] = len(known), chain.draw(graph, commands)
    return known[key]


def environment() -> Environment:
    """Jinja2 with every value escaped, and what could reverse or hide text replaced."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    found.filters |= {"short": short, "word": word}
    return found


def _shown(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def policy(style: str, script: str) -> str:
    """The content security policy: nothing is loaded from anywhere, and only these two run."""
    style_hash, script_hash = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    rules = f"style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; img-src data:"
    return f"default-src 'none'; {rules}; base-uri 'none'; form-action 'none'"
