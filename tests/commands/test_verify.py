import json
import os
import re
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import MODELS, PACKAGE, SOURCE, VERSION, Project, append
from tables import dumped, reseal, seal

from commands.verify import Findings, run, verify
from commands.versions import Version
from modeling.loading import load_model
from record.checksums import digest
from record.files import to_json
from record.models import CHECKED, MANIFEST, MODEL, POINTER, REQUIREMENTS, SUMS
from record.problem import Problem

FOLDER = Path(PACKAGE)
FILES = (*CHECKED, SUMS)
SCHEMA_1 = Path(__file__).parent.parent / "record/manifest_schema_1.json"


def problems() -> list[str]:
    return verify(Version(VERSION)).problems


def manifest() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / MANIFEST).read_bytes())
    return document


def relock() -> None:
    """Make dvc.lock record the package as it is, as `dvc commit -f` does."""
    lock = Path("dvc.lock").read_text()
    for name in FILES:
        md5 = digest(FOLDER / name).md5
        lock = re.sub(rf"(path: {FOLDER / name}\n\s+hash: md5\n\s+md5: )\w+", rf"\g<1>{md5}", lock)
    Path("dvc.lock").write_text(lock)


@pytest.mark.usefixtures("here")
def test_a_package_as_the_pipeline_made_it_holds() -> None:
    found = run([])

    assert found.holds
    assert found.lines == ["ok  v1.0.0  checksums, manifest, dvc.lock and Git agree"]
    assert found.facts == [{"version": VERSION, "holds": True, "problems": [], "unchecked": []}]
    assert run([VERSION, "HEAD"]).holds


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", [MODEL, REQUIREMENTS, SUMS, MANIFEST])
def test_a_missing_file_is_named_with_the_remedy(name: str) -> None:
    (FOLDER / name).unlink()

    assert problems()[0] == f"{FOLDER / name}: not found; python src/lineage.py restore {VERSION}"
    assert not run([VERSION]).holds


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", ["notes.txt", "sub", "model.joblib.part", "MANIFEST.json", ".hidden"])
def test_each_extra_file_is_named(name: str) -> None:
    (FOLDER / name).mkdir() if name == "sub" else (FOLDER / name).touch()
    (FOLDER / "another").touch()

    assert problems() == [f"{n!r} is not part of a package; remove it" for n in sorted(["another", name])]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", FILES)
def test_a_link_is_not_followed_even_to_the_very_file(name: str, tmp_path: Path) -> None:
    (FOLDER / name).rename(tmp_path / name)
    (FOLDER / name).symlink_to(tmp_path / name)

    assert f"{FOLDER / name}: is a link, and not to DVC's cache; remove it, then" in "\n".join(problems())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent])
def test_a_folder_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")

    assert problems() == [f"{FOLDER}: is a symbolic link, which is not followed; put the folder itself there"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_not_a_plain_file_is_not_read(make: Callable[[Path], None]) -> None:
    (FOLDER / MODEL).unlink()
    make(FOLDER / MODEL)

    assert len(found := problems()) == 1
    assert re.fullmatch(rf"{FOLDER / MODEL}: (is not a plain file; remove it, then .+|.*[Dd]irectory.*)", found[0])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "recorded"),
    [(MODEL, "the model that manifest.json records"), (REQUIREMENTS, "what manifest.json records")],
)
def test_a_changed_file_is_told_by_each_record_of_it(name: str, recorded: str) -> None:
    before = digest(FOLDER / name).md5
    append(FOLDER / name)

    assert problems() == [
        f"{name}: is not what SHA256SUMS says; restore it",
        f"{name}: is not {recorded}; restore it",
        f"{name}: dvc.lock records MD5 {before}, it is {digest(FOLDER / name).md5}",
    ]


@pytest.mark.usefixtures("here")
def test_a_swapped_model_with_everything_in_the_package_recomputed_is_found_by_dvc_lock() -> None:
    seal(FOLDER, dumped({"another": "model"}))

    assert {line.partition(" records MD5")[0] for line in problems()} == {
        f"{name}: dvc.lock" for name in (SUMS, MANIFEST, MODEL)
    }


EDITED: list[tuple[dict[str, Any], str]] = [
    ({"version": "v9.9.9"}, "manifest.json: is of v9.9.9, but it is in models/v1.0.0"),
    ({"model__md5": "0" * 32}, "model.joblib: is not the model that manifest.json records; restore it"),
    ({"model__size": 1}, "model.joblib: is not the model that manifest.json records; restore it"),
    ({"environment__requirements_sha256": "0" * 64}, "requirements.txt: is not what manifest.json records; restore it"),
    ({"stages__train__cmd": "true"}, "train: manifest.json records the command 'true', dvc.lock"),
    ({"stages__train__cmd": "true"}, "dvc.yaml: in commit "),
    ({"stages__train__params": {"params.yaml": {"x": 1}}}, "train: manifest.json and dvc.lock record different param"),
    ({"stages__train__params": {"params.yaml": {"train": {}}}}, "params.yaml: commit "),
    (
        {"stages__other": {"cmd": "x", "params": {}, "deps": {}, "outs": {}}},
        "other: recorded in manifest.json, but not",
    ),
    ({"run__git__commit": "f" * 40}, f"commit {'f' * 40}: not in this repository; if it was made elsewhere, dvc repro"),
    ({"metrics__balanced_accuracy__test": 0.99}, "manifest.json: dvc.lock records MD5"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "line"), EDITED, ids=[f"{next(iter(edit))}" for edit, _ in EDITED])
def test_a_forged_manifest_with_recomputed_checksums_is_found(change: dict[str, Any], line: str) -> None:
    seal(FOLDER, **change)
    found = problems()

    assert any(problem.startswith(line) for problem in found)
    assert any(problem.startswith("manifest.json: dvc.lock records MD5") for problem in found)


@pytest.mark.usefixtures("here")
def test_a_recorded_hash_of_code_or_data_that_was_edited_is_compared_with_dvc_lock_and_the_commit() -> None:
    before = manifest()["stages"]["prepare"]["deps"]
    edited = {SOURCE: "0" * 32, "src/prepare.py": "1" * 32}
    entry = manifest()["inputs"][0] | {"md5": "0" * 32}
    seal(FOLDER, stages__prepare__deps=before | edited, inputs=[entry])
    commit, found = manifest()["run"]["git"]["commit"][:8], "\n".join(problems())

    for path, md5 in edited.items():
        assert (
            f"{path}: prepare reads it; manifest.json records {md5}, dvc.lock records {before[path]}; dvc repro"
            in found
        )
        assert f"{path}: manifest.json records MD5 {md5}, but commit {commit} has other content; commit it" in found


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (r"(src/record/files.py\n.*\n.*md5: ).*", r"\g<1>" + "f" * 32, f"dvc.lock records {'f' * 32}; dvc repro"),
        (r"cmd: python src/train.py", "cmd: make", "dvc.lock 'make'; dvc repro"),
        (r"(?s)  train:.*?(?=  package:|\Z)", "", "train: recorded in manifest.json, but not in dvc.lock"),
        (r"folds: 5", "folds: 6", "train: manifest.json and dvc.lock record different parameters"),
        (r"(model.joblib\n.*\n.*md5: ).*", r"\g<1>" + "f" * 32, f"model.joblib: dvc.lock records MD5 {'f' * 32}"),
        (rf"{MODELS[0]}", "models/v2.0.0/model.joblib", "neither dvc.lock nor a pointer tracks it"),
        (r"path: src/record/files.py", "path: ../x", "../x: "),
        (r"(?s).*", "stages: [", "dvc.lock: not what DVC writes; git checkout dvc.lock"),
        (r"(?s).+", "", ""),
    ],
    ids=["hash", "command", "stage", "parameters", "model", "out", "upwards", "form", "empty"],
)
def test_an_edited_dvc_lock_is_found(before: str, after: str, line: str) -> None:
    lock = Path("dvc.lock").read_text()
    edited = re.sub(before, after, lock)
    Path("dvc.lock").write_text(edited)

    assert edited != lock
    assert any(line in found for found in problems())


@pytest.mark.usefixtures("here")
def test_one_changed_byte_in_anything_that_a_stage_read_or_made_is_found() -> None:
    stages = manifest()["stages"].values()
    recorded = {path for stage in stages for path in (*stage["deps"], *stage["outs"])}
    assert {SOURCE, "data/prepared", "models/candidate", "requirements.txt", "src/train.py"} <= recorded

    for path in recorded:
        file = next(file for file in (Path(path), *sorted(Path(path).rglob("*"))) if file.is_file())
        before = file.read_bytes()
        append(file)
        line = f"{path}: changed since the pipeline ran; dvc repro, or git checkout and dvc checkout to go back"
        assert line in problems()
        file.write_bytes(before)
    assert problems() == []


@pytest.mark.usefixtures("here")
def test_data_that_is_not_here_is_not_a_problem() -> None:
    Path(SOURCE).unlink()
    shutil.rmtree("data/prepared")

    assert problems() == []


def test_a_release_tag_that_holds_another_manifest_is_named(here: Project) -> None:
    here.run("git tag -a penguins@v1.0.0 -m first")
    assert problems() == []

    seal(FOLDER, metrics={})
    assert (
        "manifest.json: is not the one that was released as penguins@v1.0.0; "
        "git checkout penguins@v1.0.0 -- models/v1.0.0"
    ) in problems()


# ── what cannot be checked ─────────────────────────────────────────────────────────────────────────────────────────


def without_git(project: Project) -> None:
    shutil.rmtree(project.path / ".git")


def without_a_commit(_: Project) -> None:
    seal(FOLDER, run__git=None)
    relock()


def dirty(_: Project) -> None:
    seal(FOLDER, run__git__dirty=True)
    relock()


def shallow(project: Project) -> None:
    project.run(f"git clone -q --depth 1 file://{project.path} clone")
    shutil.copy(MODELS[0], f"clone/{MODELS[0]}")
    os.chdir("clone")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (without_git, "there is no Git repository here to ask"),
        (
            shallow,
            "the commit that made it is not in this clone, since its history is cut (a shallow clone); git fetch",
        ),
        (without_a_commit, "it was made without a commit"),
        (dirty, "the manifest says itself that no commit holds all that made it"),
    ],
)
def test_what_git_was_not_asked_is_named_and_not_taken_for_a_yes(
    here: Project, make: Callable[[Project], None], said: str
) -> None:
    make(here)
    found = run([VERSION])

    assert found.holds
    assert found.facts[0]["unchecked"][0].startswith(said)
    assert found.lines[0].startswith(f"ok  v1.0.0  checksums, manifest and dvc.lock agree; not checked: {said}")


def test_without_git_a_forged_manifest_is_still_found(here: Project) -> None:
    without_git(here)
    seal(FOLDER, metrics={})

    assert [line.partition(" MD5")[0] for line in problems()] == [
        "manifest.json: dvc.lock records",
        "SHA256SUMS: dvc.lock records",
    ]


def test_a_commit_that_must_hold_it_is_asked_even_of_a_dirty_record(here: Project) -> None:
    dirty(here)
    assert verify(Version(VERSION), holder=here.head()) == Findings()

    here.set(train__seed=7)
    append(Path("src/train.py"))
    head = here.commit("Change code and parameters")
    found = "\n".join(verify(Version(VERSION), holder=head).problems)
    assert (
        f"src/train.py: manifest.json records MD5 {manifest()['stages']['train']['deps']['src/train.py']}, but" in found
    )
    assert f"params.yaml: commit {head[:8]} has another value of train; commit it, then dvc repro" in found


# ── versions that were left behind ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def left(moved_on: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two versions in a clone, in which the test runs; v1.0.0 was left behind."""
    monkeypatch.chdir(moved_on.path)
    return moved_on


@pytest.mark.usefixtures("left")
def test_all_versions_are_verified_when_none_is_named() -> None:
    append(Path("models/v1.1.0", REQUIREMENTS))
    found = run([])

    assert [(fact["version"], fact["holds"]) for fact in found.facts] == [("v1.0.0", True), ("v1.1.0", False)]
    assert found.lines[0].split()[:2] == ["ok", "v1.0.0"]
    assert found.lines[1].startswith("FAILED  v1.1.0  requirements.txt: is not what SHA256SUMS says")


ODD_POINTER = (
    f"{FOLDER / POINTER}: does not track the model of this package; remove it, then dvc repro --force writes it"
)


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(
    ("before", "after"),
    [("md5: .{32}", f"md5: {'f' * 32}"), ("path: .*", "path: other.joblib"), (r"\Z", "- {md5: a, path: b}\n")],
    ids=["hash", "path", "more"],
)
def test_a_pointer_to_anything_but_the_model_is_named(before: str, after: str) -> None:
    pointer = FOLDER / POINTER
    pointer.write_text(re.sub(before, after, pointer.read_text()))

    assert ODD_POINTER in problems()


@pytest.mark.usefixtures("left")
def test_the_other_files_that_were_left_behind_are_compared_with_head() -> None:
    seal(FOLDER, metrics={})

    assert {f"{name}: is not what Git's HEAD has; git checkout models/v1.0.0/{name}" for name in (MANIFEST, SUMS)} <= {
        *problems()
    }


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize("content", ["outs: 1", "outs:\n- md5: x", "[", "\0"])
def test_a_pointer_that_dvc_did_not_write_is_named(content: str) -> None:
    pointer = FOLDER / POINTER
    pointer.write_text(content)

    assert problems() == [f"{pointer}: not what DVC writes; git checkout {pointer} brings the committed one back"]


@pytest.mark.usefixtures("left")
def test_a_version_that_nothing_tracks_is_named() -> None:
    (FOLDER / POINTER).unlink()

    assert problems() == [
        "model.joblib: neither dvc.lock nor a pointer tracks it, so DVC cannot bring it back; dvc repro"
    ]


def test_a_package_of_schema_1_is_verified(left: Project) -> None:
    old, folder = json.loads(SCHEMA_1.read_bytes()), left.path / "models/v0.9.0"
    shutil.copytree(FOLDER, folder)
    old |= {
        "version": "v0.9.0",
        "model": old["model"] | {key: manifest()["model"][key] for key in ("size", "md5", "sha256")},
    }
    old["environment"]["requirements_sha256"] = digest(folder / REQUIREMENTS).sha256
    old["run"]["git"] = None
    (folder / MANIFEST).write_bytes(to_json(old))
    reseal(folder)
    left.commit("Keep an old version")

    assert verify(Version("v0.9.0")) == Findings([], ["it was made without a commit"])

    seal(folder, metrics={})
    assert not run(["v0.9.0"]).holds


# ── DVC's cache ────────────────────────────────────────────────────────────────────────────────────────────────────


def corrupt(project: Project) -> Path:
    """Change a byte of the model in DVC's cache, as a bad disk does: mode, size and time stay as they were."""
    md5 = digest(FOLDER / MODEL).md5
    cached = project.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    stat, content = cached.stat(), bytearray(cached.read_bytes())
    content[-2] ^= 1
    cached.chmod(0o644)
    cached.write_bytes(content)
    cached.chmod(stat.st_mode)
    os.utime(cached, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return cached


def test_a_corrupted_cache_object_is_found_whether_dvc_checks_it_out_or_not(here: Project) -> None:
    line = "model.joblib: is not what SHA256SUMS says; restore it"
    cached = corrupt(here)
    assert run([VERSION]).holds
    assert run(["HEAD"]).facts[0]["problems"][0] == line

    (FOLDER / MODEL).unlink()
    here.run("dvc checkout")
    assert here.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert problems()[0] == line

    cached.unlink()
    commit = here.head()
    assert run(["HEAD"]).facts[0]["problems"] == [
        f"{FOLDER / MODEL}: neither DVC's cache nor a remote has it as commit {commit} records it"
    ]


def test_without_any_package_there_is_nothing_to_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match="models/: there is no package; dvc repro makes one"):
        run([])


# ── strangers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Trap:
    """Something that leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def trapped(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A repository whose package holds a trap, every hash being right, and the mark that it would leave."""
    top = tmp_path_factory.mktemp("trapped")
    project = finished.copy(top / "project")
    seal(project.path / FOLDER, dumped([Trap(top / "mark")]))
    return project.path, top / "mark"


@contextmanager
def changing(trapped: tuple[Path, Path], *names: str) -> Iterator[None]:
    """Work in the repository of a trap that nothing may spring, and put some files of the package back afterwards."""
    top, mark = trapped
    before, previous = {name: (top / FOLDER / name).read_bytes() for name in names}, Path.cwd()
    os.chdir(top)
    try:
        yield
        with pytest.raises(Problem):
            load_model(FOLDER)
        assert not mark.exists()
    finally:
        for name, content in before.items():
            (top / FOLDER / name).write_bytes(content)
        os.chdir(previous)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FILES), st.sampled_from(["flip", "add", "remove"]), st.floats(0, 1), st.integers(1, 255))
def test_any_byte_that_is_flipped_added_or_removed_is_found_and_nothing_is_unpickled(
    trapped: tuple[Path, Path], name: str, change: str, where: float, value: int
) -> None:
    with changing(trapped, name):
        before = (FOLDER / name).read_bytes()
        at = min(int(where * len(before)), len(before) - 1)
        middle = {"flip": bytes([before[at] ^ value]), "add": bytes([value, before[at]]), "remove": b""}[change]
        (FOLDER / name).write_bytes(before[:at] + middle + before[at + 1 :])

        assert any(line.startswith((name, SUMS, str(FOLDER / name))) for line in problems())


ODD_VALUES: list[Any] = [
    *(None, True, -1, 10**400, 1e308, "", "../../etc/passwd", "/etc/passwd", "\0", "a\nb", "\u202e", [], {}, [[]]),
    *({"": 1}, "https://a/b", "-x"),
]


def places(document: Any, *path: Any) -> list[tuple[Any, ...]]:
    """The path of every value of a document."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    return [path] * bool(path) + [place for key, value in items for place in places(value, *path, key)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_fuzzed_manifest_ends_in_anything_but_a_clear_line(trapped: tuple[Path, Path], data: st.DataObject) -> None:
    """Its checksums are right, so that each value gets as far as it can."""
    with changing(trapped, MANIFEST, SUMS):
        document = manifest()
        *parents, last = data.draw(st.sampled_from(places(document)))
        part = document
        for key in parents:
            part = part[key]
        part[last] = data.draw(st.sampled_from(ODD_VALUES))
        (FOLDER / MANIFEST).write_bytes(to_json(document))
        reseal(FOLDER)
        found = problems()

        assert found
        assert all(isinstance(line, str) for line in found)


MANIFESTS = {
    "nested lists": b"[" * 10_000_000,
    "nested objects": b'{"a":' * 2_000_000,
    "a nested metric": b'{"metrics": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "a huge number": b'{"schema_version": ' + b"9" * 1_000_000 + b"}",
    "a huge exponent": b'{"schema_version": 1e999999999}',
    "too large": b" " * (64 * 1024**2 + 1),
    "a key twice": b'{"name": "a", "name": "b"}',
    "UTF-16": '{"schema_version": 1}'.encode("utf-16"),
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "half a surrogate": b'{"name": "\\ud800"}',
    "not UTF-8": b'{"name": "\xff"}',
    "NaN": b'{"metrics": NaN}',
    "a list": b"[]",
    "nothing": b"",
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_ends_in_a_clear_line_within_seconds(trapped: tuple[Path, Path], content: bytes) -> None:
    with changing(trapped, MANIFEST, SUMS):
        (FOLDER / MANIFEST).write_bytes(content)
        reseal(FOLDER)
        start = time.perf_counter()

        assert [line for line in problems() if line.startswith("manifest.json: ")]
        assert time.perf_counter() - start < 5


WATCH = """
import json, os, sys
sys.path.insert(0, "src")
from pathlib import Path
from commands.verify import verify
from commands.versions import Version
from modeling.loading import load_model
from record.problem import Problem
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


def test_no_path_that_leads_outside_is_opened(here: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("secret")
    target, document = str(secret / "file"), manifest()
    for entry in (*document["inputs"], document["data"]["train"], document["data"]["test"]):
        entry["path"] = target
    document["stages"]["prepare"] |= {"deps": {target: "0" * 32, "../secret": "0" * 32}, "outs": {target: "0" * 32}}
    seal(FOLDER, data=document["data"], stages=document["stages"], inputs=document["inputs"], model__path=target)
    append(FOLDER / SUMS, f"{'0' * 64}  {target}\n".encode())
    (here.path / "watch.py").write_text(WATCH)
    opened = json.loads(here.run("python -B watch.py").stdout)

    assert str(here.path / FOLDER / MODEL) in opened
    assert not [path for path in opened if path.startswith(str(secret))]


@pytest.mark.usefixtures("here")
def test_a_large_model_is_hashed_in_constant_memory() -> None:
    (FOLDER / MODEL).unlink()
    with (FOLDER / MODEL).open("wb") as large:
        large.truncate(300 * 1024**2)
    tracemalloc.start()
    try:
        found = problems()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "model.joblib: is not what SHA256SUMS says; restore it" in found
    assert peak < 100 * 1024**2
