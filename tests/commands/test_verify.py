import json
import os
import re
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import file
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


def seal_and_relock(**changes: Any) -> None:
    """Edit the manifest and make dvc.lock record the package as it is, as `dvc commit -f` does."""
    seal(FOLDER, **changes)
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


# ── the folder ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("here")
def test_each_extra_file_is_named() -> None:
    extra = [".hidden", "MANIFEST.json", "model.joblib.part", "notes.txt"]
    for name in extra:
        (FOLDER / name).touch()
    (FOLDER / "sub").mkdir()

    assert problems() == [f"{name!r} is not part of a package; remove it" for name in [*extra, "sub"]]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent])
def test_a_folder_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")

    assert problems() == [f"{FOLDER}: is a symbolic link, which is not followed; put the folder itself there"]


def test_without_any_package_there_is_nothing_to_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match="models/: there is no package; dvc repro makes one"):
        run([])


# ── what was changed ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("here")
def test_a_changed_model_is_told_by_each_record_of_it() -> None:
    before = digest(FOLDER / MODEL).md5
    append(FOLDER / MODEL)

    assert problems() == [
        "model.joblib: is not what SHA256SUMS says; restore it",
        "model.joblib: is not the model that manifest.json records; restore it",
        f"model.joblib: dvc.lock records MD5 {before}, it is {digest(FOLDER / MODEL).md5}",
    ]


OTHER = {"cmd": "x", "params": {}, "deps": {}, "outs": {}}
READ, INPUT = {"src/prepare.py": "1" * 32}, file(SOURCE, rows=None, origin=None)
EDITED: list[tuple[dict[str, Any], str]] = [
    ({"model": dumped({"another": "model"})}, "model.joblib: dvc.lock records MD5"),
    ({"version": "v9.9.9"}, "manifest.json: is of v9.9.9, but it is in models/v1.0.0"),
    ({"model__md5": "0" * 32}, "model.joblib: is not the model that manifest.json records; restore it"),
    ({"model__size": 1}, "model.joblib: is not the model that manifest.json records; restore it"),
    ({"environment__requirements_sha256": "0" * 64}, "requirements.txt: is not what manifest.json records; restore it"),
    ({"stages__train__cmd": "true"}, "train: manifest.json records the command 'true', dvc.lock"),
    ({"stages__train__cmd": "true"}, "dvc.yaml: in commit "),
    ({"stages__train__params": {"params.yaml": {"x": 1}}}, "train: manifest.json and dvc.lock record different param"),
    ({"stages__train__params": {"params.yaml": {"train": {}}}}, "params.yaml: commit "),
    ({"params__train__seed": 7}, "manifest.json: params.train is not what its stages record; restore it"),
    ({"stages__other": OTHER}, "other: recorded in manifest.json, but not"),
    (
        {"stages__prepare__deps": READ},
        f"src/prepare.py: prepare reads it; manifest.json records {'1' * 32}, dvc.lock rec",
    ),
    ({"stages__prepare__deps": READ}, f"src/prepare.py: manifest.json records MD5 {'1' * 32}, but commit "),
    ({"inputs": [INPUT]}, f"{SOURCE}: manifest.json records MD5 {'0' * 32}, dvc.lock does not; dvc repro"),
    ({"inputs": [INPUT]}, f"{SOURCE}: manifest.json records MD5 {'0' * 32}, but commit "),
    ({"run__git__commit": "f" * 40}, f"commit {'f' * 40}: not in this repository; if it was made elsewhere, dvc repro"),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "line"), EDITED)
def test_a_forged_manifest_with_recomputed_checksums_is_found(change: dict[str, Any], line: str) -> None:
    seal(FOLDER, **change)
    found = problems()

    assert any(problem.startswith(line) for problem in found)
    assert any(problem.startswith("manifest.json: dvc.lock records MD5") for problem in found)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (r"(?s)  train:.*?(?=  package:|\Z)", "", "train: recorded in manifest.json, but not in dvc.lock"),
        (r"(model.joblib\n.*\n.*md5: ).*", rf"\g<1>{'f' * 32}", f"model.joblib: dvc.lock records MD5 {'f' * 32}"),
        (rf"{MODELS[0]}", "models/v2.0.0/model.joblib", "neither dvc.lock nor a pointer tracks it"),
        (r"path: src/record/files.py", "path: ../x", "../x: "),
        (r"(?s).*", "stages: [", "dvc.lock: not what DVC writes; git checkout dvc.lock"),
        (r"(?s).+", "", ""),
    ],
    ids=["stage", "model", "out", "upwards", "form", "empty"],
)
def test_an_edited_dvc_lock_is_found(before: str, after: str, line: str) -> None:
    lock = Path("dvc.lock").read_text()
    edited = re.sub(before, after, lock)
    Path("dvc.lock").write_text(edited)

    assert edited != lock
    assert any(line in found for found in problems())


@pytest.mark.usefixtures("here")
def test_one_changed_byte_in_anything_that_a_stage_read_or_made_is_found_where_it_is_here() -> None:
    recorded = {p for stage in manifest()["stages"].values() for p in (*stage["deps"], *stage["outs"])}
    assert {SOURCE, "data/prepared", "models/candidate", "requirements.txt", "src/train.py"} <= recorded

    for path in recorded:
        file = next(file for file in (Path(path), *sorted(Path(path).rglob("*"))) if file.is_file())
        before = file.read_bytes()
        append(file)
        line = f"{path}: changed since the pipeline ran; dvc repro, or git checkout and dvc checkout to go back"
        assert line in problems()
        file.write_bytes(before)

    Path(SOURCE).unlink()
    shutil.rmtree("data/prepared")
    assert problems() == []


def test_a_release_tag_that_holds_another_manifest_is_named(here: Project) -> None:
    here.run("git tag -a penguins@v1.0.0 -m first")
    assert problems() == []

    seal(FOLDER, metrics={})
    remedy = "git checkout penguins@v1.0.0 -- models/v1.0.0"
    assert f"manifest.json: is not the one that was released as penguins@v1.0.0; {remedy}" in problems()


# ── what cannot be checked ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: shutil.rmtree(".git"), "there is no Git repository here to ask"),
        (lambda: seal_and_relock(run__git=None), "it was made without a commit"),
        (
            lambda: seal_and_relock(run__git__dirty=True),
            "the manifest says itself that no commit holds all that made it",
        ),
    ],
)
def test_what_git_was_not_asked_is_named_and_not_taken_for_a_yes_nor_does_it_hide_a_forgery(
    make: Callable[[], None], said: str
) -> None:
    make()
    found = run([VERSION])

    assert found.holds
    assert found.facts[0]["unchecked"][0].startswith(said)
    assert found.lines[0].startswith(f"ok  v1.0.0  checksums, manifest and dvc.lock agree; not checked: {said}")

    seal(FOLDER, metrics={})
    assert {line.partition(" MD5")[0] for line in problems()} >= {
        f"{name}: dvc.lock records" for name in (MANIFEST, SUMS)
    }


def test_a_commit_that_must_hold_it_is_asked_even_of_a_dirty_record(here: Project) -> None:
    seal_and_relock(run__git__dirty=True)
    assert verify(Version(VERSION), holder=here.head()) == Findings()


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
    assert not found.holds


@pytest.mark.usefixtures("left")
def test_a_pointer_to_anything_but_the_model_is_named() -> None:
    pointer = FOLDER / POINTER
    whole, md5 = pointer.read_text(), digest(FOLDER / MODEL).md5
    odd = (whole.replace(md5, "f" * 32), whole.replace("model.joblib", "other"), f"{whole}- {{md5: a, path: b}}\n")
    for content, said in [
        *[(content, "does not track the model of this package; remove it, then dvc repro --force") for content in odd],
        *[(content, "not what DVC writes; git checkout ") for content in ("outs: 1", "outs:\n- md5: x", "[", "\0")],
    ]:
        pointer.write_text(content)
        assert any(line.startswith(f"{pointer}: {said}") for line in problems())


@pytest.mark.usefixtures("left")
def test_what_was_left_behind_is_compared_with_head_and_named_where_nothing_tracks_it() -> None:
    (FOLDER / POINTER).unlink()
    lost = "model.joblib: neither dvc.lock nor a pointer tracks it, so DVC cannot bring it back; dvc repro"
    assert problems() == [lost]

    seal(FOLDER, metrics={})
    changed = [f"{name}: is not what Git's HEAD has; git checkout models/v1.0.0/{name}" for name in (MANIFEST, SUMS)]
    assert {lost, *changed} <= {*problems()}


def test_a_package_of_schema_1_is_verified(left: Project) -> None:
    old, folder = json.loads(SCHEMA_1.read_bytes()), left.path / "models/v0.9.0"
    shutil.copytree(FOLDER, folder)
    old["version"] = "v0.9.0"
    old["model"] |= {key: manifest()["model"][key] for key in ("size", "md5", "sha256")}
    old["environment"]["requirements_sha256"] = digest(folder / REQUIREMENTS).sha256
    old["run"]["git"] = None
    (folder / MANIFEST).write_bytes(to_json(old))
    reseal(folder)
    left.commit("Keep an old version")
    assert verify(Version("v0.9.0")) == Findings([], ["it was made without a commit"])

    seal(folder, metrics={})
    assert not run(["v0.9.0"]).holds


def test_of_a_commit_the_model_is_what_dvcs_cache_has(here: Project) -> None:
    md5 = digest(FOLDER / MODEL).md5
    cached = here.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    append(cached)
    assert run([VERSION]).holds
    assert run(["HEAD"]).facts[0]["problems"][0] == "model.joblib: is not what SHA256SUMS says; restore it"

    cached.unlink()
    lost = f"{FOLDER / MODEL}: neither DVC's cache nor a remote has it as commit {here.head()} records it"
    assert run(["HEAD"]).facts[0]["problems"] == [lost]


# ── strangers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Trap:
    """Something that leaves a mark when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("sprung",)


@pytest.fixture(scope="module")
def trapped(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose package holds a trap, every hash being right."""
    project = finished.copy(tmp_path_factory.mktemp("trapped") / "project")
    seal(project.path / FOLDER, dumped([Trap()]))
    return project.path


@contextmanager
def changing(trapped: Path) -> Iterator[None]:
    """Work in the repository of a trap that nothing may spring, and put the package back afterwards."""
    with chdir(trapped):
        before = {name: (FOLDER / name).read_bytes() for name in FILES}
        try:
            yield
            with pytest.raises(Problem):
                load_model(FOLDER)
            assert not Path("sprung").exists()
        finally:
            for name, content in before.items():
                (FOLDER / name).write_bytes(content)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FILES), st.sampled_from(["flip", "add", "remove"]), st.floats(0, 1), st.integers(1, 255))
def test_any_byte_that_is_flipped_added_or_removed_is_found_and_nothing_is_unpickled(
    trapped: Path, name: str, change: str, where: float, value: int
) -> None:
    with changing(trapped):
        before = (FOLDER / name).read_bytes()
        at = min(int(where * len(before)), len(before) - 1)
        middle = {"flip": bytes([before[at] ^ value]), "add": bytes([value, before[at]]), "remove": b""}[change]
        (FOLDER / name).write_bytes(before[:at] + middle + before[at + 1 :])

        assert any(line.startswith((name, SUMS, str(FOLDER / name))) for line in problems())


ODD_VALUES: list[Any] = [
    *(None, True, -1, 10**400, 1e308, "", "../../etc/passwd", "/etc/passwd", "\0", "a\nb", "\u202e", [], {}, [[]]),
    *({"": 1}, "https://a/b", "-x"),
]


def containers(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a document, as what holds it and the key there."""
    for key in document if isinstance(document, dict) else range(len(document) if isinstance(document, list) else 0):
        yield document, key
        yield from containers(document[key])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_fuzzed_manifest_with_right_checksums_ends_in_anything_but_a_clear_line(
    trapped: Path, data: st.DataObject
) -> None:
    with changing(trapped):
        document = manifest()
        places = list(containers(document))
        part, key = places[data.draw(st.integers(0, len(places) - 1))]
        part[key] = data.draw(st.sampled_from(ODD_VALUES))
        (FOLDER / MANIFEST).write_bytes(to_json(document))
        reseal(FOLDER)
        found = problems()

        assert found
        assert all(isinstance(line, str) for line in found)


HOSTILE = [
    *(b"[" * 10_000_000, b'{"a":' * 2_000_000, b'{"metrics": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
    *(b'{"schema_version": ' + b"9" * 1_000_000 + b"}", b'{"schema_version": 1e999999999}', b'{"name": "\\ud800"}'),
    '{"schema_version": 1}'.encode("utf-16"),
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_manifest_ends_in_a_clear_line_within_seconds(trapped: Path, content: bytes) -> None:
    with changing(trapped):
        (FOLDER / MANIFEST).write_bytes(content)
        reseal(FOLDER)
        start = time.perf_counter()

        assert [line for line in problems() if line.startswith("manifest.json: ")]
        assert time.perf_counter() - start < 5


WATCH = """
import json, os, sys
sys.path.insert(0, "src")
from contextlib import suppress
from pathlib import Path
from commands.verify import verify
from commands.versions import Version
from modeling.loading import load_model
opened = []
def hook(event, arguments):
    if event in ("open", "os.open", "os.listdir", "os.scandir") and not str(arguments[0]).endswith(".pyc"):
        opened.append(os.path.realpath(str(arguments[0])))
sys.addaudithook(hook)
verify(Version("v1.0.0"))
with suppress(Exception):
    load_model(Path("models/v1.0.0"))
print(json.dumps(opened))
"""


def test_no_path_that_leads_outside_is_opened(here: Project, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    target, document = str(tmp_path / "secret/file"), manifest()
    Path(target).write_text("secret")
    for entry in (*document["inputs"], document["data"]["train"], document["data"]["test"]):
        entry["path"] = target
    document["stages"]["prepare"] |= {"deps": {target: "0" * 32, "../secret": "0" * 32}, "outs": {target: "0" * 32}}
    seal(FOLDER, data=document["data"], stages=document["stages"], inputs=document["inputs"], model__path=target)
    append(FOLDER / SUMS, f"{'0' * 64}  {target}\n".encode())
    (here.path / "watch.py").write_text(WATCH)
    opened = json.loads(here.run("python -B watch.py").stdout)

    assert str(here.path / FOLDER / MODEL) in opened
    assert not [path for path in opened if path.startswith(str(tmp_path / "secret"))]


@pytest.mark.usefixtures("here")
def test_a_large_model_is_hashed_in_constant_memory() -> None:
    (FOLDER / MODEL).unlink()
    (FOLDER / MODEL).touch()
    os.truncate(FOLDER / MODEL, 300 * 1024**2)
    tracemalloc.start()
    try:
        assert "model.joblib: is not what SHA256SUMS says; restore it" in problems()
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024**2
    finally:
        tracemalloc.stop()
