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
from projects import CHECKOUT, MODELS, PACKAGE, SOURCE, VERSION, Project, append
from tables import dumped, reseal, seal

from commands.verify import Findings, run, verify
from commands.versions import Version
from modeling.loading import load_model
from record.checksums import digest
from record.files import to_json
from record.manifest import parse_manifest
from record.models import CHECKED, MANIFEST, MODEL, POINTER, REQUIREMENTS, SUMS, pointer_of
from record.problem import Problem

FOLDER = Path(PACKAGE)
SCHEMA_1 = CHECKOUT / "tests/record/manifest_schema_1.json"
FILES = (*CHECKED, SUMS)


def problems() -> list[str]:
    return verify(Version(VERSION)).problems


def manifest() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / MANIFEST).read_bytes())
    return document


@pytest.mark.usefixtures("here")
def test_a_package_as_the_pipeline_made_it_holds() -> None:
    found = run([])

    assert found.lines == ["ok  v1.0.0  checksums, manifest, dvc.lock and Git agree"]
    assert found.facts == [{"version": VERSION, "holds": True, "problems": [], "unchecked": [], "witnesses": []}]
    assert run([VERSION, "HEAD"]).holds


@pytest.mark.usefixtures("here")
def test_each_extra_file_is_named_and_where_there_is_no_package_nothing_can_be_verified() -> None:
    extra = [".hidden", "MANIFEST.json", "model.joblib.part", "notes.txt"]
    for name in extra:
        (FOLDER / name).touch()
    (FOLDER / "sub").mkdir()

    assert problems() == [f"{name!r} is not part of a package; remove it" for name in [*extra, "sub"]]
    shutil.rmtree("models")
    with pytest.raises(Problem, match="models/: no package found; dvc repro makes one"):
        run([])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("folder", [FOLDER, FOLDER.parent])
def test_a_folder_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")

    assert problems() == [f"{FOLDER}: is a symbolic link, which is not followed; put the folder itself there"]


OTHER = {"cmd": "x", "params": {}, "deps": {}, "outs": {}}
CODE, ONES, INPUT = "src/prepare.py", "1" * 32, file(SOURCE, rows=None, origin=None)
EDITED: list[tuple[dict[str, Any], list[str]]] = [
    ({"model": dumped({"another": "model"})}, ["model.joblib: dvc.lock records MD5"]),
    ({"version": "v9.9.9"}, ["manifest.json: is of v9.9.9, but it is in models/v1.0.0"]),
    ({"model__md5": "0" * 32}, ["model.joblib: dvc.lock records MD5 "]),
    ({"model__size": 1}, ["model.joblib: is not the model that manifest.json records; restore it"]),
    ({"environment__requirements_sha256": "0" * 64}, ["requirements.txt: is not what manifest.json records; restore"]),
    ({"stages__train__cmd": "x"}, ["train: manifest.json records the command 'x', dvc.lock", "dvc.yaml: in commit "]),
    ({"stages__train__params": {"params.yaml": {"x": 1}}}, ["train: manifest.json and dvc.lock record different para"]),
    ({"stages__train__params": {"params.yaml": {"train": {}}}}, ["params.yaml: commit "]),
    ({"params__train__seed": 7}, ["manifest.json: params.train is not what its stages record; restore it"]),
    ({"stages__other": OTHER}, ["other: recorded in manifest.json, but not in dvc.lock; dvc repro"]),
    ({"stages__prepare__deps": {CODE: ONES}}, [f"{CODE}: prepare reads it; manifest.json records {ONES}, dvc.lock "]),
    ({"stages__prepare__deps": {CODE: ONES}}, [f"{CODE}: manifest.json records MD5 {ONES}, but commit "]),
    ({"inputs": [INPUT]}, [f"{SOURCE}: manifest.json records MD5 {'0' * 32}, {at}" for at in ("dvc.lock", "but ")]),
    ({"inputs": [file("/etc/passwd", rows=None, origin=None)]}, ["/etc/passwd: manifest.json names a path outside"]),
    ({"run__git__commit": "f" * 40}, [f"commit {'f' * 40}: not in this repository; if it was made elsewhere, dvc rep"]),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("change", "lines"), EDITED)
def test_a_forged_manifest_with_recomputed_checksums_is_found(change: dict[str, Any], lines: list[str]) -> None:
    seal(FOLDER, **change)
    found = problems()

    for line in (*lines, "manifest.json: dvc.lock records MD5"):
        assert any(problem.startswith(line) for problem in found)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (rf"{MODELS[0]}", "models/v2.0.0/model.joblib", "neither dvc.lock nor a pointer tracks it"),
        (r"path: src/record/files.py", "path: ../x", "../x: "),
        (r"(?s).*", "stages: [", "dvc.lock: not what DVC writes; git checkout dvc.lock"),
        (r"(?s).+", "", ""),
    ],
    ids=["out", "upwards", "form", "empty"],
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "this is not a Git repository"),
        ({"run__git": None}, "it was made without a commit"),
        ({"run__git__dirty": True}, "the recorded commit did not hold all that made it"),
    ],
)
def test_what_git_was_not_asked_is_named_and_hides_no_forgery(here: Project, change: dict[str, Any], said: str) -> None:
    if change:
        seal(FOLDER, **change)
        here.run("dvc commit -q -f package")
    else:
        shutil.rmtree(".git")
    found = run([VERSION])

    assert found.holds
    assert found.facts[0]["unchecked"][0].startswith(said)
    assert found.lines[0].startswith(f"ok  v1.0.0  checksums, manifest and dvc.lock agree; not checked: {said}")
    if change:  # then a commit that must hold it is asked all the same
        assert verify(Version(VERSION), holder="HEAD") == Findings()

    seal(FOLDER, metrics={})
    assert any(line.startswith(f"{MANIFEST}: dvc.lock records MD5") for line in problems())


def test_what_was_left_behind_is_checked_too(moved_on: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(moved_on.path)
    append(Path("models/v1.1.0", REQUIREMENTS))
    both = run([])
    assert [(fact["version"], fact["holds"]) for fact in both.facts] == [("v1.0.0", True), ("v1.1.0", False)]
    assert both.lines[0].split()[:2] == ["ok", "v1.0.0"]
    assert both.lines[1].startswith("FAILED  v1.1.0  requirements.txt: is not what SHA256SUMS says")
    assert not both.holds

    pointer, md5 = FOLDER / POINTER, digest(FOLDER / MODEL).md5
    whole = pointer.read_text()
    odd = (whole.replace(md5, "f" * 32), whole.replace("model.joblib", "other"), f"{whole}- {{md5: a, path: b}}\n")
    for content, said in [
        *[(content, "does not track the model of this package; remove it, then dvc repro --force") for content in odd],
        *[(content, "not what DVC writes; git checkout ") for content in ("outs: 1", "outs:\n- md5: x", "[", "\0")],
    ]:
        pointer.write_text(content)
        assert any(line.startswith(f"{pointer}: {said}") for line in problems())

    pointer.unlink()
    lost = "model.joblib: neither dvc.lock nor a pointer tracks it, so DVC cannot bring it back; dvc repro"
    assert problems() == [lost]
    seal(FOLDER, metrics={})
    changed = [f"{name}: is not what Git's HEAD has; git checkout models/v1.0.0/{name}" for name in (MANIFEST, SUMS)]
    assert {lost, *changed} <= {*problems()}


def test_a_package_of_schema_1_is_verified(here: Project) -> None:
    old, folder = json.loads(SCHEMA_1.read_bytes()), Path("models/v0.9.0")
    shutil.copytree(FOLDER, folder)
    old["version"] = "v0.9.0"
    old["model"] |= {key: manifest()["model"][key] for key in ("size", "md5", "sha256")}
    old["environment"]["requirements_sha256"] = digest(folder / REQUIREMENTS).sha256
    old["run"]["git"] = None
    (folder / MANIFEST).write_bytes(to_json(old))
    reseal(folder)
    (folder / POINTER).write_bytes(pointer_of(parse_manifest((folder / MANIFEST).read_bytes())))
    here.commit("Keep an old version")
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
                load_model(FOLDER, trust_unvouched=True)
            assert not Path("sprung").exists()
        finally:
            for name, content in before.items():
                (FOLDER / name).write_bytes(content)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FILES), st.sampled_from(["flip", "add", "remove"]), st.floats(0, 1), st.integers(1, 255))
def test_any_changed_byte_is_found_unopened(trapped: Path, name: str, change: str, where: float, value: int) -> None:
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
@given(st.integers(0, 10_000), st.sampled_from(ODD_VALUES))
def test_a_fuzzed_manifest_with_right_checksums_ends_in_clear_lines(trapped: Path, at: int, value: Any) -> None:
    with changing(trapped):
        document = manifest()
        places = list(containers(document))
        part, key = places[at % len(places)]
        part[key] = value
        (FOLDER / MANIFEST).write_bytes(to_json(document))
        reseal(FOLDER)

        assert problems()


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
import os, sys
sys.path.insert(0, "src")
from pathlib import Path
from commands.verify import run
from modeling.loading import load_model
names = ("open", "os.open", "os.listdir", "os.scandir")
sys.addaudithook(lambda event, given: print(os.path.realpath(str(given[0]))) if event in names else None)
run(["v1.0.0"])
load_model(Path("models/v1.0.0"), trust_unvouched=True)
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
    opened = here.run(f"python -B -c '{WATCH}'", check=False).stdout.splitlines()

    assert str(here.path / FOLDER / MODEL) in opened
    assert not [path for path in opened if path.startswith(str(tmp_path / "secret"))]


@pytest.mark.usefixtures("here")
def test_a_large_model_is_hashed_in_constant_memory() -> None:
    (FOLDER / MODEL).unlink()
    (FOLDER / MODEL).touch()
    os.truncate(FOLDER / MODEL, 300 * 1024**2)
    tracemalloc.start()
    found, (_, peak) = problems(), tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "model.joblib: is not what SHA256SUMS says; restore it" in found
    assert peak < 100 * 1024**2
