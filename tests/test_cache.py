from pathlib import Path

import pytest
from conftest import Project

import cache

MD5 = "6f51a0a11e86fc30e221ac16390a0535"


@pytest.fixture
def dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder .dvc of a repository in which the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    return tmp_path / ".dvc"


@pytest.mark.parametrize(
    ("config", "local", "folder"),
    [
        (None, None, ".dvc/cache"),
        ("", None, ".dvc/cache"),
        ("[core]\n    analytics = false\n['remote \"a\"']\n    url = /b\n", None, ".dvc/cache"),
        ("[cache]\n    dir = ../elsewhere\n", None, ".dvc/../elsewhere"),
        ("[cache]\n    dir = /elsewhere\n", None, "/elsewhere"),
        ('[cache]\n    dir = "/a folder"\n', None, "/a folder"),
        ("[cache]\n    dir = /elsewhere\n", "[cache]\n    dir = /mine\n", "/mine"),
        (None, "[cache]\n    dir = /mine\n", "/mine"),
    ],
)
def test_the_cache_is_where_the_configuration_says(
    dvc: Path, config: str | None, local: str | None, folder: str
) -> None:
    for name, content in (("config", config), ("config.local", local)):
        if content is not None:
            (dvc / name).write_text(content)

    assert cache.folder() == Path(folder)


def test_what_dvc_itself_is_told_of_its_cache_is_understood(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run(f"dvc cache dir '{tmp_path / 'a shared cache'}'")
    monkeypatch.chdir(project.path)

    assert cache.folder().resolve() == tmp_path / "a shared cache"


def test_a_cached_file_is_found_by_its_hash(dvc: Path) -> None:
    path = dvc / "cache/files/md5" / MD5[:2] / MD5[2:]
    path.parent.mkdir(parents=True)
    path.touch()

    assert cache.find(MD5) == Path(".dvc/cache/files/md5") / MD5[:2] / MD5[2:]
    assert cache.find(MD5[::-1]) is None


@pytest.mark.parametrize(
    "md5", [MD5.upper(), f"{MD5}\n", f"{MD5}.dir", MD5[:2], f"..{MD5[2:]}", f"{MD5[:2]}/{MD5[2:]}"]
)
def test_nothing_is_looked_up_by_what_is_no_hash(dvc: Path, md5: str) -> None:
    """There is a file in each place that they would lead to."""
    path = dvc / "cache/files/md5" / md5[:2] / (md5[2:] or "file")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()

    assert cache.find(md5) is None


@pytest.mark.usefixtures("dvc")
def test_a_hash_with_a_nul_is_none() -> None:
    assert cache.find("\0" * 32) is None
