"""The command line: what is asked, what is answered on which stream, and with which exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import OLDER
from projects import Project
from tables import seal

from lineage import VERBS, make_parser

YES = [
    *("list", "list --all", "show v1.0.0", "show forest", "verify v1.1.0", "diff v1.1.0 worse", f"trace {OLDER}"),
    *("card v1.0.0", "export v1.0.0 --format slsa"),
]
UNKNOWN = "is not a version, revision or experiment; "
CANNOT_BE_ANSWERED = [
    ("show v9.9.9", f"'v9.9.9' {UNKNOWN}known: forest, "),
    ("diff v1.0.0 v1.0.1", f"'v1.0.1' {UNKNOWN}did you mean 'v1.0.0'?"),
    ("export v1.0.1 --format slsa", f"'v1.0.1' {UNKNOWN}did you mean 'v1.0.0'?"),
    ("restore V1.0.0", f"'V1.0.0' {UNKNOWN}did you mean 'v1.0.0'?"),
    ("rebuild v1.0.1", f"'v1.0.1' {UNKNOWN}did you mean 'v1.0.0'?"),
    ("trace nothing", "'nothing' is not a file, hash (at least 7 digits), commit, experiment or path in Git's history"),
    (f"trace {'a' * 300}", "File name too long"),
]


@pytest.mark.parametrize("asked", YES)
def test_a_yes_is_on_stdout_alone_and_as_json_the_same_each_time(story: Project, asked: str) -> None:
    told, once, again = (story.ask(f"{asked} {form}", PYTHONIOENCODING="ascii") for form in ("", "--json", "--json"))

    assert told.stdout.strip()  # of a terminal that lacks characters, too
    assert json.loads(once.stdout)
    assert once.stdout == again.stdout
    assert {done.stderr for done in (told, once, again)} == {""}


def test_a_no_is_on_stdout_and_ends_with_1(story: Project) -> None:
    told, facts = (story.ask(f"trace {'0' * 32} {form}", check=False) for form in ("", "--json"))

    assert (told.returncode, facts.returncode, told.stderr, facts.stderr) == (1, 1, "", "")
    assert told.stdout.startswith("no version came from ")
    assert json.loads(facts.stdout) == []


@pytest.mark.parametrize(("asked", "said"), CANNOT_BE_ANSWERED)
def test_what_cannot_be_answered_is_one_line_of_stderr_and_ends_with_2(story: Project, asked: str, said: str) -> None:
    done = story.ask(f"{asked} --json", check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_a_verb_in_another_folder_says_where_to_run_it(story: Project) -> None:
    done = story.run("python ../src/lineage.py list", folder="models", check=False)

    assert done.returncode == 2
    assert done.stderr == "error: dvc.yaml: not found; run from the top folder of the repository\n"


def test_what_is_not_a_verb_is_refused_with_the_usage_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for asked in ("", "nothing", "show", "diff v1.0.0", "trace", "list v1.0.0", "list --no", "show a b", "--json"):
        with pytest.raises(SystemExit) as end:
            make_parser().parse_args(asked.split())
        told = capsys.readouterr()

        assert (end.value.code, told.out) == (2, "")
        assert told.err.startswith("usage: lineage.py")


def test_help_names_every_verb_and_each_has_an_example_that_it_accepts(capsys: pytest.CaptureFixture[str]) -> None:
    told = {}
    for asked in ([], *([verb] for verb in VERBS)):
        with pytest.raises(SystemExit) as end:
            make_parser().parse_args([*asked, "--help"])
        assert end.value.code == 0
        told["".join(asked)] = " ".join(capsys.readouterr().out.split())

    for verb, (does, _) in VERBS.items():
        example = told[verb].partition("example: python src/lineage.py ")[2]
        assert f"{verb} {does}" in told[""]
        assert "--json" in told[verb]
        assert make_parser().parse_args(example.split()).verb == verb


def test_where_there_is_no_repository_every_verb_ends_in_a_sentence(story: Project, tmp_path: Path) -> None:
    elsewhere = Project(tmp_path, {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    (tmp_path / "dvc.yaml").touch()
    for asked, status in [("list --all", 0), ("show v1.0.0", 2), ("diff a b", 2), ("trace nothing", 2), ("release", 2)]:
        done = elsewhere.run(f"python {story.path / 'src/lineage.py'} {asked}", check=False)
        assert done.returncode == status
        assert "Traceback" not in done.stderr


EVIL = "a\x1b[31m\r\nb\u202e\u2066c"


def test_what_a_stranger_wrote_never_reaches_the_terminal_raw(own: Project) -> None:
    folder = own.path / "models/v1.1.0"
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    document["inputs"][0] |= {"path": EVIL, "md5": "0" * 32}
    document["stages"]["prepare"]["cmd"] = document["name"] = document["run"]["platform"] = EVIL
    document["stages"][EVIL] = {"cmd": EVIL, "params": {}, "deps": {EVIL: EVIL}, "outs": {f"{EVIL}/": EVIL}}
    document["metrics"] = {EVIL: {"test": 0.5, "cv_mean": 0.5, EVIL: EVIL}}
    document["params"]["train"][EVIL] = document["environment"]["packages"][EVIL] = EVIL
    document["run"] |= {"experiment": {"name": EVIL, "baseline": "1" * 40}}
    model = {"model__target": EVIL, "model__deterministic": False, "model__nondeterminism": EVIL}
    seal(folder, **{key: value for key, value in document.items() if key != "model"}, **model)
    own.commit("Forge")
    for asked, status in [
        *(
            ("list --all", 0),
            ("show v1.1.0", 0),
            ("card v1.1.0", 0),
            ("diff v1.0.0 v1.1.0", 0),
            ("diff HEAD main", 0),
            ("verify HEAD", 1),
        ),
        *((f"trace {'0' * 32}", 0), (f"trace '{EVIL}.'", 2), (f"show '{EVIL}'", 2), ("release", 1)),
    ]:
        done = own.ask(asked, check=False)
        told = done.stdout + done.stderr

        assert done.returncode == status, told
        assert told.replace("\n", "").isprintable()
        assert "Traceback" not in told
        assert "?" in told or status == 1
