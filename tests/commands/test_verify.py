import json
import os
import re
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from hypothesis import given, settings
from hypothesis import strategies as st
from test_loading import Call, dumped, reseal, seal

import packages
from checksums import digest
from loading import NotAPackageError, NotIntactError, load_model
from problem import Problem
from verify import answer, verify
from version import Version

VERSION = "v1.0.0"
PACKAGE = Path("models", VERSION)
SOURCE = "data/raw/penguins_v1.1.0.parquet"
FILES = (*packages.CHECKED, packages.SUMS)
FINE = "ok  v1.0.0  checksums, manifest, dvc.lock and Git agree"


@pytest.fixture
def whole(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A finished clone, in which the test runs."""
    monkeypatch.chdir(project.path)
    return project


@pytest.fixture
def here(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The same for a test that changes nothing but files: Git's and DVC's own are shared."""
    return work_in(finished, tmp_path, monkeypatch)


def work_in(project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copied = Project(folder / "project", project.env)
    shutil.copytree(project.path, copied.path, ignore=lambda *_: {".git", "cache", "tmp"})
    for name in (".git", ".dvc/cache"):
        (copied.path / name).symlink_to(project.path / name)
    monkeypatch.chdir(copied.path)
    return copied


def problems() -> list[str]:
    return verify(Version(VERSION))


def append(path: Path, content: bytes = b"\n") -> None:
    """Change a file; what DVC linked or protected is replaced, not written through."""
    changed = path.read_bytes() + content
    path.unlink()
    path.write_bytes(changed)


@pytest.mark.usefixtures("here")
def test_a_package_as_the_pipeline_made_it_holds() -> None:
    found = answer([])

    assert found.holds
    assert found.text == FINE
    assert found.facts == [{"version": VERSION, "holds": True, "problems": []}]
    assert answer([VERSION, "HEAD"]).holds


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", [packages.MODEL, packages.REQUIREMENTS, packages.SUMS])
def test_each_missing_file_has_its_line(name: str) -> None:
    (PACKAGE / name).unlink()

    assert problems() == [f"{name}: missing; python src/lineage.py restore {VERSION}"]
    assert not answer([VERSION]).holds


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["notes.txt", "sub", "model.joblib.part", "MANIFEST.json"])
def test_each_extra_file_has_its_line(name: str) -> None:
    (PACKAGE / name).mkdir() if name == "sub" else (PACKAGE / name).touch()
    (PACKAGE / "another").touch()

    assert problems() == [f"{n!r} is no file of a package; remove it" for n in sorted(["another", name])]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", FILES)
def test_a_link_is_not_followed_even_to_the_very_file(name: str, tmp_path: Path) -> None:
    (PACKAGE / name).rename(tmp_path / name)
    (PACKAGE / name).symlink_to(tmp_path / name)

    assert f"{name}: is a symbolic link, which is not followed; put the file itself there" in problems()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("folder", [PACKAGE, packages.MODELS])
def test_a_folder_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")

    assert problems() == [f"{PACKAGE}: is a symbolic link, which is not followed; put the folder itself there"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_plain_file_is_not_read(make: Callable[[Path], None]) -> None:
    (PACKAGE / packages.MODEL).unlink()
    make(PACKAGE / packages.MODEL)

    assert problems() == ["model.joblib: is no plain file; remove it and restore the package"]


@pytest.mark.usefixtures("here")
def test_a_model_that_was_changed_is_told_by_each_of_its_witnesses() -> None:
    before = digest(PACKAGE / packages.MODEL)
    append(PACKAGE / packages.MODEL)
    after = digest(PACKAGE / packages.MODEL)

    assert problems() == [
        "model.joblib: is not what SHA256SUMS says; restore it",
        "model.joblib: is not the model that manifest.json records; restore it",
        f"model.joblib: dvc.lock records MD5 {before.md5}, it is {after.md5}",
    ]


@pytest.mark.usefixtures("here")
def test_requirements_that_were_changed_are_told_by_each_of_their_witnesses() -> None:
    append(PACKAGE / packages.REQUIREMENTS)

    assert [line.partition(" MD5")[0] for line in problems()] == [
        "requirements.txt: is not what SHA256SUMS says; restore it",
        "requirements.txt: is not what manifest.json records; restore it",
        "requirements.txt: dvc.lock records",
    ]


@pytest.mark.usefixtures("here")
def test_a_swapped_model_with_everything_in_the_package_recomputed_is_found_and_named() -> None:
    seal(PACKAGE, dumped({"another": "model"}))

    assert [line.partition(" records MD5")[0] for line in problems()] == [
        f"{name}: dvc.lock" for name in (packages.SUMS, packages.MANIFEST, packages.MODEL)
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"version": "v9.9.9"}, "manifest.json: is of v9.9.9, but stands in models/v1.0.0"),
        ({"model__md5": "0" * 32}, "model.joblib: is not the model that manifest.json records; restore it"),
        ({"model__size": 1}, "model.joblib: is not the model that manifest.json records; restore it"),
        (
            {"environment__requirements_sha256": "0" * 64},
            "requirements.txt: is not what manifest.json records; restore it",
        ),
        ({"stages__train__cmd": "true"}, "train: manifest.json records the command 'true', dvc.lock"),
        ({"data__source__md5": "0" * 32}, f"{SOURCE}: manifest.json records MD5 {'0' * 32}, dvc.lock does not"),
        (
            {"run__git": {"commit": "f" * 40, "dirty": False, "remote": None}},
            f"commit {'f' * 40}: not in this repository; git fetch --unshallow, or ask for its branch",
        ),
        ({"stages": {}}, "prepare: recorded in dvc.lock alone"),
        ({"metrics": {}}, "manifest.json: dvc.lock records MD5"),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_an_edited_manifest_with_recomputed_checksums_is_found_and_named(change: dict[str, Any], line: str) -> None:
    seal(PACKAGE, **change)

    assert any(found.startswith(line) for found in problems())
    assert any(found.startswith("manifest.json: dvc.lock records MD5") for found in problems())


@pytest.mark.usefixtures("here")
def test_a_recorded_hash_of_code_or_data_that_was_edited_is_held_against_the_lock_and_the_commit() -> None:
    manifest = json.loads((PACKAGE / packages.MANIFEST).read_bytes())
    deps = manifest["stages"]["prepare"]["deps"] | {SOURCE: "0" * 32, "src/prepare.py": "1" * 32}
    seal(PACKAGE, stages__prepare__deps=deps)
    commit, before = manifest["run"]["git"]["commit"], manifest["stages"]["prepare"]["deps"]

    assert problems()[2:] == [
        f"{path}: prepare reads it; manifest.json records {deps[path]}, dvc.lock records {before[path]}; dvc repro"
        for path in (SOURCE, "src/prepare.py")
    ] + [
        f"{path}: manifest.json records MD5 {deps[path]}, but commit {commit} has other content"
        for path in (SOURCE, "src/prepare.py")
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (r"(src/files.py\n.*\n.*md5: ).*", r"\g<1>" + "f" * 32, f"dvc.lock records {'f' * 32}; dvc repro"),
        (r"cmd: python src/train.py", "cmd: make", "dvc.lock 'make'; dvc repro"),
        (r"(?s)  train:.*(?=  package:|\Z)", "", "train: recorded in manifest.json alone"),
        (r"(model.joblib\n.*\n.*md5: ).*", r"\g<1>" + "f" * 32, f"model.joblib: dvc.lock records MD5 {'f' * 32}"),
        (r"models/v1.0.0/model.joblib", "models/v2.0.0/model.joblib", "neither dvc.lock nor a pointer tracks it"),
        (r"path: src/files.py", "path: /etc/passwd", "/etc/passwd: dvc.lock names a path outside of the repository"),
        (r"path: src/files.py", "path: ../x", "../x: dvc.lock names a path outside of the repository"),
        (r"(?s).*", "stages: [", "dvc.lock: not what DVC writes; git checkout dvc.lock"),
        (r"(?s).*", "", "dvc.lock: not what DVC writes; git checkout dvc.lock"),
    ],
    ids=["hash", "command", "stage", "model", "out", "absolute", "upwards", "form", "empty"],
)
def test_an_edited_dvc_lock_is_found_and_named(before: str, after: str, line: str) -> None:
    lock = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(re.sub(before, after, lock))

    assert Path("dvc.lock").read_text() != lock
    if after:
        assert any(line in found for found in problems())
    else:
        assert problems()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("path", [SOURCE, "src/files.py", "requirements.txt", "reports/metrics.json"])
def test_data_and_code_that_changed_since_are_named(path: str) -> None:
    append(Path(path))

    assert problems() == [
        f"{path}: changed since the pipeline ran; dvc repro, or git checkout and dvc checkout to go back"
    ]


@pytest.mark.usefixtures("here")
def test_a_prepared_table_that_changed_since_is_named_with_its_folder() -> None:
    append(Path("data/prepared/train.parquet"))

    assert {line.partition(":")[0] for line in problems()} == {"data/prepared", "data/prepared/train.parquet"}


@pytest.mark.usefixtures("here")
def test_data_that_is_not_at_hand_is_no_problem() -> None:
    Path(SOURCE).unlink()

    assert problems() == []


def test_a_release_tag_that_holds_another_manifest_is_named(whole: Project) -> None:
    whole.run("git tag -a penguins@v1.0.0 -m first")
    assert problems() == []

    seal(PACKAGE, metrics={})

    assert (
        "manifest.json: is not the one that was released as penguins@v1.0.0; "
        "git checkout penguins@v1.0.0 -- models/v1.0.0"
    ) in problems()


@pytest.fixture(scope="module")
def two_versions(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which another version was packaged, so that DVC keeps the first by its pointer."""
    project = finished.copy(tmp_path_factory.mktemp("two") / "project")
    project.set(package__version="v1.1.0")
    project.run("dvc repro")
    project.commit("Package another version")
    return project


@pytest.fixture
def left(two_versions: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it, in which the test runs; v1.0.0 is the version that was left behind."""
    return work_in(two_versions, tmp_path, monkeypatch)


@pytest.mark.usefixtures("left")
def test_all_versions_are_verified_when_none_is_named() -> None:
    append(Path("models/v1.1.0", packages.REQUIREMENTS))
    found = answer([])

    assert [(fact["version"], fact["holds"]) for fact in found.facts] == [("v1.0.0", True), ("v1.1.0", False)]
    assert found.text.splitlines()[0].split()[:2] == ["ok", "v1.0.0"]
    assert found.text.splitlines()[1].startswith("FAILED  v1.1.0  requirements.txt: is not what SHA256SUMS says")


@pytest.mark.usefixtures("left")
def test_a_model_that_was_left_behind_is_held_against_its_pointer() -> None:
    pointer = PACKAGE / packages.POINTER
    pointer.write_text(re.sub("md5: .{32}", f"md5: {'f' * 32}", pointer.read_text()))
    found = digest(PACKAGE / packages.MODEL).md5

    assert problems() == [f"model.joblib: model.joblib.dvc records MD5 {'f' * 32}, it is {found}"]


@pytest.mark.usefixtures("left")
def test_the_other_files_that_were_left_behind_are_held_against_head() -> None:
    seal(PACKAGE, metrics={})

    assert problems() == [
        f"{name}: is not what Git's HEAD has; git checkout models/v1.0.0/{name}"
        for name in (packages.MANIFEST, packages.SUMS)
    ]


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize("content", ["outs: 1", "outs:\n- path: x", "[", "\0"])
def test_a_pointer_that_dvc_did_not_write_is_named(content: str) -> None:
    (PACKAGE / packages.POINTER).write_text(content)

    assert problems() == ["'*.dvc': not what DVC writes; git checkout '*.dvc' brings the committed one back"]


@pytest.mark.usefixtures("left")
def test_a_version_that_nothing_tracks_is_named() -> None:
    (PACKAGE / packages.POINTER).unlink()

    assert problems() == [
        "model.joblib: neither dvc.lock nor a pointer tracks it, so DVC cannot bring it back; dvc repro"
    ]


# ── stories ────────────────────────────────────────────────────────────────────────────────────────────────────────


def corrupt(project: Project) -> Path:
    """Change a byte of the model in DVC's cache, as a bad disk does: mode, size and time stay as they were."""
    md5 = digest(project.path / PACKAGE / packages.MODEL).md5
    cached = project.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    stat, content = cached.stat(), bytearray(cached.read_bytes())
    content[-2] ^= 1
    cached.chmod(0o644)
    cached.write_bytes(content)
    cached.chmod(stat.st_mode)
    os.utime(cached, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return cached


def test_a_corrupted_cache_object_that_dvc_brings_out_without_a_word_is_found(whole: Project) -> None:
    corrupt(whole)
    (PACKAGE / packages.MODEL).unlink()
    whole.run("dvc checkout")
    status = whole.run("dvc status").stdout.strip()
    done = whole.run("python src/lineage.py verify", check=False)

    assert status == "Data and pipelines are up to date."
    assert done.returncode == 1
    assert "FAILED  v1.0.0  model.joblib: is not what SHA256SUMS says; restore it" in done.stdout


def test_a_corrupted_cache_object_of_a_commit_is_found_without_bringing_it_out(whole: Project) -> None:
    corrupt(whole)

    assert answer([VERSION]).holds
    assert answer(["HEAD"]).facts[0]["problems"][0] == "model.joblib: is not what SHA256SUMS says; restore it"


def test_a_commit_whose_model_is_nowhere_at_hand_says_how_to_fetch_it(whole: Project) -> None:
    corrupt(whole).unlink()

    assert answer(["HEAD"]).facts[0]["problems"] == [
        "model.joblib: DVC's cache does not have it; dvc fetch brings what a remote has"
    ]


def test_a_program_reads_the_facts_and_the_exit_status(here: Project) -> None:
    holds = here.run("python src/lineage.py verify --json v1.0.0")
    append(PACKAGE / packages.MODEL)
    fails = here.run("python src/lineage.py verify --json v1.0.0", check=False)
    asked = here.run("python src/lineage.py verify --json v1.0.1", check=False)

    assert json.loads(holds.stdout) == [{"version": VERSION, "holds": True, "problems": []}]
    assert fails.returncode == 1
    assert json.loads(fails.stdout)[0]["holds"] is False
    assert asked.returncode == 2
    assert asked.stdout == ""
    assert "error: 'v1.0.1' is no version, revision or experiment; did you mean 'v1.0.0'?" in asked.stderr


def test_without_any_package_there_is_nothing_to_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match="models/: holds no package; dvc repro makes one"):
        answer([])


# ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def trapped(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A repository whose package holds a model that leaves a mark when it is unpickled, and where that mark would be.

    Every hash of the package is right.
    """
    top = tmp_path_factory.mktemp("trapped")
    project = finished.copy(top / "project")
    mark = top / "mark"
    seal(project.path / PACKAGE, dumped([Call(os.mkdir, str(mark))]))
    return project.path, mark


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(FILES), st.sampled_from(["flip", "add", "remove"]), st.floats(0, 1), st.integers(1, 255))
def test_any_byte_that_is_flipped_added_or_removed_is_found_and_nothing_is_unpickled(
    trapped: tuple[Path, Path], name: str, change: str, where: float, value: int
) -> None:
    top, mark = trapped
    file = top / PACKAGE / name
    before = file.read_bytes()
    at = min(int(where * len(before)), len(before) - 1)
    middle = {"flip": bytes([before[at] ^ value]), "add": bytes([value, before[at]]), "remove": b""}[change]
    after = before[:at] + middle + before[at + 1 :]
    previous = Path.cwd()
    os.chdir(top)
    try:
        file.write_bytes(after)
        assert any(line.startswith((name, packages.SUMS)) for line in problems())
        with pytest.raises((NotIntactError, NotAPackageError)):
            load_model(PACKAGE)
        assert not mark.exists()
    finally:
        file.write_bytes(before)
        os.chdir(previous)


def test_verifying_unpickles_nothing(trapped: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    top, mark = trapped
    monkeypatch.chdir(top)

    assert any(line.startswith("model.joblib: dvc.lock records MD5") for line in problems())
    assert not mark.exists()


ODD_NAMES = st.sampled_from(
    [
        "model.joblib",
        "../model.joblib",
        "/etc/passwd",
        "..",
        "",
        " ",
        "models/v1.0.0/model.joblib",
        "a\\b",
        "nul\0",
        "ä",
    ]
)
LINES = st.tuples(st.text("0123456789abcdefG", max_size=65), st.sampled_from(["  ", " *", " ", ""]), ODD_NAMES)
SUMS = st.binary(max_size=200) | st.lists(LINES, max_size=5).map(
    lambda lines: "".join(f"{''.join(line)}\n" for line in lines).encode("utf-16" if len(lines) == 4 else "utf-8")
)


@settings(max_examples=25, deadline=None)
@given(SUMS)
def test_no_fuzzed_sums_are_taken_for_those_of_the_package(trapped: tuple[Path, Path], content: bytes) -> None:
    top, mark = trapped
    file = top / PACKAGE / packages.SUMS
    before, previous = file.read_bytes(), Path.cwd()
    os.chdir(top)
    try:
        file.write_bytes(content)
        with pytest.raises(NotAPackageError):
            load_model(PACKAGE)
        assert any(line.startswith(f"{packages.SUMS}: ") for line in problems())
        assert not mark.exists()
    finally:
        file.write_bytes(before)
        os.chdir(previous)


ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "../../etc/passwd",
    "/etc/passwd",
    "\0",
    "a\nb",
    "\u202e",
    [],
    {},
    [[]],
    {"": 1},
]


def places(document: Any, *path: Any) -> list[tuple[Any, ...]]:
    """The path of every value of a document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path] * bool(path) + [place for key, value in items for place in places(value, *path, key)]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_fuzzed_manifest_ends_in_anything_but_a_clear_line(trapped: tuple[Path, Path], data: st.DataObject) -> None:
    """Its checksums are right, so that each value gets as far as it can."""
    top, mark = trapped
    files = {name: (top / PACKAGE / name).read_bytes() for name in (packages.MANIFEST, packages.SUMS)}
    document = json.loads(files[packages.MANIFEST])
    *parents, last = data.draw(st.sampled_from(places(document)))
    part = document
    for key in parents:
        part = part[key]
    part[last] = data.draw(st.sampled_from(ODD_VALUES))
    previous = Path.cwd()
    os.chdir(top)
    try:
        (PACKAGE / packages.MANIFEST).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        reseal(PACKAGE)
        found = problems()

        assert found
        assert all(isinstance(line, str) for line in found)
        with pytest.raises(Problem):
            load_model(PACKAGE)
        assert not mark.exists()
    finally:
        for name, content in files.items():
            (PACKAGE / name).write_bytes(content)
        os.chdir(previous)


MANIFESTS = {
    "nested lists": b"[" * 100_000_000,
    "nested objects": b'{"a":' * 20_000_000,
    "a nested metric": b'{"metrics": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "a huge number": b'{"schema_version": ' + b"9" * 1_000_000 + b"}",
    "a huge exponent": b'{"schema_version": 1e999999999}',
    "a key twice": b'{"name": "a", "name": "b"}',
    "UTF-16": '{"schema_version": 1}'.encode("utf-16"),
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "half a surrogate": b'{"name": "\\ud800"}',
    "not UTF-8": b'{"name": "\xff"}',
    "NaN": b'{"metrics": NaN}',
    "a list": b"[]",
    "nothing": b"",
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_ends_in_a_clear_line_within_seconds(content: bytes) -> None:
    (PACKAGE / packages.MANIFEST).write_bytes(content)
    reseal(PACKAGE)
    start = time.perf_counter()
    found = problems()
    with pytest.raises(NotAPackageError) as caught:
        load_model(PACKAGE)

    assert time.perf_counter() - start < 5
    assert [line for line in found if line.startswith("manifest.json: ")]
    assert all(line.startswith("manifest.json: ") for line in caught.value.lines)


@pytest.mark.usefixtures("here")
def test_a_manifest_that_gives_a_key_twice_is_refused_though_the_last_one_is_right() -> None:
    file = PACKAGE / packages.MANIFEST
    file.write_text(file.read_text().replace('  "name":', '  "name": "other",\n  "name":', 1))
    reseal(PACKAGE)

    assert (
        "manifest.json: expected exactly the form in which packaging writes it; dvc repro makes it anew" in problems()
    )


WATCH = """
import json, os, sys
sys.path.insert(0, "src")
from pathlib import Path
from loading import load_model
from problem import Problem
from verify import verify
from version import Version
opened = []
def hook(event, arguments):
    if event in ("open", "os.open", "os.listdir", "os.scandir") and not str(arguments[0]).endswith(".pyc"):
        opened.append(os.path.realpath(str(arguments[0])))
sys.addaudithook(hook)
verify(Version("v1.0.0"))
try:
    load_model(Path("models/v1.0.0"))
except Problem:
    pass
print(json.dumps(opened))
"""


def test_no_path_inside_of_the_sums_or_the_manifest_is_opened(here: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    manifest = json.loads((PACKAGE / packages.MANIFEST).read_bytes())
    target, upwards = str(secret / "file"), f"../../{secret.name}/file"
    for name in ("source", "train", "test"):
        manifest["data"][name]["path"] = target
    manifest["stages"]["prepare"] |= {"deps": {target: "0" * 32, upwards: "0" * 32}, "outs": {target: "0" * 32}}
    seal(PACKAGE, data=manifest["data"], stages=manifest["stages"], model__path=target)
    append(PACKAGE / packages.SUMS, f"{'0' * 64}  {target}\n".encode())
    (here.path / "watch.py").write_text(WATCH)
    opened = json.loads(here.run("python -B watch.py").stdout)

    assert str(here.path / PACKAGE / packages.MODEL) in opened
    assert not [path for path in opened if path.startswith(str(secret))]


@pytest.mark.usefixtures("here")
def test_a_large_model_is_hashed_in_constant_memory() -> None:
    file = PACKAGE / packages.MODEL
    file.unlink()
    with file.open("wb") as large:
        large.truncate(300 * 1024 * 1024)
    tracemalloc.start()
    try:
        found = problems()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "model.joblib: is not what SHA256SUMS says; restore it" in found
    assert peak < 100 * 1024 * 1024
