import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from manifests import document
from projects import Project
from ruamel.yaml import YAML

from record import models
from record.checksums import digest, format_sums
from record.files import PART, to_json
from record.manifest import LARGEST, Manifest, parse_manifest
from record.models import (
    CHECKED,
    MANIFEST,
    MODEL,
    POINTER,
    REQUIREMENTS,
    SUMS,
    MissingFileError,
    Package,
    check_package,
    current_manifest,
    is_pointer_to,
    keep_others,
    open_plain,
    read_package,
    released_manifest,
    tag_of,
    write_package,
)
from record.problem import CannotAsk, Problem

FILES = (MODEL, MANIFEST, REQUIREMENTS, SUMS)
V1, V2 = Path("models/v1.0.0"), Path("models/v2.0.0")
Write = Callable[..., Manifest]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a package whose model and requirements are a word, in the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)

    def write(word: str = "first", version: str = "v1.0.0", name: str = "penguins") -> Manifest:
        Path("candidate.joblib").write_text(word)
        found = digest(Path("candidate.joblib"))
        whole = document() | {"name": name, "version": version}
        whole["model"] |= vars(found)
        whole["environment"]["requirements_sha256"] = found.sha256
        manifest = Manifest.model_validate(whole)
        write_package(models.folder_of(version), Path("candidate.joblib"), manifest, word.encode())
        return manifest

    return write


def problems(folder: Path = V1, version: str | None = "v1.0.0") -> list[str]:
    """What is wrong with the package in a folder."""
    return check_package(read_package(folder), version)[1]


def test_a_package_is_four_files_that_agree(package: Write) -> None:
    manifest = package()

    assert {path.name for path in V1.iterdir()} == set(FILES)
    assert (V1 / MODEL).read_text() == (V1 / REQUIREMENTS).read_text() == "first"
    assert (V1 / MANIFEST).read_bytes() == manifest.to_bytes()
    assert check_package(read_package(V1, with_model=True), "v1.0.0") == (manifest, [])
    assert read_package(V1, with_model=True).texts[MODEL] == b"first"
    assert MODEL not in read_package(V1).texts
    assert current_manifest(V1) == manifest


def test_another_package_takes_the_place_of_the_current_one(package: Write) -> None:
    package("first")
    manifest = package("second")

    assert {path.name for path in V1.iterdir()} == set(FILES)
    assert check_package(read_package(V1)) == (manifest, [])


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
    before = {path: path.read_bytes() for path in V1.iterdir()}
    other = manifest.model_copy(update={"model": manifest.model.model_copy(update={"sha256": "0" * 64})})

    with pytest.raises(Problem, match="changed while it was being packaged; run dvc repro again"):
        write_package(V1, Path("candidate.joblib"), other, b"other")

    assert {path: path.read_bytes() for path in V1.iterdir()} == before


def test_files_that_hold_the_same_bytes_are_not_touched(package: Write) -> None:
    package()
    for path in V1.iterdir():
        os.utime(path, (0, 0))

    package()

    assert {path.stat().st_mtime for path in V1.iterdir()} == {0}


@pytest.mark.parametrize("name", FILES)
def test_packaging_again_restores_a_file_that_was_damaged_or_lost(package: Write, name: str) -> None:
    package()
    whole = (V1 / name).read_bytes()
    (V1 / name).write_bytes(whole[:-1])
    package()
    damaged = (V1 / name).read_bytes()
    (V1 / name).unlink()
    package()

    assert damaged == (V1 / name).read_bytes() == whole


def test_a_link_into_the_cache_is_replaced_and_never_written_through(package: Write, tmp_path: Path) -> None:
    (tmp_path / "cached").write_text("of the cache")
    V1.mkdir(parents=True)
    (V1 / MODEL).hardlink_to(tmp_path / "cached")
    package()

    assert (tmp_path / "cached").read_text() == "of the cache"
    assert (V1 / MODEL).read_text() == "first"


def test_what_a_killed_run_left_behind_is_removed(package: Write) -> None:
    V1.mkdir(parents=True)
    for left in (f".{MODEL}.0a1b{PART}", ".model.joblib.Xyz.tmp"):
        (V1 / left).touch()
    package()

    assert {path.name for path in V1.iterdir()} == set(FILES)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (MODEL, ["model.joblib: is not what SHA256SUMS says; restore it"]),
        (REQUIREMENTS, ["requirements.txt: is not what SHA256SUMS says; restore it"]),
        (MANIFEST, ["manifest.json: is not what SHA256SUMS says; restore it"]),
        (SUMS, ["model.joblib: is not what SHA256SUMS says; restore it"]),
    ],
)
def test_a_file_that_was_changed_is_named(package: Write, name: str, said: list[str]) -> None:
    package()
    content = bytearray((V1 / name).read_bytes())
    content[content.index(b"first") if b"first" in content else 100] ^= 1
    (V1 / name).write_bytes(content)

    assert [line for line in problems() if SUMS in line][: len(said)] == said


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
def test_any_flipped_byte_of_any_file_is_found(package: Write, data: st.DataObject) -> None:
    package()
    whole = read_package(V1, with_model=True)
    name = data.draw(st.sampled_from(FILES))
    content = bytearray(whole.texts[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (V1 / name).write_bytes(content)

    assert problems()


GOOD = format_sums(dict.fromkeys(CHECKED, "0" * 64)).decode().splitlines(keepends=True)
FORM = "SHA256SUMS: expected each file once, sorted by name, one newline after each line"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines[1:], ["manifest.json: is not what SHA256SUMS says; restore it"]),
        (lambda _: [], [f"{name}: is not what SHA256SUMS says; restore it" for name in sorted(CHECKED)]),
        (
            lambda lines: [*lines, "0" * 64 + "  extra\n"],
            [f"SHA256SUMS: has a line that it should not have: '{'0' * 64}  extra'"],
        ),
        (lambda lines: [*lines, lines[0]], [FORM]),
        (lambda lines: lines[::-1], [FORM]),
        (lambda lines: ["".join(lines)[:-1]], [FORM]),
        (lambda lines: [*lines, "\n"], ["SHA256SUMS: has a line that it should not have: ''"]),
        (lambda lines: [line.replace("\n", "\r\n") for line in lines], [FORM]),
        (lambda lines: [line.upper().replace("  MODEL", "  model") for line in lines], None),
        (lambda lines: [line.replace("  ", " *") for line in lines], None),
        (lambda lines: [*lines, "\xe9\n"], None),
        (lambda lines: [lines[0], "0" * 64 + "  model.joblib\n", *lines[1:]], [FORM]),
    ],
    ids=[
        *("missing", "empty", "extra", "twice", "order", "end"),
        *("blank", "windows", "upper", "binary", "letters", "contradiction"),
    ],
)
def test_checksums_that_do_not_say_exactly_what_they_should_are_refused(
    package: Write, edit: Callable[[list[str]], list[str]], said: list[str] | None
) -> None:
    package()
    lines = (V1 / SUMS).read_bytes().decode().splitlines(keepends=True)
    (V1 / SUMS).write_bytes("".join(edit(lines)).encode())
    found = problems()

    assert found
    assert said in (None, found)


def test_sha256sum_accepts_a_package(package: Write) -> None:
    package()
    checked = subprocess.check_output(["sha256sum", "--check", "--strict", SUMS], cwd=V1, text=True)

    assert checked == "manifest.json: OK\nmodel.joblib: OK\nrequirements.txt: OK\n"


def test_a_package_of_another_version_than_its_folder_is_named(package: Write) -> None:
    package()

    assert problems(V1, "v2.0.0") == ["manifest.json: is of v1.0.0, but it is in models/v2.0.0"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named_with_the_command_that_restores_it(package: Write, name: str) -> None:
    package()
    (V1 / name).unlink()

    assert problems() == [f"models/v1.0.0/{name}: not found; python src/lineage.py restore v1.0.0"]


def test_a_folder_without_a_package_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="packages are the folders of models/"):
        read_package(tmp_path / "v9")


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"null", b"<<<<<<< HEAD\n"])
def test_a_manifest_that_cannot_be_read_is_not_current_and_said_to_be_wrong(package: Write, content: bytes) -> None:
    package()
    (V1 / MANIFEST).write_bytes(content)

    assert current_manifest(V1) is None
    assert check_package(read_package(V1))[0] is None
    assert any(line.startswith("manifest.json: document: ") or "Field" in line or "SUMS" in line for line in problems())


def test_without_any_file_no_manifest_is_current(tmp_path: Path) -> None:
    assert current_manifest(tmp_path) is None
    assert check_package(Package()) == (None, [])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["directory", "fifo", "link", "dangling link"])
def test_what_is_not_a_plain_file_is_refused_and_never_waited_for(
    package: Write, repository: Project, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.chdir(repository.path)
    package()
    path = V1 / name
    path.rename("aside")
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(Path("aside").absolute() if kind == "link" else "nowhere")

    (line,) = [line for line in problems() if "restore v1.0.0" in line]

    what = "is a link, and not to DVC's cache" if "link" in kind else "is not a plain file"
    assert line == f"models/v1.0.0/{name}: {what}; remove it, then python src/lineage.py restore v1.0.0"


def test_a_device_is_not_read() -> None:
    with pytest.raises(Problem, match=r"^/dev/zero: is not a plain file"):
        open_plain(Path("/dev/zero"))


def test_a_text_beyond_the_limit_is_refused_after_the_limit(package: Write) -> None:
    package()
    with (V1 / REQUIREMENTS).open("ab") as file:
        file.truncate(LARGEST + 1)

    assert "requirements.txt: is larger than 64 MiB, which no package has" in problems()


def test_a_model_that_is_a_link_to_its_object_in_dvcs_cache_is_that_file(package: Write, repository: Project) -> None:
    manifest = package("first")
    repository.run("dvc config -q cache.type symlink")
    repository.run(f"dvc add -q {V1 / MODEL}")
    linked = (V1 / MODEL).is_symlink()
    before = problems()
    (V1 / MANIFEST).write_bytes(to_json(document() | {"version": "v1.0.0"}))

    assert linked
    assert before == []
    assert manifest.model.md5 in str((V1 / MODEL).readlink()).replace("/", "")
    assert f"{V1 / MODEL}: is a link, and not to DVC's cache" in "\n".join(problems())


def test_the_versions_are_the_folders_that_hold_any_file_of_a_package(package: Write) -> None:
    package()
    for name in ("v2.0.0/SHA256SUMS", "candidate/model.joblib", "v3.0.0/manifest.json/x", "notes.txt"):
        Path("models", name).parent.mkdir(parents=True, exist_ok=True)
        Path("models", name).touch()

    assert models.versions() == ["v1.0.0", "v2.0.0"]


def test_the_pointer_of_a_version_is_what_dvc_would_write(package: Write, repository: Project) -> None:
    manifest = package()
    repository.run(f"dvc add -q {V1 / MODEL}")
    of_dvc = (V1 / POINTER).read_bytes()

    assert models.pointer_of(manifest) == of_dvc
    assert is_pointer_to(V1 / POINTER, manifest)
    assert keep_others("v2.0.0") == []


@pytest.mark.parametrize("wrong", [None, "md5", "path", "wdir", "more"])
def test_every_other_version_gets_the_pointer_that_it_lacks_or_has_wrong(
    package: Write, repository: Project, monkeypatch: pytest.MonkeyPatch, wrong: str | None
) -> None:
    monkeypatch.chdir(repository.path)
    old = package("first", "v1.0.0")
    package("second", "v2.0.0")
    if wrong:
        content = YAML(typ="safe").load(models.pointer_of(old))
        out = content["outs"][0]
        edits = {"md5": (out, "0a" * 16), "path": (out, "other"), "wdir": (content, "sub")}
        if wrong == "more":
            content["outs"].append(out)
        else:
            edits[wrong][0][wrong] = edits[wrong][1]
        YAML().dump(content, V1 / POINTER)

    assert keep_others("v2.0.0") == [V1 / POINTER]
    assert (V1 / POINTER).read_bytes() == models.pointer_of(old)
    assert not (V2 / POINTER).exists()
    assert keep_others("v2.0.0") == []


def test_in_an_experiment_new_pointers_are_added_to_git(
    package: Write, repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    package()
    monkeypatch.setenv("DVC_EXP_NAME", "swift-owl")
    keep_others("v2.0.0")

    assert repository.run("git diff --cached --name-only").stdout == f"{V1 / POINTER}\n"


def test_a_release_is_tagged_as_gto_names_artifacts_in_a_subfolder_too(
    repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tag_of("penguins", "v1.0.0")
    Path("teams/alpha").mkdir(parents=True)
    monkeypatch.chdir("teams/alpha")
    repository.run("git commit -qm Start --allow-empty")
    repository.run("gto register teams/alpha:penguins --version v1.0.0 HEAD")

    assert top == "penguins@v1.0.0"
    assert tag_of("penguins", "v1.0.0") == "teams/alpha=penguins@v1.0.0"
    assert repository.run("git tag").stdout == "teams/alpha=penguins@v1.0.0\n"


@pytest.fixture
def released(repository: Project, package: Write, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """A manifest that a repository has committed and tagged, before it went on."""
    monkeypatch.chdir(repository.path)
    manifest = package()
    repository.commit("Package it")
    repository.run("git tag -am Released penguins@v1.0.0")
    package("second")
    repository.commit("Go on")
    return manifest


def test_what_was_released_is_what_the_tag_holds(released: Manifest, package: Write) -> None:
    assert released_manifest(package("second")) == released
    assert released_manifest(package("first", "v2.0.0")) is None
    assert released_manifest(package("first", name="other")) is None


def test_without_a_repository_nothing_was_released(package: Write) -> None:
    assert released_manifest(package()) is None


def test_two_projects_of_one_repository_do_not_release_each_others_versions(
    repository: Project, released: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.path / "teams/alpha").mkdir(parents=True)
    monkeypatch.chdir("teams/alpha")

    assert released_manifest(released) is None


def test_a_temporary_copy_knows_the_releases_of_its_repository(
    repository: Project, released: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.run(f"git clone -q --no-tags . {tmp_path / 'copy'}")
    monkeypatch.chdir(tmp_path / "copy")
    Project(tmp_path / "copy").run("git remote remove origin")
    alone = released_manifest(released)
    monkeypatch.setenv("DVC_ROOT", str(repository.path))

    assert alone is None
    assert released_manifest(released) == released


CUTS = ("--depth 1", "--no-tags", "--single-branch --no-tags")


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("at_root", [False, True])
def test_a_cut_clone_asks_where_it_came_from(
    repository: Project, released: Manifest, monkeypatch: pytest.MonkeyPatch, cut: str, *, at_root: bool
) -> None:
    folder = repository.path.parent
    repository.run(f"git clone -q {cut} file://{repository.path} {folder / 'clone'}")
    monkeypatch.chdir(folder if at_root else folder / "clone")
    if at_root:
        monkeypatch.setenv("DVC_ROOT", str(folder / "clone"))
    lacks = released.model_copy(update={"version": "v9.0.0"})

    with pytest.raises(CannotAsk, match=r"^penguins@v1\.0\.0: released in the repository that this clone came from"):
        released_manifest(released)
    assert released_manifest(lacks) is None
    assert released_manifest(released, ask_remote=False) is None

    repository.path.rename(folder / "gone")
    with pytest.raises(CannotAsk):
        released_manifest(lacks)


def test_a_whole_clone_asks_nobody(
    repository: Project, released: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.run(f"git clone -q file://{repository.path} {tmp_path / 'clone'}")
    monkeypatch.chdir(tmp_path / "clone")
    repository.path.rename(tmp_path / "gone")

    assert released_manifest(released) == released
    assert released_manifest(released.model_copy(update={"version": "v9.0.0"})) is None


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*CHECKED, SUMS]), st.binary()))
def test_no_content_of_a_package_ends_in_anything_but_problems(texts: dict[str, bytes]) -> None:
    opened = Package(texts=texts)
    with suppress(Problem):
        parse_manifest(texts.get(MANIFEST, b""))

    assert isinstance(check_package(opened)[1], list)
