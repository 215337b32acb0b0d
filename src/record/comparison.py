"""What differs between two manifests, in the order in which a cause comes before its effect."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from record.manifest import Input, Manifest
from record.tracking import PARAMETERS, Stage, inputs_of, overlap

GROUPS = ("data", "code", "parameters", "environment", "metrics")
COLUMN = ("name", "dtype", "nullable")  # of a feature; the rest follows from the data
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?|[0-9a-f]{40}|[0-9a-f]{64}")
SHOWN = 8  # digits of a hash


@dataclass(frozen=True)
class Change:
    """A value by its dotted name, before and after; None where it is not there."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """The change as a person reads it."""
        return f"{self.name}: {self.words()}"

    def words(self) -> str:
        """What became of the value."""
        if self.before is None:
            return f"added: {word(self.after)}"
        return (
            f"{word(self.before)} → {word(self.after)}" if self.after is not None else f"removed: {word(self.before)}"
        )


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
    stages, inputs = document["stages"], {entry["path"]: entry for entry in document["inputs"]}
    features = [{key: feature[key] for key in COLUMN} for feature in document["model"]["features"]]
    return {
        "data": flatten(inputs) | flatten(document["data"]) | {"target": manifest.model.target, "features": features},
        "code": code_of(manifest.stages, manifest.inputs)
        | {f"{name}.cmd": stage["cmd"] for name, stage in stages.items()},
        "parameters": flatten(document["params"]) | _other_parameters(manifest),
        "environment": flatten(document["environment"]) | {"platform": manifest.run.platform},
        "metrics": flatten(document["metrics"]),
    }


def code_of(stages: Mapping[str, Stage], inputs: Iterable[Input]) -> dict[str, str]:
    """What stages read that is neither data nor made by one of them: code and requirements; path → MD5."""
    others = [entry.path for entry in inputs] + [out for stage in stages.values() for out in stage.outs]
    read = inputs_of(stages)
    return {path: md5 for path, md5 in read.items() if not any(overlap(path, other) for other in others)}


def decisive_files(stages: Mapping[str, Stage], inputs: Sequence[Input]) -> dict[str, str]:
    """The files that decide a model and that a commit can hold, code and data; path → MD5."""
    files = code_of(stages, inputs) | {entry.path: entry.hash for entry in inputs}
    return {path: md5 for path, md5 in files.items() if "://" not in path}


def _other_parameters(manifest: Manifest) -> dict[str, Any]:
    """The parameters of stages beside ours, which have a section of the manifest of their own."""
    known = set(manifest.params.model_dump())
    return {
        key if file == PARAMETERS.as_posix() else f"{file}: {key}": value
        for stage in manifest.stages.values()
        for file, used in stage.params.items()
        for key, value in flatten(used).items()
        if file != PARAMETERS.as_posix() or key.partition(".")[0] not in {*known, "estimators"}
    }


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names; anything else is a value."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def word(value: Any) -> str:
    """A value of a manifest as a person reads it: as params.yaml spells it, a hash by its first digits."""
    match value:
        case list():
            return f"[{', '.join(map(word, value))}]"
        case float():
            return repr(float(f"{value:.6g}"))
        case str():
            return short(value) if HASH.fullmatch(value) else value
        case {"name": name, "dtype": dtype, "nullable": nullable}:  # a feature
            return f"{name} {dtype}{'?' if nullable else ''}"
    return json.dumps(value)


def number(value: Any) -> float | None:
    """A value that is a number, which truth is not; None for any other."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def main_score(metrics: Any) -> tuple[str | None, dict[str, Any]]:
    """The name of the main metric, the first with a number on the test part, and its scores; metrics may be anybody's.

    None and nothing where there is none.
    """
    found = metrics.items() if isinstance(metrics, dict) else ()
    scored = ((name, scores) for name, scores in found if isinstance(scores, dict))
    return next(((name, scores) for name, scores in scored if number(scores.get("test")) is not None), (None, {}))


def short(digest: str) -> str:
    """The first digits of a hash."""
    return digest[:SHOWN]
