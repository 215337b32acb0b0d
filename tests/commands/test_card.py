import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard
from manifests import document
from markdown_it import MarkdownIt
from projects import CHECKOUT, Project, built_once

from commands.card import run
from commands.hub import head_of, license_of, yaml_lines
from commands.versions import find_version
from record.files import to_json
from record.manifest import Manifest
from record.parameters import Card

SAID = {
    "purpose": "Weighs penguins.\n\nNot on ice.",
    "not_for": "Feeding plans",
    "license": "MIT",
    "data_origin": "https://allisonhorst.github.io/palmerpenguins/",
    "contact": "ada@example.org",
}
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</code></pre><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "a | b | c",
    "``` sh",
    "# owned",
    "---\nlicense: evil",
    "`rm -rf ~` $x$ **b** &lt;",
    "'; touch owned; '",
    "\u202etxt.exe\r\n\x1b[31m",
]


@pytest.fixture(scope="module")
def _weights(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A regression, scored by group, released with a card."""

    def build(folder: Path) -> None:
        project = finished.copy(folder / "project")
        project.set(data__target="body_mass_g", data__task="regression", train__estimator="ridge")
        project.set(train__slices=["species"], package__version="v2.0.0", data__drop=["sex"], card=SAID)
        project.release()

    return Project(built_once(tmp_path_factory, "weights", build) / "project")


@pytest.fixture
def weights(_weights: Project, copied: Callable[[Project], Project]) -> Project:
    """A copy of that repository."""
    return copied(_weights)


def as_text(version: str) -> str:
    return "\n".join(run(version).lines) + "\n"


def by_the_hub(card: str) -> tuple[dict[str, Any], list[EvalResult]]:
    """The head as Hugging Face's own library reads it."""
    data = ModelCard(card, ignore_metadata_errors=False).data
    found = data.to_dict()
    assert yaml.safe_load(data.to_yaml()) == found  # as it would write it again
    return found, data.eval_results or []


def statements(card: str) -> dict[str, str]:
    return dict(re.findall(r"^\*\*([\w ]+):\*\* (.*)$", card, flags=re.MULTILINE))


def test_the_hub_reads_every_score_of_a_classification(story: Project) -> None:
    facts = json.loads((story.path / "models/v1.0.0/manifest.json").read_bytes())
    head, results = by_the_hub(as_text("v1.0.0"))
    main, others = facts["metrics"]["balanced_accuracy"]["test"], facts["metrics"]["test"]

    assert head["library_name"] == "sklearn"
    assert head["pipeline_tag"] == "tabular-classification"
    assert head["tags"] == ["sklearn", "tabular-classification", "dvc"]
    assert "license" not in head
    assert {result.metric_type: result.metric_value for result in results} == {"balanced_accuracy": main, **others}
    assert {(r.task_type, r.dataset_name, r.dataset_split) for r in results} == {
        ("tabular-classification", "penguins_v1.0.0.parquet", "test")
    }


def test_a_regression_shows_its_scores_by_group_and_what_people_say_of_it(weights: Project) -> None:
    card = as_text("v2.0.0")
    head, results = by_the_hub(card)
    metrics = json.loads((weights.path / "models/v2.0.0/manifest.json").read_bytes())["metrics"]

    assert (head["license"], head["pipeline_tag"]) == ("mit", "tabular-regression")
    assert {r.metric_type for r in results} == {"r2", "mean_absolute_error", "root_mean_squared_error"}
    assert "Released as `penguins@v2.0.0`." in card
    assert "predicts the number `body_mass_g`" in card
    for name, score in [("r2", metrics["r2"]), *((n, {"test": s}) for n, s in metrics["test"].items())]:
        base = score.get("baseline", metrics["baseline"].get(name))
        assert f"| `{name}` | {score['test']:.4g} | {base:.4g} |" in card
    for species, found in metrics["slices"]["species"].items():
        scores = " | ".join(f"{found[name]:.4g}" for name in ("r2", "neg_mean_absolute_error"))
        assert f"| `{species}` | {found['rows']} | {scores} |" in card
    assert statements(card) == {
        "Purpose": "Weighs penguins.",
        "Not for": "Feeding plans",
        "Licence": "MIT",
        "Origin of the data": "<https://allisonhorst.github.io/palmerpenguins/>",
        "Contact": "ada@example.org",
    }
    assert "\n\nNot on ice.\n" in card


def test_the_commands_of_a_card_work_as_they_stand_in_a_clone_without_the_model(weights: Project) -> None:
    """One thing is changed: pip only says what it would install, since the tests' environment is not theirs."""
    blocks = re.findall(r"```sh\n(.*?)```", weights.ask("card v2.0.0").stdout, flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    (weights.path / "models/v2.0.0/model.joblib").unlink()
    without = weights.ask("card v2.0.0")
    typed = weights.type("\n".join(blocks).replace("pip install", "pip install --quiet --dry-run"))

    assert [re.findall(r"lineage.py \w+|predict.py|load_model\(|pip|sha256sum", line)[0] for line in commands] == [
        *(
            "lineage.py restore",
            "pip",
            "load_model(",
            "predict.py",
            "sha256sum",
            "lineage.py verify",
            "lineage.py rebuild",
        )
    ]
    assert (weights.path / "scored.csv").is_file()
    assert "model.joblib: OK" in typed.stdout
    assert re.findall(r"```sh\n(.*?)```", without.stdout, flags=re.DOTALL) == blocks


def test_a_version_that_only_history_has_is_named_by_its_commit(story: Project) -> None:
    commit = find_version("forest").commit
    card = story.ask("card forest").stdout

    assert f"python src/lineage.py restore {commit}\n" in card
    assert f"python src/lineage.py verify {commit}\n" in card
    assert "RandomForestClassifier" in card
    assert "It is not released." in card


def test_a_package_that_no_commit_holds_is_neither_restored_nor_rebuilt(own: Project) -> None:
    own.set(estimators__logistic_regression__C=0.0001)
    own.run("dvc repro")
    card = as_text("workspace")

    assert "lineage.py verify v1.1.0\n" in card
    assert "restore" not in card
    assert "rebuild" not in card


def test_what_people_say_is_read_from_the_versions_own_commit(weights: Project) -> None:
    for later in ("v2.0.0", "v2.1.0"):  # it is released, so it is no longer what params.yaml speaks of
        weights.set(card__purpose="Something else.", package__version=later)
        assert statements(as_text("v2.0.0"))["Purpose"] == "Weighs penguins."
    assert run("v2.0.0").facts["card_from"] == find_version("penguins@v2.0.0").commit
    assert run("v2.0.0").facts["card"] == {key: value.strip() for key, value in SAID.items()}


def test_a_later_commit_with_the_same_package_is_released_too_and_has_a_card_of_its_own(weights: Project) -> None:
    weights.set(card__contact="Bob")
    later = weights.commit("Ask Bob")
    card = as_text("HEAD")

    assert "Released as `penguins@v2.0.0`." in card
    assert "lineage.py restore v2.0.0\n" in card
    assert (statements(card)["Contact"], statements(as_text("v2.0.0"))["Contact"]) == ("Bob", "ada@example.org")
    assert run("HEAD").facts["card_from"] == later


def test_an_edit_of_the_card_shows_at_once_and_trains_nothing(own: Project) -> None:
    own.set(card__purpose="To tell.")

    assert statements(as_text("v1.1.0"))["Purpose"] == "To tell."
    assert "*Said later" not in as_text("v1.1.0")
    assert run("v1.1.0").facts["card_from"] == "params.yaml"
    assert json.loads(own.run("dvc status --json").stdout) == {}
    own.commit("Say what it is for")
    own.run("dvc repro")
    assert own.run("git status --porcelain").stdout == ""


def test_a_commit_without_a_card_falls_back_to_the_present_one_and_says_so(own: Project) -> None:
    before = as_text("v1.0.0")
    own.set(card__purpose="To tell.")
    done = own.ask("card v1.0.0")
    commit = own.run("git rev-parse --short=8 main").stdout.strip()

    assert set(statements(before).values()) == {"not stated"}
    assert statements(done.stdout)["Purpose"] == "To tell."
    assert "*Said later: the commit of this version says nothing, and `params.yaml` now says this.*" in done.stdout
    assert done.stderr == f"note: {commit} has no card of its own, so what params.yaml says now is shown\n"
    assert run("v1.0.0").facts["card_from"] == "params.yaml"


def test_a_mistake_in_an_old_card_is_told_and_one_in_the_present_card_is_refused(own: Project) -> None:
    own.run("git checkout -q main")
    own.set(card__purpos="x")
    own.commit("Misspell")
    own.run("git tag -a -f penguins@v1.0.0 -m Released")
    refused = own.ask("card v1.0.0", check=False)
    own.run("git checkout -q HEAD~1 -- params.yaml")
    told = own.ask("card v1.0.0")

    assert refused.returncode == 2
    assert refused.stderr == "error: params.yaml: card.purpos: unknown key; did you mean 'purpose'?\n"
    assert re.fullmatch(
        r"note: params.yaml of \w{8}: card.purpos: unknown key; did you mean 'purpose'\?; its card is not used\n",
        told.stderr,
    )


def test_the_facts_are_the_manifest_with_the_card_and_its_head(story: Project) -> None:
    facts = json.loads(story.ask("card v1.0.0 --json").stdout)
    manifest = json.loads((story.path / "models/v1.0.0/manifest.json").read_bytes())
    commit = story.run("git rev-parse main").stdout.strip()

    assert {key: facts[key] for key in manifest} == manifest
    assert facts["card"] == Card().model_dump()
    assert (facts["card_from"], facts["release"]) == (commit, "penguins@v1.0.0")
    assert facts["head"] == yaml.safe_load(as_text("v1.0.0").split("---\n")[1])


@pytest.fixture
def recorded(record: Callable[..., str], tmp_path: Path) -> Callable[[bytes], str]:
    """The card of a manifest, in a repository of nothing else."""

    def card(manifest: bytes) -> str:
        (tmp_path / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())
        record(**{"v1.0.0": manifest})
        return as_text("v1.0.0")

    return card


@pytest.mark.usefixtures("template")
def test_a_version_of_schema_1_has_a_card(recorded: Callable[[bytes], str]) -> None:
    content = (CHECKOUT / "tests/record/manifest_schema_1.json").read_bytes()
    card = recorded(content)

    assert len(by_the_hub(card)[1]) == 4
    assert "Not known: this version's manifest is of schema 1" in card
    assert "| `species` |  | string |  |  |" in card
    assert "rebuild" not in card  # its dvc.lock is not here


@pytest.mark.usefixtures("template")
def test_warnings_origins_and_many_classes_are_said(recorded: Callable[[bytes], str]) -> None:
    whole = document()
    whole["warnings"] = [{"name": "leak", "column": "x", "text": "column 'x_y': determines the target"}]
    whole["model"]["classes"] = [f"class {k}" for k in range(23)]
    card = recorded(to_json(whole))

    assert "- `leak`: column 'x\\_y': determines the target" in card
    assert "`class 19` and 3 more)" in card
    assert "from <https://example.org/islands.git>" in card
    assert "In a clone of <https://example.org/penguins.git>." in card
    assert "predict.py" not in card  # no raw table is here


@pytest.mark.usefixtures("template")
@pytest.mark.parametrize("evil", HOSTILE)
def test_what_a_stranger_wrote_is_shown_and_is_never_markup(
    recorded: Callable[[bytes], str], tmp_path: Path, evil: str
) -> None:
    whole = document()
    whole["name"] = whole["model"]["target"] = whole["model"]["steps"][0]["class"] = whole["run"]["platform"] = evil
    whole["model"]["classes"] = [evil]
    whole["model"]["features"][0] |= {"name": evil, "dtype": evil}
    whole["inputs"][0]["path"] = whole["stages"]["prepare"]["cmd"] = whole["inputs"][1]["origin"]["url"] = evil
    whole["stages"][evil] = whole["stages"]["prepare"]
    whole["params"]["estimator"][evil] = whole["environment"]["packages"][evil] = evil
    whole["metrics"] = {
        evil: {"test": 0.5, "cv_mean": 0.5},
        "test": {evil: 1e-7},
        "slices": {evil: {evil: {evil: 1.0}}},
    }
    whole["warnings"] = [{"name": "leak", "column": evil, "text": evil}]
    whole["run"]["git"]["remote"] = evil
    plain = recorded(to_json(document()))
    project = Project(tmp_path)
    recorded(to_json(whole))
    project.set(card=dict.fromkeys(SAID, evil))
    card = as_text("v1.0.0")
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = [token for each in reader.parse(card.partition("\n---\n")[2]) for token in (each, *(each.children or []))]
    kinds = {token.type for token in tokens}
    shell = "".join(token.content for token in tokens if token.type == "fence")

    assert kinds.isdisjoint({"html_inline", "html_block", "image", "hr", "blockquote_open"})
    assert not [
        t for t in tokens if t.type == "link_open" and not str(t.attrs["href"]).startswith("https://evil.example/")
    ]
    assert len([t for t in tokens if t.type == "heading_open"]) == plain.count("\n#")
    assert sum(t.type == "fence" for t in tokens) == 2
    assert evil.partition("\n")[0].strip() not in shell
    head, results = by_the_hub(card)
    assert head.keys() >= {"library_name", "model-index"}
    assert {result.metric_value for result in results} == {0.5, 1e-7}


@pytest.mark.usefixtures("template")
def test_a_folder_of_an_odd_name_is_quoted_where_it_is_typed(record: Callable[..., str], tmp_path: Path) -> None:
    name = "v1; $(touch owned) '"
    (tmp_path / "params.yaml").write_bytes((CHECKOUT / "params.yaml").read_bytes())
    record(**{name: to_json(document())})
    blocks = re.findall(r"```sh\n(.*?)```", as_text(name), flags=re.DOTALL)
    words = [shlex.split(line.strip("()")) for block in blocks for line in block.splitlines()]

    assert sum(name in line or f"models/{name}" in line for line in words) == 4
    assert not any("touch" in word for line in words for word in line if name not in word)


@pytest.mark.parametrize(
    "metrics",
    [{}, {"slices": 3}, {"slices": {"a": 3}, "test": 3, "folds": 3}, {"a": {"test": "x"}, "test": {"b": None}}],
)
@pytest.mark.usefixtures("template")
def test_odd_metrics_of_a_stranger_are_left_out(recorded: Callable[[bytes], str], metrics: dict[str, Any]) -> None:
    card = recorded(to_json(document() | {"metrics": metrics}))

    assert by_the_hub(card)[1] == []
    assert "## Scores" in card


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", {}),
        ("MIT", {"license": "mit"}),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("Our own, see the contract", {"license": "other", "license_name": "our-own-see-the-contract"}),
        (
            "Ours: https://example.org/license.",
            {
                "license": "other",
                "license_name": "ours-https-example.org-license",
                "license_link": "https://example.org/license",
            },
        ),
        ("§", {"license": "other", "license_name": "unknown"}),
    ],
)
def test_a_licence_is_said_as_the_hub_takes_it(said: str, expected: dict[str, str]) -> None:
    assert license_of(said) == expected


def test_texts_that_other_readers_of_yaml_take_for_something_else_stay_texts() -> None:
    for word in ("yes", "1:30", "2026-03-01", "~", "1e-3", "0x10"):
        manifest = Manifest.model_validate(document() | {"name": word}, by_alias=True)
        head = head_of(manifest, Card())

        assert yaml.safe_load("\n".join([*yaml_lines(head)][1:-1])) == head
        assert head["model-index"][0]["name"] == word


def test_a_signature_and_a_rebuild_are_named(weights: Project) -> None:
    weights.type("openssl ecparam -name prime256v1 -genkey -noout -out me.pem")
    weights.ask("sign v2.0.0 --key me.pem")

    assert re.search(
        r"^- signed: model\.sig by the key \w{8} \(not checked: --key names a key\)$", as_text("v2.0.0"), re.MULTILINE
    )


def test_the_table_of_annex_iv_names_what_the_card_and_the_manifest_have() -> None:
    """What the page says that the card fills is a heading or a statement of the card."""
    page = (CHECKOUT / "docs/annex-iv.md").read_text(encoding="utf-8")
    lists = re.findall(r"card: ((?:\*[^*|]+\*(?:, | \([^)]*\), )?)+)", page)
    named = {name for listed in lists for name in re.findall(r"\*([^*]+)\*", listed)}
    source = (CHECKOUT / "src/commands/card.py").read_text(encoding="utf-8")
    keys = {key.split(".")[0] for key in re.findall(r"`manifest: ([\w.]+)`", page)}

    assert len(named) == 10
    assert not [name for name in named if f'"{name}"' not in source and f'# {name}"' not in source]
    assert keys
    assert keys <= set(Manifest.model_fields)
