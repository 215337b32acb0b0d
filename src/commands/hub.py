"""The head of a model card, as Hugging Face's hub reads it: YAML with the library, the task, licence and scores."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from commands.markdown import ADDRESS
from record.comparison import main_score, number
from record.manifest import Manifest
from record.parameters import Card
from record.problem import printable

KNOWN_LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0
cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1
lgpl-3.0 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail osl-3.0 pddl postgresql unlicense wtfpl zlib
"""  # to the hub, which takes any other by its name


class Numbers(RoundTripRepresenter):
    """Writes numbers that YAML 1.1 reads as numbers too; to it, `1e-07` is text."""

    def represent_number(self, value: float) -> ScalarNode:
        """A finite number, with a point."""
        plain = repr(value)
        return self.represent_scalar("tag:yaml.org,2002:float", plain if "." in plain else plain.replace("e", ".0e"))


Numbers.add_representer(float, Numbers.represent_number)


@dataclass(frozen=True)
class Score:
    """A metric on the test part, and of the main one its mean and spread over the folds."""

    name: str
    test: float
    baseline: float | None = None
    mean: float | None = None
    spread: float | None = None


def scores_of(manifest: Manifest) -> list[Score]:
    """The scores on the test part, the main one first."""
    metrics, (name, scores) = manifest.metrics, main_score(manifest.metrics)
    more = (number(scores.get(key)) for key in ("baseline", "cv_mean", "cv_std"))
    main = [Score(name, scores["test"], *more)] if name else []
    test, baseline = ({**found} if isinstance(found := metrics.get(key), dict) else {} for key in ("test", "baseline"))
    others = [
        Score(name, value, number(baseline.get(name))) for name, value in test.items() if number(value) is not None
    ]
    return [*main, *others]


def head_of(manifest: Manifest, card: Card) -> dict[str, Any]:
    """What Hugging Face's hub reads of a card."""
    task = f"tabular-{manifest.model.task}"
    names = [Path(entry.path).name for entry in manifest.inputs]
    known = [entry.identity for entry in manifest.inputs]
    dataset = {
        "name": printable(", ".join(names)) or "unknown",
        "type": slug("-".join(Path(name).stem for name in names)),
        "split": "test",
        "args": {kind: [value for name, value in known if name == kind] for kind in dict(known)},
    }
    metrics = [{"type": printable(s.name), "name": printable(s.name), "value": s.test} for s in scores_of(manifest)]
    result = {"task": {"type": task, "name": printable(manifest.model.target)}, "dataset": dataset, "metrics": metrics}
    return {
        "library_name": "sklearn",
        "pipeline_tag": task,
        **license_of(card.license),
        "tags": ["sklearn", task, "dvc"],
        "model-index": [{"name": printable(manifest.name), "results": [result] if metrics else []}],
    }


def license_of(said: str) -> dict[str, str]:
    """A licence as the hub takes it: one that it knows, or else by name, with its address where one is given."""
    if not said:
        return {}
    if said.casefold() in KNOWN_LICENSES.split():
        return {"license": said.casefold()}
    address = ADDRESS.search(said)
    return {"license": "other", "license_name": slug(said), **({"license_link": address[1]} if address else {})}


def slug(words: str) -> str:
    """Words as an identifier of the hub."""
    return re.sub(r"[^a-z0-9.]+", "-", words.casefold()).strip("-.")[:96].strip("-.") or "unknown"


def yaml_lines(head: dict[str, Any]) -> Iterator[str]:
    """The head; each text is in quotes, so that every reader of YAML takes it as text."""
    yaml, stream = YAML(), io.StringIO()
    yaml.Representer = Numbers
    yaml.width = 1 << 30
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(_quoted(head), stream)
    yield from ("---", *stream.getvalue().splitlines(), "---")


def _quoted(value: Any) -> Any:
    match value:
        case dict():
            return {key: _quoted(item) for key, item in value.items()}
        case list():
            return [_quoted(item) for item in value]
        case str():
            return DoubleQuotedScalarString(value)
    return value
