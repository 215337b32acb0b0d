import os
from collections.abc import Callable
from pathlib import Path

import pytest
from test_manifest import document

import packages
from checksums import digest, parse_sums
from manifest import Manifest
from packages import CHECKED, MANIFEST, MODEL, REQUIREMENTS, SUMS, lay_down, standing_manifest
from problem import Problem

LayDown = Callable[[str], Manifest]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models/v1.0.0"


@pytest.fixture
def package(folder: Path, tmp_path: Path) -> LayDown:
    """Lay a package down whose three files all hold a word of their own."""

    def write(word: str) -> Manifest:
        candidate = tmp_path / "candidate.joblib"
        candidate.write_text(word)
        whole = document()
        whole["name"] = word
        whole["model"]["sha256"] = digest(candidate).sha256
        manifest = Manifest.model_validate(whole)
        lay_down(folder, candidate, manifest, word.encode())
        return manifest

    return write


def holds(folder: Path) -> bool:
    """Whether the checksums are those of the files that stand there."""
    sums = parse_sums((folder / SUMS).read_bytes(), expected=CHECKED)
    return all((folder / name).is_file() and digest(folder / name).sha256 == sums[name] for name in CHECKED)


def test_a_version_stands_in_its_folder_under_models() -> None:
    assert packages.folder_of("v1.2.3") == Path("models/v1.2.3")


def test_a_package_is_the_model_the_manifest_the_requirements_and_their_checksums(
    package: LayDown, folder: Path
) -> None:
    manifest = package("first")

    assert {path.name for path in folder.iterdir()} == {*CHECKED, SUMS}
    assert (folder / MODEL).read_text() == "first"
    assert (folder / MANIFEST).read_bytes() == manifest.to_bytes()
    assert (folder / REQUIREMENTS).read_text() == "first"
    assert holds(folder)


def test_another_package_takes_the_place_of_the_one_that_stands_there(package: LayDown, folder: Path) -> None:
    package("first")
    manifest = package("second")

    assert {path.name for path in folder.iterdir()} == {*CHECKED, SUMS}
    assert standing_manifest(folder) == manifest
    assert (folder / MODEL).read_text() == "second"
    assert holds(folder)


@pytest.mark.parametrize("name", [REQUIREMENTS, MANIFEST, SUMS])
def test_where_writing_fails_in_the_middle_the_checksums_do_not_hold(package: LayDown, folder: Path, name: str) -> None:
    package("first")
    (folder / f".{name}.part").mkdir()  # where the file would be written

    with pytest.raises(OSError, match="part"):
        package("second")

    assert not holds(folder)


@pytest.mark.parametrize("name", [MODEL, REQUIREMENTS, MANIFEST, SUMS])
def test_where_writing_a_new_package_fails_there_are_no_checksums(package: LayDown, folder: Path, name: str) -> None:
    (folder / f".{name}.part").mkdir(parents=True)

    with pytest.raises(OSError, match="part"):
        package("first")

    assert not (folder / SUMS).exists()


def test_a_model_that_is_not_the_one_in_the_manifest_is_refused_before_anything_changes(
    package: LayDown, folder: Path, tmp_path: Path
) -> None:
    manifest = package("first").model_copy(update={"name": "other"})
    other = tmp_path / "other.joblib"
    other.write_text("other")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    mismatched = manifest.model_copy(update={"model": manifest.model.model_copy(update={"sha256": "0" * 64})})

    with pytest.raises(Problem) as problem:
        lay_down(folder, other, mismatched, b"other")

    assert problem.value.lines == (f"{other}: changed while it was being packaged; run dvc repro again",)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_files_that_hold_the_same_bytes_are_not_touched(package: LayDown, folder: Path) -> None:
    package("first")
    for path in folder.iterdir():
        os.utime(path, (0, 0))

    package("first")

    assert {path.name: path.stat().st_mtime for path in folder.iterdir()} == dict.fromkeys({*CHECKED, SUMS}, 0)


@pytest.mark.parametrize("name", [MODEL, REQUIREMENTS, MANIFEST, SUMS])
def test_a_file_that_was_damaged_or_lost_is_put_right(package: LayDown, folder: Path, name: str) -> None:
    package("first")
    whole = (folder / name).read_bytes()

    (folder / name).write_bytes(whole[:-1])
    package("first")
    damaged = (folder / name).read_bytes()
    (folder / name).unlink()
    package("first")

    assert damaged == (folder / name).read_bytes() == whole


def test_a_link_into_the_cache_is_replaced_and_never_written_through(
    package: LayDown, folder: Path, tmp_path: Path
) -> None:
    cached = tmp_path / "cached"
    cached.write_text("of the cache")
    folder.mkdir(parents=True)
    (folder / MODEL).hardlink_to(cached)

    package("first")

    assert cached.read_text() == "of the cache"
    assert (folder / MODEL).read_text() == "first"


def test_the_standing_manifest_is_the_one_that_was_laid_down(package: LayDown, folder: Path) -> None:
    manifest = package("first")

    assert standing_manifest(folder) == manifest


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"null", b"<<<<<<< HEAD\n"])
def test_a_manifest_that_cannot_be_read_does_not_stand(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)

    assert standing_manifest(tmp_path) is None


def test_where_there_is_no_package_no_manifest_stands(tmp_path: Path) -> None:
    assert standing_manifest(tmp_path) is None
    assert standing_manifest(tmp_path / "v1.0.0") is None
