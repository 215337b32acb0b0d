"""A pipeline of the user's own: stages before, between and after ours, made from several tables of different origin."""

import json
import shutil
from pathlib import Path

import pytest
from projects import SOURCE, VERSION, Project, append, built_once
from ruamel.yaml import YAML

from record.checksums import md5_of
from record.tracking import missing_from

ADDED, IMPORTED = "data/raw/seasons/later.parquet", "data/raw/earlier.parquet"
CLEAN = """
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML

least = YAML(typ="safe").load(open("params.yaml"))["clean"]["least_mass"]
both = pa.concat_tables([pq.read_table("data/raw/earlier.parquet"), pq.read_table("data/raw/seasons/later.parquet")])
pq.write_table(both.filter(pc.greater(both["body_mass_g"], least)), "data/clean.parquet")
open("reports/cleaned.json", "w").write('{"kept": %d}' % len(both))
"""
FEATURES = """
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

Path("data/features").mkdir(exist_ok=True)
for part in ("train", "test"):
    table = pq.read_table(f"data/prepared/{part}.parquet")
    ratio = pc.divide(table["bill_length_mm"], table["bill_depth_mm"])
    pq.write_table(table.append_column("bill_ratio", ratio), f"data/features/{part}.parquet", store_schema=False)
"""
STAGES = {
    "clean": {
        "cmd": "python src/clean.py",
        "deps": ["src/clean.py", ADDED, IMPORTED],
        "params": ["clean"],
        "outs": ["data/clean.parquet"],
        "metrics": [{"reports/cleaned.json": {"cache": False}}],
    },
    "features": {
        "cmd": "python src/features.py",
        "deps": ["src/features.py", "data/prepared/train.parquet", "data/prepared/test.parquet"],
        "outs": ["data/features"],
    },
}
CHAIN = ["clean", "prepare", "features", "train"]


def edit(project: Project, name: str) -> "Edited":
    return Edited(project.path / name)


class Edited:
    """A YAML file that is changed in the block and written after it."""

    def __init__(self, path: Path) -> None:
        self.path, self.yaml = path, YAML()

    def __enter__(self) -> dict:
        self.document = self.yaml.load(self.path)
        return self.document

    def __exit__(self, *_: object) -> None:
        self.yaml.dump(self.document, self.path)


def with_own_stages(project: Project) -> None:
    """The edits of a user who adds a stage before `prepare` and one after it."""
    (project.path / "src/clean.py").write_text(CLEAN)
    (project.path / "src/features.py").write_text(FEATURES)
    with edit(project, "dvc.yaml") as pipeline:
        stages = pipeline["stages"]
        stages |= STAGES
        deps = stages["train"]["deps"]
        stages["train"]["cmd"] = "python src/train.py data/features"
        stages["train"]["deps"] = [dep.replace("data/prepared", "data/features") for dep in deps]
    with edit(project, "params.yaml") as params:
        params["clean"] = {"least_mass": 3000}
        params["data"]["path"] = "data/clean.parquet"
        params["package"]["version"] = "v2.0.0"


@pytest.fixture(scope="module")
def released(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone with the two stages, a table in a folder that was added and an imported one; v2.0.0 is released."""

    def build(folder: Path) -> None:
        source = Project(folder / "source")
        source.path.mkdir()
        source.type("git init -q && dvc init -q")
        shutil.copy(finished.path / "data/raw/penguins_v1.0.0.parquet", source.path / "table.parquet")
        source.run("dvc add -q table.parquet")
        source.commit("Keep a table")
        project = finished.copy(folder / "project")
        project.run(f"dvc import -q {source.path} table.parquet -o {IMPORTED}")
        (project.path / ADDED).parent.mkdir()
        shutil.copy(project.path / SOURCE, project.path / ADDED)
        project.run("dvc add -q data/raw/seasons")
        with_own_stages(project)
        project.release()

    return Project(built_once(tmp_path_factory, "any-pipeline", build) / "project")


@pytest.fixture
def own(released: Project, tmp_path: Path) -> Project:
    return released.copy(tmp_path / "project")


def manifest(project: Project, version: str = "v2.0.0") -> dict:
    return json.loads((project.path / "models" / version / "manifest.json").read_text())


def versions(project: Project, what: str) -> list[str]:
    return [row["version"] for row in json.loads(project.ask(f"trace {what} --json", check=False).stdout)]


def test_the_manifest_names_every_stage_parameter_file_and_origin(released: Project) -> None:
    made = manifest(released)
    imported, added = made["inputs"]
    source = Project(released.path.parent / "source")

    assert list(made["stages"]) == CHAIN
    assert made["stages"]["clean"]["params"]["params.yaml"] == {"clean": {"least_mass": 3000}}
    assert {"src/clean.py", ADDED, IMPORTED} == made["stages"]["clean"]["deps"].keys()
    assert (imported["path"], added["path"]) == (IMPORTED, ADDED)
    assert imported["origin"] == {
        "tracked_by": f"{IMPORTED}.dvc",
        "url": str(source.path),
        "path": "table.parquet",
        "revision": source.head(),
        "etag": None,
    }
    assert added["origin"]["tracked_by"] == "data/raw/seasons.dvc"
    assert made["data"]["train"]["path"] == "data/features/train.parquet"
    assert "bill_ratio" in [feature["name"] for feature in made["model"]["features"]]
    assert made["metrics"]["reports/cleaned.json"] == {"kept": 568}
    assert made["run"]["git"]["dirty"] is False
    assert released.run("git tag --list").stdout.split() == ["penguins@v2.0.0"]


def test_trace_finds_the_version_by_each_raw_file_its_code_and_its_commit(released: Project) -> None:
    for what in (ADDED, IMPORTED, "src/clean.py", "src/features.py", manifest(released)["run"]["git"]["commit"]):
        assert "v2.0.0" in versions(released, what), what


def test_show_and_diff_name_the_stages_of_ones_own(released: Project) -> None:
    shown = released.ask("show v2.0.0").stdout
    changes = json.loads(released.ask(f"diff {VERSION} v2.0.0 --json").stdout)["changes"]

    assert [line for line in shown.splitlines() if line.startswith("── clean: python src/clean.py")]
    assert "table.parquet" in shown or str(released.path.parent / "source") in shown
    assert {"src/clean.py", "src/features.py", "clean.cmd", "features.cmd"} <= {c["name"] for c in changes["code"]}
    assert "clean.least_mass" in {c["name"] for c in changes["parameters"]}


@pytest.mark.parametrize("path", [ADDED, IMPORTED, "src/clean.py", "data/clean.parquet", "data/features/train.parquet"])
def test_one_changed_byte_anywhere_in_the_chain_makes_verify_fail(own: Project, path: str) -> None:
    assert own.ask("verify v2.0.0").returncode == 0
    append(own.path / path, b"#")
    done = own.ask("verify v2.0.0", check=False)

    assert done.returncode == 1
    assert path.removesuffix("/train.parquet") in done.stdout


def test_the_version_is_rebuilt_byte_for_byte_though_what_it_imported_from_is_gone(
    released: Project, own: Project
) -> None:
    source = released.path.parent / "source"
    gone = source.rename(source.with_name("gone"))
    try:
        assert "v2.0.0: rebuilt byte for byte" in own.ask("rebuild v2.0.0").stdout
    finally:
        gone.rename(source)


def test_a_change_that_a_stage_absorbs_is_in_the_lineage_after_the_command_that_verify_names(own: Project) -> None:
    own.set(package__version="v2.1.0")
    code = own.path / "src/clean.py"
    code.write_text(f"{CLEAN}# the same rows\n")
    own.commit("Reword a comment")
    own.run("dvc repro")
    own.commit("Run the pipeline")
    code.write_text(CLEAN)
    own.commit("Take it back")
    own.run("dvc repro")
    said = own.ask("verify v2.1.0", check=False).stdout
    assert "src/clean.py: clean reads it" in said
    hint = next(line for line in said.splitlines() if "clean reads it" in line).rpartition("; ")[2]
    own.type(hint)

    assert own.ask("verify v2.1.0", check=False).returncode == 0


def test_a_stage_that_dvc_lock_does_not_record_is_named(project: Project) -> None:
    with edit(project, "dvc.yaml") as pipeline:
        pipeline["stages"]["sample"] = {"cmd": "cp a b", "outs": ["data/sample.parquet"]}
        pipeline["stages"]["train"]["deps"].append("data/sample.parquet")
    shutil.copy(project.path / SOURCE, project.path / "data/sample.parquet")
    project.run("dvc commit --force train")
    done = project.run("python src/package.py", check=False)

    assert done.returncode == 1
    assert "data/sample.parquet: the stage 'sample' makes it, but dvc.lock does not record that" in done.stderr


def test_a_pipeline_in_a_subfolder_that_the_chain_leads_into_is_named(project: Project) -> None:
    folder = project.path / "data/download"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(
        "stages:\n  get:\n    cmd: cp ../raw/penguins_v1.0.0.parquet t.parquet\n    outs: [t.parquet]\n"
    )
    with edit(project, "dvc.yaml") as pipeline:
        pipeline["stages"]["prepare"]["deps"].append("data/download/t.parquet")
    project.set(package__version="v1.1.0")
    done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "data/download/t.parquet: data/download/dvc.yaml makes it" in done.stderr


def test_foreach_stages_and_a_calibration_after_train_are_in_the_chain(project: Project) -> None:
    (project.path / "src/part.py").write_text(
        "import sys\nimport pyarrow.compute as pc\nimport pyarrow.parquet as pq\n"
        f"table = pq.read_table('{SOURCE}')\n"
        "pq.write_table(table.filter(pc.equal(table['island'], sys.argv[1])), f'data/{sys.argv[1]}.parquet')\n"
    )
    (project.path / "src/join.py").write_text(
        "import pyarrow as pa\nimport pyarrow.parquet as pq\n"
        "parts = [pq.read_table(f'data/{name}.parquet') for name in ('Biscoe', 'Dream')]\n"
        "pq.write_table(pa.concat_tables(parts), 'data/islands.parquet')\n"
    )
    (project.path / "src/calibrate.py").write_text(CALIBRATE)
    with edit(project, "dvc.yaml") as pipeline:
        stages = pipeline["stages"]
        item = {
            "cmd": "python src/part.py ${item}",
            "deps": ["src/part.py", SOURCE],
            "outs": ["data/${item}.parquet"],
        }
        stages["part"] = {"foreach": ["Biscoe", "Dream"], "do": item}
        parts = ["data/Biscoe.parquet", "data/Dream.parquet"]
        stages["join"] = {
            "cmd": "python src/join.py",
            "deps": ["src/join.py", *parts],
            "outs": ["data/islands.parquet"],
        }
        stages["calibrate"] = {
            "cmd": "python src/calibrate.py",
            "deps": [
                "src/calibrate.py",
                "src/modeling",
                "src/record",
                "models/candidate",
                "data/prepared/train.parquet",
            ],
            "outs": ["models/calibrated"],
        }
        package = stages["package"]
        package["cmd"] = "python src/package.py models/calibrated"
        package["deps"] = [dep.replace("models/candidate", "models/calibrated") for dep in package["deps"]]
    project.set(data__path="data/islands.parquet", package__version="v3.0.0")
    project.commit("Calibrate a model of two islands")
    project.run("dvc repro")
    project.commit("Run the pipeline")
    made = manifest(project, "v3.0.0")

    assert list(made["stages"]) == ["part@Biscoe", "part@Dream", "join", "prepare", "train", "calibrate"]
    assert [entry["path"] for entry in made["inputs"]] == [SOURCE]
    assert made["model"]["steps"][-1]["class"] == "sklearn.calibration.CalibratedClassifierCV"
    assert made["run"]["git"]["dirty"] is False
    assert project.ask("verify v3.0.0").returncode == 0
    project.run(f"python src/predict.py models/v3.0.0 {SOURCE} scored.csv")


CALIBRATE = """
from pathlib import Path

import joblib
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from modeling.estimator import describe
from modeling.table import features_and_target, read_table
from record.notes import CANDIDATE, DESCRIPTION, MODEL, Description, Readings
from record.parameters import read_parameters

train, target = Path("data/prepared/train.parquet"), Path("models/calibrated")
readings = Readings.start(CANDIDATE / MODEL, CANDIDATE / DESCRIPTION, train, params={})
table, parameters = read_table(train), read_parameters()
model = joblib.load(CANDIDATE / MODEL)
features, classes = features_and_target(table, parameters)
calibrated = CalibratedClassifierCV(FrozenEstimator(model[-1])).fit(model[:-1].transform(features), classes)
pipeline = Pipeline([("preprocess", model[0]), ("model", calibrated)])
target.mkdir(exist_ok=True)
joblib.dump(pipeline, target / MODEL)
described = describe(pipeline, table, parameters, None)
notes = Description.read(CANDIDATE / DESCRIPTION).model_copy(update={"fitted": described, "readings": readings})
notes.write(target / DESCRIPTION)
"""


def test_a_stage_that_is_put_before_unchanged_bytes_is_missed_by_verify_until_it_is_recorded(here: Project) -> None:
    """DVC does not run `package` again where none of its dependencies changed."""
    here.set(package__version="v1.1.0")
    here.commit("Ask for v1.1.0")
    here.run("dvc repro")
    shutil.copy(here.path / SOURCE, here.path / "data/source.bin")
    with edit(here, "dvc.yaml") as pipeline:
        fetch = {
            "cmd": f"cp data/source.bin {SOURCE}",
            "deps": ["data/source.bin"],
            "outs": [{SOURCE: {"cache": False}}],
        }
        pipeline["stages"]["fetch"] = fetch
    here.commit("Fetch the table")
    here.run("dvc repro")
    said = here.ask("verify v1.1.0", check=False).stdout
    line = next(line for line in said.splitlines() if "fetch: the model rests on it" in line)
    assert "FAILED" in line
    here.type(line.rpartition("; ")[2])
    here.commit("Run the pipeline")

    assert here.ask("verify v1.1.0", check=False).returncode == 0
    assert list(manifest(here, "v1.1.0")["stages"]) == ["fetch", "prepare", "train"]
    assert "v1.1.0" in versions(here, "data/source.bin")


def test_a_released_version_that_is_not_reproducible_is_found_not_to_be(here: Project) -> None:
    (here.path / "src/noise.py").write_text("import uuid\nopen('data/noise.txt', 'w').write(uuid.uuid4().hex)\n")
    with edit(here, "dvc.yaml") as pipeline:
        outs = ["data/noise.txt"]
        pipeline["stages"]["noise"] = {"cmd": "python src/noise.py", "deps": ["src/noise.py", SOURCE], "outs": outs}
        pipeline["stages"]["prepare"]["deps"] += outs
    here.set(package__version="v1.1.0")
    here.release()
    done = here.ask("rebuild v1.1.0", check=False)

    assert done.returncode == 1
    assert "differs    data/noise.txt" in done.stdout


SETTINGS = {"settings.py": "class Sample:\n    rows = 300\n", "settings.json": '{\n\t"name": "\\ud83d\\ude00"\n}'}
SAMPLE = f"""
import json
import pyarrow.parquet as pq
from settings import Sample

pq.write_table(pq.read_table("{SOURCE}")[: Sample.rows], "data/sample.parquet")
open("reports/sample.json", "w").write(json.dumps({{"note": "😀", "share": float("nan")}}, indent="\t"))
"""


@pytest.mark.long
def test_a_stage_that_always_runs_with_settings_of_python_and_json_is_verified_and_released(here: Project) -> None:
    for name, text in SETTINGS.items():
        (here.path / "src" / name).write_text(text)
    (here.path / "src/sample.py").write_text(SAMPLE)
    with edit(here, "dvc.yaml") as pipeline:
        pipeline["stages"]["sample"] = {
            "cmd": "python src/sample.py",
            "deps": ["src/sample.py", SOURCE],
            "params": [{"src/settings.py": ["Sample.rows"]}, {"src/settings.json": ["name"]}],
            "outs": ["data/sample.parquet"],
            "metrics": [{"reports/sample.json": {"cache": False}}],
            "always_changed": True,
        }
    here.set(data__path="data/sample.parquet", package__version="v1.1.0")
    here.release()

    made = manifest(here, "v1.1.0")
    assert made["stages"]["sample"]["params"]["src/settings.py"] == {"Sample.rows": 300}
    assert made["metrics"]["reports/sample.json"] == {"note": "😀", "share": "nan"}
    assert here.ask("verify v1.1.0").returncode == 0


def test_what_lies_beside_the_project_in_its_repository_is_held_by_its_commit(here: Project) -> None:
    whole = Project(here.path.parent)
    whole.type(
        "git init -q -b main && mv project/.git away && git add project && mkdir shared && echo 1 > shared/a.csv"
    )
    whole.commit("Keep a project beside what it shares")
    files = {name: md5_of(b"1\n") for name in ("../shared/a.csv", "../shared/b.csv", "../../a.csv", "/a.csv")}
    missing = missing_from(whole.head(), files | {"/shared": f"{md5_of(b'')}.dir"})

    assert missing == dict.fromkeys(["../shared/b.csv", "../../a.csv", "/a.csv", "/shared"], "no such file")
