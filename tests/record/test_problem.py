from typing import Any

import pytest

from record.problem import CannotAsk, Problem, did_you_mean, importing, refuse_if, run, say


def fail(error: BaseException) -> None:
    raise error


def test_all_problems_are_raised_at_once_each_said_once_and_in_order() -> None:
    refuse_if(iter([]))
    with pytest.raises(Problem, match=r"^b\na$") as caught:
        refuse_if(line for line in ["b", "a", "b"])
    assert caught.value.lines == ("b", "a")


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all() -> None:
    for typed in ("SEX", " sex", "Sex ", "sxe"):
        assert did_you_mean(typed, ["mass", "sex"]) == "did you mean 'sex'?"
    assert did_you_mean("spezies", ["SPEZIES ", "mass"]) == "did you mean 'SPEZIES '?"
    assert did_you_mean("spezies", ["sex", "mass"]) == "known: mass, sex"
    assert did_you_mean("spezies", []) == "none is known"


def test_a_fact_goes_to_stderr_and_what_could_forge_or_hide_a_line_is_shown_as_a_question_mark(capsys: Any) -> None:
    say("é → \n\r\x1b\x00\x7f\u202e\u2028\ud800\tok: verified")
    assert capsys.readouterr() == ("", "é → ?????????ok: verified\n")


@pytest.mark.parametrize(
    ("error", "statuses", "said"),
    [
        (Problem("one", "two"), [1, 2], "error: one\nerror: two\n"),
        (PermissionError(13, "Permission denied", "data"), [1, 2], "error: data: Permission denied\n"),
        (OSError(28, "No space left on device"), [1, 2], "error: No space left on device\n"),
        (
            MemoryError(),
            [1, 2],
            "error: there is not enough memory for this table; use fewer rows or columns, or a machine with more\n",
        ),
        (OSError("no number"), [1, 2], "error: no number\n"),
        (CannotAsk("Git refuses"), [2, 2], "error: Git refuses\n"),
        (KeyboardInterrupt(), [130, 130], "interrupted\n"),
    ],
)
def test_what_a_person_can_cause_ends_in_lines_and_a_status(error: Any, statuses: Any, said: str, capsys: Any) -> None:
    for chosen, status in zip([(), (2,)], statuses, strict=True):
        with pytest.raises(SystemExit) as end:
            run(lambda: fail(error), *chosen)
        assert end.value.code == status
        assert capsys.readouterr() == ("", said)


def test_a_missing_library_ends_in_a_sentence_that_installs_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, importing():
        import never_installed  # noqa: F401
    missing, cure = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert missing.startswith("error: never_installed: not installed for ")
    assert cure.endswith("-m pip install -r requirements.txt")


def test_a_mistake_in_the_code_keeps_its_traceback_and_success_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: fail(ZeroDivisionError()))
    run(lambda: None)
    assert capsys.readouterr() == ("", "")
