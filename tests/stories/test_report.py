"""The report that a pull request gets: made by `.ci/report.py`, posted by `.github/workflows/report.yml`."""

import json
import struct
from pathlib import Path

import pytest
from conftest import CHECKOUT, Project
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

WORKFLOW = YAML(typ="safe").load((CHECKOUT / ".github/workflows/report.yml").read_text())
PLOTS = ["predicted-against-actual.png", "errors.png", "permutation-importance.png"]
REPORT = "python .ci/report.py main ../report"


@pytest.fixture(scope="module")
def branch(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A branch that asks for another estimator; the pipeline has run, and its results are not committed. Copy it."""
    project = finished.copy(tmp_path_factory.mktemp("report") / "project")
    project.run("git checkout -q -b forest")
    project.set(train__estimator="random_forest")
    project.commit("Ask for a forest")
    project.run("dvc repro")
    return project


@pytest.fixture(scope="module")
def report(branch: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report on the branch, whose results were committed."""
    project = branch.copy(tmp_path_factory.mktemp("committed") / "project")
    project.commit("Run the pipeline")
    project.run(REPORT)
    return project.path.parent / "report"


def html(report: Path) -> str:
    """The report as GitHub shows it."""
    return MarkdownIt("commonmark").enable("table").render((report / "report.md").read_text())


def size(png: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header of a PNG."""
    header = png.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", header[16:])
    return width, height


def test_the_report_says_what_changed_and_whether_the_score_differs_beyond_noise(report: Path) -> None:
    shown = html(report)

    assert shown.startswith("<h2>balanced_accuracy.cv_mean: 0.906 → 0.913</h2>")
    assert "<strong>within noise</strong>" in shown
    assert [line for line in shown.splitlines() if line.startswith("<h3>")] == [
        f"<h3>{title}</h3>" for title in ("Metrics", "Parameters", "Plots", "Lineage")
    ]
    assert shown.count("<table>") == 2
    assert "<td>balanced_accuracy.cv_mean</td>\n<td>0.90598</td>\n<td>0.91325</td>" in shown
    assert "<td>train.estimator</td>\n<td>logistic_regression</td>\n<td>random_forest</td>" in shown
    assert "not what this code makes" not in shown


def test_the_report_ends_with_the_lineage_diff_as_the_questions_answer_it(report: Path) -> None:
    project = Project(report.parent / "project")
    said = project.run("python src/lineage.py diff main workspace").stdout.strip()

    assert f"```text\n{said}\n```\n" in (report / "report.md").read_text()
    assert "train.estimator" in said


def test_the_report_shows_every_plot_of_both_revisions(report: Path) -> None:
    project = Project(report.parent / "project")
    plots = json.loads(project.run("dvc plots diff main --json").stdout)["data"]

    assert sorted(path.name for path in report.iterdir()) == sorted([*PLOTS, "report.md"])
    for name, title in zip(PLOTS, plots, strict=True):
        width, height = size(report / name)
        assert f'<img alt="{title}" src="{name}" width="{width // 2}">' in html(report)
        assert min(width, height) > 300
    assert all(plot[0]["revisions"] == ["workspace", "main"] for plot in plots.values())


def test_results_that_were_not_committed_are_named(branch: Project, tmp_path: Path) -> None:
    project = branch.copy(tmp_path / "project")
    project.run(REPORT)
    shown = html(tmp_path / "report")

    assert "<strong>The committed results are not what this code makes.</strong>" in shown
    assert "<code>models/v1.0.0/manifest.json</code>" in shown


def test_a_branch_that_changes_no_model_says_so(project: Project, tmp_path: Path) -> None:
    project.run("git checkout -q -b words")
    project.run(REPORT)
    shown = html(tmp_path / "report")

    assert shown.startswith("<h2>The model is the same</h2>\n<h3>Metrics</h3>")
    assert shown.count("None changed.") == 2
    assert "main and workspace have the same lineage" in shown


def test_a_branch_with_another_task_is_headed_by_its_own_metric(project: Project, tmp_path: Path) -> None:
    project.run("git checkout -q -b mass")
    project.set(data__target="body_mass_g", data__task="regression", train__estimator="ridge")
    project.run("dvc repro")
    project.run(REPORT)

    assert html(tmp_path / "report").startswith("<h2>Another metric: r2.cv_mean 0.8")


def test_a_revision_that_is_none_ends_in_one_sentence_and_writes_nothing(project: Project, tmp_path: Path) -> None:
    done = project.run("python .ci/report.py nothing ../report", check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("error: 'nothing' is no version, revision or experiment")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "report").iterdir())


def test_the_workflow_runs_this_script_and_gives_no_writing_token_to_a_branchs_code() -> None:
    compare, post = WORKFLOW["jobs"]["compare"], WORKFLOW["jobs"]["post"]

    assert any(step.get("run") == 'python .ci/report.py "origin/$BASE" report' for step in compare["steps"])
    assert WORKFLOW["permissions"] == {}
    assert compare["permissions"] == {"contents": "read"}
    assert not any("checkout" in step.get("uses", "") for step in post["steps"])
    assert "head.repo.full_name == github.repository" in post["if"]


def test_the_workflow_keeps_the_pictures_in_the_repository_where_no_clone_fetches_them(
    report: Path, tmp_path: Path
) -> None:
    """The step runs as it stands in the workflow, with a repository on this disk in place of GitHub's."""
    steps = {step.get("name"): step.get("run") for step in WORKFLOW["jobs"]["post"]["steps"]}
    origin = Project(tmp_path)
    origin.run("git init -q --bare origin")
    env = {"NUMBER": "7", "REPOSITORY": "https://example.org/a/b", "REMOTE": str(tmp_path / "origin")}
    for folder in (tmp_path / "first", tmp_path / "again"):
        Project(report, env).copy(folder).type(steps["Keep the pictures"])
    kept = Project(tmp_path / "origin")
    commit = kept.run("git rev-parse refs/reports/7").stdout.strip()

    assert kept.run("git for-each-ref --format=%(refname)").stdout.split() == ["refs/reports/7"]
    assert kept.run("git rev-list --count refs/reports/7").stdout.strip() == "1"
    assert kept.run(f"git ls-tree --name-only {commit}").stdout.split() == sorted(PLOTS)
    assert all(f'src="https://example.org/a/b/blob/{commit}/{name}?raw=true"' in html(folder) for name in PLOTS)
