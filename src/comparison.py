"""What differs between two manifests, in the order in which a cause comes before its effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifest import Manifest

GROUPS = ("data", "code", "parameters", "environment", "metrics")


@dataclass(frozen=True)
class Change:
    """A value by its dotted name, before and after; None where it is not there."""

    name: str
    before: Any
    after: Any


def compare(before: Manifest, after: Manifest) -> dict[str, list[Change]]:
    """The changes in each group; groups without any are left out."""
    one, other = _grouped(before), _grouped(after)
    changes = {group: _changes(one[group], other[group]) for group in GROUPS}
    return {group: found for group, found in changes.items() if found}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    names = dict.fromkeys([*before, *after])
    return [Change(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)]


def _grouped(manifest: Manifest) -> dict[str, dict[str, Any]]:
    document = manifest.lineage()
    environment, data, stages = document["environment"], document["data"], document["stages"]
    tables = {table["path"] for table in data.values()}
    code = {path: md5 for stage in stages.values() for path, md5 in stage["deps"].items() if path not in tables}
    return {
        "data": flatten(data)
        | flatten({"target": document["model"]["target"], "features": document["model"]["features"]}),
        "code": code | {f"{name}.cmd": stage["cmd"] for name, stage in stages.items()},
        "parameters": flatten(document["params"]),
        "environment": flatten(environment) | {"platform": manifest.run.platform},
        "metrics": flatten(document["metrics"]),
    }


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; anything else is a value."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
