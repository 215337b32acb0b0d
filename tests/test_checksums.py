"""Checksums: the same bytes by our hash and by DVC's."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Project
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from checksums import BLOCK, Digest, digest, dvc_md5, format_sums, parse_sums
from problem import Problem

A, B = "a" * 64, "b" * 64
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="/\\"), min_size=1)


def test_a_digest_is_the_size_and_both_hashes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    assert digest(tmp_path / "file") == Digest(
        size=3,
        md5="900150983cd24fb0d6963f7d28e17f72",
        sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )


@pytest.mark.parametrize("size", [0, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1])
def test_a_file_of_any_number_of_blocks_is_hashed_whole(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "file").write_bytes(content[:size])

    found = digest(tmp_path / "file")

    assert found.size == size
    assert found.md5 == hashlib.md5(content[:size]).hexdigest()
    assert found.sha256 == hashlib.sha256(content[:size]).hexdigest()


@pytest.fixture(scope="module")
def tracked(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository in which DVC tracks a file and a folder."""
    project = fresh.copy(tmp_path_factory.mktemp("tracked") / "project")
    contents = {
        "file.csv": b"a\r\n1\r\n",
        "folder/b": b"1",
        "folder/B": b"2",
        "folder/a/c": b"3",
        "folder/a-b": b"4",
        "folder/a.b": b"5",
        "folder/crlf": b"a\r\n",
        "folder/empty": b"",
        "folder/naïve/ö é.txt": b"6",
        "folder/.a.part": b"7",
        "folder/__pycache__/a.pyc": b"8",
    }
    for name, content in contents.items():
        (project.path / name).parent.mkdir(parents=True, exist_ok=True)
        (project.path / name).write_bytes(content)
    (project.path / "folder" / "nothing").mkdir()
    project.run("dvc add --quiet file.csv folder")
    return project


@pytest.mark.parametrize("name", ["file.csv", "folder"])
def test_dvc_and_we_give_the_same_bytes_the_same_address(tracked: Project, name: str) -> None:
    (out,) = YAML(typ="safe").load(tracked.path / f"{name}.dvc")["outs"]

    assert dvc_md5(tracked.path / name) == out["md5"]


def test_a_folder_has_another_address_when_a_file_in_it_moves(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"content")
    before = dvc_md5(tmp_path / "folder")

    (tmp_path / "folder" / "a").rename(tmp_path / "folder" / "b")

    assert dvc_md5(tmp_path / "folder") != before


@pytest.mark.parametrize("name", [".train.parquet.part", "__pycache__/train.pyc"])
def test_what_dvc_ignores_in_a_folder_does_not_change_its_address(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.parquet").write_bytes(b"content")
    before = dvc_md5(tmp_path)

    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"left behind")

    assert dvc_md5(tmp_path) == before


@given(st.dictionaries(NAMES, HASHES))
def test_sums_are_read_back_as_they_were(sums: dict[str, str]) -> None:
    assert parse_sums(format_sums(sums), sums) == sums


@given(st.dictionaries(NAMES, HASHES, min_size=2))
def test_sums_are_the_same_bytes_in_whatever_order_they_are_given(sums: dict[str, str]) -> None:
    assert format_sums(dict(reversed(sums.items()))) == format_sums(sums)


@given(st.data())
def test_no_flipped_byte_of_the_sums_is_taken_for_the_same(data: st.DataObject) -> None:
    sums = {"a": A, "b": B}
    content = bytearray(format_sums(sums))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))

    try:
        found = parse_sums(bytes(content), sums)
    except Problem:
        return

    assert found != sums


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="this system has no sha256sum")
def test_sha256sum_accepts_what_we_write(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"model")
    (tmp_path / "SHA256SUMS").write_bytes(format_sums({"model.joblib": digest(tmp_path / "model.joblib").sha256}))

    checked = subprocess.check_output(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path)

    assert checked == b"model.joblib: OK\n"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", ["SHA256SUMS: does not name a", "SHA256SUMS: does not name b"]),
        (format_sums({"a": A}), ["SHA256SUMS: does not name b"]),
        (format_sums({"a": A, "b": B, "c": A}), ["SHA256SUMS: names 'c', which is no file of a package"]),
        (format_sums({"a": A, "b": B}) * 2, ["SHA256SUMS: names a 2 times", "SHA256SUMS: names b 2 times"]),
        (
            format_sums({"a": A, "../b": B}),
            ["SHA256SUMS: line 1 is not 'SHA-256, two spaces, file name'", "SHA256SUMS: does not name b"],
        ),
        (
            f"{A}  a\n{B.upper()}  b\n".encode(),
            ["SHA256SUMS: line 2 is not 'SHA-256, two spaces, file name'", "SHA256SUMS: does not name b"],
        ),
        (
            f"{A} *a\n{B[1:]}  b\n".encode(),
            [
                "SHA256SUMS: line 1 is not 'SHA-256, two spaces, file name'",
                "SHA256SUMS: line 2 is not 'SHA-256, two spaces, file name'",
                "SHA256SUMS: does not name a",
                "SHA256SUMS: does not name b",
            ],
        ),
        (
            f"{A}  ä\n".encode(),
            [
                "SHA256SUMS: line 1 is not 'SHA-256, two spaces, file name'",
                "SHA256SUMS: does not name a",
                "SHA256SUMS: does not name b",
            ],
        ),
        (
            f"{B}  b\n{A}  a\n".encode(),
            ["SHA256SUMS: expected its lines sorted by file name, and a newline at its end"],
        ),
        (f"{A}  a\n{B}  b".encode(), ["SHA256SUMS: expected its lines sorted by file name, and a newline at its end"]),
        (
            f"{A}  a\n{B}  b\r\n".encode(),
            ["SHA256SUMS: line 2 is not 'SHA-256, two spaces, file name'", "SHA256SUMS: does not name b"],
        ),
    ],
    ids=["empty", "missing", "extra", "twice", "path", "upper", "form", "letters", "order", "end", "windows"],
)
def test_sums_that_do_not_name_exactly_the_files_are_refused(content: bytes, lines: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        parse_sums(content, ["a", "b"])

    assert list(caught.value.lines) == lines
