"""Problems: what a person reads, and how a script ends."""

from collections.abc import Callable

import pytest

from problem import Problem, did_you_mean, refuse_if, run, say


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
        (["sex", "mass"], "known: mass, sex"),
        ([], "none is known"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_with_all(known: list[str], end: str) -> None:
    assert did_you_mean("spezies", known) == end


def test_a_fact_goes_to_stderr_and_leaves_stdout_to_results(capsys: pytest.CaptureFixture[str]) -> None:
    say("10 rows read")

    assert capsys.readouterr() == ("", "10 rows read\n")


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
