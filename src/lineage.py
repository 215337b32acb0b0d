"""The questions people ask of packages: `python src/lineage.py --help` lists them.

Results go to stdout, as a table for a person or with --json for a program; everything else goes to stderr. The exit
status is 0 when what was asked holds, 1 when it does not, and 2 when it cannot be answered as asked.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from problem import run

if TYPE_CHECKING:
    from answer import Answer

DOES_NOT_HOLD = 1
CANNOT_BE_ANSWERED = 2


def rebuild(asked: argparse.Namespace) -> "Answer":
    from rebuild import rebuild

    return rebuild(asked.version, fresh_env=asked.fresh_env)


def parse_arguments() -> argparse.Namespace:
    """What was asked, from the command line."""
    parser = argparse.ArgumentParser(prog="lineage.py", description="Ask packages of models where they came from.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="QUESTION")

    def add(answer: Callable[[argparse.Namespace], "Answer"], help_text: str, example: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(
            answer.__name__,
            help=help_text,
            description=help_text,
            epilog=f"example: python src/lineage.py {example}",
        )
        verb.add_argument("--json", action="store_true", help="print the facts as JSON, for a program")
        verb.set_defaults(answer=answer)
        return verb

    verb = add(
        rebuild, "Prove a version: run its pipeline again in a scratch clone and compare every byte.", "rebuild v1.0.0"
    )
    verb.add_argument("version", metavar="VERSION", help="a folder of models/, a Git revision or an experiment")
    verb.add_argument("--fresh-env", action="store_true", help="install that commit's own requirements.txt first")
    return parser.parse_args()


def main() -> None:
    """Answer what the command line asks."""
    asked = parse_arguments()
    answer = asked.answer(asked)
    sys.stdout.write(
        json.dumps(answer.facts, indent=2, ensure_ascii=False) + "\n" if asked.json else f"{answer.text}\n"
    )
    if not answer.holds:
        sys.exit(DOES_NOT_HOLD)


if __name__ == "__main__":
    run(main, status=CANNOT_BE_ANSWERED)
