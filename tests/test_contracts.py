"""What the files of the repository promise each other."""

import ast
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import CHECKOUT, Project
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

import environment
import numeric
import parameters

SOURCES = {path.stem: path for path in (CHECKOUT / "src").glob("*.py")}
PIPELINE = YAML(typ="safe").load((CHECKOUT / "dvc.yaml").read_text())
STAGES = sorted(PIPELINE["stages"])


def imports_of(name: str) -> set[str]:
    """The modules that a source file imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def closure(name: str) -> set[str]:
    """A module of this repository and all of its modules that it needs."""
    found, waiting = set(), {name}
    while waiting:
        found.add(current := waiting.pop())
        waiting |= (imports_of(current) & SOURCES.keys()) - found
    return found


def attributes_used(*names: str) -> set[str]:
    """Every attribute that the source files read of anything."""
    trees = [ast.walk(ast.parse(SOURCES[name].read_text())) for name in names]
    return {node.attr for tree in trees for node in tree if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_exactly_the_modules_that_a_stage_imports(stage: str) -> None:
    deps = {dep for dep in PIPELINE["stages"][stage]["deps"] if dep.startswith("src/")}

    assert deps == {f"src/{name}.py" for name in closure(stage)}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_every_file_that_a_stage_opens(stage: str, project: Project) -> None:
    """Python reports each file that it opens; those of the repository must be dependencies, outs or parameters."""
    watch = (
        "import os, runpy, sys\n"
        "def hook(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[0], str):\n"
        "        sys.__stderr__.write(f'OPEN {os.path.abspath(arguments[0])}\\n')\n"
        "sys.addaudithook(hook)\n"
        f"sys.argv = ['src/{stage}.py']\n"
        f"sys.path.insert(0, 'src')\n"
        f"runpy.run_path('src/{stage}.py', run_name='__main__')\n"
    )
    (project.path / "watch.py").write_text(watch)
    complaint = project.run("python -B watch.py", **numeric.pins(1, portable=True)).stderr
    opened = {Path(line.removeprefix("OPEN ")) for line in complaint.splitlines() if line.startswith("OPEN ")}
    inside = {path.relative_to(project.path).as_posix() for path in opened if path.is_relative_to(project.path)}
    read = {path for path in inside if not path.endswith((".part", "watch.py", ".pyc"))}

    lock = YAML(typ="safe").load((project.path / "dvc.lock").read_text())["stages"][stage]
    named = {entry["path"] for key in ("deps", "outs") for entry in lock[key]} | {"params.yaml"}
    allowed = named | ({"dvc.lock"} if stage == "package" else set())
    unnamed = {path for path in read if not any(Path(path).is_relative_to(name) for name in allowed)}
    assert "requirements.txt" in read
    assert not unnamed


@pytest.mark.parametrize(
    ("section", "scripts"),
    [
        (parameters.Data, ("prepare", "table", "train", "model", "fitting")),
        (parameters.Prepare, ("prepare",)),
        (parameters.Train, ("train", "numeric", "fitting", "evaluation", "model")),
        (parameters.Package, ("package", "packages")),
    ],
)
def test_every_parameter_is_used(section: type[parameters.Section], scripts: tuple[str, ...]) -> None:
    assert set(section.model_fields) <= attributes_used(*scripts)


def test_every_parameter_has_a_comment_above_or_behind_it() -> None:
    lines = (CHECKOUT / "params.yaml").read_text().partition("estimators:")[0].splitlines()
    keys = [(above, line) for above, line in pairwise(lines) if re.match(r"  \w+:", line)]

    assert keys
    assert not [line for above, line in keys if "#" not in above + line]


def test_packaging_and_asking_never_load_the_heavy_libraries() -> None:
    light = ["package", *sorted(closure("lineage")), *questions()]
    code = f"import sys; sys.path.insert(0, 'src'); [__import__(n) for n in {light}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert "manifest" in loaded
    assert not loaded & {"sklearn", "pandas", "numpy", "pyarrow", "joblib", "dvc"}


def questions() -> list[str]:
    """The questions of lineage.py, each of which is a module."""
    import lineage

    return re.findall(r"^    (\w+) ", lineage.make_parser().format_help(), flags=re.MULTILINE)


def test_each_question_ends_its_help_with_an_example_and_is_in_the_readme() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    for question in questions():
        command = [sys.executable, "src/lineage.py", question, "--help"]
        help_text = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

        assert help_text.rstrip().splitlines()[-1].startswith(f"example: python src/lineage.py {question}")
        assert f"src/lineage.py {question}" in readme


def test_each_requirement_says_why_it_is_there() -> None:
    for name in ("requirements.in", "requirements-dev.in"):
        lines = [line for line in (CHECKOUT / name).read_text().splitlines() if line and line[0] not in "#-"]

        assert not [line for line in lines if "#" not in line and not line.startswith("pytest")]


def test_every_direct_requirement_is_imported_or_is_a_command() -> None:
    imported = {canonicalize_name(name) for source in SOURCES for name in imports_of(source)}
    distributions = {"sklearn": "scikit-learn", "ruamel": "ruamel-yaml"}
    used = {distributions.get(name, name) for name in imported} | {"dvc", "gto"}
    wanted = re.findall(r"^[\w.-]+", (CHECKOUT / "requirements.in").read_text(), flags=re.MULTILINE)

    assert {canonicalize_name(name) for name in wanted} <= used


def test_both_lock_files_pin_the_same_versions() -> None:
    locks = [environment.pinned((CHECKOUT / f"requirements{dev}.txt").read_text()) for dev in ("", "-dev")]
    shared = locks[0].keys() & locks[1].keys()

    assert shared
    assert {name: locks[0][name] for name in shared} == {name: locks[1][name] for name in shared}


def test_the_raw_snapshots_can_be_made_again_from_their_readme(project: Project) -> None:
    readme = (project.path / "data/raw/README.md").read_text()
    (project.path / "make.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    before = project.snapshot("data/raw")
    for file in (project.path / "data/raw").glob("*.parquet"):
        file.unlink()
    project.run("python make.py")

    assert project.snapshot("data/raw") == before


def test_the_plot_templates_are_the_ones_that_dvc_yaml_names() -> None:
    templates = {json.dumps(plot).partition('"template": "')[2].partition('"')[0] for plot in PIPELINE["plots"]}
    files = {file.stem for file in (CHECKOUT / ".dvc/plots").glob("*.json")}
    tasks = ("classification", "regression")

    assert {name.replace("${data.task}", task) for name in templates for task in tasks} == files
