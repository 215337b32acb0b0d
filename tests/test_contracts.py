"""What the files of the repository promise each other."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest
from packaging.utils import canonicalize_name
from projects import CHECKOUT, README, Project
from ruamel.yaml import YAML

import lineage
from record import environment, manifest, parameters
from train import numeric_settings

SRC = CHECKOUT / "src"
MODULES = {".".join(path.relative_to(SRC).with_suffix("").parts): path for path in SRC.rglob("*.py")}
PIPELINE = YAML(typ="safe").load((CHECKOUT / "dvc.yaml").read_text())
STAGES = ["package", "prepare", "train"]  # not those of the user's own
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)|src=\"(?!\w+:)([^\"]+)\"")  # to a file
NUMERIC = {"joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "threadpoolctl"}
CLUSTER = {"cloudpickle", "dask", "distributed"}  # which requirements-cluster.in names, and one module imports
DISTRIBUTIONS = metadata.packages_distributions()


def imports_of(module: str) -> set[str]:
    """All that a source file imports by its full name, at its top or inside of its functions."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (below & MODULES.keys()) or {node.module}
    return found


def closure(*modules: str) -> set[str]:
    """Modules of this repository and all of its modules that they need."""
    found, waiting = set(), {*modules}
    while waiting:
        found.add(current := waiting.pop())
        waiting |= (imports_of(current) & MODULES.keys()) - found
    return found


def third_party(*modules: str) -> set[str]:
    """The libraries that some modules import, by the names under which they are imported."""
    tops = {name.partition(".")[0] for module in modules for name in imports_of(module)}
    return tops - sys.stdlib_module_names - {name.partition(".")[0] for name in MODULES}


def loaded_after(code: str) -> set[str]:
    """The modules that a Python has loaded which ran some code in the checkout, with src/ on its path."""
    code = f"import sys; sys.path.insert(0, 'src')\n{code}\nprint('\\0', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.partition("\0")[2].split()}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_exactly_the_modules_that_a_stage_imports(stage: str) -> None:
    deps = {dep for dep in PIPELINE["stages"][stage]["deps"] if dep.startswith("src/")}
    own = {name for name in MODULES if name.startswith("own.") and f"src/{name.replace('.', '/')}.py" in deps}

    assert deps == {MODULES[name].relative_to(CHECKOUT).as_posix() for name in closure(stage, *own)}
    assert ("own.features" in own) == (stage == "train")  # which imports what params.yaml names


@pytest.mark.parametrize(("stage", "most"), [("train", 22), ("package", 11)])
def test_a_stage_imports_few_modules_of_ours(stage: str, most: int) -> None:
    assert len(closure(stage)) <= most


def test_imports_go_from_doors_and_commands_to_modeling_to_record() -> None:
    ours = {"modeling", "record"}
    allowed = {"record": {"record"}, "modeling": ours, "commands": {"commands", *ours}, "own": {"own", *ours}}
    wrong = {
        (module, name)
        for module in MODULES
        for name in imports_of(module) & MODULES.keys()
        if (room := module.partition(".")[0]) in allowed and name.partition(".")[0] not in allowed[room]
    }

    assert allowed.keys() <= {module.partition(".")[0] for module in MODULES if "." in module}
    assert not wrong
    assert not third_party(*(module for module in MODULES if module.startswith("record."))) & (NUMERIC | {"dvc"})
    assert not {name for name in closure(*STAGES) if name.startswith(("commands.", "own."))}


def test_nothing_on_the_path_hides_a_module_of_python_or_of_a_library() -> None:
    names = {path.stem for path in SRC.iterdir() if path.suffix == ".py" or path.is_dir()} - {"__pycache__"}

    assert {"record", "train"} <= names
    assert not names & {*sys.stdlib_module_names, *DISTRIBUTIONS}


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
    pinned = Project(project.path, numeric_settings(1, portable=True))  # so that it does not start itself again
    said = pinned.run("python -B watch.py").stderr
    opened = {Path(line.removeprefix("OPEN ")) for line in said.splitlines() if line.startswith("OPEN ")}
    inside = {path.relative_to(project.path).as_posix() for path in opened if path.is_relative_to(project.path)}
    read = {
        path for path in inside if not path.endswith((".part", "watch.py", ".pyc")) and path[:4] not in {".dvc", ".git"}
    }

    lock = YAML(typ="safe").load((project.path / "dvc.lock").read_text())["stages"]
    looked_at = STAGES if stage == "package" else [stage]  # what all of them read and made is compared with the lock
    named = {entry["path"] for name in looked_at for key in ("deps", "outs") for entry in lock[name][key]}
    named |= {"params.yaml"} | ({"dvc.lock", "dvc.yaml"} if stage == "package" else set())
    unnamed = {path for path in read if not any(Path(path).is_relative_to(name) for name in named)}
    assert "requirements.txt" in read
    assert not unnamed


@pytest.mark.parametrize(
    ("section", "stages"),
    [
        (parameters.Data, ("prepare", "train")),
        (parameters.Prepare, ("prepare",)),
        (parameters.Train, ("train",)),
        (parameters.Package, ("package",)),
    ],
)
def test_every_parameter_is_used(section: type[parameters.Strict], stages: tuple[str, ...]) -> None:
    used = {
        node.attr
        for module in closure(*stages) - {"record.parameters"}
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Attribute)
    }

    assert set(section.model_fields) <= used


def test_every_warning_is_in_the_docs() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (CHECKOUT / "docs/warnings.md").read_text(), flags=re.MULTILINE)

    assert documented == [*get_args(parameters.PitfallName)]


def test_every_parameter_has_a_comment_above_or_behind_it() -> None:
    lines = (CHECKOUT / "params.yaml").read_text().partition("estimators:")[0].splitlines()
    keys = [(above, line) for above, line in pairwise(lines) if re.match(r"  \w+:", line)]

    assert keys
    assert not [line for above, line in keys if "#" not in above + line]


def test_packaging_and_most_verbs_load_no_heavy_library() -> None:
    light = sorted({*closure("package"), *(f"commands.{verb}" for verb in lineage.VERBS)})
    loaded = loaded_after(f"import importlib; [importlib.import_module(name) for name in {light}]")

    assert "pydantic" in loaded
    assert not loaded & (NUMERIC | {"dvc"})


@pytest.mark.parametrize("command", ["list", "list --all", "show workspace", "--help"])
def test_asking_in_passing_loads_no_heavy_library(command: str) -> None:
    code = f"import contextlib, lineage\nsys.argv[1:] = {command.split()}\nwith contextlib.suppress(SystemExit):"

    assert not loaded_after(f"{code} lineage.main()") & (NUMERIC | {"dvc"})


def test_prepare_loads_neither_scikit_learn_nor_scipy(project: Project) -> None:
    code = "import sys; sys.path.insert(0, 'src'); import prepare; prepare.main(); print(*sys.modules)"
    loaded = set(project.run(f'python -c "{code}"').stdout.split())

    assert "pyarrow" in loaded
    assert not loaded & {"sklearn", "scipy"}


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize("verb", lineage.VERBS)
def test_each_verb_ends_its_help_with_an_example_and_is_in_the_readme(verb: str) -> None:
    command = [sys.executable, "src/lineage.py", verb, "--help"]
    said = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout

    assert said.rstrip().splitlines()[-1].startswith(f"example: python src/lineage.py {verb}")
    assert f"src/lineage.py {verb}" in README


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize("name", [f"requirements{kind}.in" for kind in ("", "-cluster", "-dev", "-remotes")])
def test_each_requirement_says_why_it_is_there(name: str) -> None:
    lines = [line for line in (CHECKOUT / name).read_text().splitlines() if line and line[0] not in "#-"]

    assert lines
    assert not [line for line in lines if "#" not in line and line != "pytest"]


@pytest.mark.usefixtures("template")
def test_the_direct_requirements_are_what_the_code_imports_and_the_two_commands() -> None:
    of_the_cluster = third_party("modeling.cluster") & CLUSTER
    others = third_party(*MODULES) - {"pydantic_core", "dvc_data"} - CLUSTER
    imported = {canonicalize_name(DISTRIBUTIONS[name][0]) for name in others}
    wanted, cluster = (
        {*re.findall(r"^[\w.]+[\w.-]*", (CHECKOUT / f"requirements{kind}.in").read_text(), flags=re.MULTILINE)}
        for kind in ("", "-cluster")
    )

    assert {canonicalize_name(name) for name in wanted} == imported | {"dvc", "gto"}
    assert cluster == of_the_cluster == CLUSTER


@pytest.mark.parametrize("other", ["cluster", "dev", "remotes"])
def test_the_lock_files_pin_the_same_versions_and_all_that_is_required(other: str) -> None:
    ours, theirs = (
        environment.pinned((CHECKOUT / f"requirements{more}.txt").read_text()) for more in ("", f"-{other}")
    )
    wanted = re.findall(r"^[\w.-]+", (CHECKOUT / f"requirements-{other}.in").read_text(), flags=re.MULTILINE)
    shared = ours.keys() & theirs.keys()

    assert {canonicalize_name(name) for name in wanted if name[0] != "-"} <= theirs.keys()
    assert shared
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


@pytest.mark.usefixtures("template")
def test_the_published_schema_is_that_of_the_manifest() -> None:
    assert json.loads((CHECKOUT / "docs/manifest.schema.json").read_bytes()) == manifest.json_schema()


def test_the_raw_snapshots_are_those_that_their_readme_makes(project: Project) -> None:
    readme = (project.path / "data/raw/README.md").read_text()
    (project.path / "make.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    before = project.snapshot("data/raw")
    for file in (project.path / "data/raw").glob("*.parquet"):
        file.unlink()
    project.run("python make.py")

    assert project.snapshot("data/raw") == before


@pytest.mark.usefixtures("template")
def test_the_links_of_the_pages_lead_to_files() -> None:
    pages = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *(CHECKOUT / "docs").glob("*.md")]
    links = [(page, found) for page in pages for found in LINK.findall(page.read_text(encoding="utf-8"))]
    broken = [(page.name, to) for page, found in links if not (page.parent / (to := "".join(found))).exists()]

    assert len(links) > 30
    assert broken == []


def test_the_plot_templates_are_the_ones_that_dvc_yaml_names() -> None:
    templates = {
        json.dumps(plot).partition('"template": "')[2].partition('"')[0]
        for plot in PIPELINE["stages"]["train"]["plots"]
    }
    files = {file.stem for file in (CHECKOUT / ".dvc/plots").glob("*.json")}
    tasks = ("classification", "regression")

    assert {name.replace("${data.task}", task) for name in templates for task in tasks} == files


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize("path", sorted((CHECKOUT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_starts_without_permissions_and_pins_its_actions(path: Path) -> None:
    workflow = YAML(typ="safe").load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    actions = [step["uses"] for step in steps if "uses" in step]

    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)


@pytest.mark.usefixtures("template")
def test_each_test_that_the_page_of_set_ups_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (CHECKOUT / "docs/what-was-tried.md").read_text(encoding="utf-8")))
    files = [file.read_text(encoding="utf-8") for file in (CHECKOUT / "tests").rglob("test_*.py")]

    assert len(named) > 30
    assert not [name for name in named if not any(f"def {name}(" in text for text in files)]
