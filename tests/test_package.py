"""The third stage: three accounts that must agree, and the record that is kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from manifests import document
from projects import PACKAGE, SOURCE, Project, append

import package
from record.checksums import digest, md5_of
from record.manifest import Manifest, Origin
from record.models import read_manifest_of
from record.notes import Readings
from record.problem import CannotAsk, Problem
from record.tracking import Stage

A, B = "a" * 32, "b" * 32


def refused(project: Project) -> str:
    """What packaging says when it refuses; nothing that was there may have changed."""
    before = project.snapshot(PACKAGE)
    done = project.run("python src/package.py", check=False)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert project.snapshot(PACKAGE) == before
    return done.stderr


@pytest.mark.parametrize(
    "path", [SOURCE, "data/prepared/train.parquet", "models/candidate/model.joblib", "reports/metrics.json"]
)
def test_a_file_that_is_not_what_dvc_lock_records_is_refused(project: Project, path: str) -> None:
    append(project.path / path)

    assert "dvc.lock records" in refused(project)


@pytest.mark.parametrize("stage", ["prepare", "train"])
def test_a_dvc_lock_that_was_edited_is_refused(project: Project, stage: str) -> None:
    file = project.path / "dvc.lock"
    head, mark, tail = file.read_text().partition(f"  {stage}:\n")
    file.write_text(head + mark + re.sub(r"md5: [0-9a-f]{32}\.dir", f"md5: {'0' * 32}.dir", tail, count=1))

    assert f"dvc.lock records {'0' * 32}.dir for {stage}" in refused(project)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "dvc.lock").unlink(), "dvc.lock: not found; dvc repro writes it"),
        (lambda path: (path / "dvc.lock").write_text("stages: [1"), "dvc.lock: not what DVC writes"),
        (lambda path: (path / "dvc.lock").write_text("stages: {}"), "but dvc.lock does not record that; run dvc repro"),
        (lambda path: (path / "dvc.yaml").write_text("{}"), "records no stage that package depends on"),
        (lambda path: replace(path / "dvc.lock", "folds: 5", "folds: 6"), "train used other values than dvc.lock"),
        (lambda path: (path / "models/candidate/description.json").unlink(), "run dvc repro"),
        (lambda path: replace(path / "data/prepared/profile.json", "{", "["), "run dvc repro --force"),
    ],
    ids=["no lock", "damaged", "empty", "no pipeline", "parameters", "no notes", "bad notes"],
)
def test_what_packaging_needs_and_does_not_find_is_named(
    project: Project, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(project.path)

    assert said in refused(project)


def replace(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    path.unlink()
    path.write_text(content.replace(old, new))


def test_the_manifest_records_what_is_on_disk(project: Project) -> None:
    made = read_manifest_of(project.path / PACKAGE)
    (source,) = made.inputs

    for folder, file in [(PACKAGE, made.model), ("", source), ("", made.data.train), ("", made.data.test)]:
        found = digest(project.path / folder / file.path)
        assert (file.size, file.md5, file.sha256) == (found.size, found.md5, found.sha256)
    assert (source.path, source.rows, source.origin) == (SOURCE, 344, None)
    assert (made.data.train.rows, made.data.test.rows) == (266, 67)
    assert made.metrics["folds"]
    assert made.metrics.items() >= json.loads((project.path / "reports/metrics.json").read_text()).items()
    assert made.environment.requirements_sha256 == digest(project.path / PACKAGE / "requirements.txt").sha256
    assert list(made.stages) == ["prepare", "train"]
    assert made.stages["train"].deps["data/prepared/train.parquet"] == made.data.train.md5
    assert made.stages["prepare"].params["params.yaml"]["prepare"] == made.params.prepare
    assert made.run.git
    assert made.run.git.dirty is False
    assert made.run.seconds.keys() == {"prepare", "train"}


@pytest.mark.parametrize("name", [None, "model.joblib", "manifest.json", "requirements.txt", "SHA256SUMS"])
def test_packaging_again_restores_what_was_lost_and_touches_nothing_else(project: Project, name: str | None) -> None:
    folder = project.path / PACKAGE
    before = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}
    if name:
        (folder / name).unlink()
    project.run("python src/package.py")
    after = {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}
    new = {"manifest.json", "SHA256SUMS"} if name == "manifest.json" else {name}  # the first record goes with it

    assert after.keys() == before.keys()
    assert {file for file in after if after[file] != before[file]} <= new
    assert after["model.joblib"][1] == before["model.joblib"][1]


def lines_of(
    deps: dict[str, str] | None = None, found: dict[str, str] | None = None, params: Any = None, **read: Any
) -> list[str]:
    stage = Stage(cmd="", deps=deps or {}, params={"params.yaml": params or {}}, outs={"out": A})
    readings = Readings(files=read.get("files", {}), params=read.get("params", {})) if read else None
    return list(package.disagreements("train", stage, found or {}, readings))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"deps": {"a": A}, "found": {"a": A, "out": A}, "files": {"a": A}}, []),
        ({"deps": {"a": A}, "found": {"a": B}}, [f"a: dvc.lock records {A} for train, found is {B}; run dvc repro"]),
        ({"found": {"out": "nothing"}}, [f"out: dvc.lock records {A} for train, found is nothing; run dvc repro"]),
        (
            {"deps": {"a": A}, "found": {"a": A}, "files": {"a": B}},
            [f"a: train read {B}, dvc.lock records {A}: it changed meanwhile; run dvc repro"],
        ),
        (
            {"files": {"src/x.py": A}},
            ["src/x.py: train reads it, but dvc.yaml does not list it in the stage's deps; add it"],
        ),
        ({"deps": {"src": A}, "files": {"src/x.py": A, "out/b": A}}, []),
        ({"params": {"train": {"seed": 1}}, "files": {}}, []),
        ({"deps": {"https://a.org/x.csv": '"etag"'}}, []),
    ],
    ids=["agree", "dep", "out", "meanwhile", "not listed", "in a folder", "no parameters noted", "url"],
)
def test_three_accounts_of_a_stage_must_agree(case: dict[str, Any], said: list[str]) -> None:
    assert lines_of(**case) == said


def test_parameters_that_were_used_must_be_those_that_are_recorded() -> None:
    stage = Stage(cmd="", params={"params.yaml": {"train": {"seed": 1}, "data": {}}})
    readings = Readings(files={}, params={"train": {"seed": 2}, "data": {}, "prepare": {}})

    assert list(package.disagreements("train", stage, {}, readings)) == [
        f"params.yaml: {key}: train used other values than dvc.lock records; run dvc repro"
        for key in ("train", "prepare")
    ]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("path", "data"),
    [
        *((path, True) for path in ("data/raw/a.parquet", "data/settings.yaml", "elsewhere/a.CSV", "image.png")),
        *((path, True) for path in ("tracked.py", "tracked/code.py", "weights.bin", "tables")),
        *((path, False) for path in ("src/a.py", "src/A.PY", "query.sql", "Makefile", "requirements.txt", "folder")),
        *((path, False) for path in ("requirements-gpu.txt", "https://a.org/x.csv", "settings.toml", "README.md")),
    ],
)
def test_data_is_what_dvc_tracks_what_is_in_data_and_what_is_not_code(path: str, *, data: bool) -> None:
    for name in ("folder/code.py", "tables/a.csv"):
        Path(name).parent.mkdir()
        Path(name).touch()
    for name in ("tracked.py", "tracked"):
        Path(f"{name}.dvc").write_text(f"outs: [{{path: {name}, md5: {A}}}]\n")

    assert package.is_data(path) is data


@pytest.fixture
def origins(repository: Project, tmp_path: Path) -> Project:
    """A repository with tables that DVC imported from another one, took from a URL, and was given."""
    other = Project(tmp_path / "other")
    for name in ("lake/a.csv", "lake/deep/b.csv"):
        (other.path / name).parent.mkdir(parents=True, exist_ok=True)
        (other.path / name).write_text(name)
    (other.path / ".dvc").mkdir()
    (other.path / ".dvc/config").touch()
    other.run("git init -q -b main")
    other.run("dvc add -q lake")
    other.commit("A lake")
    Path("added").mkdir()
    Path("added/c.csv").write_text("c")
    Path("kept.csv").write_text("kept")
    repository.run(f"dvc import -q {other.path} lake/a.csv -o imported.csv")
    repository.run(f"dvc import-url -q {tmp_path / 'other/lake/deep/b.csv'} fetched.csv")
    repository.run("dvc add -q added")
    return other


def reading(*paths: str, made: str = "out") -> dict[str, Stage]:
    """A chain of one stage that reads these paths."""
    return {"stage": Stage(cmd="", deps=dict.fromkeys(paths, A), outs={made: A})}


def test_of_a_folder_in_which_a_stage_writes_too_the_other_files_are_inputs(repository: Project) -> None:
    for name in ("made.csv", "raw.csv", "deep/raw.csv", ".gitignore"):
        (repository.path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository.path / "data" / name).write_text(name)

    found = package.describe_inputs(reading("data", made="data/made.csv"), {})

    assert [entry.path for entry in found] == ["data/deep/raw.csv", "data/raw.csv"]


def test_the_origin_of_an_input_is_what_its_pointer_names(origins: Project) -> None:
    files = ["kept.csv", "imported.csv", "fetched.csv", "added"]
    added, fetched, imported, kept = package.describe_inputs(reading(*files), {"kept.csv": 10})
    nothing = {"url": None, "path": None, "revision": None, "etag": None}

    assert (kept.origin, kept.rows, kept.sha256) == (None, 10, digest(Path("kept.csv")).sha256)
    assert imported.origin == Origin(
        tracked_by="imported.csv.dvc", url=str(origins.path), path="lake/a.csv", revision=origins.head(), etag=None
    )
    assert fetched.origin == Origin(
        tracked_by="fetched.csv.dvc", **nothing | {"url": str(origins.path / "lake/deep/b.csv")}
    )
    assert (added.path, added.origin) == ("added/c.csv", Origin(tracked_by="added.dvc", **nothing))


def test_the_address_of_an_import_is_recorded_without_credentials(repository: Project) -> None:
    address = "https://ada:token@example.org/lake.git"
    repo = f"{{url: '{address}', rev_lock: {A}}}"
    Path("a.csv.dvc").write_text(f"deps: [{{path: a.csv, repo: {repo}}}]\nouts: [{{path: a.csv, md5: {A}}}]\n")
    Path("b.csv.dvc").write_text(f"deps: [{{path: '{address}', etag: e}}]\nouts: [{{path: b.csv, md5: {A}}}]\n")
    found = [package.origin_of(name) for name in ("a.csv", "b.csv")]

    assert repository.path == Path.cwd()
    assert [origin.url for origin in found if origin] == ["https://example.org/lake.git"] * 2


def test_an_input_that_is_a_link_is_refused_unless_it_leads_to_dvcs_cache(repository: Project) -> None:
    Path("table.csv").write_text("1")
    Path("outside.csv").write_text("1")
    repository.run("dvc config -q cache.type symlink")
    repository.run("dvc add -q table.csv")
    Path("link.csv").symlink_to("outside.csv")
    (entry,) = package.describe_inputs(reading("table.csv"), {})

    assert Path("table.csv").is_symlink()
    assert entry.md5 == md5_of(b"1")
    with pytest.raises(Problem, match=r"^link\.csv: is a link, and not to DVC's cache; put the file itself there"):
        package.describe_inputs(reading("table.csv", "link.csv"), {})


@pytest.mark.usefixtures("repository")
def test_metrics_of_every_stage_behind_are_recorded_under_their_paths() -> None:
    Path("dvc.yaml").write_text(
        "metrics: [top.yaml]\nstages:\n"
        "  clean: {cmd: x, outs: [top.yaml], metrics: [a.toml, {b.json: {cache: false}}]}\n"
        "  train: {cmd: x, metrics: [reports/metrics.json]}\n  after: {cmd: x, metrics: [c.json]}\n"
    )
    Path("reports").mkdir()
    contents = {"reports/metrics.json": '{"r2": 1}', "a.toml": "x = 1", "b.json": '{"y": 2}', "top.yaml": "z: .nan"}
    for name, content in contents.items():
        Path(name).write_text(content)
    outs = dict.fromkeys(["a.toml", "b.json", "top.yaml", "reports/metrics.json"], A)

    assert package.read_metrics({"clean": Stage(cmd="x", outs=outs)}) == {
        "r2": 1,
        "a.toml": {"x": 1},
        "b.json": {"y": 2},
        "top.yaml": {"z": "nan"},
    }
    for name, broken in {"a.toml": "x", "b.json": "{"}.items():
        Path(name).write_text(broken)
        with pytest.raises(Problem, match=f"^{name}: not readable as metrics: "):
            package.read_metrics({"clean": Stage(cmd="x", outs={name: A})})


def test_a_run_says_whether_head_holds_what_decided_it(repository: Project, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.py").write_text("1")
    files = {"a.py": digest(Path("a.py")).md5}
    without = package.describe_run(files, {}).git
    said = capsys.readouterr().err
    commit = repository.commit("Add it")
    clean = package.describe_run(files, {}).git
    quiet = capsys.readouterr().err
    dirty = package.describe_run(files | {"b.csv": A}, {}).git

    assert without is None
    assert "warning: no commit yet, so the manifest cannot say which code made this model" in said
    assert (clean and clean.model_dump(), quiet) == ({"commit": commit, "dirty": False, "remote": None}, "")
    assert dirty
    assert dirty.dirty
    assert 'warning: b.csv: HEAD has nothing, so the manifest says "dirty"' in capsys.readouterr().err


def test_without_a_repository_a_run_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert package.describe_run({}, {}).git is None
    assert "warning: no Git repository" in capsys.readouterr().err


def recorded(dirty: bool | None, at: str = "2021-01-01T00:00:00Z", commit: str = A + "0" * 8, **other: Any) -> Manifest:
    """The same lineage with another `run`; `dirty` None means without Git."""
    whole = document() | other
    whole["run"] |= {"created_at": at, "git": {"commit": commit, "dirty": dirty, "remote": None}}
    if dirty is None:
        whole["run"]["git"] = None
    return Manifest.model_validate(whole)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(False, False, 0), (False, True, 0), (True, True, 0), (True, False, 1), (None, False, 1), (None, None, 0)],
)
def test_the_first_record_is_kept_unless_a_clean_run_can_replace_another(
    repository: Project, first: bool | None, second: bool | None, kept: int
) -> None:
    commit = repository.commit("Start")
    records = [recorded(dirty, f"202{k}-01-01T00:00:00Z", commit) for k, dirty in enumerate((first, second))]

    assert package.with_first_record(records[1], records[0]) is records[kept]


def test_a_record_of_another_repository_is_replaced_by_a_clean_run(repository: Project) -> None:
    """Whoever makes a repository of their own from the template has none of the template's commits."""
    here, elsewhere = recorded(dirty=False, commit=repository.commit("Start")), recorded(dirty=False)

    assert package.with_first_record(here, elsewhere) is here


def test_another_lineage_is_a_new_record() -> None:
    new, old = recorded(dirty=True, metrics={}), recorded(dirty=False)

    assert package.with_first_record(new, old) is new
    assert package.with_first_record(new, None) is new


@pytest.fixture
def released(repository: Project) -> Manifest:
    """A manifest that is tagged in the repository in which the test runs."""
    manifest = recorded(dirty=False)
    path = Path("models/v1.0.0/manifest.json")
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest.to_bytes())
    repository.commit("Package it")
    repository.run("git tag -am Released penguins@v1.0.0")
    return manifest


def test_a_release_is_frozen_and_what_differs_is_said(released: Manifest) -> None:
    new = recorded(dirty=False, metrics={"balanced_accuracy": {"test": 0.5}})

    for current in (released, new, None):
        with pytest.raises(Problem) as caught:
            package.refuse_to_change_a_release(new, current)
        assert caught.value.lines[0].startswith(
            "models/v1.0.0: released as penguins@v1.0.0, so it is not overwritten; "
        )
        assert caught.value.lines[1:] == ("  metrics: balanced_accuracy.test: 0.875 → 0.5",)


def test_the_same_lineage_is_accepted_as_it_was_released(released: Manifest) -> None:
    again = recorded(dirty=True, at="2022-01-01T00:00:00Z")

    assert package.refuse_to_change_a_release(again, None) == released


def test_a_release_cannot_be_overwritten_under_another_name(released: Manifest) -> None:
    with pytest.raises(Problem, match=r"^models/v1\.0\.0: released as penguins@v1\.0\.0"):
        package.refuse_to_change_a_release(recorded(dirty=False, name="others"), released)


def test_where_it_cannot_be_known_whether_a_version_is_released_nothing_is_overwritten(
    repository: Project, released: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.run(f"git clone -q --depth 1 --no-tags file://{repository.path} {tmp_path / 'clone'}")
    monkeypatch.chdir(tmp_path / "clone")
    repository.path.rename(tmp_path / "gone")

    assert package.refuse_to_change_a_release(released, released) is None
    with pytest.raises(CannotAsk):
        package.refuse_to_change_a_release(recorded(dirty=False, metrics={}), released)


def test_a_chain_that_leads_into_another_dvc_yaml_is_refused(repository: Project) -> None:
    Path("sub").mkdir()
    Path("sub/dvc.yaml").write_text("stages: {load: {cmd: echo 1 > raw.csv, outs: [raw.csv]}}\n")
    Path("dvc.yaml").write_text(
        "stages:\n  prepare: {cmd: cp sub/raw.csv t.csv, deps: [sub/raw.csv], outs: [t.csv]}\n"
        "  package: {cmd: echo 1 > end, deps: [t.csv], outs: [end]}\n"
    )
    repository.run("dvc repro -q -R .")

    with pytest.raises(Problem) as caught:
        package.stages_behind()

    assert caught.value.lines == (
        "sub/raw.csv: sub/dvc.yaml makes it, which is not followed; move its stage 'load' to dvc.yaml",
    )
