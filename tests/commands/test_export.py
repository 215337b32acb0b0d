"""Exports, each checked by what its own project says it must be: the schema of CycloneDX, in-toto's types, skopeo."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement, statement_pb2
from jsonschema import Draft202012Validator
from keys import TEXT, strict, write_key
from projects import CHECKOUT, PACKAGE, VERSION, Project, append
from tables import PENGUINS, RIDGE, dumped, make_parameters, reseal, seal, write_package_of

from commands import export
from commands.attestations import Outcome, statement_of
from commands.export import run, unfinished
from commands.versions import Version
from modeling.estimator import describe, fit_pipeline
from record import models, signatures, tracking
from record.bundles import read_private_key
from record.checksums import digest
from record.files import to_json
from record.models import CHECKED, MANIFEST, MODEL, REQUIREMENTS, SIGNATURE, SUMS
from record.problem import Problem

FOLDER = Path(PACKAGE)
LAYOUT = Path("exports/penguins-v1.0.0-oci")
SCHEMA_1 = Path(__file__).parent.parent / "record/manifest_schema_1.json"
EVIL = 'a\x1b[31m\r\nb\u202e\u2066</script>%"c'


def of_schema_1() -> None:
    """The package is one that was made when manifests had another form."""
    (FOLDER / MANIFEST).write_bytes(SCHEMA_1.read_bytes())
    seal(FOLDER, b"an old model", environment__requirements_sha256=digest(FOLDER / REQUIREMENTS).sha256)


def of_regression() -> None:
    """The package is of a model that predicts a number."""
    parameters = make_parameters(RIDGE, "mass_g", "regression")
    pipeline = fit_pipeline(PENGUINS, parameters)
    fitted = describe(pipeline, PENGUINS, parameters, None).model_dump(by_alias=True)
    metrics = {"r2": {"test": 0.5, "cv_mean": 0.25, "cv_std": 0.125, "baseline": -0.5}, "folds": [0.0, 0.5]}
    changes = {f"model__{key}": value for key, value in fitted.items()}
    seal(FOLDER, dumped(pipeline), metrics=metrics, params__estimator=RIDGE, **changes)


def of_hostile_names() -> None:
    """The package is a stranger's, who wrote wherever a text can be what no terminal should see."""
    column = {"name": EVIL, "dtype": EVIL, "nullable": False, "kind": "text", "missing": 0.0}
    column |= {"minimum": None, "maximum": None, "values": [EVIL]}
    document = json.loads((FOLDER / MANIFEST).read_bytes())
    for entry in (*document["inputs"], document["data"]["train"]):
        entry["path"] = EVIL
    document["inputs"][1]["origin"]["url"] = document["run"]["git"]["remote"] = EVIL
    document["metrics"] = {EVIL: {EVIL: {EVIL: {EVIL: 1}}}, "slices": {EVIL: {EVIL: {"rows": 1, EVIL: 2}}}, "test": 3}
    document["run"] |= {"platform": EVIL, "experiment": {"name": EVIL, "baseline": "1" * 40}}
    document["warnings"] = [{"name": "leak", "column": EVIL, "text": EVIL}]
    document["params"]["estimator"] = {"class": EVIL, EVIL: [EVIL]}
    document["environment"]["packages"] = {EVIL: EVIL}
    model = {"model__target": EVIL, "model__features": [column], "model__classes": [EVIL, EVIL]}
    seal(FOLDER, **{key: value for key, value in document.items() if key != "model"}, **model)


KINDS = [lambda: None, of_regression, of_schema_1, of_hostile_names]
each_kind = pytest.mark.parametrize("become", KINDS, ids=["classification", "regression", "schema 1", "hostile names"])


@pytest.fixture
def package(repository: Project) -> Path:
    """A package under models/ of a repository in which nothing was committed, and in which the test runs."""
    write_package_of(FOLDER)
    return repository.path / FOLDER


def exported(form: str, version: str = VERSION) -> Any:
    """The document that is printed."""
    told = run(version, form)
    assert all(line.isprintable() and line.isascii() for line in told.lines)
    assert json.loads("\n".join(told.lines)) == told.facts
    return told.facts


def without_model(folder: Path) -> None:
    (folder / MODEL).unlink()


# ── CycloneDX ──────────────────────────────────────────────────────────────────────────────────────────────────────


@each_kind
@pytest.mark.usefixtures("package")
def test_a_bill_of_materials_is_valid_in_strict_mode_and_contradicts_itself_nowhere(become: Callable[[], None]) -> None:
    become()
    bom = exported("cyclonedx")
    model, components = bom["metadata"]["component"], bom["components"]
    refs = [component["bom-ref"] for component in (model, *components)]
    card = model["modelCard"]["modelParameters"]

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None
    assert len({*refs}) == len(refs)
    assert [entry["ref"] for entry in bom["dependencies"]] == refs
    assert {ref for entry in bom["dependencies"] for ref in entry["dependsOn"]} == {*refs[1:]}
    assert {entry["ref"] for entry in card["datasets"]} <= {*refs}
    assert {"alg": "SHA-256", "content": digest(FOLDER / MODEL).sha256} in model["hashes"]


@pytest.mark.usefixtures("package")
def test_a_model_card_says_the_task_the_columns_and_each_score_with_where_it_was_computed() -> None:
    test, more = {"accuracy": 0.75}, {"reports/drift.json": {"psi": {"mass": {"q1": 0.5}}}, "folds": [0.5]}
    metrics = {"balanced_accuracy": {"test": 0.875, "cv_std": 1e-9}, "test": test, "baseline": {"accuracy": 0.5}} | more
    slices = {"island": {"Dream": {"rows": 3, "balanced_accuracy": 1.0, "roc_auc": None}}}
    warning = {"name": "leak", "column": "x", "text": "column 'x': determines the target"}
    seal(FOLDER, metrics=metrics | {"slices": slices}, warnings=[warning])
    card = exported("cyclonedx")["metadata"]["component"]["modelCard"]

    assert card["modelParameters"]["task"] == "classification"
    assert {"format": "mass_g: int64"} in card["modelParameters"]["inputs"]
    assert card["modelParameters"]["outputs"] == [{"format": "sex: female, male"}]
    scores = [
        (score["type"], score.get("slice"), score["value"]) for score in card["quantitativeAnalysis"].popitem()[1]
    ]
    assert scores == [
        ("balanced_accuracy", "test", "0.875"),
        ("balanced_accuracy", "cv_std", "1e-09"),
        ("accuracy", "test", "0.75"),
        ("accuracy", "baseline", "0.5"),
        ("reports/drift.json.psi.mass.q1", None, "0.5"),
        ("balanced_accuracy", "island: Dream", "1.0"),
    ]
    assert card["considerations"]["technicalLimitations"] == ["column 'x': determines the target"]
    assert {"name": "lineage:estimator:C", "value": "1.0"} in card["properties"]


LOCK = """\
# made by a tool; for all
--index-url https://example.org/simple
numpy==2.4.6 \\
    --hash=sha256:{0} \\
    --hash=sha256:{0}
Torch_Geometric==2.1+cpu ; python_full_version >= '3.11' and sys_platform == 'linux' \\
    --hash=sha256:{0}
pywin32==312 ; sys_platform == 'win32'
pexpect==4.9.0 ; os_name == 'posix'  # a comment; of two parts
old==1.0 ; python_version < '3.11'
new==1.0 ; python_full_version >= '3.13.1' and implementation_name == 'cpython'
arm==1.0 ; platform_machine == 'arm64' or platform_system == 'Darwin'
""".format("0" * 64)
COMMON = {"pkg:pypi/numpy@2.4.6", "pkg:pypi/joblib@1.6.0"}
LINUX = {"pkg:pypi/torch-geometric@2.1%2Bcpu", "pkg:pypi/pexpect@4.9.0"}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("platform", "python", "purls"),
    [
        ("Linux-x86_64", "3.11.7", LINUX),
        ("Windows-AMD64", "3.13.1", {"pkg:pypi/pywin32@312", "pkg:pypi/new@1.0"}),
        ("Darwin-arm64", "3.10.2", {"pkg:pypi/arm@1.0", "pkg:pypi/old@1.0", "pkg:pypi/pexpect@4.9.0"}),
    ],
)
def test_the_packages_are_those_of_the_lock_that_the_machine_installed_which_made_the_model(
    platform: str, python: str, purls: set[str]
) -> None:
    (FOLDER / REQUIREMENTS).write_text(LOCK)
    environment = {"environment__python": python, "environment__packages": {"joblib": "1.6.0"}}
    sha256 = digest(FOLDER / REQUIREMENTS).sha256
    seal(FOLDER, run__platform=platform, environment__requirements_sha256=sha256, **environment)
    bom = exported("cyclonedx")
    libraries = {found["purl"]: found for found in bom["components"] if found["type"] == "library"}

    assert libraries.keys() == COMMON | purls
    assert {*bom["dependencies"][0]["dependsOn"]} > COMMON | purls
    assert (libraries["pkg:pypi/numpy@2.4.6"]["name"], libraries["pkg:pypi/numpy@2.4.6"]["version"]) == (
        "numpy",
        "2.4.6",
    )


@pytest.mark.usefixtures("package")
def test_a_line_of_the_lock_that_means_nothing_is_named() -> None:
    for line in ("numpy>=2", "numpy==2 ; no_such == 'x'", "numpy==2 ; python_version"):
        (FOLDER / REQUIREMENTS).write_text(f"{line}\n")
        seal(FOLDER, environment__requirements_sha256=digest(FOLDER / REQUIREMENTS).sha256)
        with pytest.raises(Problem, match=f"^requirements.txt: expected .*, found '{line}'$"):
            run(VERSION, "cyclonedx")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("git@example.org:ada/penguins.git", "ssh://git@example.org/ada/penguins.git"),
        ("https://example.org/my penguins", "https://example.org/my%20penguins"),
    ],
)
def test_the_address_of_the_repository_is_a_url_in_every_format(remote: str, url: str) -> None:
    seal(FOLDER, run__git__remote=remote)
    vcs = {"type": "vcs", "url": url, "comment": "4" * 40}
    sources = exported("slsa")["predicate"]["buildDefinition"]["resolvedDependencies"]
    run(VERSION, "oci")

    assert exported("cyclonedx")["metadata"]["component"]["externalReferences"] == [vcs]
    assert sources[0] == {"uri": f"git+{url}@{'4' * 40}", "name": "repository", "digest": {"gitCommit": "4" * 40}}
    assert parts_of(LAYOUT)[1]["descriptor"]["sourceURL"] == url


# ── SLSA ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse(document: dict[str, Any]) -> None:
    """Read a statement by the types of in-toto and SLSA, which know no other keys, and lose nothing of it."""
    found = json_format.Parse(json.dumps(document), statement_pb2.Statement())
    statement.Statement.copy_from_pb(found).validate()
    predicate = json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())
    assert json_format.MessageToDict(predicate) == document["predicate"]


@each_kind
@pytest.mark.usefixtures("package")
def test_provenance_parses_strictly_and_its_subjects_are_the_files_of_the_package(become: Callable[[], None]) -> None:
    become()
    document = exported("slsa")
    manifest = json.loads((FOLDER / MANIFEST).read_bytes())

    parse(document)
    with pytest.raises(json_format.ParseError):
        parse(document | {"more": 1})
    subjects = {file["name"]: file["digest"]["sha256"] for file in document["subject"]}
    assert subjects == {name: digest(FOLDER / name).sha256 for name in (*CHECKED, SUMS)}
    made = document["predicate"]["runDetails"]
    assert made["metadata"]["finishedOn"] == manifest["run"]["created_at"]
    assert made["byproducts"][1]["digest"] == {"sha256": manifest["data"]["test"]["sha256"]}


def test_provenance_of_the_first_run_and_of_a_rebuild_are_one_idea(package: Path, repository: Project) -> None:
    commit = repository.commit("Package it")
    outcomes = [Outcome(f"{PACKAGE}/{name}", identical=True, cause=None) for name in (*CHECKED, SUMS)]
    rebuilt = statement_of(Version(VERSION, commit), package.parent.parent, outcomes, "0" * 64, "2026-11-27T00:00:00Z")
    first = exported("slsa")

    parse(rebuilt)
    assert rebuilt["subject"] == first["subject"]
    theirs, ours = (found["predicate"]["buildDefinition"] for found in (rebuilt, first))
    assert theirs["resolvedDependencies"][1:] == ours["resolvedDependencies"][1:]
    assert {key: theirs["externalParameters"][key] for key in ours["externalParameters"]} == ours["externalParameters"]
    assert len(ours["resolvedDependencies"]) > 3


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("record", [None, {"commit": "4" * 40, "dirty": True, "remote": None}])
def test_where_no_commit_holds_it_all_provenance_names_each_file_of_code(record: dict[str, Any] | None) -> None:
    code = {"name": "src/prepare.py", "digest": {"md5": "1" * 32}}
    assert code not in exported("slsa")["predicate"]["buildDefinition"]["resolvedDependencies"]

    seal(FOLDER, run__git=record)
    sources = exported("slsa")["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert code in sources
    assert ({"name": "repository", "digest": {"gitCommit": "4" * 40}} in sources) is (record is not None)


# ── OCI ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
LAYERS = {"type": "array", "items": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}, "minItems": 1}
CONFIG = strict(  # https://github.com/modelpack/model-spec/blob/main/docs/config.md, as far as it is used here
    descriptor=strict(createdAt=TIME, name=TEXT, version=TEXT, description=TEXT)
    | {"additionalProperties": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]}},
    config=strict(architecture=TEXT, format={"const": "joblib"}),
    modelfs=strict(type={"const": "layers"}, diffIds=LAYERS),
)


def read_blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    """What a descriptor names, which must have the size and the digest that it says."""
    content = (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
    assert len(content) == descriptor["size"]
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == descriptor["digest"]
    return content


def parts_of(layout: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """The manifest, the configuration and the files by name, found as a registry finds them: from the index on."""
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    manifest = json.loads(read_blob(layout, entry))
    files = {layer["annotations"]["org.cncf.model.filepath"]: read_blob(layout, layer) for layer in manifest["layers"]}
    named = [entry, manifest["config"], *manifest["layers"]]
    assert {path.name for path in layout.glob("blobs/sha256/*")} == {found["digest"][7:] for found in named}
    assert entry["artifactType"] == manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    return manifest, json.loads(read_blob(layout, manifest["config"])), files


@each_kind
def test_a_layout_has_every_file_of_the_package_under_its_digest(package: Path, become: Callable[[], None]) -> None:
    become()
    told = run(VERSION, "oci")
    manifest, config, files = parts_of(LAYOUT)

    assert files == {path.name: path.read_bytes() for path in package.iterdir()}
    types = [layer["mediaType"].removeprefix("application/vnd.cncf.model.") for layer in manifest["layers"]]
    assert types == ["weight.v1.raw", "weight.config.v1.raw", "doc.v1.raw", "doc.v1.raw"]
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    Draft202012Validator(CONFIG).validate(config)
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]
    assert all(isinstance(value, str) for value in manifest["annotations"].values())
    assert told.facts["path"] == LAYOUT.as_posix()
    assert told.facts["digest"] == json.loads((LAYOUT / "index.json").read_bytes())["manifests"][0]["digest"]
    assert f"skopeo copy oci:{LAYOUT.as_posix()}:v1.0.0 docker://" in told.lines[0]


@pytest.mark.usefixtures("package")
def test_a_revision_is_named_only_where_it_holds_all_that_made_the_model() -> None:
    for dirty in (True, False):
        seal(FOLDER, run__git__dirty=dirty)
        run(VERSION, "oci", Path(f"dirty-{dirty}"))
        manifest, config, _ = parts_of(Path(f"dirty-{dirty}"))
        revisions = (
            config["descriptor"].get("revision"),
            manifest["annotations"].get("org.opencontainers.image.revision"),
        )
        assert revisions == (None, None) if dirty else ("4" * 40, "4" * 40)


def test_a_signature_is_a_layer_too_if_it_is_of_these_files(package: Path, tmp_path: Path) -> None:
    key = write_key(tmp_path, "team")
    content = signatures.sign(VERSION, models.read_package(package), read_private_key(key))
    (package / SIGNATURE).write_bytes(content)
    run(VERSION, "oci")
    assert parts_of(LAYOUT)[2][SIGNATURE] == content

    (package / SIGNATURE).write_bytes(b"{}")
    for form in ("oci", "slsa", "cyclonedx"):
        with pytest.raises(Problem, match=r"^model.sig: "):
            run(VERSION, form)


@pytest.mark.usefixtures("package")
def test_skopeo_inspects_a_layout_and_copies_it_without_changing_its_digest() -> None:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed; apt-get install skopeo")

    def skopeo(*arguments: str) -> bytes:
        return subprocess.run(["skopeo", *arguments], check=True, capture_output=True).stdout

    name = f"sha256:{hashlib.sha256(skopeo('inspect', '--raw', f'oci:{made()}:v1.0.0')).hexdigest()}"
    skopeo("copy", f"oci:{LAYOUT}:v1.0.0", "oci:copied:v1.0.0")
    skopeo("copy", f"oci:{LAYOUT}:v1.0.0", "dir:flat")

    assert name == run(VERSION, "oci").facts["digest"]
    assert json.loads(skopeo("inspect", "--config", "--raw", f"oci:{LAYOUT}"))["descriptor"]["name"] == "penguins"
    copied = [path.name for path in Path("copied/blobs/sha256").iterdir()]
    assert sorted(copied) == sorted(path.name for path in LAYOUT.glob("blobs/sha256/*"))
    assert hashlib.sha256(Path("flat/manifest.json").read_bytes()).hexdigest() == name[7:]
    assert Path("flat", digest(FOLDER / MODEL).sha256).read_bytes() == (FOLDER / MODEL).read_bytes()


def made() -> Path:
    """The layout of the version, where it is by default."""
    return Path(run(VERSION, "oci").facts["path"])


# ── for every format ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["cyclonedx", "slsa"])
def test_a_document_is_the_same_on_every_run_and_needs_no_model(package: Path, form: str) -> None:
    before = run(VERSION, form).lines
    without_model(package)
    told = run(VERSION, form, Path("new/folder/export.json"))
    run(VERSION, form, Path("new/folder/export.json"))

    assert run(VERSION, form).lines == before
    assert Path("new/folder/export.json").read_text() == "\n".join([*before, ""])
    assert [path.name for path in Path("new/folder").iterdir()] == ["export.json"]
    assert told.facts == {"version": VERSION, "format": form, "path": "new/folder/export.json"}


def test_another_manifest_makes_another_serial_number(package: Path) -> None:
    before = exported("cyclonedx")["serialNumber"]
    seal(package, run__created_at="2026-11-23T03:19:01Z")

    assert exported("cyclonedx")["serialNumber"] != before


def test_a_layout_is_the_same_wherever_it_is_written_and_is_left_alone_when_it_is_there(package: Path) -> None:
    first, second = Path(run(VERSION, "oci").facts["path"]), Path("elsewhere")
    run(VERSION, "oci", second)
    written = [(path, path.stat().st_mtime_ns) for path in sorted(first.rglob("*"))]
    without_model(package)

    assert run(VERSION, "oci").facts["digest"] == run(VERSION, "oci", second).facts["digest"]
    assert [(path, path.stat().st_mtime_ns) for path in sorted(first.rglob("*"))] == written
    assert export.found_in(first) == export.found_in(second)


@pytest.mark.parametrize("form", ["cyclonedx", "slsa", "oci"])
def test_nothing_else_is_ever_overwritten(package: Path, form: str) -> None:
    Path("file").write_text("mine")
    Path("folder").mkdir()
    Path("link").symlink_to(package / SUMS)
    Path("dangling").symlink_to("nowhere")
    before = sorted(Path.cwd().iterdir())
    for name in ("file", "folder", "link", "dangling"):
        with pytest.raises(Problem, match=f"^{name}: holds something else, which is not overwritten; move it away, or"):
            run(VERSION, form, Path(name))

    assert sorted(Path.cwd().iterdir()) == before
    assert Path("file").read_text() == "mine"


@pytest.mark.usefixtures("package")
def test_a_layout_that_is_damaged_or_has_more_in_it_is_not_taken_for_this_one() -> None:
    blob = made() / export.oci.blob_of(digest(FOLDER / MODEL).sha256)
    for path, content in ((LAYOUT / "more", b""), (blob, b"another model")):
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        with pytest.raises(Problem, match="holds something else"):
            run(VERSION, "oci")
        path.unlink() if before is None else path.write_bytes(before)
    assert run(VERSION, "oci").holds


def test_a_layout_that_could_not_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with unfinished(tmp_path / "exports/layout") as folder:
            (folder / "half").write_bytes(b"")
            (folder / "missing").read_bytes()

    with pytest.raises(FileNotFoundError):
        fail()
    assert list((tmp_path / "exports").iterdir()) == []


@pytest.mark.parametrize("form", ["cyclonedx", "slsa", "oci"])
def test_a_package_that_is_not_intact_is_not_exported(package: Path, form: str) -> None:
    for name in (REQUIREMENTS, SUMS):
        before = (package / name).read_bytes()
        append(package / name, b"#\n")
        with pytest.raises(
            Problem, match=f"(?s)^{name}: .*python src/lineage.py verify v1.0.0 says what else is wrong$"
        ):
            run(VERSION, form)
        (package / name).write_bytes(before)
    for change in ({"name": "../up"}, {"name": "A b"}, {"version": "v2.0.0"}):
        before = (package / MANIFEST).read_bytes()
        seal(package, **change)
        with pytest.raises(Problem, match=r"^manifest.json: is of "):
            run(VERSION, form)
        (package / MANIFEST).write_bytes(before)
        reseal(package)
    without_model(package)
    (package / MANIFEST).unlink()
    with pytest.raises(Problem, match=r"manifest.json: not found; python src/lineage.py restore v1.0.0$"):
        run(VERSION, form)
    assert not Path("exports").exists()


# ── a model that is not at hand ────────────────────────────────────────────────────────────────────────────────────


def test_a_model_that_only_the_cache_has_is_exported_from_there_unless_it_is_damaged(package: Path) -> None:
    content, model = (package / MODEL).read_bytes(), digest(package / MODEL)
    without_model(package)
    cached, other = tracking.cached(model.md5), tracking.cached("1" * 32)
    for place, found in ((cached, content), (other, b"of another name")):
        place.parent.mkdir(parents=True)
        place.write_bytes(found)
    assert parts_of(made())[2][MODEL] == content
    shutil.rmtree("exports")

    cached.write_bytes(b"x" + content[1:])
    with pytest.raises(Problem, match=r"DVC's cache does not have it, and no commit records it") as caught:
        run(VERSION, "oci")
    assert caught.value.lines[1].startswith("python src/lineage.py restore v1.0.0 brings it back")
    assert not cached.exists()
    assert not Path("exports").exists()


def test_a_manifest_whose_hashes_are_of_two_files_costs_the_cache_nothing(package: Path) -> None:
    good = package.parent / "good"
    good.write_bytes(b"the only copy of another model")
    cached = tracking.cached(digest(good).md5)
    cached.parent.mkdir(parents=True)
    cached.write_bytes(good.read_bytes())
    without_model(package)
    seal_without_model(package, md5=digest(good).md5)

    with pytest.raises(Problem, match="brings it back"):
        run(VERSION, "oci")
    assert cached.read_bytes() == good.read_bytes()


def seal_without_model(folder: Path, **changes: str) -> None:
    """Change what a manifest says of a model that is not there."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["model"] |= changes
    (folder / MANIFEST).write_bytes(to_json(manifest))
    lines = [line.split("  ") for line in (folder / SUMS).read_text().splitlines()]
    sums = {name: sha256 if name == MODEL else digest(folder / name).sha256 for sha256, name in lines}
    (folder / SUMS).write_text("".join(f"{sha256}  {name}\n" for name, sha256 in sums.items()))


def test_a_released_version_is_exported_from_the_remote_by_name_tag_and_after_the_next_one(
    moved_on: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(moved_on.path)
    model = (moved_on.path / PACKAGE / MODEL).read_bytes()
    shutil.rmtree(moved_on.path / PACKAGE)
    shutil.rmtree(moved_on.path / ".dvc/cache")
    told = moved_on.ask("export penguins@v1.0.0 --format oci").stdout
    named = moved_on.ask("export v1.0.0 --format oci --json --output named").stdout

    assert parts_of(LAYOUT)[2][MODEL] == model
    assert json.loads(named)["digest"] in told
    assert moved_on.run("git status --porcelain exports").stdout == ""


def test_the_commands_of_the_page_do_what_it_says(project: Project) -> None:
    page = (CHECKOUT / "docs/exports.md").read_text(encoding="utf-8")
    writes, _, compares, inspects, *_ = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    project.type(writes)

    written = sorted(path.name for path in (project.path / "exports").iterdir())
    assert written == ["penguins-v1.0.0-oci", "penguins.cdx.json", "penguins.slsa.json"]
    assert project.run("git status --porcelain").stdout == ""
    if shutil.which("jq"):
        assert project.type(compares).stdout.count(": OK") == 4
    if shutil.which("skopeo"):
        assert "penguins" in project.type(inspects.splitlines()[0]).stdout


def test_where_nobody_has_the_model_the_command_that_is_named_makes_it_again(own: Project) -> None:
    shutil.rmtree(own.path / ".dvc/cache")
    (own.path / "models/v1.1.0" / MODEL).unlink()
    refused = own.ask("export v1.1.0 --format oci", check=False)
    command = refused.stderr.splitlines()[-1].removeprefix("error: ").partition(" brings it back")[0]

    assert (refused.returncode, refused.stdout, (own.path / "exports").exists()) == (2, "", False)
    own.run(command)
    own.ask("export v1.1.0 --format oci")
    assert (own.path / "exports/penguins-v1.1.0-oci/index.json").is_file()


@pytest.mark.parametrize(("asked", "version"), [("main", "v1.0.0"), ("forest", "v1.1.0"), ("workspace", "v1.1.0")])
def test_a_version_is_named_as_everywhere_and_the_document_is_what_stdout_has(
    story: Project, asked: str, version: str
) -> None:
    for form in ("cyclonedx", "slsa"):
        told, facts = (story.ask(f"export {asked} --format {form} {more}") for more in ("", "--json"))
        assert told.stdout == facts.stdout
        assert (told.stderr, f'"penguins@{version}"' in told.stdout) == ("", True)
    architecture = exported("cyclonedx", asked)["metadata"]["component"]["modelCard"]["modelParameters"]
    assert ("RandomForest" in architecture["modelArchitecture"]) is (asked == "forest")
