"""The command line: what is asked, what is answered on which stream, and with which exit status."""

import json
from pathlib import Path

import pytest
from conftest import Project

from lineage import make_parser

pytest_plugins = ["story_repository"]

OLDER = "data/raw/penguins_v1.0.0.parquet"
HOLDS = ["list", "list --all", "show v1.0.0", "show forest", "verify v1.1.0", "diff v1.1.0 worse", f"trace {OLDER}"]
DOES_NOT_HOLD = [f"trace {'0' * 32}", "trace README.md", "trace data/raw/none.parquet"]
CANNOT_BE_ANSWERED = [
    ("show v9.9.9", "'v9.9.9' is no version, revision or experiment; "),
    ("verify v9.9.9", "'v9.9.9' is no version, revision or experiment; "),
    ("diff v1.0.0 v1.0.1", "'v1.0.1' is no version, revision or experiment; did you mean 'v1.0.0'?"),
    ("diff forrest v1.0.0", "'forrest' is no version, revision or experiment; did you mean 'forest'?"),
    ("trace nothing", "'nothing' is no file, hash (at least 7 digits), commit, experiment or path in Git's history"),
    ("show HEAD~3", "'HEAD~3': its dvc.lock records no package"),
    (f"trace {'a' * 300}", "File name too long"),
]
QUESTIONS = ["list", "show", "verify", "diff", "trace", "rebuild"]


@pytest.mark.parametrize("asked", HOLDS)
def test_what_holds_is_answered_on_stdout_alone_and_as_json_the_same_each_time(story: Project, asked: str) -> None:
    told = story.run(f"python src/lineage.py {asked}")
    once, again = (story.run(f"python src/lineage.py {asked} --json") for _ in range(2))

    assert told.stdout.strip()
    assert json.loads(once.stdout)
    assert once.stdout == again.stdout
    assert {done.stderr for done in (told, once, again)} == {""}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("asked", ["list", "show v1.1.0", "diff v1.0.0 v1.1.0"])
def test_what_the_encoding_of_stdout_lacks_ends_no_answer(story: Project, asked: str, encoding: str) -> None:
    done = story.run(f"python src/lineage.py {asked}", PYTHONIOENCODING=encoding)

    assert done.stdout.strip()
    assert done.stderr == ""


@pytest.mark.parametrize("asked", DOES_NOT_HOLD)
@pytest.mark.parametrize("form", ["", "--json"])
def test_what_does_not_hold_is_answered_and_ends_with_1(story: Project, asked: str, form: str) -> None:
    done = story.run(f"python src/lineage.py {asked} {form}", check=False)

    assert done.returncode == 1
    assert done.stderr == ""
    assert json.loads(done.stdout) == [] if form else done.stdout.startswith("no package came from ")


@pytest.mark.parametrize(("asked", "said"), CANNOT_BE_ANSWERED)
@pytest.mark.parametrize("form", ["", "--json"])
def test_what_cannot_be_answered_is_said_on_one_line_of_stderr_and_ends_with_2(
    story: Project, asked: str, said: str, form: str
) -> None:
    done = story.run(f"python src/lineage.py {asked} {form}", check=False)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_question_from_another_folder_is_told_where_to_be_asked(story: Project) -> None:
    done = story.run("python ../src/lineage.py list", folder="models", check=False)

    assert done.returncode == 2
    assert done.stderr == "error: dvc.yaml: not found; run from the top folder of the repository\n"


@pytest.mark.parametrize(
    "asked", ["", "nothing", "lists", "show", "diff v1.0.0", "trace", "list v1.0.0", "list --no", "show a b", "--json"]
)
def test_what_is_no_question_is_refused_with_the_usage_and_ends_with_2(
    capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    with pytest.raises(SystemExit) as end:
        make_parser().parse_args(asked.split())
    told = capsys.readouterr()

    assert end.value.code == 2
    assert told.out == ""
    assert told.err.startswith("usage: lineage.py")


def test_help_names_every_question_and_what_it_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        make_parser().parse_args(["--help"])
    told = capsys.readouterr().out.split()

    assert end.value.code == 0
    assert set(QUESTIONS) <= set(told)


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_help_with_an_example_that_it_accepts(
    capsys: pytest.CaptureFixture[str], question: str
) -> None:
    with pytest.raises(SystemExit) as end:
        make_parser().parse_args([question, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    example = told.partition("example: python src/lineage.py ")[2]

    assert end.value.code == 0
    assert "--json" in told
    assert make_parser().parse_args(example.split()).question == question


def test_where_there_is_no_repository_every_question_ends_in_a_sentence(story: Project, tmp_path: Path) -> None:
    elsewhere = Project(tmp_path, {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})
    (tmp_path / "dvc.yaml").touch()
    for asked, status in [("list --all", 0), ("show v1.0.0", 2), ("diff a b", 2), ("trace nothing", 2)]:
        done = elsewhere.run(f"python {story.path / 'src/lineage.py'} {asked}", check=False)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
