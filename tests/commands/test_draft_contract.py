"""`lineage.py contract`: the draft, and the one line that it adds to dvc.yaml."""

from pathlib import Path

import pytest
from projects import Project
from ruamel.yaml import YAML

from commands import contract

PIPELINE = """\
# prepare: this is a comment
vars: [params.yaml]
stages:
  fetch:
    cmd: fetch
    deps: [a]
  prepare: # the first
    cmd: python src/prepare.py
    deps:
      - ${data.path}   # raw
      - src/prepare.py
    outs: [b]
  train:
    deps:
    - b
"""


def test_the_draft_is_checked_by_the_next_run_and_recorded_in_the_manifest(here: Project) -> None:
    told = here.ask("contract").stdout.splitlines()
    here.run("dvc repro")
    manifest = here.ask("show v1.0.0 --json").stdout

    assert told == [
        "data/contract.yaml: drafted 8 fields from data/raw/penguins_v1.1.0.parquet; read it and loosen it",
        "dvc.yaml: '- data/contract.yaml' added to the deps of prepare; dvc repro checks the table",
    ]
    document = YAML(typ="safe").load(manifest)
    assert document["contract"]["fields"][0]["name"] == "species"
    assert "data/contract.yaml" in document["stages"]["prepare"]["deps"]
    assert "data/contract.yaml" not in [entry["path"] for entry in document["inputs"]]

    again = here.ask("contract", check=False)
    assert again.returncode == 2
    assert again.stderr.startswith("error: data/contract.yaml: exists, and is not overwritten; ")

    text = Path("data/contract.yaml").read_text()
    Path("data/contract.yaml").write_text(text.replace("minimum: 2700", "minimum: 2701"))
    refused = here.run("dvc repro", check=False)
    assert "column 'body_mass_g': expected at least 2701; 1 row differs: 2700 in row 315" in refused.stderr


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_one_line_is_added_and_every_other_byte_stays(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "dvc.yaml"
    before = PIPELINE.replace("\n", ending).encode()
    path.write_bytes(before)
    added = contract.add_to_pipeline(path)
    after = path.read_bytes()
    again = contract.add_to_pipeline(path)

    line = f"      - data/contract.yaml{ending}".encode()
    assert (added, again) == (True, False)
    assert after.index(line) == before.index(b"      - src/prepare.py")
    assert after.replace(line, b"") == before == PIPELINE.replace("\n", ending).encode()
    assert path.read_bytes() == after


@pytest.mark.parametrize(
    "text",
    ["stages:\n  prepare:\n    cmd: x\n    deps: [a]\n", "stages:\n  first:\n    cmd: x\n", "stages: [", ""],
    ids=["in one line", "of another name", "not YAML", "empty"],
)
def test_where_the_place_is_not_found_the_line_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_text(text)

    assert contract.add_to_pipeline(path) is None
    assert path.read_text() == text
    assert "add the line '- data/contract.yaml' to the deps of prepare" in contract.said_of(None)
