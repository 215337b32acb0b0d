import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from record.checksums import digest
from record.notes import Notes, Readings, cost_of, loaded_code, note_cost, readings_in
from record.problem import Problem


class Counted(Notes):
    """Notes of a stage that counts."""

    rows: int


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two files in the folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    paths = [Path("table.csv"), Path("data/lock.txt")]
    paths[1].parent.mkdir()
    for path in paths:
        path.write_text(path.name)
    return paths


def test_readings_hold_the_hash_of_each_input_by_path(inputs: list[Path]) -> None:
    readings = Readings.start(*inputs, params={"seed": 42})

    assert readings.files == {"data/lock.txt": digest(inputs[1]).md5, "table.csv": digest(inputs[0]).md5}
    assert list(readings.files) == sorted(readings.files)
    assert readings.params == {"seed": 42}


def test_every_input_that_is_missing_is_named(inputs: list[Path]) -> None:
    with pytest.raises(Problem) as problem:
        Readings.start(Path("b.csv"), *inputs, Path("a.csv"), params={})

    assert problem.value.lines == tuple(
        f"{name}: not found; dvc pull brings what DVC tracks, dvc repro makes what a stage makes"
        for name in ("b.csv", "a.csv")
    )


def test_a_file_that_changes_or_goes_between_start_and_end_is_refused(inputs: list[Path]) -> None:
    readings = Readings.start(*inputs, params={})
    inputs[0].write_text("another table")
    inputs[1].unlink()

    with pytest.raises(Problem) as problem:
        readings.finish()

    assert problem.value.lines == tuple(
        f"{name}: changed while it was being used, so what was made of it has no known origin; run dvc repro again"
        for name in ("data/lock.txt", "table.csv")
    )


def test_writing_the_same_bytes_again_is_no_change(inputs: list[Path]) -> None:
    readings = Readings.start(*inputs, params={})
    inputs[0].write_bytes(inputs[0].read_bytes())
    os.utime(inputs[0], (0, 0))

    readings.finish()


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in a repository that has loaded a module of its src/ and one from beside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("src/notes_inside.py", "notes_beside.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
        module = module_from_spec(spec_from_file_location(file.stem, file))
        monkeypatch.setitem(sys.modules, file.stem, module)
    (tmp_path / "src/notes_unused.py").touch()


@pytest.mark.usefixtures("imported")
def test_loaded_code_is_what_was_imported_from_this_repository_and_nothing_else() -> None:
    assert loaded_code() == {Path("src/notes_inside.py")}


@pytest.mark.usefixtures("imported")
def test_code_that_changes_after_it_was_loaded_is_refused() -> None:
    readings = Readings.start(params={})
    Path("src/notes_inside.py").write_text("changed = True")

    with pytest.raises(Problem, match=r"^src/notes_inside\.py: changed while it was being used"):
        readings.finish()


@pytest.mark.usefixtures("imported")
def test_code_that_is_loaded_meanwhile_is_noted_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Readings.start(params={"seed": 42})
    late = Path("src/notes_unused.py")
    monkeypatch.setitem(sys.modules, late.stem, module_from_spec(spec_from_file_location(late.stem, late.absolute())))
    end = start.finish()

    assert list(end.files.items()) == [*start.files.items(), (late.as_posix(), digest(late).md5)]
    assert end.params == start.params


def test_notes_read_back_as_they_were_written(tmp_path: Path) -> None:
    params: dict[str, Any] = {"drop": [], "test_size": 0.2, "name": "Škoda", "limit": None, "portable": True}
    notes = Counted(readings=Readings(files={"a.csv": "0" * 32}, params=params), rows=10)
    notes.write(tmp_path / "notes.json")

    assert Counted.read(tmp_path / "notes.json") == notes


def test_notes_that_are_missing_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(Problem) as problem:
        Counted.read(tmp_path / "notes.json")

    assert problem.value.lines == (f"{tmp_path / 'notes.json'}: not found; dvc repro makes it",)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"readings": {"files": {}, "params": {}}, "rows": "10"}',
        '{"readings": {"files": {}, "params": {}}, "rows": 10, "columns": 2}',
    ],
)
def test_notes_of_another_version_of_the_code_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "notes.json"
    file.write_text(content)

    with pytest.raises(Problem) as problem:
        Counted.read(file)

    assert problem.value.lines == (f"{file}: not what this version of the code writes; run dvc repro --force",)


def test_what_a_stage_read_is_known_whatever_else_it_noted(tmp_path: Path) -> None:
    readings = Readings(files={"a.csv": "0" * 32}, params={"seed": 1})
    Counted(readings=readings, rows=10).write(tmp_path / "notes.json")

    assert readings_in(tmp_path / "notes.json") == readings


def test_what_a_run_took_is_known_by_its_notes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notes = Path("notes.json")
    notes.write_text("made here")
    note_cost(notes)
    cost = cost_of(notes)
    notes.write_text("made elsewhere")

    assert cost is not None
    assert cost.seconds > 0
    assert cost.peak_memory_mib is None or cost.peak_memory_mib > 10
    assert cost_of(notes) is None
