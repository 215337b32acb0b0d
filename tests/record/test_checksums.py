import hashlib
from io import BytesIO
from pathlib import Path

import pytest

from record.checksums import BLOCK, digest, digest_of, md5_of


@pytest.mark.parametrize("size", [0, 3, BLOCK, 2 * BLOCK + 1])
def test_a_file_of_any_number_of_blocks_is_hashed_whole_with_both_hashes(tmp_path: Path, size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    found = digest(tmp_path / "file")
    assert found == digest_of(BytesIO(content))
    assert (found.size, found.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert found.md5 == md5_of(content) == hashlib.md5(content).hexdigest()
