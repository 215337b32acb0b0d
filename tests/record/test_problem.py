import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from projects import CHECKOUT

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


def test_a_warning_of_a_library_is_one_line_that_does_not_say_where_its_code_is() -> None:
    code = "import warnings; from record.problem import run; run(lambda: warnings.warn('old:\\n  use another'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT / "src", capture_output=True, text=True, check=True
    )

    assert done.stderr == "warning: old: use another\n"


WATCHED = """
import sys, time
sys.path.insert(0, "src")
from pathlib import Path
from record import checksums, problem
problem.PATIENCE = {patience}
{code}
print("tqdm" in sys.modules)
"""
SLOW = "for _ in problem.progress(range(4), 'folds', ' folds', 4, at_once={at_once}): time.sleep(0.2)"
HASHED = "checksums.digest(Path(sys.argv[1]))"


def on_terminal(code: str, patience: float, *arguments: str) -> tuple[str, str]:
    """What a program shows on the terminal to which its stderr leads, and what it prints."""
    leader, follower = pytest.importorskip("pty").openpty()  # Windows has none
    pytest.importorskip("termios").tcsetwinsize(follower, (24, 100))
    command = [sys.executable, "-c", WATCHED.format(code=code, patience=patience), *arguments]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=follower, stdout=subprocess.PIPE, text=True) as process:
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal that nobody writes to any more
            while block := os.read(leader, 1 << 16):
                shown += block
        os.close(leader)
        printed, _ = process.communicate()
    assert process.returncode == 0
    return shown.decode(), printed.strip()


@pytest.mark.parametrize(("code", "unit"), [(SLOW.format(at_once=True), "folds/s"), (HASHED, "B/s")])
def test_who_waits_at_a_terminal_sees_the_rate_and_the_time_left(code: str, unit: str, tmp_path: Path) -> None:
    with (tmp_path / "model").open("wb") as model:
        model.truncate(200_000_000)
    shown, _ = on_terminal(code, 0, str(tmp_path / "model"))

    assert re.search(rf"\d+%\|.*\[\d\d:\d\d<\d\d:\d\d, +[\d.]+[kMG]? ?{unit}\]", shown)


def test_what_takes_long_is_shown_before_the_first_is_done() -> None:
    first = "print('first', file=sys.stderr)"
    shown, _ = on_terminal(f"list(problem.progress(({first} for _ in '1'), 'folds', ' folds', 1, at_once=True))", 60)

    assert 0 <= shown.find("folds:   0%") < shown.find("first")


def test_what_is_done_before_anybody_waits_shows_no_bar_and_loads_none() -> None:
    assert on_terminal(SLOW.format(at_once=False), patience=60) == ("", "False")


def test_without_a_terminal_no_bar_is_shown() -> None:
    command = [sys.executable, "-c", WATCHED.format(code=SLOW.format(at_once=True), patience=0)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("False\n", "")
