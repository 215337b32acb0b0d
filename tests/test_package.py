"""The third stage: three accounts that must agree, and the record that is kept."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from manifests import document
from projects import PACKAGE, SOURCE, Project, append

import package
from record.checksums import digest, md5_of
from record.manifest import Manifest, Origin
from record.models import read_manifest_of
from record.notes import Object, Readings
from record.problem import Problem
from record.tracking import Stage

A, B = "a" * 32, "b" * 32
MEANWHILE = f"a: train read {B}, dvc.lock records {A}: it changed meanwhile; run dvc repro"
USED_OTHER = "params.yaml: {}: train used other values than dvc.lock records; run dvc repro"


def replace(path: Path, pattern: str, new: str) -> None:
    content = path.read_text()
    path.unlink()
    path.write_text(re.sub(pattern, new, content, count=1))


def write(files: dict[str, str]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)


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
def test_where_accounts_differ_or_one_is_missing_nothing_is_packaged(project: Project, said: str, spoil: Any) -> None:
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
        ("not written", "t", "dvc.lock: not found; dvc repro writes it"),
        ("dvc.lock", "t", "sub/r: sub/dvc.yaml makes it, which is not followed; move its stage 'load' to dvc.yaml"),
        ("dvc.lock", "u", "u: the stage 'other' makes it, but dvc.lock does not record that; run dvc repro"),
        ("dvc.lock", "kept", "dvc.lock: records no stage that package depends on; dvc repro runs them"),
        ("dvc.lock", "${x}", "dvc.yaml: package: only DVC can fill in the dependency *; write the path"),
    ],
    ids=["no lock", "subfolder", "not recorded", "no stage", "template"],
)
def test_a_chain_that_would_end_too_early_is_refused(lock: str, end: str, said: str) -> None:
    declared = "prepare: {cmd: x, deps: [sub/r], outs: [t]}, other: {cmd: x, outs: [u]}"
    write({"dvc.yaml": f"stages: {{{declared}, package: {{cmd: x, deps: ['{end}'], outs: [end]}}}}"})
    write({"sub/dvc.yaml": "stages: {load: {cmd: x, outs: [r]}}", lock: LOCKED})
    with pytest.raises(Problem) as caught:
        package.stages_behind()
    assert caught.value.lines == (said,)


def test_the_manifest_records_what_the_stages_noted(project: Project) -> None:
    made = read_manifest_of(project.path / PACKAGE)
    rows = [(table.path, table.rows) for table in (*made.inputs, made.data.train, made.data.test)]
    assert rows == [(SOURCE, 344), ("data/prepared/train.parquet", 266), ("data/prepared/test.parquet", 67)]
    assert made.metrics["folds"]
    assert made.metrics.items() >= json.loads((project.path / "reports/metrics.json").read_text()).items()
    assert made.stages["prepare"].params["params.yaml"]["prepare"] == made.params.prepare
    assert made.run.git.dirty is False
    assert list(made.stages) == list(made.run.seconds) == ["prepare", "train"]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"deps": {"a": A}, "found": {"a": A, "out": A}, "files": {"a": A}}, []),
        ({"deps": {"a": A}, "found": {"a": B}}, [f"a: dvc.lock records {A} for train, found is {B}; run dvc repro"]),
        ({"found": {"out": "nothing"}}, [f"out: dvc.lock records {A} for train, found is nothing; run dvc repro"]),
        ({"deps": {"a": A}, "found": {"a": A}, "files": {"a": B}}, [MEANWHILE]),
        ({"files": {"x": A}}, ["x: train reads it, but dvc.yaml does not list it in the stage's deps; add it"]),
        ({"deps": {"src": A}, "files": {"src/x.py": A, "out/b": A}}, []),
        ({"deps": {"https://a.org/x.csv": '"etag"'}}, []),
        ({"params": {"data": {}, "train": 2}}, [USED_OTHER.format("train")]),
        ({"params": {"data": {}, "prepare": {}}}, [USED_OTHER.format("prepare")]),
    ],
    ids=["agree", "dep", "out", "meanwhile", "not listed", "in a folder", "url", "other parameters", "unrecorded"],
)
def test_three_accounts_of_a_stage_must_agree(case: dict[str, Any], said: list[str]) -> None:
    params = {"params.yaml": {"train": {"seed": 1}, "data": {}}}
    stage = Stage(cmd="", deps=case.get("deps", {}), params=params, outs={"out": A})
    readings = Readings(files=case.get("files", {}), params=case.get("params", {}))
    assert list(package.disagreements("train", stage, case.get("found", {}), readings)) == said


@pytest.mark.parametrize(
    ("recorded", "is_said"),
    [
        ({"s3://b/t/1.parquet": "e1"}, True),  # the second is not listed
        ({"s3://b/t": "d0ba6cfa52b7d55ac1fa2a2d4b04d5e3.dir"}, True),
        ({"s3://b/t/1.parquet": "e1", "s3://b/t/2.parquet": "e2"}, False),
        ({"s3://b/t/1.parquet": "e1", "s3://b/t/2.parquet": "e3"}, True),
        (
            {
                "s3://b/t": md5_of(b'[{"etag": "e1", "relpath": "1.parquet"}, {"etag": "e2", "relpath": "2.parquet"}]')
                + ".dir"
            },
            False,
        ),
    ],
)
def test_what_was_read_in_a_storage_must_be_what_dvc_recorded(recorded: dict[str, str], is_said: bool) -> None:
    """Of a folder DVC records the MD5 of its listing, whose hashes are those of the storage."""
    found = {
        f"s3://b/t/{n}.parquet": Object(kind="etag", hash=f"e{n}", size=n, url=f"s3://b/t/{n}.parquet") for n in (1, 2)
    }
    stage = Stage(cmd="", deps=recorded, outs={"out": A})

    said = list(package.disagreements("prepare", stage, {}, Readings(files={}, objects=found, params={})))
    assert bool(said) == is_said


@pytest.mark.usefixtures("repository")
def test_data_is_what_dvc_tracks_what_is_in_data_and_what_is_not_code() -> None:
    data = ["data/a.parquet", "data/settings.yaml", "a.CSV", "a.png", "a.bin", "tables", "tracked.py", "tracked/b.py"]
    others = ["src/a.py", "src/A.PY", "query.sql", "Makefile", "folder", "https://a.org/x.csv", "a.toml", "README.md"]
    write({"folder/code.py": "", "tables/a.csv": ""})
    write({f"{name}.dvc": f"outs: [{{path: {name}, md5: {A}}}]\n" for name in ("tracked.py", "tracked")})
    paths = [*data, *others, "requirements.txt", "requirements-gpu.txt"]
    assert [path for path in paths if package.is_data(path)] == data


def reading(*paths: str, made: str = "out") -> dict[str, Stage]:
    """A chain of one stage that reads these paths."""
    return {"stage": Stage(cmd="", deps=dict.fromkeys(paths, A), outs={made: A})}


@pytest.mark.usefixtures("repository")
def test_of_a_folder_in_which_a_stage_writes_too_the_other_files_are_inputs() -> None:
    write({f"data/{name}": name for name in ("made.csv", "raw.csv", "deep/raw.csv", ".gitignore")})
    found = package.describe_inputs(reading("data", made="data/made.csv"), {})
    assert [entry.path for entry in found] == ["data/deep/raw.csv", "data/raw.csv"]


@pytest.mark.parametrize("value", [json.loads("[" * 250 + "]" * 250), 10**5000], ids=["deep", "large"])
def test_metrics_that_could_not_be_read_again_are_refused(value: Any) -> None:
    package.refuse_unreadable(Manifest.model_validate(document()))
    odd = Manifest.model_validate(document() | {"metrics": {"reports/own.json": value}})
    with pytest.raises(
        Problem, match=r"^dvc\.yaml: a stage of your own has metrics or parameters that no manifest can"
    ):
        package.refuse_unreadable(odd)


@pytest.mark.usefixtures("repository")
def test_the_origin_of_an_input_is_what_its_pointer_names_without_credentials() -> None:
    address, cleaned = "https://ada:token@example.org/lake", "https://example.org/lake"
    sources = {
        "added": "",
        "fetched.csv": f"deps: [{{path: '{address}', checksum: e}}]\n",
        "imported.csv": f"deps: [{{path: lake/a.csv, repo: {{url: '{address}', rev_lock: {A}}}}}]\n",
    }
    write({name: name for name in ("added/c.csv", "fetched.csv", "imported.csv", "kept.csv")})
    write({f"{name}.dvc": f"{deps}outs: [{{path: {name}, md5: {A}}}]\n" for name, deps in sources.items()})
    found = package.describe_inputs(reading("kept.csv", *sources), {"kept.csv": 10})
    added, fetched, imported, kept = (entry.origin for entry in found)
    nothing = {"url": None, "path": None, "revision": None, "etag": None}

    assert [entry.path for entry in found] == ["added/c.csv", "fetched.csv", "imported.csv", "kept.csv"]
    assert added == Origin(tracked_by="added.dvc", **nothing)
    assert fetched == Origin(tracked_by="fetched.csv.dvc", **nothing | {"url": cleaned, "etag": "e"})
    source = {"url": cleaned, "path": "lake/a.csv", "revision": A}
    assert imported == Origin(tracked_by="imported.csv.dvc", **nothing | source)
    assert (kept, found[-1].rows, found[-1].sha256) == (None, 10, digest(Path("kept.csv")).sha256)


def test_an_input_that_is_a_link_is_refused_unless_it_leads_to_dvcs_cache(repository: Project) -> None:
    write({"table.csv": "1", "outside.csv": "1"})
    repository.run("dvc config -q cache.type symlink")
    repository.run("dvc add -q table.csv")
    Path("link.csv").symlink_to("outside.csv")
    assert Path("table.csv").is_symlink()
    assert [entry.md5 for entry in package.describe_inputs(reading("table.csv"), {})] == [md5_of(b"1")]
    Path("folder").mkdir()
    Path("folder/linked").symlink_to("..")
    with pytest.raises(Problem, match=r"^folder/linked: is a link to a folder, and DVC does not see what is in it"):
        package.describe_inputs(reading("folder"), {})
    with pytest.raises(Problem, match=r"^link\.csv: is a link, and not to DVC's cache; put the file itself there"):
        package.describe_inputs(reading("table.csv", "link.csv"), {})


PIPELINE = """metrics: [top.yaml]
stages:
  clean: {cmd: x, outs: [top.yaml], metrics: [a.toml, {b.json: {cache: false}}]}
  train: {cmd: x, metrics: [reports/metrics.json]}
  after: {cmd: x, metrics: [c.json]}
"""


@pytest.mark.usefixtures("repository")
def test_metrics_of_every_stage_behind_are_recorded_under_their_paths() -> None:
    contents = {"reports/metrics.json": '{"r2": 1}', "a.toml": "x = 1", "b.json": '{"y": 2}', "top.yaml": "z: .nan"}
    write(contents | {"dvc.yaml": PIPELINE})
    stages = {"clean": Stage(cmd="x", outs=dict.fromkeys(contents, A))}
    expected = {"r2": 1, "a.toml": {"x": 1}, "b.json": {"y": 2}, "top.yaml": {"z": "nan"}}
    assert package.read_metrics(stages) == expected
    for name in ("b.json", "a.toml"):
        write({name: "{"})
        with pytest.raises(Problem, match=f"^{name}: not readable as metrics: "):
            package.read_metrics(stages)


def test_a_run_says_whether_head_holds_what_decided_it(repository: Project, monkeypatch: Any, capsys: Any) -> None:
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


def test_the_first_record_is_kept_unless_a_clean_run_can_replace_another(repository: Project) -> None:
    """Whoever makes a repository of their own from the template has none of the template's commits."""
    commit = repository.commit("Start")
    clean, dirty, without = (recorded(kind, commit) for kind in (False, True, None))
    elsewhere, changed = recorded(dirty=False), recorded(dirty=True, metrics={})
    for kind, first in [(False, clean), (True, clean), (True, dirty), (None, without)]:
        assert package.with_first_record(recorded(kind, commit), first) is first
    for new, first in [(clean, dirty), (clean, without), (clean, elsewhere), (changed, clean), (clean, None)]:
        assert package.with_first_record(new, first) is new


@pytest.fixture
def released(repository: Project) -> Manifest:
    """A manifest that is tagged in the repository in which the test runs."""
    manifest = recorded(dirty=False)
    write({"models/v1.0.0/manifest.json": manifest.to_bytes().decode()})
    repository.commit("Package it")
    repository.run("git tag -am Released penguins@v1.0.0")
    return manifest


def test_a_release_is_frozen_under_any_name_and_what_differs_is_said(released: Manifest) -> None:
    params = document()["params"] | {"estimator": {"C": 2.0, "class": "sklearn.linear_model.LogisticRegression"}}
    new = recorded(dirty=False, params=params, metrics={"balanced_accuracy": {"test": 0.5}})

    assert package.refuse_to_change_a_release(recorded(dirty=True), None) == released
    other = recorded(dirty=False, name="others")
    for changed, current in [(new, released), (new, new), (new, None), (other, released)]:
        with pytest.raises(Problem) as caught:
            package.refuse_to_change_a_release(changed, current)
        assert caught.value.lines[0].startswith("models/v1.0.0: released as penguins@v1.0.0, so it is not overwritten;")
        assert caught.value.lines[1:] == (("  parameters: estimator.C: 1.0 → 2.0",) if changed is new else ())
