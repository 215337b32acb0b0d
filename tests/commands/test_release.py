import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from projects import MODELS, PACKAGE, VERSION, Project, append

from commands.release import run
from record.problem import Problem

TAG = "penguins@v1.0.0"


def test_a_release_is_an_annotated_tag_of_head_that_says_how_to_share_it(here: Project) -> None:
    told = run()
    push = f"git push --atomic origin HEAD {TAG} && dvc push {MODELS[0]}"
    sha256 = json.loads((here.path / PACKAGE / "manifest.json").read_bytes())["model"]["sha256"]

    assert told.holds
    assert told.lines[0].startswith(f"{TAG}: released; share it with: git ")
    assert told.lines[0].endswith(push)
    assert told.facts == {"version": VERSION, "tag": TAG, "commit": here.head(), "released": True, "problems": []}
    assert here.run(f"git cat-file -t {TAG}").stdout == "tag\n"
    assert here.run(f"git rev-parse {TAG}^{{}}").stdout.strip() == here.head()
    assert here.run(f"git tag -l --format=%(contents) {TAG}").stdout == f"Release penguins v1.0.0: model {sha256}\n\n"

    before = here.run("git show-ref").stdout
    assert run().lines == [f"{TAG}: released already, with these bytes"]
    assert here.run("git show-ref").stdout == before


HELD = "not committed as it is; commit it"
CODE = ["src/train.py: manifest.json records MD5 ", "train: dvc status says that it changed ("]
OTHER = [f"manifest.json: is not the one that was released as {TAG}"]
FORGE = f"sed -i s/0[.]9/0.8/ {PACKAGE}/manifest.json"


@pytest.mark.parametrize(
    ("edit", "commits", "said"),
    [
        (lambda _: append(Path("src/train.py")), False, [f"src/train.py: {HELD}"]),
        (lambda _: append(Path("src/train.py")), True, CODE),
        (lambda project: project.set(train__seed=7), True, ["params.yaml: commit "]),
        (lambda _: Path("models/notes.txt").touch(), False, [f"models/notes.txt: {HELD}"]),
        (lambda _: append(Path(MODELS[0])), False, ["model.joblib: is not what SHA256SUMS says; restore it"]),
        (lambda project: project.run(FORGE), False, [f"{PACKAGE}/manifest.json: {HELD}"]),
        (lambda project: project.type(f"git tag {TAG}; {FORGE}"), True, OTHER),
    ],
    ids=["code", "committed code", "parameters", "a file", "the model", "a forgery", "another release"],
)
def test_a_release_is_refused_with_every_reason(here: Project, edit: Any, commits: bool, said: list[str]) -> None:
    edit(here)
    if commits:
        here.commit("Keep it")
    before = here.run("git show-ref --tags", check=False).stdout
    told = run()

    assert not told.holds
    assert all(any(line.startswith(reason) for line in told.lines) for reason in said)
    assert told.facts["problems"] == told.lines == list(dict.fromkeys(told.lines))
    assert here.run("git show-ref --tags", check=False).stdout == before


def test_a_release_that_cannot_be_signed_or_has_no_commit_is_not_made(here: Project) -> None:
    here.run("git config tag.gpgSign true")
    here.run("git config gpg.program false")
    with pytest.raises(Problem, match="Git cannot answer"):
        run()
    assert here.run("git tag").stdout == ""

    shutil.rmtree(here.path / ".git")
    here.run("git init -q")
    with pytest.raises(Problem, match="nothing is committed yet; git init and git commit first"):
        run()
