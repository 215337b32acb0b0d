"""The words by which a person names a version, and what Git's history holds of manifests, whoever wrote them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import Project

from commands.versions import (
    Record,
    Version,
    commits_holding,
    experiments,
    experiments_by_commit,
    find_version,
    in_commits,
    in_workspace,
    one_for_each_model,
    release_tags,
    state_of,
    version_made_in,
)
from record.problem import Problem
from record.tracking import LOCK

Write = Callable[..., str]
BASELINE = f"refs/exps/{'a' * 2}/{'b' * 38}"
KNOWN = "known: forest, older, v1.0.0, v1.1.0, workspace, worse"


def git(command: str) -> str:
    return Project(Path.cwd()).run(f"git {command}").stdout.strip()


def recorded(version: str, commit: str | None, document: dict[str, Any]) -> Record:
    return Record(version, document, present=commit is None, commit=commit)


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("story")
def test_a_folder_is_meant_first_and_workspace_is_what_params_yaml_names() -> None:
    found = [find_version(what) for what in ("v1.0.0", "v1.1.0", "workspace")]

    assert found == [Version("v1.0.0"), Version("v1.1.0"), Version("v1.1.0")]


@pytest.mark.parametrize(
    ("what", "version"),
    [("main", "v1.0.0"), ("next", "v1.1.0"), ("HEAD", "v1.1.0"), ("HEAD~2", "v1.0.0"), ("penguins@v1.0.0", "v1.0.0")],
)
def test_a_revision_means_the_version_that_it_packaged_last(story: Project, what: str, version: str) -> None:
    commit = story.run(f"git rev-parse {what}^{{commit}}").stdout.strip()

    assert find_version(what) == find_version(commit[:9]) == Version(version, commit)


@pytest.mark.parametrize("name", ["older", "worse", "forest"])
def test_an_experiment_means_what_it_made(story: Project, name: str) -> None:
    found = find_version(name)
    experiment = found.manifest().run.experiment

    assert found.name == "v1.1.0"
    assert found.commit == story.run(f"git for-each-ref --format=%(objectname) refs/exps/*/*/{name}").stdout.strip()
    assert experiment
    assert experiment.name == name


@pytest.mark.usefixtures("story")
def test_a_name_that_means_one_thing_is_not_remarked_on(capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("v1.0.0", "workspace", "main", "forest"):
        find_version(what)

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("v1.0.0", None, "note: 'v1.0.0' is also an experiment or a revision; {} names that one\n"),
        ("forest", "experiment", "note: 'forest' is also a revision; {} names that one\n"),
    ],
)
def test_a_name_that_means_several_things_is_remarked_on(
    own: Project, capsys: pytest.CaptureFixture[str], name: str, found: str | None, said: str
) -> None:
    own.run(f"git branch {name} main")
    version = find_version(name)

    assert (version.commit is None) is (found is None)
    assert version.commit != own.run("git rev-parse main").stdout.strip()
    assert capsys.readouterr().err == said.format(own.run("git rev-parse --short=8 main").stdout.strip())


def test_a_version_of_another_branch_is_found_when_there_is_no_folder_of_it(own: Project) -> None:
    own.run("git checkout -q -f main")
    shutil.rmtree(own.path / "models/v1.1.0", ignore_errors=True)

    assert find_version("v1.1.0").manifest().version == "v1.1.0"


def test_a_version_that_was_removed_is_found_where_it_last_was(own: Project) -> None:
    own.run("git rm -qr models/v1.0.0")
    own.commit("Remove v1.0.0")
    shutil.rmtree(own.path / "models/v1.0.0", ignore_errors=True)

    assert find_version("v1.0.0").manifest().version == "v1.0.0"


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("v1.0.1", "did you mean 'v1.0.0'?"),
        ("forrest", "did you mean 'forest'?"),
        (" V1.0.0", "did you mean 'v1.0.0'?"),
        ("../v1.0.0", "did you mean 'v1.0.0'?"),
        *[(what, KNOWN) for what in ("", "v*", "--all", "a\0b", "HEAD^{tree}", "HEAD:models")],
    ],
)
@pytest.mark.usefixtures("story")
def test_an_unknown_name_is_refused_with_the_nearest_one(what: str, hint: str) -> None:
    with pytest.raises(Problem) as problem:
        find_version(what)

    assert problem.value.lines == (f"'{what}' is not a version, revision or experiment; {hint}",)


def test_a_commit_without_a_package_says_so(story: Project) -> None:
    first = story.run("git rev-parse HEAD~3").stdout.strip()

    with pytest.raises(Problem, match=r"^'HEAD~3': its dvc.lock records no package; python src/lineage.py list --all"):
        find_version("HEAD~3")
    with pytest.raises(Problem, match=rf"^models/v9/manifest.json: not in commit {first}; "):
        Version("v9", first).manifest()
    with pytest.raises(Problem, match=r"^models/v9/manifest.json: not found; python src/lineage.py restore v9$"):
        Version("v9").manifest()


def test_a_file_is_read_as_the_version_has_it(story: Project) -> None:
    commit = story.run("git rev-parse main").stdout.strip()

    assert b"v1.0.0" in (Version("v1.0.0", commit).read(LOCK) or b"")
    assert Version("v1.1.0").read(LOCK) == (story.path / LOCK).read_bytes()
    assert Version("v1.0.0", commit).read(Path("nothing")) is Version("v1.1.0").read(Path("models")) is None
    assert version_made_in(commit) == "v1.0.0"


def test_the_commits_that_hold_a_version_begin_with_its_release_and_then_head(own: Project) -> None:
    release, first = (own.run(f"git rev-parse {at}").stdout.strip() for at in ("main", "HEAD~2"))
    manifest = Path("models/v1.0.0/manifest.json")
    released = manifest.read_bytes()
    manifest.write_bytes(b"{}")
    edited = own.commit("Edit it")

    assert list(commits_holding(Version("v1.0.0"))) == [release, edited]
    assert release == first
    assert list(commits_holding(Version("v1.0.0"), released)) == [release]
    assert list(commits_holding(Version("v1.0.0"), b"{}")) == [edited]
    assert list(commits_holding(Version("v9.9.9"))) == []


# ── manifests in history ───────────────────────────────────────────────────────────────────────────────────────────


def test_before_the_first_commit_and_without_a_repository_there_is_nothing(
    record: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(record)
    assert (in_commits(), in_workspace(), experiments(), release_tags()) == ([], [], {}, {})

    (tmp_path / ".git").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (in_commits(), in_workspace(), experiments(), release_tags()) == ([], [], {}, {})


def test_each_manifest_is_there_once_with_the_first_commit_that_holds_it(record: Write) -> None:
    first = record(v1=b'{"k": 1}')
    second = record(v1=b'{"k": 2}', v2=b'{"k": 3}')
    record(v1=b'{"k": 1}')

    assert sorted(in_commits(), key=lambda found: found.document["k"]) == [
        recorded("v1", first, {"k": 1}),
        recorded("v1", second, {"k": 2}),
        recorded("v2", second, {"k": 3}),
    ]


def test_manifests_of_one_model_become_one_record_with_the_first_commit_and_how_often(record: Write) -> None:
    model = {"sha256": "a" * 64}
    contents = [{"model": model, "run": run} for run in (1, 2, 3)]
    first, _, _ = [record(v1=json.dumps(content).encode()) for content in contents]
    record(v2=json.dumps(contents[0] | {"of": "v2"}).encode())
    Path("models/v1/manifest.json").unlink()
    newest, other = sorted(one_for_each_model(in_commits()), key=lambda found: found.version)

    assert newest == replace(recorded("v1", first, contents[2]), times=3)
    assert (other.version, other.times) == ("v2", 1)

    here = Record("v1", contents[2], present=True)
    assert one_for_each_model([here, *in_commits()])[0] == replace(here, commit=first, times=3)


@pytest.mark.parametrize(
    "place", ["refs/heads/other", "refs/tags/kept", f"{BASELINE}/one", "refs/remotes/origin/main", "refs/stash"]
)
def test_what_any_ref_holds_is_found(record: Write, place: str) -> None:
    record(v1=b'{"k": 1}')
    commit = record(v2=b'{"k": 2}')
    git(f"update-ref {place} {commit}")
    git("reset -q --hard HEAD~1")

    assert recorded("v2", commit, {"k": 2}) in in_commits()


@pytest.mark.parametrize("baselines", ["ab", "ba"])
def test_of_two_experiments_of_one_name_the_newer_is_meant_and_both_keep_it(
    record: Write, monkeypatch: pytest.MonkeyPatch, baselines: str
) -> None:
    commits = []
    for year, baseline in zip((2001, 2002), baselines, strict=True):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{year}-01-01T00:00:00Z")
        commits.append(record(v1=f'{{"k": {year}}}'.encode()))
        git(f"update-ref refs/exps/{baseline * 2}/{baseline * 38}/one {commits[-1]}")
    git(f"update-ref refs/exps/exec/EXEC_HEAD {commits[0]}")

    assert experiments() == {"one": commits[1]}
    assert experiments_by_commit() == dict.fromkeys(commits, "one")


def test_a_manifest_that_only_a_merge_made_is_found(record: Write) -> None:
    record(v1=b'{"k": 1}')
    git("checkout -q -b side")
    record(v2=b'{"k": 2}')
    git("checkout -q main")
    record(v3=b'{"k": 3}')
    git("merge -q --no-commit side")
    merge = record(v1=b'{"k": "merged"}')

    assert recorded("v1", merge, {"k": "merged"}) in in_commits()


def test_a_removed_version_is_still_in_history(record: Write) -> None:
    commit = record(v1=b'{"k": 1}')
    git("rm -qr models/v1")
    record(v2=b'{"k": 2}')

    assert recorded("v1", commit, {"k": 1}) in in_commits()


def test_a_project_in_a_folder_of_a_repository_sees_its_own_manifests(
    record: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(v1=b'{"k": "of the top"}')
    (tmp_path / "project/models/v2").mkdir(parents=True)
    (tmp_path / "project/models/v2/manifest.json").write_text('{"k": "of the folder"}')
    commit = record()
    monkeypatch.chdir(tmp_path / "project")

    assert in_commits() == [recorded("v2", commit, {"k": "of the folder"})]


GARBAGE = [
    *(b"", b"null", b"[1, 2]", b'"text"', b"\xff\xfe\xfa", b"{", b'{"k": 1', b"<<<<<<< HEAD\n", b"[" * 1_000_000),
    *(b'{"k":' * 1_000_000, b'{"k": ' + b"9" * 5000 + b"}", b'{"k": "\\ud800"}'),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_not_a_json_object_is_left_out_of_history_and_empty_in_the_workspace(
    record: Write, garbage: bytes
) -> None:
    record(v1=garbage)
    commit = record(v2=b'{"k": 2}')

    assert in_commits() == [recorded("v2", commit, {"k": 2})]
    assert in_workspace() == [recorded("v1", None, {}), recorded("v2", None, {"k": 2})]


@pytest.mark.parametrize("entry", ["160000,1111111111111111111111111111111111111111", "120000,{blob}"])
def test_a_submodule_or_a_link_in_place_of_a_manifest_is_left_out(record: Write, entry: str) -> None:
    commit = record(v1=b'{"k": 1}')
    Path("target").write_bytes(b'{"k": 2}')
    entry = entry.format(blob=git("hash-object -w target"))
    git(f"update-index --add --cacheinfo {entry},models/v2/manifest.json")
    git("commit -q -m Entry")

    assert in_commits() == [recorded("v1", commit, {"k": 1})]


@pytest.mark.parametrize("lost", ["HEAD:models/v1/manifest.json", "HEAD~1"])
def test_a_history_that_lacks_an_object_is_refused_and_not_cut_short(record: Write, lost: str) -> None:
    record(v0=b'{"k": 0}')
    record(v1=b'{"k": 1}')
    name = git(f"rev-parse {lost}")
    Path(f".git/objects/{name[:2]}/{name[2:]}").unlink()

    with pytest.raises(Problem, match=rf"git fsck says what is damaged$|{name}"):
        in_commits()


@pytest.mark.parametrize("setting", ["log.showRoot false", "log.follow true", "color.ui always", "log.decorate full"])
def test_no_setting_of_git_hides_a_manifest(record: Write, setting: str) -> None:
    commit = record(v1=b'{"k": 1}')
    git(f"config {setting}")

    assert in_commits() == [recorded("v1", commit, {"k": 1})]


def test_a_release_is_a_tag_of_either_kind_that_names_a_package_and_a_version(record: Write) -> None:
    one, two = record(v1=b"{}"), record(v2=b"{}")
    git(f"tag penguins@v1 {one}")
    git(f"tag -a penguins@v2 -m Released {two}")
    git("tag v3")

    assert release_tags() == {"penguins@v1": one, "penguins@v2": two}


def test_only_a_package_with_the_manifest_of_its_tag_is_released(own: Project) -> None:
    def states() -> list[str]:
        return [state_of(record, release_tags()) for record in in_workspace()]

    assert states() == ["released", "intact"]

    own.run("git tag penguins@v1.1.0 main")  # which has no v1.1.0
    assert states() == ["released", "intact"]

    own.run("git tag -f penguins@v1.1.0 next")
    assert states() == ["released", "released"]


@pytest.mark.parametrize(
    ("keys", "value"), [(("a", "b"), 1), (("a", "c"), None), (("a", "b", "c"), None), (("x", "y"), None), (("l",), [3])]
)
def test_a_value_that_is_not_there_is_none(keys: tuple[str, ...], value: object) -> None:
    assert recorded("v1", None, {"a": {"b": 1}, "l": [3]}).get(*keys) == value


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ({"baseline": {"r2": 0.0}, "r2": {"test": 0.75, "cv_mean": 0.7}}, ("r2", 0.75)),
        ({"r2": {"test": float("nan"), "cv_mean": 0.7}}, ("r2", None)),
        *[
            (metrics, (None, None))
            for metrics in (
                {"test": {"accuracy": 1.0}},
                {"r2": {"test": "high", "cv_mean": 0.7}},
                {"r2": {"test": 10**400, "cv_mean": 0.7}},
                *(5, [{"r2": 1}], "r2", None),
            )
        ],
    ],
)
def test_the_main_score_is_the_one_that_was_cross_validated(metrics: Any, score: tuple[Any, Any]) -> None:
    assert recorded("v1", None, {"metrics": metrics}).main_score() == score
