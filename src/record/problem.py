"""What a person can get wrong, said in a sentence that ends with the next step.

Everything that a user can cause is a `Problem`. It is raised where it is found and caught once, in `run`, so that
nobody who mistypes a name has to read a traceback.
"""

import atexit
import difflib
import gc
import io
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

REFUSED = 1
CANNOT_BE_ANSWERED = 2
# What an estimator or a transformer raises about settings or rows that it cannot use.
REFUSALS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
PATIENCE = 1.0  # seconds until a person wants to know how far it is
Item = TypeVar("Item")
INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended


class Problem(Exception):  # noqa: N818 - the word that a person reads
    """One or more sentences for the person who can solve it, each on a line of its own."""

    status: int | None = None  # the exit status, where it does not depend on the command

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class CannotAsk(Problem):
    """Somebody who knows, such as Git, cannot be asked; nothing follows from that, neither yes nor no."""

    status = CANNOT_BE_ANSWERED


def refuse_if(problems: Iterable[str]) -> None:
    """Raise all the problems there are as one; return when there are none."""
    if lines := list(dict.fromkeys(problems)):
        raise Problem(*lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or else all of them."""
    names = sorted(known)
    folded = {known.strip().casefold(): known for known in names}
    if near := difflib.get_close_matches(name.strip().casefold(), folded, n=1):
        return f"did you mean '{folded[near[0]]}'?"
    return f"known: {', '.join(names)}" if names else "none is known"


def rows_of(count: int) -> str:
    """A number of rows in words."""
    return "1 row" if count == 1 else f"{count:,} rows"


def in_one_line(error: Exception) -> str:
    """What other people's code says of a failure, after the type where the words may be a bare name."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if isinstance(error, LookupError) or not words else words


def printable(line: str) -> str:
    """A line as it can be shown: what could move the cursor, forge another line or reverse the text becomes '?'."""
    return "".join(character if character.isprintable() else "?" for character in line)


def say(fact: str) -> None:
    """Tell the person watching; results go to stdout, facts to stderr."""
    sys.stderr.write(f"{printable(fact)}\n")


def progress(  # noqa: PLR0913 - a bar has as many things to say
    items: Iterable[Item],
    what: str,
    unit: str,
    total: int | None = None,
    *,
    size: Callable[[Item], int] = lambda _: 1,
    at_once: bool = False,
) -> Iterator[Item]:
    """The items; a person at a terminal who waits for them sees how many are done, at which rate, and the time left.

    `at_once`: each takes so long that nobody should wait for the first without a word.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    done, patience = 0, time.monotonic() + PATIENCE

    def start() -> "tqdm[Any]":
        from tqdm import tqdm  # noqa: PLC0415 - it takes time, and most are done before anybody waits

        return tqdm(total=total, desc=what, unit=unit, unit_scale=True, initial=done, leave=False)

    bar = start() if at_once else None
    try:
        for item in items:
            if bar is None and time.monotonic() > patience:
                bar = start()
            yield item
            done += size(item)
            if bar is not None:
                bar.update(size(item))
    finally:
        if bar is not None:
            bar.close()


@contextmanager
def step(what: str, *, to_all: bool = True) -> Iterator[None]:
    """Around a part of a long work: say what is done, and in the end how long it took; to all, or to a terminal."""
    tell = say if to_all or sys.stderr.isatty() else str
    started = time.monotonic()
    tell(what)
    yield
    if (seconds := time.monotonic() - started) > PATIENCE:
        tell(f"{what}: took {seconds:.0f} s")


@contextmanager
def importing() -> Iterator[None]:
    """Around imports: a Python that lacks a library ends in a sentence instead of a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        install = f"{sys.executable} -m pip install -r requirements.txt"
        say(f"error: {error.name}: not installed for {sys.executable}")
        say(f"error: activate the environment that has it, or {install}")
        sys.exit(CANNOT_BE_ANSWERED)


def run(main: Callable[[], None], status: int = REFUSED) -> None:
    """Run a script's `main`; a problem that it meets is told in its lines and ends the process with `status`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks '→' shows '?' instead of a traceback
    # A library's warning is one line like any other, without the line of its code.
    warnings.showwarning = lambda message, *_, **__: say(f"warning: {in_one_line(Warning(message))}")
    # No plugin decides what a manifest is, and looking for plugins takes long where much is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end as Ctrl-C does, with everything tidied up
    atexit.register(gc.freeze)  # before it ends, Python looks for cycles once more: a sixth of `list` or `prepare`
    with keeping_outs():
        end_in_lines(main, status)


@contextmanager
def keeping_outs() -> Iterator[None]:
    """Around a stage's work: what DVC deleted before it ran the stage is put back when the stage fails."""
    try:
        yield
    except BaseException as error:
        if "DVC_STAGE" in os.environ and getattr(error, "code", True):
            folder = Path(__file__).parent
            path = os.pathsep.join([str(folder.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
            subprocess.run([sys.executable, folder / "outs.py"], env=os.environ | {"PYTHONPATH": path}, check=False)
        raise


def end_in_lines(main: Callable[[], None], status: int) -> None:
    """Run `main`; whatever a person can cause ends in sentences."""
    try:
        with importing():
            main()
    except Problem as problem:
        for line in problem.lines:
            say(f"error: {line}")
        sys.exit(problem.status or status)
    except OSError as error:  # unwritable folder, full disk, file gone: the system's own words say it best
        place = f"{error.filename}: " if error.filename else ""
        say(f"error: {place}{error.strerror or error}")
        sys.exit(status)
    except MemoryError:
        say("error: there is not enough memory for this table; use fewer rows or columns, or a machine with more")
        sys.exit(status)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)
