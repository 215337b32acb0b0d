"""The words by which a person names a version, and what Git's history holds of manifests, whoever wrote them."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import Project

from commands import list as listing
from commands import versions
from commands.versions import Record, Version, commits_holding, find_version, in_commits, in_workspace, release_tags
from record.problem import Problem
from record.tracking import LOCK

Write = Callable[..., str]
KNOWN = "known: forest, older, v1.0.0, v1.1.0, workspace, worse"


def git(command: str) -> str:
    return Project(Path.cwd()).run(f"git {command}").stdout.strip()


def recorded(version: str, commit: str | None, document: dict[str, Any]) -> Record:
    return Record(version, document, present=commit is None, commit=commit)


@pytest.mark.usefixtures("story")
def test_a_name_is_a_folder_an_experiment_or_what_a_revision_packaged(capsys: pytest.CaptureFixture[str]) -> None:
    for what, name in [("v1.0.0", "v1.0.0"), ("v1.1.0", "v1.1.0"), ("workspace", "v1.1.0")]:
        assert find_version(what) == Version(name)
    for what, name in [("main", "v1.0.0"), ("HEAD", "v1.1.0"), ("HEAD~2", "v1.0.0"), ("penguins@v1.0.0", "v1.0.0")]:
        commit = git(f"rev-parse {what}^{{commit}}")
        assert find_version(what) == find_version(commit[:9]) == Version(name, commit)
    for what in ("older", "worse", "forest"):
        found = find_version(what)
        assert found == Version("v1.1.0", git(f"for-each-ref --format=%(objectname) refs/exps/*/*/{what}"))
        assert f"'{what}'" in str(found.manifest().run.experiment)

    assert capsys.readouterr().err == ""


def test_a_name_that_means_several_things_is_remarked_on(own: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in {"v1.0.0": "is also an experiment or a revision", "forest": "is also a revision"}.items():
        before = find_version(name)
        own.run(f"git branch {name} main")

        assert find_version(name) == before
        assert capsys.readouterr().err == f"note: '{name}' {said}; {git('rev-parse --short=8 main')} names that one\n"


def test_a_version_that_was_removed_or_is_of_another_branch_is_found_where_it_last_was(own: Project) -> None:
    own.run("git rm -qr models/v1.0.0")
    own.commit("Remove v1.0.0")
    shutil.rmtree(own.path / "models/v1.0.0", ignore_errors=True)
    assert find_version("v1.0.0").manifest().version == "v1.0.0"

    own.run("git checkout -q -f main")
    shutil.rmtree(own.path / "models/v1.1.0", ignore_errors=True)
    assert find_version("v1.1.0").manifest().version == "v1.1.0"


@pytest.mark.usefixtures("story")
def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    near = {"v1.0.1": "v1.0.0", "forrest": "forest", " V1.0.0": "v1.0.0", "../v1.0.0": "v1.0.0"}
    hints = {what: f"did you mean '{name}'?" for what, name in near.items()}
    for what, hint in (hints | dict.fromkeys(("", "v*", "--all", "a\0b", "HEAD^{tree}", "HEAD:models"), KNOWN)).items():
        with pytest.raises(Problem) as problem:
            find_version(what)
        assert problem.value.lines == (f"'{what}' is not a version, revision or experiment; {hint}",)


def test_a_file_is_read_as_the_version_has_it_and_what_is_not_there_is_said(story: Project) -> None:
    commit, first = git("rev-parse main"), git("rev-parse HEAD~3")

    assert b"v1.0.0" in (Version("v1.0.0", commit).read(LOCK) or b"")
    assert Version("v1.1.0").read(LOCK) == (story.path / LOCK).read_bytes()
    assert Version("v1.0.0", commit).read(Path("nothing")) is Version("v1.1.0").read(Path("models")) is None
    assert versions.version_made_in(commit) == "v1.0.0"
    with pytest.raises(Problem, match=r"^'HEAD~3': its dvc.lock records no package; python src/lineage.py list --all"):
        find_version("HEAD~3")
    with pytest.raises(Problem, match=rf"^models/v9/manifest.json: not in commit {first}; "):
        Version("v9", first).manifest()
    with pytest.raises(Problem, match=r"^models/v9/manifest.json: not found; python src/lineage.py restore v9$"):
        Version("v9").manifest()


def test_the_commits_that_hold_a_version_begin_with_its_release_and_then_head(own: Project) -> None:
    release, manifest = git("rev-parse main"), Path("models/v1.0.0/manifest.json")
    released = manifest.read_bytes()
    manifest.write_bytes(b"{}")
    edited = own.commit("Edit it")

    assert list(commits_holding(Version("v1.0.0"))) == [release, edited]
    assert list(commits_holding(Version("v1.0.0"), released)) == [release]
    assert list(commits_holding(Version("v1.0.0"), b"{}")) == [edited]
    assert list(commits_holding(Version("v9.9.9"))) == []


@pytest.mark.usefixtures("record")
def test_before_the_first_commit_and_without_a_repository_there_is_nothing(tmp_path: Path) -> None:
    assert listing.run(everywhere=True).lines == ["no version yet; dvc repro makes one"]
    assert (in_commits(), in_workspace(), versions.experiments(), release_tags()) == ([], [], {}, {})

    shutil.move(".git", "moved")
    (tmp_path / "elsewhere").mkdir()
    os.chdir("elsewhere")
    assert (in_commits(), in_workspace(), versions.experiments(), release_tags()) == ([], [], {}, {})


def test_each_manifest_is_there_once_with_the_first_commit_that_holds_it_however_git_is_set(record: Write) -> None:
    for setting in ("log.showRoot false", "log.follow true", "color.ui always", "log.decorate full"):
        git(f"config {setting}")
    first = record(v1=b'{"k": 1}')
    second = record(v1=b'{"k": 2}', v2=b'{"k": 3}')
    record(v1=b'{"k": 1}')
    git("rm -qr models/v2")
    record()

    assert sorted(in_commits(), key=lambda found: found.document["k"]) == [
        recorded("v1", first, {"k": 1}),
        recorded("v1", second, {"k": 2}),
        recorded("v2", second, {"k": 3}),
    ]


def test_manifests_of_one_model_become_one_record_with_the_first_commit_and_how_often(record: Write) -> None:
    contents = [{"model": {"sha256": "a" * 64}, "run": run} for run in (1, 2, 3)]
    first, _, _ = [record(v1=json.dumps(content).encode()) for content in contents]
    record(v2=json.dumps(contents[0] | {"of": "v2"}).encode())
    newest, other = sorted(versions.one_for_each_model(in_commits()), key=lambda found: found.version)

    assert newest == replace(recorded("v1", first, contents[2]), times=3)
    assert (other.version, other.times) == ("v2", 1)

    here = Record("v1", contents[2], present=True)
    assert versions.one_for_each_model([here, *in_commits()])[0] == replace(here, commit=first, times=3)


def test_what_any_ref_holds_is_found(record: Write) -> None:
    record(v1=b'{"k": 1}')
    refs = ("refs/heads/other", "refs/tags/kept", f"refs/exps/aa/{'b' * 38}/one", "refs/remotes/a/b", "refs/stash")
    for k, place in enumerate(refs):
        commit = record(v2=json.dumps({"k": place}).encode())
        git(f"update-ref {place} {commit}")
        git("reset -q --hard HEAD~1")

        assert len(in_commits()) == k + 2
        assert recorded("v2", commit, {"k": place}) in in_commits()


def test_of_experiments_of_one_name_the_newest_is_meant(record: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = []
    for year, baseline in enumerate("acb", 2001):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{year}-01-01T00:00:00Z")
        commits.append(record(v1=f'{{"k": {year}}}'.encode()))
        git(f"update-ref refs/exps/{baseline * 2}/{baseline * 38}/one {commits[-1]}")
    git(f"update-ref refs/exps/exec/EXEC_HEAD {commits[0]}")

    assert versions.experiments() == {"one": commits[-1]}
    assert versions.experiments_by_commit() == dict.fromkeys(commits, "one")


def test_a_manifest_that_only_a_merge_made_is_found(record: Write) -> None:
    record(v1=b'{"k": 1}')
    git("checkout -q -b side")
    record(v2=b'{"k": 2}')
    git("checkout -q main")
    record(v3=b'{"k": 3}')
    git("merge -q --no-commit side")
    merge = record(v1=b'{"k": "merged"}')

    assert recorded("v1", merge, {"k": "merged"}) in in_commits()


def test_a_project_in_a_folder_of_a_repository_sees_its_own_manifests(record: Write) -> None:
    commit = record(v1=b'{"k": "of the top"}', **{"../project/models/v2": b'{"k": "of the folder"}'})
    os.chdir("project")

    assert in_commits() == [recorded("v2", commit, {"k": "of the folder"})]


GARBAGE = [
    *(b"", b"null", b"[1, 2]", b'"text"', b"\xff\xfe\xfa", b"{", b'{"k": 1', b"<<<<<<< HEAD\n", b"[" * 1_000_000),
    *(b'{"k":' * 1_000_000, b'{"k": ' + b"9" * 5000 + b"}", b'{"k": "\\ud800"}'),
]


def test_what_is_not_a_json_object_is_left_out_of_history_and_empty_in_the_workspace(record: Write) -> None:
    names = [f"v{k + 1}" for k in range(len(GARBAGE))]
    commit = record(v0=b'{"k": 2}', **dict(zip(names, GARBAGE, strict=True)))
    here = {found.version: found.document for found in in_workspace()}

    assert in_commits() == [recorded("v0", commit, {"k": 2})]
    assert here == {"v0": {"k": 2}} | {name: {} for name in names}


def test_a_submodule_or_a_link_in_place_of_a_manifest_is_left_out(record: Write) -> None:
    commit = record(v1=b'{"k": 1}')
    Path("target").write_bytes(b'{"k": 2}')
    for version, entry in {"v2": f"160000,{'1' * 40}", "v3": f"120000,{git('hash-object -w target')}"}.items():
        git(f"update-index --add --cacheinfo {entry},models/{version}/manifest.json")
    git("commit -q -m Entries")

    assert in_commits() == [recorded("v1", commit, {"k": 1})]


@pytest.mark.parametrize("lost", ["HEAD:models/v1/manifest.json", "HEAD~1"])
def test_a_history_that_lacks_an_object_is_refused_and_not_cut_short(record: Write, lost: str) -> None:
    record(v0=b'{"k": 0}')
    record(v1=b'{"k": 1}')
    name = git(f"rev-parse {lost}")
    Path(f".git/objects/{name[:2]}/{name[2:]}").unlink()

    with pytest.raises(Problem, match=rf"git fsck says what is damaged$|{name}"):
        in_commits()


@pytest.mark.usefixtures("own")
def test_a_release_is_a_package_with_the_manifest_of_its_tag_of_either_kind() -> None:
    git("tag v3")
    for at, state in [("main", "intact"), ("next", "released")]:  # main has no v1.1.0
        git(f"tag -f penguins@v1.1.0 {at}")

        assert release_tags() == {"penguins@v1.0.0": git("rev-parse main"), "penguins@v1.1.0": git(f"rev-parse {at}")}
        assert [versions.state_of(record, release_tags()) for record in in_workspace()] == ["released", state]


def test_the_main_score_is_the_one_that_was_cross_validated() -> None:
    def score(metrics: Any) -> tuple[Any, Any]:
        return recorded("v1", None, {"metrics": metrics}).main_score()

    assert score({"baseline": {"r2": 0.0}, "r2": {"test": 0.75, "cv_mean": 0.7}}) == ("r2", 0.75)
    assert score({"r2": {"test": float("nan"), "cv_mean": 0.7}}) == ("r2", None)
    assert score({"r2": {"test": "high", "cv_mean": 0.7}}) == score({"test": {"accuracy": 1.0}}) == (None, None)
