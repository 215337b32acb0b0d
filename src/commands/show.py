"""`lineage.py show`: the whole chain of one package, raw data → model, for a person: the result first, details last."""

from collections.abc import Iterable, Iterator, Sequence

from commands import deployments
from commands.result import Result, table
from commands.versions import Version, find_version, holds
from record import git, tracking
from record.comparison import code_of, flatten, main_score, short, word
from record.manifest import Manifest
from record.notes import Feature
from record.tracking import Stage


def run(version: str) -> Result:
    """One version; its facts are the manifest, and its deployments where GTO has recorded any."""
    found = find_version(version)
    manifest = found.manifest()
    lived = deployments_of(found, manifest)
    facts = {"deployments": [deployment.facts() for deployment, _ in lived]} if lived else {}
    facts |= manifest.lineage() | {"run": manifest.run.model_dump(mode="json")}
    return Result(facts, list(lines(manifest, [said for _, said in lived])))


def deployments_of(version: Version, manifest: Manifest) -> list[tuple[deployments.Deployment, str]]:
    """When this very model was in which stage of life, with the same in words."""
    known = deployments.deployments_of(manifest.name)
    commits = {each.commit for each in known if each.version == version.name}
    same = {commit for commit in commits if holds(commit, version.folder, manifest.to_bytes())}
    return [(each, f"{each.place} {deployments.words(each, known)}") for each in known if each.commit in same]


def lines(manifest: Manifest, lived: Sequence[str] = ()) -> Iterator[str]:
    """The chain as a person reads it."""
    model = manifest.model
    yield f"{manifest.name} {manifest.version}: {model.task} of {model.target}"
    yield from table([*headline(manifest), *(("deployed", said) for said in lived)])
    yield from section("warnings", ((pitfall.name, pitfall.text) for pitfall in manifest.warnings))
    yield from section("data", data_rows(manifest))
    for name, stage in manifest.stages.items():
        yield from section(f"{name}: {stage.cmd}", stage_rows(manifest, stage))
    yield from section("metrics", values(manifest.metrics))
    yield from section("parameters", values(manifest.params.model_dump()))
    yield from section("features", map(feature_row, manifest.model.features))
    environment = manifest.environment
    packages = {"python": environment.python, **environment.packages, **environment.numeric}
    yield from section("environment", packages.items())


def headline(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    """What most people want to know."""
    model, record, experiment = manifest.model, manifest.run.git, manifest.run.experiment
    name, scores = main_score(manifest.metrics)
    if name:
        yield "result", f"{name} {', '.join(f'{key} {word(value)}' for key, value in scores.items())}"
    yield "data", ", ".join(entry.path for entry in manifest.inputs)
    yield "code", code_words(manifest)
    steps = " → ".join(f"{step.name} ({step.class_.rpartition('.')[2]})" for step in model.steps)
    yield "model", f"{steps}, {model.size:,} bytes, sha256 {short(model.sha256)}"
    if model.classes is not None:
        yield "classes", ", ".join(map(word, model.classes))
    yield "bytes", "reproducible" if model.deterministic else f"not reproducible: {model.nondeterminism}"
    yield "made", f"{manifest.run.created_at} on {manifest.run.platform}"
    if experiment:
        yield "experiment", f"{experiment.name} on {short(experiment.baseline)}"
    if record and record.remote:
        yield "remote", record.remote


def code_words(manifest: Manifest) -> str:
    """The code as the files of a commit, with the names of those that the commit does not hold."""
    code, record = code_of(manifest.stages, manifest.inputs), manifest.run.git
    if record is None:
        return f"{len(code)} files, without a commit"
    place = f"{len(code)} files of commit {short(record.commit)}"
    if not record.dirty:
        return place
    if not git.has_repository() or git.commit_of(record.commit) is None:
        return f"{place}, with uncommitted changes"
    different = tracking.missing_from(record.commit, code)
    return f"{place}, but for {', '.join(different)}" if different else f"{place}, with uncommitted data or parameters"


def data_rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    """The inputs and both parts, with where an import took them from."""
    for entry in manifest.inputs:
        rows = "" if entry.rows is None else f"{entry.rows:,} rows"
        origin = entry.origin
        source = (
            f"from {origin.url} {word(origin.revision or origin.etag or '')}".rstrip() if origin and origin.url else ""
        )
        yield "input", entry.path, rows, f"sha256 {short(entry.sha256)}" if entry.sha256 else "", source
    for part, found in (("train", manifest.data.train), ("test", manifest.data.test)):
        yield part, found.path, f"{found.rows:,} rows", f"sha256 {short(found.sha256)}"


def stage_rows(manifest: Manifest, stage: Stage) -> Iterator[tuple[str, ...]]:
    """What a stage read and made; its code by number only."""
    code = code_of(manifest.stages, manifest.inputs)
    read = {path: md5 for path, md5 in stage.deps.items() if path not in code}
    yield from (("reads", path, short(md5)) for path, md5 in read.items())
    if count := len(stage.deps) - len(read):
        yield "reads", f"{count} file{'s' if count > 1 else ''} of code", ""
    yield from (("makes", path, short(md5)) for path, md5 in stage.outs.items())


def feature_row(feature: Feature) -> tuple[str, ...]:
    """A column that the model takes, and what training saw of it, as far as the manifest says."""
    seen = f"{feature.minimum:.6g} to {feature.maximum:.6g}" if None not in {feature.minimum, feature.maximum} else ""
    if feature.values is not None:
        seen = f"{len(feature.values)} values"
    missing = f"{feature.missing:.1%} missing" if feature.missing else "may be missing" if feature.nullable else ""
    return feature.name, feature.kind or "", feature.dtype, seen, missing


def values(document: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Names and values as params.yaml spells them."""
    return ((name, word(value)) for name, value in flatten(document).items())


def section(title: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A heading with a table, where there is something to show."""
    if lines := table(rows):
        yield ""
        yield f"── {title}"
        yield from lines
