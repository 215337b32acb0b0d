"""The questions people ask of packages: `python src/lineage.py --help` lists them.

Results go to stdout, as text for a person or with --json for a program; everything else goes to stderr. The exit
status is 0 when what was asked holds, 1 when it does not, and 2 when it cannot be answered as asked.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from problem import Problem, run

DOES_NOT_HOLD = 1
CANNOT_BE_ANSWERED = 2
VERSION = "a folder of models/, a Git revision or an experiment"


def make_parser() -> argparse.ArgumentParser:
    """The command line. Each question is answered by the module of its name, which is loaded when it is asked."""
    parser = argparse.ArgumentParser(prog="lineage.py", description="Ask packages of models where they came from.")
    questions = parser.add_subparsers(dest="question", required=True, metavar="QUESTION")

    def add(question: str, answers: str, example: str) -> argparse.ArgumentParser:
        epilog = f"example: python src/lineage.py {question} {example}".rstrip()
        added = questions.add_parser(question, help=answers, description=answers, epilog=epilog)
        added.add_argument("--json", action="store_true", help="print the facts as JSON, for a program")
        return added

    listed = add("list", "Say which versions there are, what they scored, from which data and commit.", "--all")
    listed.add_argument("--all", dest="everywhere", action="store_true", help="also those of Git's history alone")
    shown = add("show", "Show the whole chain of one version, from raw data to model.", "v1.0.0")
    shown.add_argument("version", metavar="VERSION", help=VERSION)
    verified = add("verify", "Check that packages are what they say; name each problem.", "v1.0.0")
    verified.add_argument(
        "versions", metavar="VERSION", nargs="*", help=f"{VERSION}; all of models/ when none is named"
    )
    compared = add(
        "diff",
        "Show what changed between two versions: data, code, parameters, environment, metrics.",
        "main workspace",
    )
    compared.add_argument("before", metavar="A", help=VERSION)
    compared.add_argument("after", metavar="B", help=f"{VERSION}, or workspace")
    traced = add(
        "trace",
        "Find every package that came from a file, hash, commit or experiment, in all of Git's history.",
        "data/raw/penguins_v1.0.0.parquet",
    )
    traced.add_argument(
        "what",
        metavar="WHAT",
        help="a file of any name, a hash or its beginning, a commit, an experiment, or a path that once was",
    )
    restored = add("restore", "Put a version's bytes back under models/, from Git and DVC's cache or remote.", "v1.0.0")
    restored.add_argument("version", metavar="VERSION", help=VERSION)
    add("release", "Freeze the current version under a Git tag, once HEAD holds all that made it.", "")
    rebuild = add("rebuild", "Run a version's pipeline again in a scratch clone and compare every byte.", "v1.0.0")
    rebuild.add_argument("version", metavar="VERSION", help=VERSION)
    rebuild.add_argument("--fresh-env", action="store_true", help="install that commit's own requirements.txt first")
    return parser


def main() -> None:
    """Answer what the command line asks."""
    asked = vars(make_parser().parse_args())
    question, as_json = asked.pop("question"), asked.pop("json")
    if not Path("dvc.yaml").is_file():
        raise Problem("dvc.yaml: not found; run from the top folder of the repository")
    answer = importlib.import_module(question).answer(**asked)
    facts = json.dumps(answer.facts, indent=2)
    sys.stdout.write(f"{facts if as_json else answer.text}\n")
    if not answer.holds:
        sys.exit(DOES_NOT_HOLD)


if __name__ == "__main__":
    run(main, status=CANNOT_BE_ANSWERED)
