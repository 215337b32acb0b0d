import hashlib
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from record.checksums import BLOCK, Digest, digest, digest_of, format_sums, md5_of

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

    assert found == digest_of(BytesIO(content[:size]))
    assert found.size == size
    assert found.md5 == md5_of(content[:size]) == hashlib.md5(content[:size]).hexdigest()
    assert found.sha256 == hashlib.sha256(content[:size]).hexdigest()


@given(st.dictionaries(NAMES, HASHES, min_size=2))
def test_sums_are_the_same_bytes_in_whatever_order_they_are_given(sums: dict[str, str]) -> None:
    assert format_sums(dict(reversed(sums.items()))) == format_sums(sums)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="this system has no sha256sum")
def test_sha256sum_accepts_what_we_write(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").write_bytes(b"model")
    (tmp_path / "SHA256SUMS").write_bytes(format_sums({"model.joblib": digest(tmp_path / "model.joblib").sha256}))

    checked = subprocess.check_output(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path)

    assert checked == b"model.joblib: OK\n"
