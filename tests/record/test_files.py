import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project

from record.files import PART, from_yaml, keep_only, replacing, to_json, write

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


def test_writing_replaces_what_was_there(tmp_path: Path) -> None:
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


def test_a_link_planted_at_the_name_of_the_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is random; here it is guessed, so that there is a link to follow."""
    (tmp_path / "outside").write_bytes(b"kept")
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guess")
    (tmp_path / f".file.guess{PART}").symlink_to(tmp_path / "outside")

    with pytest.raises(FileExistsError):
        write(tmp_path / "file", b"new")

    assert (tmp_path / "outside").read_bytes() == b"kept"
    assert not (tmp_path / "file").exists()


def test_two_that_write_one_file_at_once_both_succeed(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as one:
        one.write_bytes(b"one")
        with replacing(tmp_path / "file") as other:
            other.write_bytes(b"other")

    assert one != other
    assert (tmp_path / "file").read_bytes() == b"one"
    assert names(tmp_path) == {"file"}


def test_a_file_that_has_this_content_already_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"same")
    os.utime(tmp_path / "file", (0, 0))

    write(tmp_path / "file", b"same")

    assert (tmp_path / "file").stat().st_mtime == 0


def test_an_error_without_a_place_is_given_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full") as caught, replacing(tmp_path / "file"):
        raise OSError(28, "disk full")

    assert caught.value.filename == str(tmp_path / "file")


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1e-3, yes, 010, ~]", [0.001, "yes", 10, None]),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("", None),
    ],
)
def test_yaml_is_read_as_dvc_reads_it(text: str, value: object) -> None:
    assert from_yaml(text.encode()) == value


ALIASES = "\n".join(["l0: &l0 [x, x, x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9))])


@pytest.mark.parametrize("text", [ALIASES, "&a [*a]", "a: &a {b: *a}"], ids=["bomb", "list", "mapping"])
def test_aliases_that_make_a_document_huge_or_endless_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^its aliases make it larger than 1,000,000 values$"):
        from_yaml(text.encode())


@pytest.mark.parametrize("content", [b"[", b"\xff", b"a: 1\na: 2", b"[" * 100_000, b"!!python/object x"])
def test_what_is_not_yaml_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the reasons are the reader's
        from_yaml(content)

    assert "\n" not in str(caught.value)


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
