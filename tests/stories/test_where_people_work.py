"""The promises in the set-ups in which people work: hooks, worktrees, cut clones, shared caches, monorepos, containers.

docs/what-was-tried.md lists them, each with its test.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import PACKAGE, RELEASE, SOURCE, VERSION, Project, built_once

TAG = "penguins@v1.0.0"
CLONE = "git -c protocol.file.allow=always clone -q"


@pytest.fixture(scope="session")
def released(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone with v1.0.0 released. Copy it."""

    def build(folder: Path) -> None:
        finished.copy(folder / "project").run(RELEASE)

    return Project(built_once(tmp_path_factory, "released", build) / "project")


@pytest.fixture
def own(released: Project, tmp_path: Path) -> Project:
    return released.copy(tmp_path / "project")


def state(project: Project) -> list[object]:
    """All that a verb which only asks or proves must leave as it is."""
    asked = (
        "status --porcelain",
        "for-each-ref",
        "symbolic-ref -q HEAD",
        "diff --cached",
        "worktree list",
        "stash list",
    )
    return [
        project.snapshot("models", "src", "data", "reports"),
        *(project.run(f"git {question}", check=False).stdout for question in asked),
    ]


def refuses(project: Project, command: str, *said: str, package: str = PACKAGE, **env: str) -> str:
    """Run a command that must end with an error in sentences and leave the package byte for byte as it is."""
    before = project.snapshot(package)
    done = project.run(command, check=False, **env)

    assert done.returncode != 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert project.snapshot(package) == before
    for words in said:
        assert words in done.stdout + done.stderr
    return done.stdout + done.stderr


def cut_clone(own: Project, target: Path, *options: str) -> Project:
    own.run(f"{CLONE} {' '.join(options)} file://{own.path} {target}")
    clone = Project(target)
    shutil.copytree(own.path / ".dvc/cache", clone.path / ".dvc/cache")
    clone.run("dvc checkout -q")
    return clone


# A. A proof leaves the caller's repository alone.


def test_a_rebuild_in_a_pre_commit_hook_changes_nothing_of_the_commit(own: Project) -> None:
    hook = own.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\nexec python src/lineage.py rebuild v1.0.0\n")
    hook.chmod(0o755)
    with (own.path / "CHANGELOG.md").open("a") as file:
        file.write("mine\n")
    before = own.snapshot("src", "models")
    own.run("git commit -qm Notes CHANGELOG.md")  # for which Git makes an index of its own, and hands it on

    assert own.run("git show --stat --format= HEAD").stdout.split()[0] == "CHANGELOG.md"
    assert own.run("git show --shortstat --format= HEAD").stdout.strip() == "1 file changed, 1 insertion(+)"
    assert own.run("git status --porcelain").stdout == ""
    assert own.snapshot("src", "models") == before


@pytest.mark.long  # Git sets both in the hook above
@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_INDEX_FILE"])
def test_a_rebuild_follows_no_variable_of_the_caller(own: Project, variable: str) -> None:
    value = str(own.path / {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index"}[variable])
    before = state(own)
    own.ask("rebuild v1.0.0", **{variable: value})

    assert state(own) == before


@pytest.mark.long  # the same, with another folder for the variable
def test_a_rebuild_in_a_linked_worktree_leaves_its_head_alone(own: Project, tmp_path: Path) -> None:
    own.run(f"git worktree add -q {tmp_path / 'tree'} -b tree")
    tree = Project(tmp_path / "tree")
    before = state(own), state(tree)
    git_dir = tree.run("git rev-parse --git-dir").stdout.strip()
    tree.ask("rebuild v1.0.0", GIT_DIR=git_dir)  # as Git sets it in pre-push there

    assert (state(own), state(tree)) == before


@pytest.mark.long
def test_the_callers_hooks_do_not_run_in_the_scratch_clone(own: Project, tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\thooksPath = {hooks}\n")
    own.ask("rebuild v1.0.0", GIT_CONFIG_GLOBAL=str(config))

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("variable", ["DVC_ROOT", "GIT_DIR"])
def test_a_variable_that_leads_elsewhere_frees_no_version(own: Project, tmp_path: Path, variable: str) -> None:
    other = Project(tmp_path / "other")
    other.path.mkdir()
    other.type("git init -q && dvc init -q")
    own.set(train__seed=7)
    value = other.path / (".git" if variable == "GIT_DIR" else "")

    refuses(own, "dvc repro", f"released as {TAG}", **{variable: str(value)})


# B. A released version is never overwritten, whoever cannot be asked.


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_owner_stops_packaging_and_every_verb(own: Project) -> None:
    own.set(train__seed=7)
    subprocess.run(["chown", "-R", "65534", str(own.path)], check=True)

    refuses(own, "dvc repro", "dubious ownership", "safe.directory")
    for verb in (
        "list --all",
        "verify",
        "show HEAD",
        "trace src/train.py",
        "release",
        "rebuild v1.0.0",
        "restore v1.0.0",
    ):
        done = own.ask(verb, check=False)
        assert (done.returncode, "dubious ownership" in done.stderr) == (2, True), verb


def test_without_git_on_the_path_nothing_is_packaged(own: Project, tmp_path: Path) -> None:
    for name in ("python", "dvc", "env", "sh"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).symlink_to(
            Path(sys.executable).parent / name if name in {"python", "dvc"} else shutil.which(name)
        )
    path = f"{tmp_path / 'bin'}"
    own.set(train__seed=7)
    own.run("dvc repro train")

    refuses(own, f"{sys.executable} src/package.py", "git: not found on the PATH", PATH=path)
    assert own.run(f"{sys.executable} src/lineage.py verify", check=False, PATH=path).returncode == 2


@pytest.mark.parametrize(
    "options",
    [["--depth", "1"], ["--no-tags"], pytest.param(["--single-branch", "--branch", "next"], marks=pytest.mark.long)],
    ids=" ".join,
)
def test_a_cut_clone_overwrites_and_releases_nothing_twice(own: Project, tmp_path: Path, options: list[str]) -> None:
    own.run("git checkout -q -b next HEAD~1")  # a branch from which the tag is not reached
    own.run("git checkout -q main -- models dvc.lock reports")
    own.type("git add -A && git commit -q --allow-empty -m 'Take the results'")
    if "--branch" not in options:
        own.type("git checkout -q main && git commit -q --allow-empty -m Later")
    clone = cut_clone(own, tmp_path / "clone", *options)
    assert clone.run("git tag").stdout == ""

    said = refuses(clone, RELEASE, "released in the repository that this clone came from")
    assert "git fetch" in said
    clone.set(train__seed=7)
    refuses(clone, "dvc repro", "released in the repository that this clone came from")
    own.path.rename(tmp_path / "away")
    refuses(clone, "dvc repro", "Git cannot answer")


def test_a_cut_clone_that_changes_nothing_works_offline(own: Project, tmp_path: Path) -> None:
    clone = cut_clone(own, tmp_path / "clone", "--depth", "1")
    own.path.rename(tmp_path / "away")
    clone.run("dvc repro --force --single-item package")  # the stage that asks Git

    assert clone.run("git status --porcelain").stdout == ""


def test_answers_of_a_shallow_clone_say_that_they_are_partial(own: Project, tmp_path: Path) -> None:
    own.run("git commit -q --allow-empty -m Later")
    clone = cut_clone(own, tmp_path / "clone", "--depth", "1")

    assert "shallow" in clone.ask("list --all").stderr
    assert "shallow" in clone.ask(f"trace {SOURCE}").stderr
    verdict = clone.ask("verify")
    assert "shallow" in verdict.stdout
    assert "Git agree" not in verdict.stdout


def test_verify_does_not_say_that_git_agreed_where_there_is_none(own: Project) -> None:
    shutil.rmtree(own.path / ".git")
    said = own.ask("verify").stdout

    assert "Git agree" not in said
    assert "this is not a Git repository" in said


def test_a_commit_that_lands_during_a_release_is_not_tagged(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    checked = project.head()
    python = tmp_path / "bin" / "git"
    python.parent.mkdir()
    real = shutil.which("git")
    python.write_text(f'#!/bin/sh\n[ "$2" = var ] && {real} commit -q --allow-empty -m Sneaked-in\nexec {real} "$@"\n')
    python.chmod(0o755)
    project.run(RELEASE, PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}")

    assert project.head() != checked
    assert project.run(f"git rev-parse {TAG}^{{commit}}").stdout.strip() == checked


# C. Clean means that the recorded commit holds every input.


def test_a_table_in_an_added_folder_that_changed_since_is_dirty(project: Project) -> None:
    table = project.path / "data/raw/added/table.parquet"
    table.parent.mkdir()
    shutil.copy(project.path / SOURCE, table)
    project.run("dvc add -q data/raw/added")
    project.set(data__path="data/raw/added/table.parquet", package__version="v1.1.0")
    project.commit("Use a folder")
    shutil.copy(project.path / "data/raw/penguins_v1.0.0.parquet", table)
    project.run("dvc repro")

    assert manifest(project, "v1.1.0")["run"]["git"]["dirty"] is True
    said = refuses(project, RELEASE, "data/raw/added", package="models/v1.1.0")
    project.commit("Commit what changed")
    project.type(
        next(line for line in said.splitlines() if "commit it, then " in line).partition("commit it, then ")[2]
    )
    project.commit("Run the pipeline")
    assert manifest(project, "v1.1.0")["run"]["git"]["dirty"] is False
    project.run(RELEASE)


def test_a_table_that_a_global_gitignore_hides_is_dirty(of_csv: Project, tmp_path: Path) -> None:
    (tmp_path / "ignore").write_text("*.csv\n")
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\texcludesFile = {tmp_path / 'ignore'}\n")
    hidden = Project(of_csv.path, {"GIT_CONFIG_GLOBAL": str(config)})
    to_csv(hidden, "\n")
    hidden.commit("Use a CSV")
    hidden.run("dvc repro")

    assert manifest(hidden, "v1.1.0")["run"]["git"]["dirty"] is True
    assert "data/raw/table.csv" in refuses(hidden, RELEASE)


def manifest(project: Project, version: str = VERSION) -> dict:
    return json.loads((project.path / "models" / version / "manifest.json").read_text())


def to_csv(project: Project, newline: str) -> None:
    """The sample as a CSV with these line ends, and the parameters that name it."""
    import pyarrow.parquet as pq

    rows = pq.read_table(project.path / SOURCE).to_pylist()
    lines = [
        ",".join(rows[0]),
        *(",".join("" if value is None else str(value) for value in row.values()) for row in rows),
    ]
    (project.path / "data/raw/table.csv").write_bytes(newline.join([*lines, ""]).encode())
    project.set(data__path="data/raw/table.csv", package__version="v1.1.0")


# D. Git gives back the bytes that were read, or it is said when they are read.


@pytest.fixture(scope="module")
def _of_csv(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone that has trained on the sample as a CSV. Copy it: what its line ends are changes no row."""

    def build(folder: Path) -> None:
        project = finished.copy(folder / "project")
        to_csv(project, "\n")
        project.run("dvc repro train")

    return Project(built_once(tmp_path_factory, "csv", build) / "project")


@pytest.fixture
def of_csv(_of_csv: Project, tmp_path: Path) -> Project:
    return _of_csv.copy(tmp_path / "project")


def test_a_csv_with_windows_line_ends_is_kept_as_it_is(of_csv: Project) -> None:
    to_csv(of_csv, "\r\n")
    of_csv.commit("Use a CSV from Windows")
    of_csv.run("dvc repro")
    of_csv.commit("Run the pipeline")
    of_csv.run(RELEASE)

    assert manifest(of_csv, "v1.1.0")["run"]["git"]["dirty"] is False


def test_line_ends_that_git_would_change_are_said_when_the_pipeline_runs(of_csv: Project) -> None:
    to_csv(of_csv, "\r\n")
    (of_csv.path / ".gitattributes").write_text("* text=auto eol=lf\n")
    of_csv.commit("Normalise")
    done = of_csv.run("dvc repro")

    assert "data/raw/table.csv: HEAD has other content" in done.stderr
    assert manifest(of_csv, "v1.1.0")["run"]["git"]["dirty"] is True


def test_a_filter_such_as_that_of_lfs_is_respected(of_csv: Project) -> None:
    of_csv.run("git config filter.twist.clean 'tr a-y b-z'")
    of_csv.run("git config filter.twist.smudge 'tr b-z a-y'")
    to_csv(of_csv, "\n")
    with (of_csv.path / ".gitattributes").open("a") as attributes:
        attributes.write("data/raw/table.csv filter=twist\n")
    text = (of_csv.path / "data/raw/table.csv").read_text().replace("z", "y")
    (of_csv.path / "data/raw/table.csv").write_text(text)
    of_csv.commit("Keep a table behind a filter")
    of_csv.run("dvc repro")
    of_csv.commit("Run the pipeline")

    assert of_csv.run("git cat-file blob HEAD:data/raw/table.csv").stdout != text
    assert manifest(of_csv, "v1.1.0")["run"]["git"]["dirty"] is False
    assert of_csv.ask("verify v1.1.0").returncode == 0
    of_csv.run(RELEASE)


# E. DVC's documented set-ups.


def test_a_shared_cache_with_symbolic_links_works(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    shutil.copytree(project.path / ".dvc/cache", tmp_path / "shared")
    project.type(f"dvc cache dir {tmp_path / 'shared'} && dvc config cache.type symlink && dvc checkout --relink")
    project.commit("Share the cache")
    assert (project.path / PACKAGE / "model.joblib").is_symlink()

    assert project.ask("verify").returncode == 0
    project.run(RELEASE)
    assert '"state": "released"' in project.ask("list --json").stdout
    (project.path / PACKAGE / "model.joblib").unlink()
    project.ask(f"restore {VERSION}")
    project.ask("verify")
    model = project.path / PACKAGE / "model.joblib"
    other = tmp_path / "other.joblib"
    other.write_bytes(model.read_bytes())
    model.unlink()
    model.symlink_to(other)
    assert "is a link, and not to DVC's cache" in project.ask("verify", check=False).stdout


@pytest.mark.long
def test_a_table_that_is_a_link_to_the_cache_is_that_table(project: Project, tmp_path: Path) -> None:
    project.type(f"dvc cache dir {tmp_path / 'shared'} && dvc config cache.type symlink")
    shutil.copy(project.path / SOURCE, project.path / "data/raw/linked.parquet")
    project.run("dvc add -q data/raw/linked.parquet")
    project.set(data__path="data/raw/linked.parquet", package__version="v1.1.0")
    project.commit("Use a linked table")
    project.run("dvc repro")
    project.commit("Run the pipeline")
    assert (project.path / "data/raw/linked.parquet").is_symlink()

    assert project.ask("verify v1.1.0").returncode == 0
    project.run(RELEASE)


@pytest.mark.parametrize("level", ["--global", pytest.param("--system", marks=pytest.mark.long)])
def test_a_cache_in_the_users_or_the_systems_configuration_is_found(own: Project, tmp_path: Path, level: str) -> None:
    env = {"DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "global"), "DVC_SYSTEM_CONFIG_DIR": str(tmp_path / "system")}
    for folder in env.values():
        Path(folder).mkdir()
    shutil.move(own.path / ".dvc/cache", tmp_path / "cache")
    mine = Project(own.path, env)
    mine.run(f"dvc config {level} cache.dir {tmp_path / 'cache'}")
    (own.path / PACKAGE / "model.joblib").unlink()

    mine.ask(f"restore {VERSION}")
    assert mine.ask("verify").returncode == 0


def test_a_pointer_that_tracks_another_file_is_found_and_written_anew(moved_on: Project) -> None:
    pointer = moved_on.path / PACKAGE / "model.joblib.dvc"
    for text in (
        pointer.read_text().replace("path: model.joblib", "path: ../../src/train.py"),
        pointer.read_text().replace("md5: ", "md5: 0", 1),
    ):
        pointer.write_text(text)
        moved_on.commit("Edit the pointer")

        assert "does not track the model of this package" in moved_on.ask("verify", check=False).stdout
        assert "missing or wrong" in moved_on.run(RELEASE, check=False).stdout
        moved_on.commit("Take the right pointer")
        assert moved_on.ask("verify").returncode == 0


# F. Next steps that work.


def test_a_version_that_nobody_has_is_restored_by_rebuilding_it(project: Project, tmp_path: Path) -> None:
    project.set(package__version="v1.1.0", train__seed=7)
    project.commit("Move on without a release")
    project.run("dvc repro")
    project.commit("Run the pipeline")
    before = project.snapshot(PACKAGE)
    project.run(f"{CLONE} {project.path} {tmp_path / 'clone'}")
    project.path.rename(tmp_path / "away")
    clone = Project(tmp_path / "clone")
    done = clone.ask(f"restore {VERSION}")

    assert "rebuilding it" in done.stderr
    assert clone.snapshot(PACKAGE) == before


def test_a_partial_clone_offline_is_not_called_damaged(own: Project, tmp_path: Path) -> None:
    own.run("git config uploadpack.allowFilter true")
    clone = cut_clone(own, tmp_path / "clone", "--filter=blob:none")
    own.path.rename(tmp_path / "away")
    done = clone.ask("list --all", check=False)

    assert done.returncode == 2
    assert "promisor" in done.stderr or "partial" in done.stderr
    assert "damaged" not in done.stderr


def test_a_first_run_before_the_first_commit_is_recorded_anew_by_the_command_it_says(
    project: Project,
) -> None:
    mine = project
    for name in (".git", PACKAGE):
        shutil.rmtree(mine.path / name)
    mine.run("git init -q")
    said = mine.run("dvc repro").stderr
    assert manifest(mine)["run"]["git"] is None
    mine.commit("Begin")
    mine.type(said.partition("commit, then ")[2].splitlines()[0])

    assert manifest(mine)["run"]["git"]["commit"] == mine.head()


# G. Two projects in one repository.


def test_two_projects_of_a_monorepo_do_not_release_each_others_versions(finished: Project, tmp_path: Path) -> None:
    top = Project(tmp_path / "mono")
    for team in ("alpha", "beta"):
        target = top.path / "teams" / team
        shutil.copytree(finished.path, target, symlinks=True, ignore=lambda *_: {".git"})
    top.run("git init -q -b main")
    for team in ("alpha", "beta"):
        Project(top.path / "teams" / team).type(
            "rm -rf .dvc/tmp && mv .dvc/cache cache && dvc init --subdir -f -q && mv cache .dvc/"  # -f would empty it
        )
    top.commit("Two teams")
    alpha, beta = (Project(top.path / "teams" / team) for team in ("alpha", "beta"))
    for team in (alpha, beta):
        team.run("dvc repro --force --single-item package")
        top.commit("Run the pipeline")
    alpha.run(RELEASE)

    assert top.run("git tag").stdout.split() == ["teams/alpha=penguins@v1.0.0"]
    beta.set(train__seed=7)
    beta.commit("Another seed")
    beta.run("dvc repro")
    top.commit("Run beta's pipeline")
    beta.run(RELEASE)
    assert "teams/beta=penguins@v1.0.0" in top.run("git tag").stdout
    assert "released" in alpha.ask("list").stdout
    alpha.ask("rebuild v1.0.0")
    top.run("dvc artifacts get . teams/alpha:penguins --rev v1.0.0 -o got")
    assert (top.path / "got").read_bytes() == (alpha.path / PACKAGE / "model.joblib").read_bytes()
    alpha.set(train__seed=7)
    refuses(alpha, "dvc repro", "released as teams/alpha=penguins@v1.0.0")


# H. A linked worktree.


def test_an_experiment_in_a_worktree_keeps_the_model_of_the_version_left_behind(own: Project, tmp_path: Path) -> None:
    own.run(f"git worktree add -q {tmp_path / 'tree'} -b tree")
    tree = Project(tmp_path / "tree")
    tree.type(f"dvc remote add -q -d --local storage {own.path / '.dvc/cache'} && dvc pull -q")
    before = tree.snapshot(PACKAGE)
    tree.run("dvc exp run -q -n next -S package.version=v1.1.0")

    assert before.items() <= tree.snapshot(PACKAGE).items()
    assert tree.ask("verify").returncode == 0


# I. Two at once, and links.


def test_two_predictions_into_one_file_are_one_of_both(own: Project) -> None:
    command = [sys.executable, "src/predict.py", PACKAGE, SOURCE, "scored.csv"]
    processes = [subprocess.Popen(command, cwd=own.path) for _ in range(2)]

    assert [process.wait() for process in processes] == [0, 0]
    assert len((own.path / "scored.csv").read_text().splitlines()) == 345
    assert not list(own.path.glob(".scored*"))


def test_a_planted_link_is_not_written_through(own: Project, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    for name in (".scored.csv.part", "scored.csv"):
        (own.path / name).symlink_to(target)
    own.run(f"python src/predict.py {PACKAGE} {SOURCE} scored.csv")

    assert target.read_text() == "precious"
    assert (own.path / "scored.csv").is_file()


def test_two_restores_at_once_both_succeed(own: Project) -> None:
    for _ in range(2):
        (own.path / PACKAGE / "model.joblib").unlink()
        command = [sys.executable, "src/lineage.py", "restore", VERSION]
        processes = [subprocess.Popen(command, cwd=own.path) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
    assert own.ask("verify").returncode == 0


# J. Strangers' text and size.

HOSTILE = "\x1b[2J\x1b]0;x\x07\u202enuf\nok  v9.9.9  forged"


def test_no_control_character_of_a_stranger_reaches_the_terminal(own: Project) -> None:
    file = own.path / PACKAGE / "manifest.json"
    document = json.loads(file.read_text())
    document["name"] = document["run"]["created_at"] = HOSTILE
    document["inputs"][0]["path"] = f"data/{HOSTILE}"
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    for verb in ("show v1.0.0", "verify", "list", f"diff v1.0.0 {TAG}", f"show '{HOSTILE}'", f"trace '{HOSTILE}'"):
        done = own.ask(verb, check=False)
        shown = done.stdout + done.stderr

        assert not any(mark in shown for mark in ("\x1b", "\x07", "\u202e")), verb
        assert "\nok  v9.9.9" not in shown


@pytest.fixture(params=["fifo", "device", "huge"])
def endless(own: Project, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A package whose manifest never ends."""
    file = own.path / PACKAGE / "manifest.json"
    file.unlink()
    if request.param == "fifo":
        os.mkfifo(file)
    elif request.param == "device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as hole:
            hole.truncate(1024**3)
    yield own
    file.unlink()


def test_a_manifest_that_never_ends_is_refused_at_once(endless: Project) -> None:
    for command in ("python src/lineage.py verify", f"python src/predict.py {PACKAGE} {SOURCE} out.csv"):
        limited = ["bash", "-c", f"ulimit -v 4000000; exec timeout 60 {command}"]
        done = subprocess.run(limited, cwd=endless.path, capture_output=True, text=True, check=False)

        assert done.returncode in {1, 2}, done.stderr
        assert "manifest.json" in done.stdout + done.stderr


def test_an_alias_bomb_in_the_parameters_is_a_sentence(own: Project) -> None:
    bomb = "\n".join(f"  b{k}: &b{k} [{', '.join([f'*b{k - 1}'] * 9)}]" for k in range(1, 12))
    with (own.path / "params.yaml").open("a") as file:
        file.write(f"bomb:\n  b0: &b0 [x]\n{bomb}\n")
    for command in ("python src/train.py", "python src/lineage.py show workspace"):
        done = own.run(f"timeout 60 {command}", check=False)

        assert done.returncode in {1, 2}
        assert "its aliases make it larger" in done.stderr


@pytest.mark.parametrize("nested", [False, True])
def test_a_class_that_is_not_an_estimator_is_not_called(project: Project, tmp_path: Path, nested: bool) -> None:
    settings = {"class": "subprocess.Popen", "args": ["touch", str(tmp_path / "ran")]}
    section = {"class": "sklearn.ensemble.BaggingClassifier", "estimator": settings} if nested else settings
    project.set(estimators__logistic_regression=section)

    assert "subprocess.Popen" in refuses(project, "dvc repro")
    assert not (tmp_path / "ran").exists()


# K. Small things.


def test_a_lock_with_index_lines_is_accepted(project: Project) -> None:
    file = project.path / "requirements.txt"
    lines = "--index-url https://example.org/simple\n--extra-index-url https://example.org/more\n"
    file.write_text(lines + file.read_text().replace("six==1.17.0", "six==1.17"))
    project.run("python src/prepare.py")


@pytest.mark.parametrize("door", ["prepare", "train", "package", "lineage"])
def test_a_python_without_the_libraries_gets_a_sentence(project: Project, door: str) -> None:
    verb = "list" if door == "lineage" else ""
    done = project.run(f"{sys.executable} -S src/{door}.py {verb}", check=False)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "not installed for" in done.stderr
    assert "pip install -r requirements.txt" in done.stderr


def test_a_release_is_signed_where_git_is_told_to_sign_tags(project: Project, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    for setting in ("tag.gpgSign true", "gpg.format ssh", f"user.signingKey {key}"):
        project.run(f"git config {setting}")
    project.run(RELEASE)

    assert "BEGIN SSH SIGNATURE" in project.run(f"git cat-file tag {TAG}").stdout


def test_a_release_without_an_identity_says_the_two_lines(project: Project) -> None:
    nobody = dict.fromkeys(
        ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"), ""
    )
    project.run("git config user.useConfigOnly true")
    said = refuses(project, RELEASE, 'git config user.name "Your Name"', "git config user.email", **nobody)

    assert "Unexpected" not in said
    for line in said.splitlines():
        if line.startswith("error: git config"):
            project.type(line.removeprefix("error: "))
    project.type(f"unset {' '.join(nobody)}; {RELEASE}")


def test_an_experiment_that_is_named_like_a_version_is_said(own: Project) -> None:
    own.run("dvc exp run -q -n v1.0.0 -S train.seed=7 -S package.version=v1.1.0")
    own.run("git checkout -q .")

    assert "'v1.0.0' is also an experiment" in own.ask("show v1.0.0").stderr
