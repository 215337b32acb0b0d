"""What Git's history holds of manifests, whoever wrote them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from git import read_blobs
from history import (
    Record,
    experiments,
    experiments_by_commit,
    in_commits,
    in_workspace,
    release_tags,
)
from problem import Problem

pytest_plugins = ["story_repository"]

Write = Callable[..., str]
BASELINE = f"refs/exps/{'a' * 2}/{'b' * 38}"


def run(command: str) -> str:
    return Project(Path.cwd()).run(command).stdout.strip()


def test_before_the_first_commit_and_without_git_there_is_nothing(
    record: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(record)
    assert (in_commits(), in_workspace(), experiments(), release_tags()) == ([], [], {}, {})

    monkeypatch.setenv("PATH", str(tmp_path))
    assert (in_commits(), in_workspace(), experiments(), release_tags()) == ([], [], {}, {})


def test_each_manifest_is_there_once_with_the_first_commit_that_holds_it(record: Write) -> None:
    first = record(v1=b'{"k": 1}')
    second = record(v1=b'{"k": 2}', v2=b'{"k": 3}')
    record(v1=b'{"k": 1}')

    assert sorted(in_commits(), key=lambda found: found.document["k"]) == [
        Record("v1", first, {"k": 1}),
        Record("v1", second, {"k": 2}),
        Record("v2", second, {"k": 3}),
    ]


@pytest.mark.parametrize(
    "place", ["refs/heads/other", "refs/tags/kept", f"{BASELINE}/one", "refs/remotes/origin/main", "refs/stash"]
)
def test_what_any_ref_holds_is_found(record: Write, place: str) -> None:
    record(v1=b'{"k": 1}')
    commit = record(v2=b'{"k": 2}')
    run(f"git update-ref {place} {commit}")
    run("git reset -q --hard HEAD~1")

    assert Record("v2", commit, {"k": 2}) in in_commits()


@pytest.mark.parametrize("baselines", ["ab", "ba"])
def test_of_two_experiments_of_one_name_the_newer_is_meant_and_both_keep_it(
    record: Write, monkeypatch: pytest.MonkeyPatch, baselines: str
) -> None:
    commits = []
    for year, baseline in zip((2001, 2002), baselines, strict=True):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{year}-01-01T00:00:00Z")
        commits.append(record(v1=f'{{"k": {year}}}'.encode()))
        run(f"git update-ref refs/exps/{baseline * 2}/{baseline * 38}/one {commits[-1]}")

    assert experiments() == {"one": commits[1]}
    assert experiments_by_commit() == dict.fromkeys(commits, "one")


def test_a_manifest_that_only_a_merge_made_is_found(record: Write) -> None:
    record(v1=b'{"k": 1}')
    run("git checkout -q -b side")
    record(v2=b'{"k": 2}')
    run("git checkout -q main")
    record(v3=b'{"k": 3}')
    run("git merge -q --no-commit side")
    merge = record(v1=b'{"k": "merged"}')

    assert Record("v1", merge, {"k": "merged"}) in in_commits()


def test_a_removed_version_is_still_there(record: Write) -> None:
    commit = record(v1=b'{"k": 1}')
    run("git rm -qr models/v1")
    record(v2=b'{"k": 2}')

    assert Record("v1", commit, {"k": 1}) in in_commits()


def test_a_project_in_a_folder_of_a_repository_sees_its_own_manifests(
    record: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(v1=b'{"k": "of the top"}')
    (tmp_path / "project/models/v2").mkdir(parents=True)
    (tmp_path / "project/models/v2/manifest.json").write_text('{"k": "of the folder"}')
    commit = record()
    monkeypatch.chdir(tmp_path / "project")

    assert in_commits() == [Record("v2", commit, {"k": "of the folder"})]


GARBAGE = [
    b"",
    b"null",
    b"[1, 2]",
    b'"text"',
    b"\xff\xfe\xfa",
    b"{",
    b'{"k": 1',
    b"<<<<<<< HEAD\n",
    b"[" * 1_000_000,
    b'{"k":' * 1_000_000,
    b'{"k": ' + b"9" * 5000 + b"}",
    b'{"k": "\\ud800"}',
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_json_object_is_left_out(record: Write, garbage: bytes) -> None:
    record(v1=garbage, v3=garbage)
    commit = record(v2=b'{"k": 2}')

    assert in_commits() == [Record("v2", commit, {"k": 2})]
    assert in_workspace() == [Record("v2", None, {"k": 2})]


@pytest.mark.parametrize("entry", ["160000,1111111111111111111111111111111111111111", "120000,{blob}"])
def test_a_submodule_or_a_link_where_a_manifest_would_be_is_left_out(record: Write, entry: str) -> None:
    commit = record(v1=b'{"k": 1}')
    Path("target").write_bytes(b'{"k": 2}')
    entry = entry.format(blob=run("git hash-object -w target"))
    run(f"git update-index --add --cacheinfo {entry},models/v2/manifest.json")
    run("git commit -q -m Entry")

    assert in_commits() == [Record("v1", commit, {"k": 1})]


@pytest.mark.parametrize("lost", ["HEAD:models/v1/manifest.json", "HEAD~1"])
def test_a_history_that_lacks_an_object_is_refused_and_not_cut_short(record: Write, lost: str) -> None:
    record(v0=b'{"k": 0}')
    record(v1=b'{"k": 1}')
    name = run(f"git rev-parse {lost}")
    Path(f".git/objects/{name[:2]}/{name[2:]}").unlink()

    with pytest.raises(Problem, match=r"git fsck says what is damaged$"):
        in_commits()


@pytest.mark.parametrize("setting", ["log.showRoot false", "log.follow true", "color.ui always", "log.decorate full"])
def test_no_setting_of_git_hides_a_manifest(record: Write, setting: str) -> None:
    commit = record(v1=b'{"k": 1}')
    run(f"git config {setting}")

    assert in_commits() == [Record("v1", commit, {"k": 1})]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(contents=st.lists(st.binary() | st.binary().map(lambda content: content + b"\n"), max_size=5, unique=True))
def test_blobs_of_any_bytes_come_back_whole(record: Write, contents: list[bytes]) -> None:
    record(**{f"v{k}": content for k, content in enumerate(contents)})
    blobs = [run(f"git rev-parse HEAD:models/v{k}/manifest.json") for k in range(len(contents))]

    assert read_blobs(blobs) == dict(zip(blobs, contents, strict=True))


def test_experiments_are_known_by_name_and_by_commit(record: Write) -> None:
    one, two = record(v1=b"{}"), record(v2=b"{}")
    run(f"git update-ref {BASELINE}/one {one}")
    run(f"git update-ref {BASELINE}/two {two}")
    run(f"git update-ref refs/exps/exec/EXEC_HEAD {two}")

    assert experiments() == {"one": one, "two": two}
    assert experiments_by_commit() == {one: "one", two: "two"}


def test_a_release_is_a_tag_of_either_kind_that_names_a_package_and_a_version(record: Write) -> None:
    one, two = record(v1=b"{}"), record(v2=b"{}")
    run(f"git tag penguins@v1 {one}")
    run(f"git tag -a penguins@v2 -m Released {two}")
    run("git tag v3")

    assert release_tags() == {"penguins@v1": one, "penguins@v2": two}


@pytest.mark.parametrize("annotate", ["", "-a -m Released"])
def test_released_is_what_the_tag_holds_and_nothing_else(record: Write, annotate: str) -> None:
    record(v1=b'{"name": "penguins", "k": 1}')
    run(f"git tag {annotate} penguins@v1")
    tags = release_tags()

    assert Record("v1", None, {"k": 1, "name": "penguins"}).is_released(tags)
    assert not Record("v1", None, {"k": 2, "name": "penguins"}).is_released(tags)
    assert not Record("v1", None, {"k": 1, "name": "others"}).is_released(tags)
    assert not Record("v2", None, {"k": 1, "name": "penguins"}).is_released(tags)


@pytest.mark.parametrize(
    ("keys", "value"), [(("a", "b"), 1), (("a", "c"), None), (("a", "b", "c"), None), (("x", "y"), None), (("l",), [3])]
)
def test_a_value_that_is_not_there_is_none(keys: tuple[str, ...], value: object) -> None:
    assert Record("v1", None, {"a": {"b": 1}, "l": [3]}).get(*keys) == value


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ({"baseline": {"r2": 0.0}, "r2": {"test": 0.75, "cv_mean": 0.7}}, ("r2", 0.75)),
        ({"test": {"accuracy": 1.0}}, (None, None)),
        ({"r2": {"test": "high", "cv_mean": 0.7}}, (None, None)),
        ({"r2": {"test": 10**400, "cv_mean": 0.7}}, (None, None)),
        (5, (None, None)),
        ([{"r2": 1}], (None, None)),
        ("r2", (None, None)),
        (None, (None, None)),
    ],
)
def test_the_main_score_is_the_one_that_was_cross_validated(metrics: Any, score: tuple[Any, Any]) -> None:
    assert Record("v1", None, json.loads(json.dumps({"metrics": metrics}))).main_score() == score
