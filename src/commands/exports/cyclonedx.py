"""CycloneDX 1.6, a bill of materials: the model with its model card, its tables, and every package it was made with.

It is a pure function of the package, so two people who write it get the same bytes.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

from commands.exports.addresses import purl, url_of
from commands.exports.locked import packages_of
from record.checksums import sha256_of
from record.comparison import flatten, number
from record.manifest import File, Input, Manifest, Table
from record.models import REQUIREMENTS, Package

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
NAMESPACE = "lineage"  # of our own properties


def document(manifest: Manifest, package: Package) -> dict[str, Any]:
    """The bill of materials of a package."""
    tables = [*map(_input, manifest.inputs), _part(manifest.data.train, "train"), _part(manifest.data.test, "test")]
    locked = packages_of(manifest, package.texts[REQUIREMENTS].decode())
    libraries = [_library(name, version) for name, version in locked.items()]
    components = {component["bom-ref"]: component for component in (*tables, *libraries)}
    content = sha256_of(manifest.to_bytes())
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:sha256:{content}')}",
        "version": 1,
        "metadata": {
            "timestamp": manifest.run.created_at,
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "lineage.py export"}]},
            "component": _model(manifest),
        },
        "components": list(components.values()),
        "dependencies": list(_dependencies(manifest, list(components))),
    }


def _ref(manifest: Manifest) -> str:
    return f"{manifest.name}@{manifest.version}"


def _model(manifest: Manifest) -> dict[str, Any]:
    record = manifest.run.git
    source = (
        [{"type": "vcs", "url": url_of(record.remote), "comment": record.commit}] if record and record.remote else []
    )
    return {
        "type": "machine-learning-model",
        "bom-ref": _ref(manifest),
        "name": manifest.name,
        "version": manifest.version,
        "description": f"{manifest.model.task} of {manifest.model.target}",
        "hashes": _hashes(manifest.model),
        "externalReferences": source,
        "modelCard": _card(manifest),
        "properties": _properties(NAMESPACE, _facts(manifest)),
    }


def _card(manifest: Manifest) -> dict[str, Any]:
    model, estimator = manifest.model, manifest.params.estimator
    scores = [dict(zip(("type", "value", "slice"), score, strict=False)) for score in _scores(manifest.metrics)]
    target = model.target if model.classes is None else f"{model.target}: {', '.join(map(str, model.classes))}"
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": model.task,
            "modelArchitecture": str(estimator.get("class", model.class_)),
            "datasets": [{"ref": table.path} for table in (manifest.data.train, manifest.data.test)],
            "inputs": [{"format": f"{feature.name}: {feature.dtype}"} for feature in model.features],
            "outputs": [{"format": target}],
        },
        "quantitativeAnalysis": {"performanceMetrics": scores},
        "considerations": {"technicalLimitations": [pitfall.text for pitfall in manifest.warnings]},
        "properties": _properties(f"{NAMESPACE}:estimator", flatten(estimator)),
    }


def _scores(metrics: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Name, value and part of each score: the test rows, the folds, a group of rows, or the baseline."""
    for path, value in _numbers(metrics):
        match path:
            case ("slices", *_, "rows"):
                continue
            case ("slices", column, group, name):
                yield name, value, f"{column}: {group}"
            case ("test" | "baseline" as part, name) | (name, part):
                yield name, value, part
            case _:
                yield ".".join(path), value


def _numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _numbers(part, (*path, key))
    elif number(value) is not None:
        yield path, json.dumps(value)


def _facts(manifest: Manifest) -> dict[str, Any]:
    """What the format has no place for, and what tells one run from another."""
    record = manifest.run.git
    source = {"git.commit": record.commit, "git.dirty": record.dirty} if record else {}
    return {
        **source,
        "deterministic": manifest.model.deterministic,
        "platform": manifest.run.platform,
        "python": manifest.environment.python,
        **manifest.environment.numeric,
    }


def _properties(prefix: str, values: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": f"{prefix}:{name}", "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in values.items()
    ]


def _hashes(file: File | Input) -> list[dict[str, str]]:
    hashes = {"MD5": file.md5, "SHA-256": file.sha256}
    return [{"alg": name, "content": content} for name, content in hashes.items() if content]


def _input(entry: Input) -> dict[str, Any]:
    origin = entry.origin
    rows = "raw data" if entry.rows is None else f"raw data, rows: {entry.rows}"
    return _table(entry, rows, origin.url if origin else None)


def _part(table: Table, name: str) -> dict[str, Any]:
    return _table(table, f"{name} part, rows: {table.rows}")


def _table(file: File | Input, description: str, url: str | None = None) -> dict[str, Any]:
    contents = {"contents": {"url": url_of(url)}} if url else {}
    return {
        "type": "data",
        "bom-ref": file.path,
        "name": file.path,
        "description": description,
        "hashes": _hashes(file),
        "data": [{"type": "dataset", "name": file.path, **contents}],
    }


def _library(name: str, version: str) -> dict[str, str]:
    address = purl(name, version)
    return {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}


def _dependencies(manifest: Manifest, refs: list[str]) -> Iterator[dict[str, Any]]:
    """The model rests on both parts and on the packages, and each part on the raw data."""
    inputs = list(dict.fromkeys(entry.path for entry in manifest.inputs))
    parts = {manifest.data.train.path, manifest.data.test.path}
    yield {"ref": _ref(manifest), "dependsOn": [ref for ref in refs if ref not in inputs]}
    yield from ({"ref": ref, "dependsOn": inputs if ref in parts else []} for ref in refs)
