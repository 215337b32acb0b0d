"""`lineage.py show`: the whole chain of one package, raw data → prepared → model, for a person first."""

from answer import Answer, columns, short, word
from comparison import flatten
from manifest import Manifest, Stage, Table
from version import find_version


def answer(version: str) -> Answer:
    """One version; its facts are the manifest itself."""
    manifest = find_version(version).manifest()
    return Answer(manifest.lineage() | {"run": manifest.run.model_dump(mode="json")}, text(manifest))


def text(manifest: Manifest) -> str:
    """The chain as it is read, from the first cause to the result."""
    model, data, run = manifest.model, manifest.data, manifest.run
    record = (
        f"commit {run.git.commit}{' with uncommitted changes' if run.git.dirty else ''}" if run.git else "no commit"
    )
    experiment = f", experiment {run.experiment.name} on {short(run.experiment.baseline)}" if run.experiment else ""
    nature = "deterministic" if model.deterministic else f"not deterministic: {model.nondeterminism}"
    parts = [
        f"{manifest.name} {manifest.version}: {model.task} of {model.target}, made {run.created_at} on {run.platform}",
        f"from {record}{experiment}",
        _title("data"),
        columns([_table("source", data.source), _table("train", data.train), _table("test", data.test)]),
        *(_stage(name, stage) for name, stage in manifest.stages.items()),
        _title("model"),
        columns(
            [
                ("file", f"{model.path}  {model.size:,} bytes  sha256 {short(model.sha256)}"),
                ("steps", " → ".join(f"{step.name} ({step.class_.rpartition('.')[2]})" for step in model.steps)),
                ("features", word([feature.model_dump() for feature in model.features])),
                ("classes", word(model.classes)),
                ("bytes", nature),
            ]
        ),
        _title("parameters"),
        columns((name, word(value)) for name, value in flatten(manifest.params.model_dump()).items()),
        _title("metrics"),
        columns((name, word(value)) for name, value in flatten(manifest.metrics).items()),
        _title("environment"),
        columns(
            [
                ("python", manifest.environment.python),
                *manifest.environment.packages.items(),
                *manifest.environment.numeric.items(),
            ]
        ),
    ]
    return "\n".join(parts)


def _title(name: str) -> str:
    return f"\n── {name}"


def _table(name: str, table: Table) -> tuple[str, ...]:
    return (name, table.path, f"{table.rows:,} rows", f"sha256 {short(table.sha256)}")


def _stage(name: str, stage: Stage) -> str:
    reads = ((path, short(md5)) for path, md5 in stage.deps.items())
    makes = ((path, short(md5)) for path, md5 in stage.outs.items())
    rows = [*(("reads", *row) for row in reads), *(("makes", *row) for row in makes)]
    return f"{_title(name)}: {stage.cmd}\n{columns(rows)}"
