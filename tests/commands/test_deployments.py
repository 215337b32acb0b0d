"""Stages of life, made with GTO's own commands; the time of a tag is then moved to when it is to have happened."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import ENVIRONMENT
from projects import Project, built_once, recipe

from commands import deployed, show
from commands.deployments import Event, deployments_of, during, lasting, replay, words
from commands.list import run as list_versions
from commands.result import WIDTH
from record.problem import CannotAsk, Problem

DAY = "2026-{}T00:00:00Z"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def redate(project: Project, tag: str, when: str) -> None:
    """Make a tag say that it was made at another time."""
    content = project.run(f"git cat-file tag 'refs/tags/{tag}'").stdout
    moved = re.sub(r"(?m)^(tagger .*>) \d+ .*$", rf"\1 {int(at(when).timestamp())} +0000", content, count=1)
    done = subprocess.run(["git", "mktag"], cwd=project.path, input=moved, capture_output=True, text=True, check=True)
    project.run(f"git update-ref 'refs/tags/{tag}' {done.stdout.strip()}")


def gto(project: Project, command: str, when: str, folder: str = ".") -> str:
    """Run a command of GTO's, and move the tag that it makes to a time; returns the tag."""
    said = project.run(f"gto {command}", folder=folder).stdout
    tag = said.partition("Created git tag '")[2].partition("'")[0]
    redate(project, tag, when)
    return tag


def release(project: Project) -> None:
    """Release v1.1.0 too, and both before all else."""
    project.run("git tag -a penguins@v1.1.0 -m Released")
    for version in ("v1.0.0", "v1.1.0"):
        redate(project, f"penguins@{version}", DAY.format("01-01"))


def in_gto(project: Project) -> dict[str, list[str]]:
    """The stages in which GTO itself sees each version."""
    found: list[dict[str, Any]] = json.loads(project.run("gto show penguins --json").stdout)
    return {each["version"]: sorted(stage["stage"] for stage in each["stages"]) for each in found if each["stages"]}


def here_now() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in during(deployments_of("penguins"), datetime.now(UTC)):
        found.setdefault(each.version, []).append(each.stage)
    return {version: sorted(stages) for version, stages in found.items()}


@pytest.fixture(scope="module")
def _life(_story: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """v1.0.0 in prod for 41 days, then v1.1.0, which had been in staging for 14 days until the day before."""

    def build(folder: Path) -> None:
        project = _story.copy(folder / "project")
        release(project)
        for command, when in [
            ("assign penguins --version v1.0.0 --stage prod", DAY.format("01-19")),
            ("assign penguins --version v1.1.0 --stage staging", DAY.format("02-14")),
            ("deprecate penguins v1.1.0 staging", DAY.format("02-28")),
            ("assign penguins --version v1.1.0 --stage prod", "2026-03-01T10:30:00Z"),
        ]:
            gto(project, command, when)

    return Project(built_once(tmp_path_factory, "life", build) / "project")


@pytest.fixture
def life(_life: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The repository of that life, in which the test runs. It only reads."""
    monkeypatch.chdir(_life.path)
    return _life


@pytest.fixture
def living(_life: Project, copied: Callable[[Project], Project]) -> Project:
    """A copy of it."""
    return copied(_life)


def test_each_step_of_a_life_is_seen_as_gto_sees_it(own: Project) -> None:
    release(own)
    for step, (command, prod) in enumerate(
        [
            ("assign penguins --version v1.0.0 --stage prod", "v1.0.0"),
            ("assign penguins --version v1.1.0 --stage prod", "v1.1.0"),
            ("assign penguins --version v1.0.0 --stage prod --force", "v1.0.0"),  # rolled back
            ("assign penguins --version v1.0.0 --stage dev/eu", "v1.0.0"),
            ("deprecate penguins v1.0.0 prod", "v1.1.0"),  # the one before comes back
            ("deprecate penguins v1.1.0", None),  # deregistered
            ("assign penguins --version v1.0.0 --stage prod", "v1.0.0"),
            ("deprecate penguins", "v1.0.0"),  # discourages its use, and takes nothing out of a stage
        ],
        start=1,
    ):
        gto(own, command, DAY.format(f"02-{step:02}"))

        assert here_now() == in_gto(own)
        assert [version for version, stages in here_now().items() if "prod" in stages] == ([prod] if prod else [])
    stays = [
        (each.version, f"{each.since:%d}", each.until and f"{each.until:%d}") for each in deployments_of("penguins")
    ]
    assert [stay for stay in stays if stay[1] != "04"] == [
        ("v1.0.0", "01", "02"),
        ("v1.1.0", "02", "03"),
        ("v1.0.0", "03", "05"),
        ("v1.1.0", "05", "06"),
        ("v1.0.0", "07", None),
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("prod", ["prod v1.1.0 since 2026-03-01T10:30:00Z, before it v1.0.0 for 41 days"]),
        ("prod --on 2026-02-28", ["prod v1.0.0 from 2026-01-19T00:00:00Z to 2026-03-01T10:30:00Z (41 days)"]),
        ("prod --on 2026-03-01T10:29:59Z", ["prod v1.0.0 from 2026-01-19T00:00:00Z to 2026-03-01T10:30:00Z (41 days)"]),
        (
            "prod --on 2026-03-01T12:30:00+02:00",
            ["prod v1.1.0 since 2026-03-01T10:30:00Z, before it v1.0.0 for 41 days"],
        ),
        (
            "prod --on 2026-03-01",
            [
                "prod v1.0.0 from 2026-01-19T00:00:00Z to 2026-03-01T10:30:00Z (41 days)",
                "prod v1.1.0 since 2026-03-01T10:30:00Z, before it v1.0.0 for 41 days",
            ],
        ),
        (
            "--on 2026-02-20",
            [
                "prod v1.0.0 from 2026-01-19T00:00:00Z to 2026-03-01T10:30:00Z (41 days)",
                "staging v1.1.0 from 2026-02-14T00:00:00Z to 2026-02-28T00:00:00Z (14 days)",
            ],
        ),
    ],
)
def test_what_was_in_a_stage_on_a_day_is_said(life: Project, asked: str, said: list[str]) -> None:
    told, facts = life.ask(f"deployed {asked}"), json.loads(life.ask(f"deployed {asked} --json").stdout)

    assert [" ".join(line.split()) for line in told.stdout.splitlines()] == said
    assert told.stderr == ""
    assert all(len(line) <= WIDTH for line in told.stdout.splitlines())
    assert [[fact["stage"], fact["version"]] for fact in facts] == [line.split()[:2] for line in said]
    assert [fact["until"] is None for fact in facts] == [" since " in line for line in said]
    assert all(life.run(f"git rev-parse '{fact['tag']}^{{commit}}'").stdout.strip() == fact["commit"] for fact in facts)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("prod --on 2026-01-18", "nothing was in prod on 2026-01-18; the first was v1.0.0, since 2026-01-19T00:00:00Z"),
        ("staging", "nothing is in staging now; the last was v1.1.0, until 2026-02-28T00:00:00Z"),
        (
            "staging --on 2026-02-28",
            "nothing was in staging on 2026-02-28; the last was v1.1.0, until 2026-02-28T00:00:00Z",
        ),
        ("--on 2025-01-01", "nothing was in any stage on 2025-01-01; the first was v1.0.0, since 2026-01-19T00:00:00Z"),
    ],
)
def test_a_stage_that_was_empty_is_a_no(life: Project, asked: str, said: str) -> None:
    told, facts = (life.ask(f"deployed {asked} {form}", check=False) for form in ("", "--json"))

    assert (told.returncode, told.stdout, told.stderr) == (1, f"{said}\n", "")
    assert (facts.returncode, json.loads(facts.stdout)) == (1, [])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("prd", "'prd': no version of penguins was ever in this stage; did you mean 'prod'?"),
        ("prod --on 1st-of-March", "--on: expected a day or a time (UTC), such as 2026-03-01"),
        ("prod --on 2999-01-01", "--on: 2999-01-01 is yet to come"),
        ("prod --on 0001-01-01T00:00:00+23:00", "--on: expected a day or a time (UTC), such as 2026-03-01"),
    ],
)
def test_a_stage_or_a_day_that_is_none_cannot_be_answered(life: Project, asked: str, said: str) -> None:
    done = life.ask(f"deployed {asked}", check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {said}")


def test_the_recipe_works_as_it_stands(own: Project) -> None:
    said = own.type(recipe("Say what is in production"))

    assert said.stdout.splitlines()[-1].startswith("prod  v1.0.0  since ")


@pytest.mark.usefixtures("life")
def test_list_and_show_say_where_a_version_is_and_was() -> None:
    listed = list_versions(everywhere=True)
    row = {line.split()[0]: line for line in listed.lines if "workspace" in line}
    lines = {version: [" ".join(line.split()) for line in show.run(version).lines] for version in ("v1.0.0", "v1.1.0")}

    assert all(len(line) <= WIDTH for line in listed.lines)
    assert " in prod " in row["v1.1.0"]
    assert "in prod" not in row["v1.0.0"]
    assert [fact["deployed"] for fact in listed.facts] == [[], ["prod"], [], [], []]  # no experiment is
    assert lines["v1.0.0"].count("deployed was in prod from 2026-01-19 to 2026-03-01 (41 days)") == 1
    assert [line for line in lines["v1.1.0"] if line.startswith("deployed ")] == [
        "deployed was in staging from 2026-02-14 to 2026-02-28 (14 days)",
        "deployed in prod since 2026-03-01, before it v1.0.0 for 41 days",
    ]
    assert [each["until"] for each in show.run("v1.1.0").facts["deployments"]] == [DAY.format("02-28"), None]
    assert not [line for line in show.run("forest").lines if line.startswith("deployed")]
    assert "deployments" not in show.run("forest").facts


def test_another_model_under_a_deployed_version_is_not_called_deployed(living: Project) -> None:
    living.run("dvc exp apply -q forest")

    assert [fact["deployed"] for fact in list_versions(everywhere=False).facts] == [[], []]
    assert not [line for line in show.run("v1.1.0").lines if line.startswith("deployed")]


def test_trace_says_where_a_version_is(life: Project) -> None:
    found = json.loads(life.ask("trace data/raw/penguins_v1.1.0.parquet --json").stdout)

    assert ["prod"] in [fact["deployed"] for fact in found]


def test_before_any_assignment_the_command_that_makes_one_is_given_and_works(own: Project) -> None:
    own.run("git checkout -q main")
    done = own.ask("deployed prod", check=False)
    command = done.stderr.splitlines()[-1].partition("assign it: ")[2]

    assert done.returncode == 2
    own.run(command)
    assert own.ask("deployed prod").stdout.startswith("prod  v1.0.0  since ")
    own.run("git checkout -q next")
    own.run("git tag -d 'penguins#prod#1'")
    assert "error: release one: python src/lineage.py release\n" in own.ask("deployed", check=False).stderr


@pytest.mark.parametrize(
    ("options", "cure", "version"),
    [
        ("--no-tags", "without tags; git fetch --tags", "v1.0.0"),
        ("--depth 1", "git fetch --unshallow --tags", "v1.1.0"),
    ],
)
def test_a_clone_without_tags_asks_for_them(
    life: Project, tmp_path: Path, options: str, cure: str, version: str
) -> None:
    life.run(f"git clone -q {options} file://{life.path} {tmp_path / 'clone'}")
    clone = Project(tmp_path / "clone")
    unknown = clone.ask("deployed staging", check=False)
    for tag in ("penguins#prod#1", "penguins@v1.0.0"):
        clone.run(f"git fetch -q --no-tags origin refs/tags/{tag}:refs/tags/{tag}")
    old, empty = clone.ask("deployed prod"), clone.ask("deployed prod --on 2026-01-01", check=False)

    assert (unknown.returncode, unknown.stdout, empty.returncode, empty.stdout) == (2, "", 2, "")
    assert old.stdout.startswith(f"prod  {version}  since ")
    assert old.stderr.startswith("note: this answer may be old, since of this clone ")
    assert all(cure in done.stderr for done in (unknown, old, empty))


def test_without_git_nothing_is_known(tmp_path: Path, life: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/params.yaml").write_bytes((life.path / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path / "plain")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    with pytest.raises(Problem, match="not a Git repository"):
        deployed.run("prod", None)


def test_projects_of_one_repository_have_their_own_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path, ENVIRONMENT)
    project.run("git init -q -b main")
    for version in ("v1.0.0", "v1.1.0"):
        project.run(f"git commit -q --allow-empty -m {version}")
        for prefix in ("", "teams/birds="):
            project.run(f"git tag -a {prefix}penguins@{version} -m Released")
    gto(project, "assign penguins --version v1.0.0 --stage prod", DAY.format("01-01"))
    gto(project, "assign teams/birds:penguins --version v1.1.0 --stage prod", DAY.format("01-02"))
    (tmp_path / "teams/birds").mkdir(parents=True)
    for folder, version in ((".", "v1.0.0"), ("teams/birds", "v1.1.0"), ("teams", None)):
        monkeypatch.chdir(tmp_path / folder)

        assert [each.version for each in deployments_of("penguins")] == ([version] if version else [])


def test_tags_that_say_nothing_of_a_stage_are_passed_over(own: Project) -> None:
    for tag in ("penguins#prod#7", "other#prod#1", "penguins#", "penguins@v1", "x", "penguins#a#b#c", "ä#prod#1"):
        own.run(f"git tag '{tag}'")  # without a tagger, so without a time
    own.run("git tag -a -m x 'penguins#prod#x'")
    own.run("git tag -a -m x 'other#prod#2'")

    assert deployments_of("penguins") == []


def test_a_commit_without_a_version_goes_by_its_hash(living: Project) -> None:
    older = living.run("git for-each-ref --format=%(objectname) refs/exps/**/older").stdout.strip()
    gto(living, f"assign penguins {older} --stage lab --sr", DAY.format("03-05"))

    assert living.ask("deployed lab").stdout == f"lab  {older[:8]}  since 2026-03-05T00:00:00Z\n"
    assert [fact["deployed"] for fact in list_versions(everywhere=True).facts if fact["experiment"] == "older"] == [
        ["lab"]
    ]


def test_a_time_that_no_calendar_has_is_not_a_crash(living: Project) -> None:
    content = living.run("git cat-file tag 'refs/tags/penguins#prod#1'").stdout
    far = re.sub(r"(?m)^(tagger .*>) \d+", r"\1 9999999999999999", content)
    done = subprocess.run(
        ["git", "hash-object", "-t", "tag", "-w", "--literally", "--stdin"],
        cwd=living.path,
        input=far,
        capture_output=True,
        text=True,
        check=True,
    )
    living.run(f"git update-ref 'refs/tags/penguins#prod#1' {done.stdout.strip()}")

    assert living.ask("deployed prod").returncode == 0


def event(day: int, count: int, commit: str, stage: str | None = "prod", version: str | None = None) -> Event:
    return Event(datetime(2026, 1, day, tzinfo=UTC), count, f"p#{count}", commit, stage, version, ends=False)


def stays(events: Sequence[Event]) -> list[tuple[str, int, int | None]]:
    return [(each.version, each.since.day, each.until and each.until.day) for each in replay(events)]


def test_what_happened_in_one_second_happened_in_the_order_of_gtos_count() -> None:
    events = [event(1, 10, "b"), event(1, 9, "a"), event(3, 2, "c")]

    assert stays(events) == [("a", 1, 1), ("b", 1, 3), ("c", 3, None)]
    assert stays(events[::-1]) == stays(events)


def test_assigning_again_what_is_there_changes_nothing() -> None:
    assert stays([event(1, 1, "a"), event(5, 2, "a"), event(6, 3, "b")]) == [("a", 1, 6), ("b", 6, None)]


def test_a_gap_is_said() -> None:
    ended = Event(datetime(2026, 1, 11, tzinfo=UTC), 2, "p!", "a", "prod", None, ends=True)
    found = replay([event(1, 1, "a"), ended, event(13, 3, "b")])

    assert words(found[1], found) == "since 2026-01-13, before it a for 10 days until 2026-01-11"


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2026-01-02T00:00:59Z", "1 day"),
        ("2026-01-03T23:00:00Z", "2 days"),
        ("2026-01-01T05:59:00Z", "5 hours"),
        ("2026-01-01T00:01:59Z", "1 minute"),
        ("2026-01-01T00:00:59Z", "less than a minute"),
    ],
)
def test_how_long_something_lasted_is_said_in_whole_units(until: str, said: str) -> None:
    assert lasting(at(DAY.format("01-01")), at(until)) == said


def test_ten_times_as_many_tags_take_about_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        events = [event(1 + k // 1000, k, f"{k % (count // 4):x}") for k in range(count)]
        start = time.process_time()
        replay(events)
        return time.process_time() - start

    few, many = (min(seconds(count) for _ in range(3)) for count in (2000, 20_000))
    assert many < 40 * few


def test_a_refused_repository_is_not_one_without_stages(living: Project) -> None:
    (living.path / ".git/HEAD").write_text("damaged")

    with pytest.raises(CannotAsk):
        deployments_of("penguins")
