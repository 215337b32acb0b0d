import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from projects import CHECKOUT

from record.checksums import digest
from record.notes import Notes, Object, Readings, cost_of, loaded_code, note_cost, readings_in
from record.problem import Problem


class Counted(Notes):
    """Notes of a stage that counts."""

    rows: int


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the process load a module from a file, empty where there is none."""
    path.parent.mkdir(exist_ok=True)
    path.touch()
    monkeypatch.setitem(sys.modules, path.stem, module_from_spec(spec_from_file_location(path.stem, path.absolute())))


CODE = Path("src/notes_inside.py")
TABLE, LOCK = Path("table.csv"), Path("data/lock.txt")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two inputs in a repository, in which the process has loaded a module of its src/ and one from beside it."""
    monkeypatch.chdir(tmp_path)
    for path in (CODE, Path("notes_beside.py")):
        load(path, monkeypatch)
    Path("src/notes_unused.py").touch()
    LOCK.parent.mkdir()
    for path in (TABLE, LOCK):
        path.write_text(path.name)


def test_readings_hold_the_hash_of_each_input_and_of_the_code_of_this_repository_that_was_loaded() -> None:
    readings = Readings.start(TABLE, LOCK, params={"seed": 42})
    assert loaded_code() == {CODE}
    assert list(readings.files.items()) == [(path.as_posix(), digest(path).md5) for path in (LOCK, CODE, TABLE)]
    assert readings.params == {"seed": 42}
    assert readings.finish() == readings


def test_every_input_that_is_missing_is_named() -> None:
    with pytest.raises(Problem) as problem:
        Readings.start(Path("b.csv"), TABLE, Path("a.csv"), params={})
    ending = "not found; dvc pull brings what DVC tracks, dvc repro makes what a stage makes"
    assert problem.value.lines == (f"b.csv: {ending}", f"a.csv: {ending}")


def test_an_input_or_code_that_changes_or_goes_between_start_and_end_is_refused() -> None:
    readings = Readings.start(TABLE, LOCK, params={})
    TABLE.write_text("another table")
    LOCK.unlink()
    CODE.write_text("changed = True")
    with pytest.raises(Problem) as problem:
        readings.finish()
    said = "changed while it was being used, so what was made of it has no known origin; run dvc repro again"
    assert problem.value.lines == tuple(f"{path}: {said}" for path in (LOCK, CODE, TABLE))


def test_an_object_of_a_storage_that_changes_or_comes_or_goes_meanwhile_is_refused() -> None:
    one, other = (Object(kind="etag", hash=etag, size=1, url="s3://b/k") for etag in ("1", "2"))
    readings = Readings.start(TABLE, params={}, objects={"s3://b/k": one})

    assert readings.finish({"s3://b/k": one}) == readings
    for now in ({"s3://b/k": other}, {}, {"s3://b/k": one, "s3://b/new": one}):
        with pytest.raises(Problem, match=r"s3://b/.*: changed while it was being used"):
            readings.finish(now)


def test_code_that_is_loaded_meanwhile_is_noted_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    start, late = Readings.start(params={"seed": 42}), Path("src/notes_unused.py")
    load(late, monkeypatch)
    end = start.finish()
    assert list(end.files.items()) == [*start.files.items(), (late.as_posix(), digest(late).md5)]
    assert end.params == start.params


def test_notes_read_back_as_they_were_written_and_the_readings_whatever_else_was_noted() -> None:
    params: dict[str, Any] = {"drop": [], "test_size": 0.2, "name": "Škoda", "limit": None, "portable": True}
    notes = Counted(readings=Readings(files={"a.csv": "0" * 32}, params=params), rows=10)
    notes.write(Path("notes.json"))
    assert Counted.read(Path("notes.json")) == notes
    assert readings_in(Path("notes.json")) == notes.readings


EMPTY = '"readings": {"files": {}, "params": {}}'


@pytest.mark.parametrize("content", ["", "{}", f'{{{EMPTY}, "rows": "1"}}', f'{{{EMPTY}, "rows": 1, "columns": 2}}'])
def test_notes_that_are_missing_or_of_another_version_of_the_code_say_how_to_make_them(content: str) -> None:
    with pytest.raises(Problem, match=r"^notes\.json: not found; dvc repro makes it$"):
        Counted.read(Path("notes.json"))
    Path("notes.json").write_text(content)
    with pytest.raises(Problem, match=r"^notes\.json: not what this version of the code writes; run dvc repro --force"):
        Counted.read(Path("notes.json"))


def test_what_a_run_took_is_known_by_its_notes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Path("notes.json")
    notes.write_text("made here")
    monkeypatch.setattr("record.notes.STARTED", time.perf_counter() - 2)
    note_cost(notes)
    cost = cost_of(notes)
    assert 2 <= cost.seconds < 60
    assert cost.peak_memory_mib is None or cost.peak_memory_mib > 10
    notes.write_text("made elsewhere")
    assert cost_of(notes) is None


def test_what_the_process_held_that_started_a_stage_is_not_the_memory_of_the_stage() -> None:
    inner = "import sys; sys.path.insert(0, 'src'); from record.notes import peak_memory; print(peak_memory())"
    outer = f"import subprocess, sys; held = b'1' * 400_000_000; subprocess.run([sys.executable, '-c', {inner!r}])"
    done = subprocess.run([sys.executable, "-c", outer], cwd=CHECKOUT, capture_output=True, text=True, check=True)

    assert done.stdout == "None\n" or 5 < int(done.stdout) < 200
