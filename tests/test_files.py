"""Files that are whole or not there."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project
from hypothesis import given
from hypothesis import strategies as st

from files import PART, keep_only, replacing, to_json, write

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_writing_makes_the_folders_and_leaves_the_file_alone_in_them(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "file", b"content")

    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"content"
    assert names(tmp_path / "a" / "b") == {"file"}


def test_writing_replaces_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"much longer than the new content")

    write(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"


def test_nothing_is_seen_of_a_file_before_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    with replacing(tmp_path / "file") as part:
        part.write_bytes(b"half")
        during = (tmp_path / "file").read_bytes()

    assert during == b"old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_changes_nothing_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def fail_half_way() -> None:
        with replacing(tmp_path / "file") as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail_half_way()

    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / f".file{PART}").write_bytes(b"half of something else, and longer")

    write(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_replacing_a_link_leaves_the_cache_behind_it_as_it_was(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "cache").write_bytes(b"old")
    link(tmp_path / "cache", tmp_path / "file")

    write(tmp_path / "file", b"new")

    assert (tmp_path / "cache").read_bytes() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_part_that_is_left_behind_is_ignored_by_git_and_dvc(fresh: Project) -> None:
    left = f"data/raw/.table.parquet{PART}"

    assert fresh.run(f"git check-ignore {left}").stdout == f"{left}\n"
    assert fresh.run(f"dvc check-ignore {left}").stdout == f"{left}\n"


def test_json_has_two_spaces_the_order_given_plain_letters_and_a_final_newline() -> None:
    assert to_json({"b": [1], "a": "é"}) == '{\n  "b": [\n    1\n  ],\n  "a": "é"\n}\n'.encode()


@given(JSON)
def test_json_is_read_back_as_it_was(document: object) -> None:
    assert json.loads(to_json(document)) == document


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_numbers_that_it_cannot_hold(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"score": number})


def test_only_the_named_files_are_kept_and_folders_are_left_alone(tmp_path: Path) -> None:
    for name in ("kept", "left", f".left{PART}"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()

    keep_only(tmp_path, {"kept", "never written"})

    assert names(tmp_path) == {"kept", "folder"}
