"""The report that a pull request gets: made by `.ci/report.py`, posted by `.github/workflows/report.yml`."""

import html
import json
import struct
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from projects import CHECKOUT, Project, built_once
from ruamel.yaml import YAML

WORKFLOW = YAML(typ="safe").load((CHECKOUT / ".github/workflows/report.yml").read_text())
PLOTS = ["plot-1.png", "plot-2.png", "plot-3.png"]
REPORT = "python .ci/report.py main ../report"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "@everyone",
    "a | b",
    "`@ada` **x**",
    "</code></pre><h1>owned</h1>",
    "#1 ```",
]


@pytest.fixture(scope="module")
def branch(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A branch that asks for another estimator; the pipeline has run, and its results are not committed. Copy it."""

    def build(folder: Path) -> None:
        project = finished.copy(folder / "project")
        project.run("git checkout -q -b neighbors")
        project.set(train__estimator="nearest_neighbors")
        project.commit("Ask for neighbors")
        project.run("dvc repro")

    return Project(built_once(tmp_path_factory, "branch", build) / "project")


@pytest.fixture(scope="module")
def report(branch: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report on the branch, whose results were committed."""

    def build(folder: Path) -> None:
        project = branch.copy(folder / "project")
        project.commit("Run the pipeline")
        project.run(REPORT)

    return built_once(tmp_path_factory, "report", build) / "report"


def shown(report: Path) -> str:
    """The report as GitHub shows it."""
    found: str = MarkdownIt("commonmark").enable("table").render((report / "report.md").read_text())
    return found


def size(png: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header of a PNG."""
    header = png.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", header[16:])
    return width, height


def test_the_report_says_what_changed_in_the_words_of_diff(report: Path) -> None:
    project = Project(report.parent / "project")
    lines = project.ask("diff main workspace").stdout.splitlines()
    score = next(" ".join(line.split()) for line in lines if line.startswith("balanced_accuracy.cv_mean "))
    found = shown(report)

    assert found.startswith(f"<h2><code>{score}</code></h2>")
    assert f"<p><code>{lines[0]}</code></p>" in found
    assert f"<p><b><code>{html.escape(lines[-1])}</code></b></p>" in found
    assert lines[-1].endswith(("within noise", "more than noise"))
    assert [line for line in found.splitlines() if line.startswith("<h3>")] == [
        f"<h3>{title}</h3>" for title in ("Metrics", "Parameters", "Plots", "Lineage")
    ]
    cells = ("train.estimator", "logistic_regression", "nearest_neighbors")
    assert f"<tr>{''.join(f'<td><code>{cell}</code></td>' for cell in cells)}</tr>" in found
    assert f"<pre>{html.escape(chr(10).join(lines))}</pre>" in found
    assert "not what this code makes" not in found


def test_the_report_shows_every_plot_of_both_revisions(report: Path) -> None:
    project = Project(report.parent / "project")
    plots = json.loads(project.run("dvc plots diff main --json").stdout)["data"]

    assert sorted(path.name for path in report.iterdir()) == sorted([*PLOTS, "report.md"])
    for name, title in zip(PLOTS, plots, strict=True):
        width, height = size(report / name)
        assert f'src="{name}" width="{width // 2}">' in shown(report)
        assert f"<p><code>{title}</code></p>" in shown(report)
        assert min(width, height) > 300
    assert all(plot[0]["revisions"] == ["workspace", "main"] for plot in plots.values())


def test_results_that_were_not_committed_are_named(branch: Project, tmp_path: Path) -> None:
    project = branch.copy(tmp_path / "project")
    project.run(REPORT)
    found = shown(tmp_path / "report")

    assert "<b>The committed results are not what this code makes.</b>" in found
    assert "<code>models/v1.0.0/manifest.json</code>" in found


def test_a_branch_that_changes_no_model_says_so(project: Project, tmp_path: Path) -> None:
    project.run("git checkout -q -b words")
    project.run(REPORT)
    found = shown(tmp_path / "report")

    assert found.startswith("<h2><code>the same model")
    assert found.count("None changed.") == 2


def test_a_branch_with_another_task_is_headed_by_its_own_metric(project: Project, tmp_path: Path) -> None:
    project.run("git checkout -q -b mass")
    project.set(data__target="body_mass_g", data__task="regression", train__estimator="nearest_neighbors_regressor")
    project.run("dvc repro")
    project.run(REPORT)

    assert shown(tmp_path / "report").startswith("<h2><code>r2.cv_mean added: 0.")


def test_what_a_stranger_named_writes_neither_html_nor_mentions_nor_files_elsewhere(
    project: Project, tmp_path: Path
) -> None:
    """A pull request chooses the titles of plots, names of estimators, names of metrics, and files of any name."""
    yaml = YAML()
    pipeline = yaml.load(project.path / "dvc.yaml")
    plot = {"x": "x", "y": {"reports/plots/errors.csv": "y"}, "template": "errors_${data.task}"}
    pipeline["plots"] = [{title: dict(plot)} for title in ["../../outside", f"{tmp_path}/outside", *HOSTILE]]
    yaml.dump(pipeline, project.path / "dvc.yaml")
    (project.path / "models/v1.0.0/manifest.json").write_bytes(hostile_manifest(project))
    project.run(REPORT)
    written = (tmp_path / "report/report.md").read_text()
    found = shown(tmp_path / "report")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["project", "report"]
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.md",
        *(f"plot-{number}.png" for number in range(1, len(HOSTILE) + len(PLOTS) + 3)),
    }
    for text in HOSTILE:
        assert f"<p><code>{html.escape(text)}</code></p>" in found
        assert f"<td><code>{html.escape(text)}</code></td>" in found
    outside = strip_code(written)
    assert not [word for word in ("@", "onerror", "owned", "|", "`", "**", "#") if word in outside]
    assert strip_code(found).split() == outside.split()  # there was no Markdown in it


def hostile_manifest(project: Project) -> bytes:
    """The manifest of the package with parameters of hostile names and values."""
    document = json.loads((project.path / "models/v1.0.0/manifest.json").read_bytes())
    document["params"]["estimator"] |= {text: text for text in HOSTILE}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def strip_code(text: str) -> str:
    """What is neither in `<code>` nor in `<pre>`."""
    for name in ("code", "pre"):
        while f"<{name}>" in text:
            before, _, rest = text.partition(f"<{name}>")
            text = before + rest.partition(f"</{name}>")[2]
    return text


def test_a_revision_that_does_not_exist_ends_in_one_sentence_and_writes_nothing(
    project: Project, tmp_path: Path
) -> None:
    done = project.run("python .ci/report.py nothing ../report", check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("error: 'nothing' is not a version, revision or experiment")
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "report").iterdir())


def test_the_workflow_runs_this_script_and_gives_no_writing_token_to_a_branchs_code() -> None:
    compare, post = WORKFLOW["jobs"]["compare"], WORKFLOW["jobs"]["post"]

    assert any(step.get("run") == 'python .ci/report.py "origin/$BASE" report' for step in compare["steps"])
    assert compare["permissions"] == {"contents": "read"}
    assert not any("checkout" in step.get("uses", "") for step in post["steps"])
    assert "head.repo.full_name == github.repository" in post["if"]


def test_the_workflow_keeps_the_pictures_in_the_repository_where_no_clone_fetches_them(
    report: Path, tmp_path: Path
) -> None:
    """The step runs as it is written in the workflow, with a repository on this disk in place of GitHub's."""
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
    assert all(f'src="https://example.org/a/b/blob/{commit}/{name}?raw=true"' in shown(folder) for name in PLOTS)
