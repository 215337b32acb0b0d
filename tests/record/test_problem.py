from collections.abc import Callable

import pytest

from record.problem import CannotAsk, Problem, did_you_mean, importing, printable, refuse_if, run, say


def raising(error: BaseException) -> Callable[[], None]:
    """A `main` that ends with this error."""

    def main() -> None:
        raise error

    return main


def test_a_problem_keeps_its_lines_apart_and_reads_as_one_text() -> None:
    problem = Problem("one", "two")

    assert problem.lines == ("one", "two")
    assert str(problem) == "one\ntwo"


def test_all_problems_are_raised_at_once_each_said_once_and_in_order() -> None:
    with pytest.raises(Problem) as caught:
        refuse_if(line for line in ["b", "a", "b"])

    assert caught.value.lines == ("b", "a")


def test_no_problem_raises_nothing() -> None:
    refuse_if(iter([]))


@pytest.mark.parametrize(
    ("known", "end"),
    [
        (["island", "species"], "did you mean 'species'?"),
        (["SPEZIES ", "mass"], "did you mean 'SPEZIES '?"),
        (["sex", "mass"], "known: mass, sex"),
        ([], "none is known"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_with_all(known: list[str], end: str) -> None:
    assert did_you_mean("spezies", known) == end


@pytest.mark.parametrize("typed", ["SEX", " sex", "Sex ", "sxe"])
def test_case_and_blanks_do_not_keep_a_name_from_being_found(typed: str) -> None:
    assert did_you_mean(typed, ["mass", "sex"]) == "did you mean 'sex'?"


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x00", "\x7f", "\u202e", "\u2028", "\ud800", "\t"])
def test_what_could_forge_or_hide_a_line_is_shown_as_a_question_mark(character: str) -> None:
    assert printable(f"é → {character}x") == "é → ?x"


def test_a_fact_goes_to_stderr_and_leaves_stdout_to_results(capsys: pytest.CaptureFixture[str]) -> None:
    say("10 rows read")

    assert capsys.readouterr() == ("", "10 rows read\n")


def test_a_strangers_name_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a.csv\n\x1b[2Kok: verified")

    assert capsys.readouterr().err == "a.csv??[2Kok: verified\n"


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (Problem("one", "two"), "error: one\nerror: two\n"),
        (PermissionError(13, "Permission denied", "data"), "error: data: Permission denied\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (OSError("no number"), "error: no number\n"),
    ],
    ids=["problem", "file", "disk", "bare"],
)
def test_what_a_person_can_cause_ends_in_lines_and_status_1(
    error: Exception, lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(raising(error))

    assert end.value.code == 1
    assert capsys.readouterr() == ("", lines)


@pytest.mark.parametrize("error", [Problem("what?"), FileNotFoundError(2, "not there", "what?")])
def test_a_script_may_choose_the_status_of_its_problems(error: Exception) -> None:
    with pytest.raises(SystemExit) as end:
        run(raising(error), 2)

    assert end.value.code == 2


@pytest.mark.parametrize("status", [1, 2])
def test_what_cannot_be_asked_is_never_taken_for_a_no(status: int) -> None:
    with pytest.raises(SystemExit) as end:
        run(raising(CannotAsk("Git refuses")), status)

    assert end.value.code == 2


def test_a_missing_library_ends_in_a_sentence_that_installs_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, importing():
        import never_installed  # noqa: F401

    lines = capsys.readouterr().err.splitlines()

    assert end.value.code == 2
    assert lines[0].startswith("error: never_installed: not installed for ")
    assert lines[1].endswith("-m pip install -r requirements.txt")


def test_ctrl_c_ends_as_a_shell_expects(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(raising(KeyboardInterrupt()))

    assert end.value.code == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_a_mistake_in_the_code_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))


def test_a_script_that_succeeds_says_nothing_and_returns(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda: None)

    assert capsys.readouterr() == ("", "")
