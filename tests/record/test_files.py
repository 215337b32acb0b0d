import os
import secrets
from pathlib import Path
from typing import Any

import pytest
from projects import Project

from record.files import PART, from_document, from_yaml, keep_only, remove_unfinished, replacing, write
from record.problem import Problem


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_writing_makes_the_folders_and_replaces_only_other_content(tmp_path: Path) -> None:
    file = tmp_path / "a/b/file"
    write(file, b"much longer than the new content")
    write(file, b"new")
    os.utime(file, (0, 0))
    write(file, b"new")
    assert file.read_bytes() == b"new"
    assert file.stat().st_mtime == 0
    assert names(file.parent) == {"file"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_seen_or_left_of_a_file_that_is_not_whole(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail_half_way() -> None:
        with replacing(file) as part:
            part.write_bytes(b"half")
            assert file.read_bytes() == b"old"
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == {"file"}


def test_a_link_planted_at_the_name_of_the_temporary_file_is_not_followed(tmp_path: Path, monkeypatch: Any) -> None:
    """The name is random; here it is guessed, so that there is a link to follow."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guess")
    (tmp_path / f".file.{os.getpid()}.guess{PART}").symlink_to(tmp_path / "outside")
    with pytest.raises(FileExistsError):
        write(tmp_path / "file", b"new")
    assert names(tmp_path) == {f".file.{os.getpid()}.guess{PART}"}


def test_what_a_killed_process_left_is_removed_and_what_another_writes_stays(tmp_path: Path) -> None:
    for name in (".a.part", ".a.999999999.x.part", f".a.{os.getpid()}.x.part", ".a.tmp", "a.part"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert names(tmp_path) == {f".a.{os.getpid()}.x.part", "a.part"}


def test_an_error_without_a_place_is_given_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full") as caught, replacing(tmp_path / "file"):
        raise OSError(28, "disk full")
    assert caught.value.filename == str(tmp_path / "file")


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_replacing_a_link_leaves_the_cache_behind_it_as_it_was(tmp_path: Path, link: Any) -> None:
    (tmp_path / "cache").write_bytes(b"old")
    link(tmp_path / "cache", tmp_path / "file")
    write(tmp_path / "file", b"new")
    assert ((tmp_path / "cache").read_bytes(), (tmp_path / "file").read_bytes()) == (b"old", b"new")


def test_a_part_that_is_left_behind_is_ignored_by_git_and_dvc(fresh: Project) -> None:
    left = f"data/raw/.table.parquet{PART}"
    for tool in ("git", "dvc"):
        assert fresh.run(f"{tool} check-ignore {left}").stdout == f"{left}\n"


ALIASES = "\n".join(["l0: &l0 [x, x, x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9))])


def test_aliases_are_followed_unless_they_make_a_document_huge_or_endless() -> None:
    assert from_yaml(b"a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    for text in (ALIASES, "&a [*a]", "a: &a {b: *a}"):
        with pytest.raises(ValueError, match=r"^its aliases make it larger than 1,000,000 values$"):
            from_yaml(text.encode())


PYTHON = b"""
import os
SIZE: int = 3
NAMES = ["a", {"b": 1.5}]
HOME = os.environ["HOME"]
class Model:
    depth = -1
    def __init__(self):
        self.rate = 0.1
"""
CONSTANTS = {"SIZE": 3, "NAMES": ["a", {"b": 1.5}], "Model": {"depth": -1, "rate": 0.1}}


@pytest.mark.parametrize(
    ("name", "content", "document"),
    [
        ("a.json", b'{\n\t"letter": "\\ud83d\\ude00", "number": 1e5}', {"letter": "😀", "number": 1e5}),
        ("a.toml", b"[a]\nb = 3", {"a": {"b": 3}}),
        ("a.py", PYTHON, CONSTANTS),
        ("a.yaml", b"a: 1e5", {"a": 1e5}),
        *((f"a.{kind}", b"", empty) for kind, empty in [("json", None), ("toml", {}), ("py", {}), ("yaml", None)]),
    ],
)
def test_a_document_is_read_in_each_format_of_dvc(name: str, content: bytes, document: Any) -> None:
    assert from_document(content, Path(name)) == document


@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.py", "a.yaml"])
def test_what_is_not_in_its_format_is_a_problem(name: str) -> None:
    with pytest.raises(Problem, match=f"{name}: not readable as parameters: ."):
        from_document(b"{[" * 9, Path(name), "parameters")


def test_only_the_named_files_are_kept_and_folders_are_left_alone(tmp_path: Path) -> None:
    for name in ("kept", "left", f".left{PART}"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    keep_only(tmp_path, {"kept", "never written"})
    assert names(tmp_path) == {"kept", "folder"}
