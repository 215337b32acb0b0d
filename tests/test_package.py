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


def replace(path: Path, pattern: str, new: str) -> None:
    content = path.read_text()
    path.unlink()
    path.write_text(re.sub(pattern, new, content, count=1))


@pytest.mark.parametrize(
    ("said", "spoil"),
    [
        ("dvc.lock records", lambda path: append(path / SOURCE)),
        ("dvc.lock records", lambda path: append(path / "models/candidate/model.joblib")),
        (f"dvc.lock records {A}.dir for", lambda path: replace(path / "dvc.lock", r"[0-9a-f]{32}\.dir", f"{A}.dir")),
        ("train used other values than dvc.lock", lambda path: replace(path / "dvc.lock", "folds: 5", "folds: 6")),
        ("dvc.lock: not what DVC writes", lambda path: (path / "dvc.lock").write_text("stages: [1")),
        ("run dvc repro", lambda path: (path / "models/candidate/description.json").unlink()),
        ("run dvc repro --force", lambda path: replace(path / "data/prepared/profile.json", "{", "[")),
    ],
    ids=["raw data", "model", "edited lock", "parameters", "damaged lock", "no notes", "bad notes"],
)
def test_where_the_accounts_differ_or_one_is_missing_nothing_is_packaged(
    project: Project, said: str, spoil: Callable[[Path], object]
) -> None:
    spoil(project.path)
    before = project.snapshot(PACKAGE)
    done = project.run("python src/package.py", check=False)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert project.snapshot(PACKAGE) == before


LOCKED = f"stages: {{prepare: {{cmd: x, deps: [{{path: sub/r, md5: {A}}}], outs: [{{path: t, md5: {A}}}]}}}}"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("lock", "end", "said"),
    [
        (None, "t", "dvc.lock: not found; dvc repro writes it"),
        ("{}", "t", "t: the stage 'prepare' makes it, but dvc.lock does not record that; run dvc repro"),
        (LOCKED, "t", "sub/r: sub/dvc.yaml makes it, which is not followed; move its stage 'load' to dvc.yaml"),
        (LOCKED, "other", "dvc.lock: records no stage that package depends on; dvc repro runs them"),
        (LOCKED, "${x}", "dvc.yaml: package: only DVC can fill in the dependency *; write the path"),
    ],
    ids=["no lock", "not recorded", "subfolder", "no stage", "template"],
)
def test_a_chain_that_would_end_too_early_is_refused(lock: str | None, end: str, said: str) -> None:
    Path("sub").mkdir()
    Path("sub/dvc.yaml").write_text("stages: {load: {cmd: x, outs: [r]}}")
    stages = f"prepare: {{cmd: x, deps: [sub/r], outs: [t]}}, package: {{cmd: x, deps: ['{end}'], outs: [end]}}"
    Path("dvc.yaml").write_text(f"stages: {{{stages}}}")
    if lock:
        Path("dvc.lock").write_text(lock)

    with pytest.raises(Problem) as caught:
        package.stages_behind()
    assert caught.value.lines == (said,)


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
    assert made.stages["prepare"].params["params.yaml"]["prepare"] == made.params.prepare
    assert made.run.git.dirty is False
    assert list(made.stages) == list(made.run.seconds) == ["prepare", "train"]


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
        ({"files": {"x": A}}, ["x: train reads it, but dvc.yaml does not list it in the stage's deps; add it"]),
        ({"deps": {"src": A}, "files": {"src/x.py": A, "out/b": A}}, []),
        ({"deps": {"https://a.org/x.csv": '"etag"'}}, []),
        (
            {"params": {"train": {"seed": 2}, "data": {}, "prepare": {}}},
            [
                f"params.yaml: {key}: train used other values than dvc.lock records; run dvc repro"
                for key in ("train", "prepare")
            ],
        ),
    ],
    ids=["agree", "dep", "out", "meanwhile", "not listed", "in a folder", "url", "parameters"],
)
def test_three_accounts_of_a_stage_must_agree(case: dict[str, Any], said: list[str]) -> None:
    params = {"params.yaml": {"train": {"seed": 1}, "data": {}}}
    stage = Stage(cmd="", deps=case.get("deps", {}), params=params, outs={"out": A})
    readings = Readings(files=case.get("files", {}), params=case.get("params", {}))

    assert list(package.disagreements("train", stage, case.get("found", {}), readings)) == said


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


def reading(*paths: str, made: str = "out") -> dict[str, Stage]:
    """A chain of one stage that reads these paths."""
    return {"stage": Stage(cmd="", deps=dict.fromkeys(paths, A), outs={made: A})}


def test_of_a_folder_in_which_a_stage_writes_too_the_other_files_are_inputs(repository: Project) -> None:
    for name in ("made.csv", "raw.csv", "deep/raw.csv", ".gitignore"):
        (repository.path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (repository.path / "data" / name).write_text(name)

    found = package.describe_inputs(reading("data", made="data/made.csv"), {})

    assert [entry.path for entry in found] == ["data/deep/raw.csv", "data/raw.csv"]


@pytest.mark.usefixtures("repository")
def test_the_origin_of_an_input_is_what_its_pointer_names_without_credentials() -> None:
    address = "https://ada:token@example.org/lake"
    sources = {
        "added": "",
        "fetched.csv": f"deps: [{{path: '{address}', etag: e}}]\n",
        "imported.csv": f"deps: [{{path: lake/a.csv, repo: {{url: '{address}', rev_lock: {A}}}}}]\n",
    }
    Path("added").mkdir()
    for name in ("added/c.csv", "fetched.csv", "imported.csv", "kept.csv"):
        Path(name).write_text(name)
    for name, source in sources.items():
        Path(f"{name}.dvc").write_text(f"{source}outs: [{{path: {name}, md5: {A}}}]\n")
    found = package.describe_inputs(reading("kept.csv", *sources), {"kept.csv": 10})
    origin = {"url": None, "path": None, "revision": None, "etag": None}
    cleaned = {"url": "https://example.org/lake"}

    assert [entry.path for entry in found] == ["added/c.csv", "fetched.csv", "imported.csv", "kept.csv"]
    assert [entry.origin for entry in found] == [
        Origin(tracked_by="added.dvc", **origin),
        Origin(tracked_by="fetched.csv.dvc", **origin | cleaned | {"etag": "e"}),
        Origin(tracked_by="imported.csv.dvc", **origin | cleaned | {"path": "lake/a.csv", "revision": A}),
        None,
    ]
    assert (found[-1].rows, found[-1].sha256) == (10, digest(Path("kept.csv")).sha256)


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
    stages = {"clean": Stage(cmd="x", outs=dict.fromkeys(contents, A))}

    expected = {"r2": 1, "a.toml": {"x": 1}, "b.json": {"y": 2}, "top.yaml": {"z": "nan"}}
    assert package.read_metrics(stages) == expected
    for name in ("b.json", "a.toml"):
        Path(name).write_text("{")
        with pytest.raises(Problem, match=f"^{name}: not readable as metrics: "):
            package.read_metrics(stages)


def test_a_run_says_whether_head_holds_what_decided_it(
    repository: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.py").write_text("1")
    files = {"a.py": digest(Path("a.py")).md5}

    assert package.describe_run(files, {}).git is None
    assert "warning: no commit yet, so the manifest cannot say which code made this model" in capsys.readouterr().err
    clean = {"commit": repository.commit("Add it"), "dirty": False, "remote": None}
    assert package.describe_run(files, {}).git.model_dump() == clean
    assert capsys.readouterr().err == ""
    assert package.describe_run(files | {"b.csv": A}, {}).git.model_dump() == clean | {"dirty": True}
    assert 'warning: b.csv: HEAD has no such file, so the manifest says "dirty"' in capsys.readouterr().err
    monkeypatch.chdir(repository.path.parent)
    assert package.describe_run({}, {}).git is None
    assert "warning: no Git repository" in capsys.readouterr().err


def recorded(dirty: bool | None, commit: str = A + "0" * 8, **other: Any) -> Manifest:
    """The same lineage with another `run`; `dirty` None means without Git."""
    whole = document() | other
    whole["run"]["git"] = None if dirty is None else {"commit": commit, "dirty": dirty, "remote": None}
    return Manifest.model_validate(whole)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(False, False, 0), (False, True, 0), (True, True, 0), (True, False, 1), (None, False, 1), (None, None, 0)],
)
def test_the_first_record_is_kept_unless_a_clean_run_can_replace_another(
    repository: Project, first: bool | None, second: bool | None, kept: int
) -> None:
    commit = repository.commit("Start")
    records = [recorded(dirty, commit) for dirty in (first, second)]

    assert package.with_first_record(records[1], records[0]) is records[kept]


def test_another_lineage_or_one_of_another_repository_is_a_new_record(repository: Project) -> None:
    """Whoever makes a repository of their own from the template has none of the template's commits."""
    new, here = recorded(dirty=True, metrics={}), recorded(dirty=False, commit=repository.commit("Start"))

    assert package.with_first_record(new, here) is package.with_first_record(new, None) is new
    assert package.with_first_record(here, recorded(dirty=False)) is here


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


def test_a_release_is_frozen_under_any_name_and_what_differs_is_said(released: Manifest) -> None:
    again = recorded(dirty=True)
    params = document()["params"] | {"estimator": {"C": 2.0, "class": "sklearn.linear_model.LogisticRegression"}}
    new = recorded(dirty=False, params=params, metrics={"balanced_accuracy": {"test": 0.5}})

    assert package.refuse_to_change_a_release(again, None) == released
    other = recorded(dirty=False, name="others")
    for changed, current in [(new, released), (new, new), (new, None), (other, released)]:
        with pytest.raises(Problem) as caught:
            package.refuse_to_change_a_release(changed, current)
        assert caught.value.lines[0].startswith("models/v1.0.0: released as penguins@v1.0.0, so it is not overwritten;")
        assert caught.value.lines[1:] == (("  parameters: estimator.C: 1.0 → 2.0",) if changed is new else ())


def test_where_it_cannot_be_known_whether_a_version_is_released_nothing_is_overwritten(
    repository: Project, released: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.run(f"git clone -q --depth 1 --no-tags file://{repository.path} ../clone")
    monkeypatch.chdir("../clone")
    repository.path.rename("../gone")

    assert package.refuse_to_change_a_release(released, released) is None
    with pytest.raises(CannotAsk):
        package.refuse_to_change_a_release(recorded(dirty=False, metrics={}), released)
