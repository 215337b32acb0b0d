"""Ask packages where their models came from: `python src/lineage.py --help` lists the verbs.

Results go to stdout, as text for a person or with --json for a program; everything else goes to stderr. The exit
status is 0 for a yes, 1 for a no, and 2 when it could not be answered.
"""

import argparse
import gc
import importlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from record.problem import CANNOT_BE_ANSWERED, Problem, printable, run

NO = 1
VERSION = "a folder of models/, a Git revision or an experiment"
VERBS: dict[str, tuple[str, str]] = {
    "list": ("List the versions: what they scored, from which data and code, and their state.", "--all"),
    "show": ("Show the whole chain of one version, from raw data to model.", "v1.0.0"),
    "verify": ("Check that packages are what they claim to be, and name each problem.", "v1.0.0"),
    "card": ("Print a version's model card: Markdown with the metadata that Hugging Face's hub reads.", "v1.0.0"),
    "deployed": (
        "Say which version is, or was on a given day, in prod or another stage of GTO.",
        "prod --on 2026-03-01",
    ),
    "diff": ("Show what changed between two versions: data, code, parameters, environment, metrics.", "main workspace"),
    "trace": (
        "Find every version that came from a file, hash, commit or experiment, in all of Git's history.",
        "data/raw/penguins_v1.0.0.parquet",
    ),
    "restore": ("Put a version's bytes back under models/: from the cache, the remote, or by rebuilding.", "v1.0.0"),
    "page": ("Write the lineage of all released versions as one HTML file that opens anywhere.", ""),
    "sign": ("Sign a package with your own key, in the format of OpenSSF Model Signing.", "v1.0.0 --key key.pem"),
    "release": ("Freeze the current version under a Git tag, once HEAD holds everything that made it.", ""),
    "export": ("Write a version as CycloneDX, SLSA provenance or an OCI layout.", "v1.0.0 --format cyclonedx"),
    "rebuild": ("Run a version's pipeline again in a scratch clone and compare every byte.", "v1.0.0"),
    "contract": ("Draft data/contract.yaml, the rules for the raw table, from a snapshot.", ""),
}


def make_parser() -> argparse.ArgumentParser:
    """The command line. Each verb is a module of its name in commands/, which is loaded when it is asked for."""
    parser = argparse.ArgumentParser(prog="lineage.py", description="Ask packages where their models came from.")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs = {}
    for verb, (does, example) in VERBS.items():
        epilog = f"example: python src/lineage.py {verb} {example}".rstrip()
        verbs[verb] = subparsers.add_parser(verb, help=does, description=does, epilog=epilog)

    def add(names: Iterable[str], flag: str, **options: Any) -> None:
        for name in names:
            verbs[name].add_argument(flag, **options)

    add(verbs, "--json", action="store_true", help="print the facts as JSON, for a program")
    add(("show", "card", "restore", "sign", "export", "rebuild"), "version", metavar="VERSION", help=VERSION)
    also = "include those that only Git's history has"
    add(("list", "page"), "--all", dest="everywhere", action="store_true", help=also)
    page = "where to write it; reports/lineage.html by default"
    add(("page",), "--output", metavar="PATH", type=Path, default=Path("reports/lineage.html"), help=page)
    add(("verify",), "names", metavar="VERSION", nargs="*", help=f"{VERSION}; by default all of models/")
    stage = "a stage that versions were assigned to, such as prod; by default each of them"
    add(("deployed",), "stage", metavar="STAGE", nargs="?", help=stage)
    on = "a day or a time in UTC, such as 2026-03-01 or 2026-03-01T12:00:00Z; by default now"
    add(("deployed",), "--on", metavar="DATE", help=on)
    add(("diff",), "before", metavar="A", help=VERSION)
    add(("diff",), "after", metavar="B", help=f"{VERSION}, or workspace")
    what = "a file of any name, a hash or its beginning, a commit, an experiment, or a path that existed once"
    add(("trace",), "what", metavar="WHAT", help=what)
    fresh = "before running the pipeline, install that commit's own requirements.txt"
    add(("restore", "rebuild"), "--fresh-env", action="store_true", help=fresh)
    snapshot = "the table to draft it from; data.path by default"
    add(("contract",), "table", metavar="TABLE", nargs="?", type=Path, help=snapshot)
    public = "a public key that must have signed; repeat it to name several, of which one is enough"
    add(("verify", "page"), "--key", metavar="PEM", dest="keys", type=Path, action="append", default=[], help=public)
    add(("rebuild",), "--attest", action="store_true", help="sign the result, whatever it is, into attestations/")
    forms = "a bill of materials, provenance, or an image for a container registry"
    add(("export",), "--format", dest="form", choices=("cyclonedx", "slsa", "oci"), required=True, help=forms)
    place = "where to write it; by default stdout, and for oci a folder in exports/"
    add(("export",), "--output", metavar="PATH", type=Path, help=place)
    private = "your private key: an elliptic curve (P-256, P-384 or P-521), in PEM"
    for verb in ("sign", "rebuild"):
        add((verb,), "--key", metavar="PEM", type=Path, required=verb == "sign", help=private)
    return parser


def main() -> None:
    """Do what the command line asks for."""
    gc.disable()  # a verb ends soon, and looking for cycles that are not there took a fifth of it on 5,000 versions
    asked = vars(make_parser().parse_args())
    verb, as_json = asked.pop("verb"), asked.pop("json")
    if not Path("dvc.yaml").is_file():
        raise Problem("dvc.yaml: not found; run from the top folder of the repository")
    result = importlib.import_module(f"commands.{verb}").run(**asked)
    text = json.dumps(result.facts, indent=2) if as_json else "\n".join(map(printable, result.lines))
    sys.stdout.write(f"{text}\n")
    if not result.holds:
        sys.exit(NO)


if __name__ == "__main__":
    run(main, status=CANNOT_BE_ANSWERED)
