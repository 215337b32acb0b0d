import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manifests import document
from projects import Project

from record import models
from record.checksums import digest, format_sums
from record.files import PART, to_json
from record.manifest import LARGEST, Manifest
from record.models import CHECKED, MANIFEST, MODEL, POINTER, REQUIREMENTS, SUMS, check_package, read_package
from record.problem import CannotAsk, Problem

FILES = (MODEL, MANIFEST, REQUIREMENTS, SUMS)
V1 = Path("models/v1.0.0")
Write = Callable[..., Manifest]


@pytest.fixture
def package(repository: Project) -> Write:
    """Write a package whose model and requirements are a word, in the repository in which the test runs."""

    def write(word: str = "first", version: str = "v1.0.0", name: str = "penguins") -> Manifest:
        candidate = repository.path.parent / "candidate.joblib"
        candidate.write_text(word)
        found, whole = digest(candidate), document() | {"name": name, "version": version}
        whole["model"] |= vars(found)
        whole["environment"]["requirements_sha256"] = found.sha256
        manifest = Manifest.model_validate(whole)
        models.write_package(models.folder_of(version), candidate, manifest, word.encode())
        return manifest

    return write


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in V1.iterdir()}


def problems(version: str | None = "v1.0.0") -> list[str]:
    """What is wrong with the first package."""
    return check_package(read_package(V1), version)[1]


def test_a_package_is_four_files_that_agree_and_takes_the_place_of_the_one_before(package: Write) -> None:
    for word in ("first", "second"):
        manifest = package(word)
        read = read_package(V1, with_model=True)

        assert contents() == read.texts
        assert read.texts.keys() == set(FILES)
        assert read.texts[MODEL] == read.texts[REQUIREMENTS] == word.encode()
        assert read.texts[MANIFEST] == manifest.to_bytes()
        assert check_package(read, "v1.0.0") == (manifest, [])
        assert MODEL not in read_package(V1).texts
        assert models.current_manifest(V1) == manifest
    assert problems("v2.0.0") == ["manifest.json: is of v1.0.0, but it is in models/v2.0.0"]
    checked = subprocess.check_output(["sha256sum", "--check", "--strict", SUMS], cwd=V1, text=True)
    assert checked == "manifest.json: OK\nmodel.joblib: OK\nrequirements.txt: OK\n"


@pytest.mark.parametrize("name", [REQUIREMENTS, MANIFEST, SUMS])
def test_where_writing_fails_in_the_middle_the_package_is_not_whole(package: Write, name: str) -> None:
    package("first")
    (V1 / name).unlink()
    (V1 / name).mkdir()
    with pytest.raises(OSError, match=name):
        package("second")
    (V1 / name).rmdir()
    assert problems()


def test_a_model_that_is_not_the_one_in_the_manifest_is_refused_before_anything_changes(package: Write) -> None:
    manifest = package("first")
    before = contents()
    other = manifest.model_copy(update={"model": manifest.model.model_copy(update={"sha256": "0" * 64})})
    with pytest.raises(Problem, match="changed while it was being packaged; run dvc repro again"):
        models.write_package(V1, V1 / MODEL, other, b"other")
    assert contents() == before


def test_packaging_again_restores_what_was_damaged_and_touches_nothing_else(package: Write) -> None:
    package()
    whole = contents()
    for path in V1.iterdir():
        os.utime(path, (0, 0))
    package()
    assert {path.stat().st_mtime for path in V1.iterdir()} == {0}
    for name, content in whole.items():
        (V1 / name).write_bytes(content[:-1])
    (V1 / f".{MODEL}.0a1b{PART}").touch()  # left by a killed run
    package()
    assert contents() == whole


@pytest.mark.parametrize("name", [MODEL, REQUIREMENTS])
def test_checksums_that_were_made_to_fit_do_not_hide_a_change(package: Write, name: str) -> None:
    package()
    (V1 / name).write_text("forged")
    (V1 / SUMS).write_bytes(format_sums({name: digest(V1 / name).sha256 for name in CHECKED}))
    (line,) = problems()
    assert line.startswith(f"{name}: is not ")
    assert line.endswith("manifest.json records; restore it")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_flipped_byte_of_any_file_is_found_and_the_file_is_named(package: Write, data: st.DataObject) -> None:
    package()
    name = data.draw(st.sampled_from(FILES))
    content = bytearray((V1 / name).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (V1 / name).write_bytes(content)
    assert any(SUMS in line and (name == SUMS or line.startswith(f"{name}: is not")) for line in problems())


CHANGED = "{}: is not what SHA256SUMS says; restore it"
EXTRA = "SHA256SUMS: has a line that it should not have: {!r}"
FORM = "SHA256SUMS: expected each file once, sorted by name, one newline after each line"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines[1:], [CHANGED.format(MANIFEST)]),
        (lambda _: [], [CHANGED.format(name) for name in sorted(CHECKED)]),
        (lambda lines: [*lines, "0" * 64 + "  extra\n"], [EXTRA.format("0" * 64 + "  extra")]),
        (lambda lines: [*lines, "\n"], [EXTRA.format("")]),
        (lambda lines: [*lines, lines[0]], [FORM]),
        (lambda lines: lines[::-1], [FORM]),
        (lambda lines: ["".join(lines)[:-1]], [FORM]),
        (lambda lines: [line.replace("\n", "\r\n") for line in lines], [FORM]),
        (lambda lines: [lines[0], "0" * 64 + "  model.joblib\n", *lines[1:]], [FORM]),
        (lambda lines: [line.upper().replace("  MODEL", "  model") for line in lines], None),
        (lambda lines: [line.replace("  ", " *") for line in lines], None),
        (lambda lines: [*lines, "\xe9\n"], None),
    ],
)
def test_checksums_that_say_anything_else_are_refused(package: Write, edit: Callable[[Any], Any], said: Any) -> None:
    package()
    lines = (V1 / SUMS).read_text().splitlines(keepends=True)
    (V1 / SUMS).write_bytes("".join(edit(lines)).encode())
    found = problems()
    assert found
    assert said in (None, found)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


LINK, OTHER = "is a link, and not to DVC's cache; remove it, then", "is not a plain file; remove it, then"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("said", "put"),
    [
        ("not found;", lambda path: path),
        *((LINK, lambda path, to=to: path.symlink_to(Path(to).absolute())) for to in ("aside", "nowhere")),
        (OTHER, lambda path: path.mkdir()),
        (OTHER, os.mkfifo),
        ("cannot be read (No such device or address); remove it, then", put_socket),
    ],
    ids=["missing", "link", "dangling link", "directory", "fifo", "socket"],
)
def test_what_is_no_plain_file_is_never_read_or_waited_for(package: Write, name: str, said: str, put: Any) -> None:
    package()
    (V1 / name).rename("aside")
    put(V1 / name)
    (line,) = [line for line in problems() if "restore v1.0.0" in line]
    assert line == f"models/v1.0.0/{name}: {said} python src/lineage.py restore v1.0.0"


def test_what_no_package_has_is_not_read(package: Write, tmp_path: Path) -> None:
    package()
    with (V1 / REQUIREMENTS).open("ab") as file:
        file.truncate(LARGEST + 1)

    assert "requirements.txt: is larger than 64 MiB, which no package has" in problems()
    (V1 / MANIFEST).write_bytes(b"{}")
    assert check_package(read_package(V1))[0] is models.current_manifest(V1) is None
    assert check_package(models.Package()) == (None, [])
    assert models.current_manifest(tmp_path) is None
    with pytest.raises(models.MissingFileError, match="packages are the folders of models/"):
        read_package(tmp_path / "v9")
    with pytest.raises(Problem, match=r"^/dev/zero: is not a plain file"):
        models.open_plain(Path("/dev/zero"))


def test_a_model_that_is_a_link_to_its_object_in_dvcs_cache_is_that_file(package: Write, repository: Project) -> None:
    package("first")
    repository.run("dvc config -q cache.type symlink")
    repository.run(f"dvc add -q {V1 / MODEL}")
    assert (V1 / MODEL).is_symlink()
    assert problems() == []
    (V1 / MANIFEST).write_bytes(to_json(document()))
    assert f"{V1 / MODEL}: is a link, and not to DVC's cache" in "\n".join(problems())


def test_the_versions_are_the_folders_that_hold_any_file_of_a_package(package: Write) -> None:
    package()
    for name in ("v2.0.0/SHA256SUMS", "candidate/model.joblib", "v3.0.0/manifest.json/x", "notes.txt"):
        Path("models", name).parent.mkdir(parents=True, exist_ok=True)
        Path("models", name).touch()
    assert models.versions() == ["v1.0.0", "v2.0.0"]


def test_every_other_version_gets_the_pointer_that_dvc_would_write(package: Write, repository: Project) -> None:
    right = models.pointer_of(package("first", "v1.0.0")).decode()
    package("second", "v2.0.0")
    repository.run(f"dvc add -q {V1 / MODEL}")
    assert (V1 / POINTER).read_text() == right
    assert models.keep_others("v2.0.0") == []

    more, renamed = right + right.removeprefix("outs:\n"), right.replace("path: ", "path: other")
    for wrong in ("", right.replace("md5: 8b", "md5: 0a"), renamed, more, right + "wdir: sub\n"):
        (V1 / POINTER).unlink()
        if wrong:
            (V1 / POINTER).write_text(wrong)
        assert models.keep_others("v2.0.0") == [V1 / POINTER]
        assert (V1 / POINTER).read_text() == right != wrong
    assert not Path("models/v2.0.0", POINTER).exists()


def test_an_experiment_keeps_the_version_left_behind(package: Write, repository: Project, monkeypatch: Any) -> None:
    package()
    repository.run(f"dvc add -q {V1 / MODEL}")
    for name in (MODEL, POINTER):
        (V1 / name).unlink()
    monkeypatch.setenv("DVC_EXP_NAME", "swift-owl")
    models.keep_others("v2.0.0")
    assert (V1 / MODEL).read_text() == "first"
    assert repository.run("git diff --cached --name-only").stdout == f"{V1 / POINTER}\n"


@pytest.fixture
def released(repository: Project, package: Write) -> Manifest:
    """A manifest that a repository has committed and tagged, before it went on."""
    manifest = package()
    repository.commit("Package it")
    repository.run("git tag -am Released penguins@v1.0.0")
    package("second")
    repository.commit("Go on")
    return manifest


def test_what_was_released_is_what_the_tag_holds(released: Manifest, package: Write, repository: Project) -> None:
    assert models.released_manifest(package("second")) == released
    assert models.released_manifest(package("first", name="other")) is None
    other = package("first", "v2.0.0")
    assert models.released_manifest(other) is None
    repository.run("git tag penguins@v2.0.0")
    with pytest.raises(Problem, match=r"^penguins@v2\.0\.0: the tag exists, but its commit has no models/v2\.0\.0/"):
        models.released_manifest(other)


@pytest.mark.parametrize("what", ["^{commit}", f":{V1}", f":{V1}/{MANIFEST}"])
def test_a_missing_object_is_not_taken_for_not_released(released: Manifest, repository: Project, what: str) -> None:
    name = repository.run(f"git rev-parse penguins@v1.0.0{what}").stdout.strip()
    (repository.path / ".git/objects" / name[:2] / name[2:]).unlink()
    with pytest.raises(CannotAsk):
        models.released_manifest(released)


def test_a_temporary_copy_knows_what_its_repository_released(released: Manifest, monkeypatch: Any) -> None:
    monkeypatch.setenv("DVC_ROOT", str(Path.cwd()))
    monkeypatch.chdir("..")
    assert models.released_manifest(released) == released
    monkeypatch.delenv("DVC_ROOT")
    assert models.released_manifest(released) is None


@pytest.mark.parametrize("cut", ["", "--depth 1", "--no-tags", "--single-branch --no-tags"])
@pytest.mark.parametrize("at_root", [False, True])
def test_only_a_cut_clone_asks_its_origin(released: Manifest, monkeypatch: Any, cut: str, at_root: bool) -> None:
    top, clone = Path.cwd(), Path.cwd().parent / "clone"
    Project(top).run(f"git clone -q {cut} file://{top} {clone}")
    monkeypatch.chdir(top.parent if at_root else clone)
    if at_root:
        monkeypatch.setenv("DVC_ROOT", str(clone))
    lacks = released.model_copy(update={"version": "v9.0.0"})
    asks = pytest.raises(CannotAsk, match=r"^penguins@v1\.0\.0: released in the repository that this clone came from")

    with asks if cut else nullcontext():
        assert models.released_manifest(released) == released
    assert models.released_manifest(lacks) is None
    assert models.released_manifest(released, ask_remote=False) == (None if cut else released)
    top.rename(top.parent / "gone")
    with pytest.raises(CannotAsk) if cut else nullcontext():
        assert models.released_manifest(lacks) is None
