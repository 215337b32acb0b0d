"""`lineage.py card`: the model card of a version, as Markdown with the head that Hugging Face's hub reads.

It says what the manifest records, and what people wrote into the section `card` of the params.yaml of the version's own
commit. What they left empty is "not stated". It claims nothing beyond that.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from commands import markdown
from commands.hub import Score, head_of, scores_of, yaml_lines
from commands.markdown import code, text
from commands.result import Result
from commands.show import code_words, feature_row
from commands.versions import Version, commits_holding, find_version, holds, version_made_in
from commands.witnesses import witnesses_of
from record import git, models
from record.comparison import flatten, number, short, word
from record.manifest import Manifest, Model, OldManifest
from record.notes import PREPARED
from record.parameters import Card, read_card, read_parameters
from record.problem import Problem, printable, say
from record.tracking import PARAMETERS, read_workspace, reader_of

NOT_STATED = "not stated"
TITLES = {
    "purpose": "Purpose",
    "not_for": "Not for",
    "license": "Licence",
    "data_origin": "Origin of the data",
    "contact": "Contact",
}
BASELINE = {"classification": "predicts the share of each class", "regression": "predicts the mean"}
PLAIN = re.compile(r"\w[\w./-]{,200}", re.ASCII)  # as a path can be typed without quotes
MOST = 20  # classes that are named one by one


@dataclass(frozen=True)
class Source:
    """Where a version is found: what names it in a command, the commit that holds it, and its release tag."""

    name: str
    commit: str | None  # None for what no commit holds
    tag: str | None
    is_made_here: bool  # by the pipeline as it is in that commit, so that it can be rebuilt


def run(version: str) -> Result:
    """The card of one version; its facts are the manifest, what people say, and the head."""
    found = find_version(version)
    manifest = found.manifest()
    source = source_of(found, manifest)
    place = where_said(found, source)
    card, said_in = statements(place)
    head = head_of(manifest, card)
    facts = {"card": card.model_dump(), "card_from": said_in, "release": source.tag, "head": head}
    facts |= manifest.lineage() | {"run": manifest.run.model_dump(mode="json")}
    is_later = said_in != place
    return Result(facts, [*yaml_lines(head), *lines(found, manifest, source, card, is_later=is_later)])


def source_of(version: Version, manifest: Manifest) -> Source:
    """Where to take a version from: by its name, if that leads to this very manifest, or else from a commit."""
    content, tag = manifest.to_bytes(), models.release_tag(manifest)
    first = next(commits_holding(version), None)
    is_first = first is None or holds(first, version.folder, content)
    commit = version.commit or (first if is_first else next(commits_holding(version, content), None))
    return Source(
        name=version.name if is_first or commit is None else commit,
        commit=commit,
        tag=tag if holds(git.commit_of(f"refs/tags/{tag}"), version.folder, content) else None,
        is_made_here=commit is not None and version_made_in(commit) == version.name,
    )


def where_said(version: Version, source: Source) -> str:
    """The commit whose params.yaml speaks of a version; `params.yaml` for the current one, until it is released."""
    is_current = version.commit is None and source.tag is None and read_parameters().package.version == version.name
    return PARAMETERS.as_posix() if is_current or source.commit is None else source.commit


def statements(place: str) -> tuple[Card, str]:
    """What people say in a place, and the place; for a commit that says nothing, what params.yaml says now."""
    now = read_card(read_workspace(PARAMETERS) or b"{}", PARAMETERS.as_posix())
    if place == PARAMETERS.as_posix():
        return now, place
    try:
        then = read_card(reader_of(place)(PARAMETERS) or b"{}", f"{PARAMETERS} of {short(place)}")
    except Problem as problem:
        say(f"note: {problem.lines[0]}; its card is not used")
        then = Card()
    if then == Card() != now:
        say(f"note: {short(place)} has no card of its own, so what {PARAMETERS} says now is shown")
        return now, PARAMETERS.as_posix()
    return then, place


def lines(version: Version, manifest: Manifest, source: Source, card: Card, *, is_later: bool) -> Iterator[str]:
    """The card as a person reads it."""
    for part in (
        introduction(manifest, source),
        said(card, is_later=is_later),
        scores(manifest),
        groups(manifest),
        warnings(manifest),
        features(manifest),
        how_to_load(version, manifest, source),
        section("## How it was made", markdown.table(("", ""), made_rows(manifest))),
        how_to_check(version, source),
    ):
        yield ""
        yield from part


def section(heading: str, *blocks: Iterable[str]) -> Iterator[str]:
    """A heading and blocks of lines, apart from each other."""
    yield heading
    for block in blocks:
        yield ""
        yield from block


def introduction(manifest: Manifest, source: Source) -> Iterator[str]:
    """What the model is, in a sentence."""
    model = manifest.model
    last = f", ending in {code(model.steps[-1].class_.rpartition('.')[2])}," if model.steps else ""
    what = (
        f"the number {code(model.target)}" if model.task == "regression" else f"{code(model.target)}{classes_of(model)}"
    )
    columns = f"{len(model.features)} column{'' if len(model.features) == 1 else 's'}"
    released = f"Released as {code(source.tag)}." if source.tag else "It is not released."
    return section(
        f"# {text(manifest.name)} {text(manifest.version)}",
        [f"A scikit-learn pipeline{last} that predicts {what}", f"from {columns} of a table. {released}"],
    )


def classes_of(model: Model) -> str:
    """The classes between two brackets, as far as they are not too many to name."""
    names = [code(word(value)) for value in (model.classes or [])[:MOST]]
    more = f" and {len(model.classes or []) - MOST} more" if len(model.classes or []) > MOST else ""
    return f" ({', '.join(names)}{more})" if names else ""


def said(card: Card, *, is_later: bool) -> Iterator[str]:
    """What people say of it."""
    later = f"*Said later: the commit of this version says nothing, and {code(PARAMETERS.name)} now says this.*"
    blocks = [[later]] if is_later else []
    for key, title in TITLES.items():
        (first, *more), *others = markdown.paragraphs(getattr(card, key) or NOT_STATED)
        blocks += [[f"**{title}:** {first}", *more], *others]
    return section("## What people say of it", *blocks)


def _shown(value: Any) -> str:
    return "–" if number(value) is None else f"{value:.4g}"


def scores(manifest: Manifest) -> Iterator[str]:
    """The scores beside those of the baseline."""
    data, folds, chance = manifest.data, manifest.metrics.get("folds"), BASELINE[manifest.model.task]
    counted = f"{len(folds)} folds" if isinstance(folds, list) else "the folds"
    of_what = [
        f"On the {data.test.rows:,} rows of the test part, held back from training, and on {counted} of the",
        f"{data.train.rows:,} rows of the training part. The baseline ignores the columns: it {chance}.",
    ]
    head = ("metric", "test", "baseline", "folds: mean ± deviation")
    return section("## Scores", of_what, markdown.table(head, map(score_row, scores_of(manifest))))


def score_row(score: Score) -> tuple[str, ...]:
    """A metric as a row of the table."""
    folds = "" if score.mean is None else f"{_shown(score.mean)} ± {_shown(score.spread)}"
    return code(score.name), _shown(score.test), _shown(score.baseline), folds


def groups(manifest: Manifest) -> Iterator[str]:
    """The scores of groups of test rows."""
    slices = manifest.metrics.get("slices")
    if not isinstance(slices, dict) or not slices:
        return section("### By group", [f"Not scored by group: {code('train.slices')} named no column."])
    tables = (group_table(column, found if isinstance(found, dict) else {}) for column, found in slices.items())
    return section("### By group", *tables)


def group_table(column: str, found: dict[str, Any]) -> list[str]:
    """The scores of the groups of one column; a manifest may hold anything there."""
    scored = {group: scores for group, scores in found.items() if isinstance(scores, dict)}
    names = list(dict.fromkeys(name for scores in scored.values() for name in scores if name != "rows"))
    rows = (
        (code(group), text(word(scores.get("rows"))), *(_shown(scores.get(name)) for name in names))
        for group, scores in scored.items()
    )
    return markdown.table((code(column), "rows", *map(code, names)), rows)


def warnings(manifest: Manifest) -> Iterator[str]:
    """What makes the scores misleading, or may."""
    known = [f"- {code(pitfall.name)}: {text(pitfall.text)}" for pitfall in manifest.warnings]
    none = "None was given when it was made. No warning is not a proof."
    if isinstance(manifest, OldManifest):
        none = "Not known: this version's manifest is of schema 1, which recorded none."
    return section("## Warnings", known or [none])


def features(manifest: Manifest) -> Iterator[str]:
    """The columns that it takes, and what training saw of them."""
    head = ("column", "kind", "type", "seen in training", "missing")
    rows = ([code(name), *map(text, more)] for name, *more in map(feature_row, manifest.model.features))
    return section("## Columns that it takes", markdown.table(head, rows))


def how_to_load(version: Version, manifest: Manifest, source: Source) -> Iterator[str]:
    """The commands that bring the package and load the model."""
    folder = quote(printable(version.folder.as_posix()))
    remote = manifest.run.git.remote if manifest.run.git else None
    load = "import sys; from modeling.loading import load_model; print(load_model(sys.argv[1]).model)"
    restore = [f"python src/lineage.py restore {quote(printable(source.name))}"] if source.commit else []
    table = sample(manifest)
    why = [
        f"In a clone of {text(remote) if remote else 'its repository'}. A model is a program, so only one that",
        "somebody vouches for is loaded, with the versions of the libraries that made it.",
    ]
    commands = [
        *restore,
        f"python -m pip install -r {folder}/{models.REQUIREMENTS}",
        f"PYTHONPATH=src python -c '{load}' {folder}",
        *([f"python src/predict.py {folder} {table} scored.csv"] if table else []),
    ]
    return section("## How to load it", why, typed(commands))


def typed(commands: Iterable[str]) -> list[str]:
    """Commands as a block of a shell."""
    return ["```sh", *commands, "```"]


def sample(manifest: Manifest) -> str | None:
    """A raw table that is here and that the model takes as it is; None where a stage of somebody's own is between."""
    if Path(manifest.data.train.path).parent != PREPARED:
        return None
    plain = [entry.path for entry in manifest.inputs if entry.rows and PLAIN.fullmatch(entry.path)]
    return next((path for path in plain if Path(path).exists()), None)


def made_rows(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The chain from the raw data to the model, a row for each link."""
    model, environment = manifest.model, manifest.environment
    for entry in manifest.inputs:
        rows = "" if entry.rows is None else f", {entry.rows:,} rows"
        origin = f", from {text(entry.origin.url)}" if entry.origin and entry.origin.url else ""
        kind, identity = entry.identity
        yield "data", f"{code(entry.path)}{rows}, {kind} {code(identity)}{origin}"
    yield from (("stage", f"{code(name)}: {code(stage.cmd)}") for name, stage in manifest.stages.items())
    yield "code", text(code_words(manifest))
    settings = (f"{code(name)} {code(word(value))}" for name, value in flatten(manifest.params.estimator).items())
    yield "estimator", ", ".join(settings)
    software = {"python": environment.python, **environment.packages}
    yield "software", ", ".join(f"{text(name)} {text(release)}" for name, release in software.items())
    yield "bytes", "reproducible" if model.deterministic else f"not reproducible: {text(str(model.nondeterminism))}"
    yield "model", f"{code(model.path)}, {model.size:,} bytes, sha256 {code(model.sha256)}"
    yield "made", f"{text(manifest.run.created_at)} on {text(manifest.run.platform)}"


def how_to_check(version: Version, source: Source) -> Iterator[str]:
    """The commands that check it, and who signed it or built it again."""
    again = ", and by building it again byte for byte" if source.is_made_here else ""
    name = quote(printable(source.name))
    commands = [
        f"(cd {quote(printable(version.folder.as_posix()))} && sha256sum -c {models.SUMS})",
        f"python src/lineage.py verify {name}",
        *([f"python src/lineage.py rebuild {name}"] if source.is_made_here else []),
    ]
    witnesses = [f"- {text(line)}" for line in heard(version, source)]
    by = [f"By its checksums, by all that the repository knows of it{again}:"]
    return section("## How to check it", by, typed(commands), *([witnesses] if witnesses else []))


def heard(version: Version, source: Source) -> list[str]:
    """Who says something of a package that is here and whole; their keys are for the reader to name."""
    package = models.read_package(version.folder) if version.folder.is_dir() and version.commit is None else None
    if package is None or models.check_package(package, version.name)[1]:
        return []
    return [f"{witness.kind}: {witness.line()}" for witness in witnesses_of(version.name, package, source.tag, ())[0]]
