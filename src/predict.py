"""Score new rows with a verified package: `python src/predict.py models/v1.0.0 rows.csv scored.csv`.

The input's columns are compared with the features that the manifest names. The output has the input's columns, the
prediction, for a classifier the probability of each class, and the version and SHA-256 of the model: in every row of a
CSV, in the metadata of a Parquet file. It is made under the numeric settings that the model was made under. What the
rows have that training never saw is named with counts, and refused with --strict.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from record.problem import Problem, refuse_if, run, say

if TYPE_CHECKING:
    from modeling.tells import Tell

OUTPUTS = (".csv", ".parquet")


def local_path(text: str) -> Path:
    """The path of a table here; one in a storage is fetched first."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is in a storage; dvc get-url {text} fetches it, then name that file")
    return Path(text)


def parse_arguments() -> argparse.Namespace:
    """What to score, with which package, and where to write the result."""
    parser = argparse.ArgumentParser(
        prog="predict.py",
        description="Score the rows of a table with a package, once it is verified.",
        epilog="example: python src/predict.py models/v1.0.0 data/raw/penguins_v1.0.0.parquet scored.csv",
    )
    parser.add_argument("package", metavar="PACKAGE", type=Path, help="the folder of a package")
    parser.add_argument("input", metavar="INPUT", type=local_path, help="a table in a format that data.path may have")
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="the .csv or .parquet file to write")
    parser.add_argument("--strict", action="store_true", help="write nothing if rows differ from those of training")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print the facts as JSON, for a program")
    key = "the public key of who must have signed the package; may be repeated, one of them is enough"
    parser.add_argument("--key", metavar="PEM", dest="keys", type=Path, action="append", default=[], help=key)
    trust = "load a package that neither this repository nor a key vouches for: its model may run any code"
    parser.add_argument("--trust-unvouched", action="store_true", help=trust)
    return parser.parse_args()


def check_paths(source: Path, target: Path) -> None:
    """Refuse an input that cannot be read, and an output that cannot be written, by their names."""
    from record.parameters import COMPRESSED, FORMATS

    also = f"{', '.join(COMPRESSED[1:-1])} or {COMPRESSED[-1]}"
    kinds = f"a folder of Parquet files, or a .parquet, .feather, .csv or .tsv file (the last two also with {also})"
    lines = [] if source.is_dir() or source.name.endswith(FORMATS) else [f"{source}: expected {kinds}"]
    if not target.name.endswith(OUTPUTS):
        lines.append(f"{target}: expected a file that ends in {' or '.join(OUTPUTS)}")
    refuse_if(lines)
    if not target.parent.is_dir():
        raise Problem(f"{target.parent}: not found; make the folder, or name another output")
    if target.resolve().is_relative_to(source.resolve()):
        inside = "inside of " if source.is_dir() else ""
        raise Problem(f"{target}: is {inside}the input, which is not overwritten; name another output")


def tell_program(asked: argparse.Namespace, rows: int | None, tells: "list[Tell]") -> None:
    """Print the facts where a program asked for them; no output and no rows where nothing was written."""
    if asked.as_json:
        written = None if rows is None else asked.output.as_posix()
        warnings = [asdict(tell) for tell in tells]
        facts = {"package": asked.package.as_posix(), "rows": rows, "output": written, "warnings": warnings}
        sys.stdout.write(f"{json.dumps(facts, indent=2)}\n")


def main() -> None:
    """Load the package and score the file."""
    asked = parse_arguments()
    check_paths(asked.input, asked.output)
    from record.environment import start_with
    from record.models import read_manifest_of

    start_with(read_manifest_of(asked.package).environment.numeric)
    from modeling.loading import load_model
    from modeling.scoring import DiffersError, score_file

    loaded = load_model(asked.package, keys=asked.keys, trust_unvouched=asked.trust_unvouched)
    try:
        rows, tells = score_file(asked.input, asked.output, loaded, is_strict=asked.strict)
    except DiffersError as refusal:
        tell_program(asked, None, refusal.tells)
        raise
    for tell in tells:
        say(f"warning: {tell.text}")
    tell_program(asked, rows, tells)
    say(f"{asked.output}: {rows:,} rows scored with {loaded.manifest.name} {loaded.manifest.version}")


if __name__ == "__main__":
    run(main)
