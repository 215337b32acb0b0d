"""Score new rows with a verified package: `python src/predict.py models/v1.0.0 rows.csv scored.csv`.

The input's columns are compared with the features that the manifest names. The output has the input's columns, the
prediction, for a classifier the probability of each class, and the version and SHA-256 of the model: in every row of a
CSV, in the metadata of a Parquet file. It is made under the numeric settings that the model was made under.
"""

import argparse
from pathlib import Path

from record.problem import Problem, refuse_if, run, say

INPUTS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
OUTPUTS = (".csv", ".parquet")


def parse_arguments() -> argparse.Namespace:
    """What to score, with which package, and where to write the result."""
    parser = argparse.ArgumentParser(
        prog="predict.py",
        description="Score the rows of a CSV or Parquet file with a package, once it is verified.",
        epilog="example: python src/predict.py models/v1.0.0 data/raw/penguins_v1.0.0.parquet scored.csv",
    )
    parser.add_argument("package", metavar="PACKAGE", type=Path, help="the folder of a package")
    parser.add_argument("input", metavar="INPUT", type=Path, help="a .csv, .tsv (both also with .gz) or .parquet file")
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="the .csv or .parquet file to write")
    key = "the public key of who must have signed the package; may be repeated, one of them is enough"
    parser.add_argument("--key", metavar="PEM", dest="keys", type=Path, action="append", default=[], help=key)
    trust = "load a package that neither this repository nor a key vouches for: its model may run any code"
    parser.add_argument("--trust-unvouched", action="store_true", help=trust)
    return parser.parse_args()


def main() -> None:
    """Load the package and score the file."""
    asked = parse_arguments()
    refuse_if(
        f"{path}: expected a file that ends in {' or '.join(formats)}"
        for path, formats in ((asked.input, INPUTS), (asked.output, OUTPUTS))
        if not path.name.endswith(formats)
    )
    if not asked.output.parent.is_dir():
        raise Problem(f"{asked.output.parent}: not found; make the folder, or name another output")
    if asked.output.resolve() == asked.input.resolve():
        raise Problem(f"{asked.output}: is the input, which is not overwritten; name another output")
    from record.environment import start_with
    from record.models import read_manifest_of

    start_with(read_manifest_of(asked.package).environment.numeric)
    from modeling.loading import load_model
    from modeling.scoring import score_file

    loaded = load_model(asked.package, keys=asked.keys, trust_unvouched=asked.trust_unvouched)
    rows = score_file(asked.input, asked.output, loaded)
    say(f"{asked.output}: {rows:,} rows scored with {loaded.manifest.name} {loaded.manifest.version}")


if __name__ == "__main__":
    run(main)
