from collections.abc import Mapping
from pathlib import Path

import pytest
from projects import Project, append
from ruamel.yaml import YAML

from record import tracking
from record.checksums import digest, md5_of
from record.problem import CannotAsk, Problem
from record.tracking import (
    Stage,
    ancestors,
    cache_folder,
    cached,
    content_hash,
    declared_stages,
    filled_in,
    inputs_of,
    is_link_to_cache,
    missing_from,
    parse_lock,
    pointer_to,
    read_workspace,
    reader_of,
    recorded_stages,
    unrecorded,
)

HASH = "a" * 32
PIPELINE = """
vars:
  - settings.yaml
  - here: {kind: mean}
stages:
  clean:
    cmd:
      - mkdir data/clean
      - cp data/raw.csv data/clean/a.csv
      - cp data/raw.csv data/clean/skipped.tmp
    deps: [data/raw.csv]
    params: [limit, settings.yaml: [deep.er]]
    outs: [data/clean]
  part:
    foreach: [one, two]
    do:
      cmd: cp data/clean/a.csv ${item}.csv
      deps: [data/clean/a.csv]
      outs: ["${item}.csv"]
  grid:
    matrix: {x: [1, 2], y: [a]}
    cmd: cat one.csv two.csv > grid-${item.x}-${item.y}.csv
    deps: [one.csv, two.csv]
    outs: ["grid-${item.x}-${item.y}.csv": {cache: false}]
  inside:
    wdir: sub
    cmd: cat ../grid-1-a.csv > ${here.kind}.csv && echo 1 > m.yaml
    deps: [../grid-1-a.csv]
    outs: ["${here.kind}.csv"]
    metrics: [m.yaml: {cache: false}]
  package:
    cmd: echo ${limit} ${yes} > end
    deps: [sub/mean.csv]
    outs: [end]
metrics: [scores.json]
"""


def write(**files: str | bytes) -> None:
    """Write files by their paths, in which two underscores are a slash and one a dot."""
    for name, content in files.items():
        path = Path(name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository in which DVC has run stages of every kind. Copy it."""
    project = Project(tmp_path_factory.mktemp("ran"))
    (project.path / ".dvc").mkdir()
    (project.path / ".dvc/config").touch()
    (project.path / "sub").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path)
        write(dvc_yaml=PIPELINE, params_yaml="limit: 3\nyes: true\n", settings_yaml="deep: {er: [1, 2]}\n")
        write(data__raw_csv=b"a\r\n1\r\n", _dvcignore="*.tmp\n")
    project.run("git init -q -b main")
    project.run("dvc repro -q")
    project.commit("Run it")
    return project


@pytest.fixture
def here(ran: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it in which the test runs."""
    project = ran.copy(tmp_path / "project")
    monkeypatch.chdir(project.path)
    return project


@pytest.mark.usefixtures("here")
def test_stages_of_every_kind_are_read_as_dvc_recorded_them() -> None:
    stages = recorded_stages(read_workspace)

    assert list(stages) == ["clean", "part@one", "part@two", "grid@1-a", "grid@2-a", "inside", "package"]
    assert stages["clean"].cmd.splitlines()[1:] == [
        "cp data/raw.csv data/clean/a.csv",
        "cp data/raw.csv data/clean/skipped.tmp",
    ]
    assert stages["clean"].params == {"params.yaml": {"limit": 3}, "settings.yaml": {"deep.er": [1, 2]}}
    assert stages["part@two"].outs == {"two.csv": digest(Path("data/raw.csv")).md5}
    assert stages["inside"].deps == {"grid-1-a.csv": digest(Path("grid-1-a.csv")).md5}
    assert list(stages["inside"].outs) == ["sub/m.yaml", "sub/mean.csv"]


@pytest.mark.usefixtures("here")
def test_every_hash_that_dvc_records_is_the_one_that_we_compute() -> None:
    recorded = [
        item for stage in recorded_stages(read_workspace).values() for item in (stage.deps | stage.outs).items()
    ]

    assert Path("data/clean/skipped.tmp").exists()
    assert ("data/clean", content_hash(Path("data/clean"))) in recorded
    assert all(content_hash(Path(path)) == md5 for path, md5 in recorded)


@pytest.mark.usefixtures("here")
def test_what_dvc_yaml_declares_has_its_templates_filled_in() -> None:
    declared = declared_stages(read_workspace)

    assert list(declared) == ["clean", "part", "grid", "inside", "package"]
    assert declared["part"].outs == ["*.csv"]
    assert declared["grid"].outs == ["grid-*-*.csv"]
    assert declared["inside"].deps == ["grid-1-a.csv"]
    assert declared["inside"].outs == ["sub/mean.csv", "sub/m.yaml"]
    assert declared["inside"].metrics == ["sub/m.yaml", "scores.json"]


@pytest.mark.usefixtures("here")
def test_every_recorded_command_is_that_of_the_declared_stage_and_of_no_other() -> None:
    declared, recorded = declared_stages(read_workspace), recorded_stages(read_workspace)

    for name, stage in recorded.items():
        assert [known for known, each in declared.items() if each.runs(stage.cmd)] == [name.partition("@")[0]]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a/${data.path}/b", "a/x.csv/b"),
        ("${ data.path }-${n}", "x.csv-0.5"),
        ("--flag ${flag}", "--flag true"),
        ("${l[0]} ${l[7]} ${l[²]}", "1 * *"),
        ("${item} ${data} ${data.path.more}", "* * *"),
        ("plain $HOME", "plain $HOME"),
    ],
)
def test_templates_are_filled_in_as_dvc_does_or_left_open(text: str, result: str) -> None:
    assert filled_in(text, {"data": {"path": "x.csv"}, "n": 0.5, "flag": True, "l": [1]}) == result


@pytest.mark.usefixtures("here")
def test_the_chain_is_complete_and_in_order() -> None:
    chain = ancestors(recorded_stages(read_workspace), ["sub/mean.csv"])

    assert list(chain) == ["clean", "part@one", "part@two", "grid@1-a", "inside"]
    assert inputs_of(chain) == {"data/raw.csv": digest(Path("data/raw.csv")).md5}


def stage(deps: str, outs: str) -> Stage:
    return Stage(cmd="", deps=dict.fromkeys(deps.split(), HASH), outs=dict.fromkeys(outs.split(), HASH))


@pytest.mark.parametrize(
    ("stages", "ends", "order", "inputs"),
    [
        ({"c": stage("b.x", "c.x"), "b": stage("a", "b.x")}, "c.x", "b c", "a"),
        (
            {"end": stage("l r", "e"), "l": stage("t", "l"), "r": stage("t code", "r"), "top": stage("raw", "t")},
            "e",
            "top l r end",
            "code raw",
        ),
        ({"b": stage("out/a.csv", "b"), "a": stage("raw", "out")}, "b", "a b", "raw"),
        ({"b": stage("all", "b"), "a": stage("raw", "all/a"), "c": stage("", "all/c")}, "b", "a c b", "all raw"),
        ({"a": stage("raw", "out"), "b": stage("out2/a", "b")}, "b", "b", "out2/a"),
        ({"a": stage("raw", "a"), "other": stage("raw", "o")}, "a", "a", "raw"),
        ({"a": stage("b", "a"), "b": stage("a", "b")}, "a", "b a", ""),
        ({"a": stage("raw", "a")}, "nothing", "", ""),
    ],
    ids=["line", "diamond", "in a folder", "folder of outs", "beginning", "beside", "circle", "none"],
)
def test_a_chain_holds_each_stage_behind_it_once_after_what_it_reads(
    stages: Mapping[str, Stage], ends: str, order: str, inputs: str
) -> None:
    chain = ancestors(stages, ends.split())

    assert list(chain) == order.split()
    assert list(inputs_of(chain)) == inputs.split()


@pytest.mark.usefixtures("here")
def test_a_stage_that_dvc_yaml_no_longer_has_is_left_out() -> None:
    lock = Path("dvc.lock")
    lock.write_text(lock.read_text() + f"  gone:\n    cmd: x\n    outs: [{{path: data/raw.csv, md5: {HASH}}}]\n")
    stages = recorded_stages(read_workspace)

    assert "gone" not in stages
    assert list(inputs_of(stages)) == ["data/raw.csv"]


@pytest.mark.usefixtures("here")
def test_a_stage_that_the_lock_lacks_is_named_instead_of_ending_the_chain_early() -> None:
    stages = recorded_stages(read_workspace)
    before = list(unrecorded(["data/raw.csv", "data/clean/a.csv", "sub/mean.csv", "https://a.org/x.csv"], stages))
    del stages["clean"], stages["part@two"]

    assert before == []
    assert list(unrecorded(["data/clean/a.csv", "two.csv"], stages)) == [
        "data/clean/a.csv: the stage 'clean' makes it, but dvc.lock does not record that; run dvc repro",
        "two.csv: the stage 'part' makes it, but dvc.lock does not record that; run dvc repro",
    ]


@pytest.mark.usefixtures("here")
def test_a_chain_that_leads_into_another_dvc_yaml_is_named() -> None:
    write(deep__er__dvc_yaml="stages: {load: {cmd: x, outs: [raw.csv]}}", other__dvc_yaml="stages: {x: {cmd: x}}")

    assert list(unrecorded(["deep/er/raw.csv", "deep/raw.csv"], {})) == [
        "deep/er/raw.csv: deep/er/dvc.yaml makes it, which is not followed; move its stage 'load' to dvc.yaml"
    ]


@pytest.mark.usefixtures("here")
def test_another_project_below_is_not_part_of_this_one() -> None:
    write(template__dvc_yaml="stages: {load: {cmd: x, outs: [raw.csv]}}")
    Path("template/.dvc").mkdir()

    assert list(unrecorded(["template/raw.csv"], {})) == []


@pytest.mark.usefixtures("here")
def test_a_tracked_file_that_an_open_template_might_make_is_an_input() -> None:
    write(three_csv="3")
    before = list(unrecorded(["three.csv"], {}))
    Project(Path.cwd()).run("git add -f three.csv")

    assert before == ["three.csv: the stage 'part' makes it, but dvc.lock does not record that; run dvc repro"]
    assert list(unrecorded(["three.csv"], {})) == []


def test_what_a_later_dvc_may_add_is_passed_over() -> None:
    entry = "{path: a, md5: 0a, size: 1, nfiles: 2, hash: md5, new: 3}"
    stages = parse_lock(f"schema: '3.0'\nstages: {{hello: {{cmd: echo, new: 1, outs: [{entry}]}}}}\nnew: 2\n".encode())

    assert stages == {"hello": Stage(cmd="echo", outs={"a": "0a"})}


def test_values_that_json_cannot_hold_are_kept_as_text() -> None:
    params = "{params.yaml: {a: 2026-01-01, b: .nan, c: [.inf, 1.5], 4: null}}"
    stages = parse_lock(f"stages: {{s: {{cmd: x, params: {params}}}}}".encode())

    assert stages["s"].params == {"params.yaml": {"a": "2026-01-01", "b": "nan", "c": ["inf", 1.5], "4": None}}


def test_the_etag_of_a_url_is_its_hash() -> None:
    stages = parse_lock(b"stages: {s: {cmd: x, deps: [{path: 'https://a.org/x', etag: '\"e\"'}]}}")

    assert stages["s"].deps == {"https://a.org/x": '"e"'}


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"stages: [",
        b"stages: {train: {}}",
        b"stages: {train: {cmd: echo, outs: [{path: a, md5: 3}]}}",
        b'stages: {train: {cmd: echo, outs: [{path: "a\\nb", md5: "3"}]}}',
        b"stages: {train: {cmd: echo}, train: {cmd: echo}}",
        b"<<<<<<< HEAD\nstages: {}\n=======\nstages: {}\n>>>>>>> main\n",
        b"stages: {}  # \xe9",
        b"\x00",
    ],
)
def test_what_dvc_does_not_write_is_refused_with_what_brings_the_lock_back(content: bytes) -> None:
    with pytest.raises(Problem) as caught:
        parse_lock(content)

    assert caught.value.lines == ("dvc.lock: not what DVC writes; git checkout dvc.lock brings the committed one back",)


def test_a_missing_lock_says_what_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Problem, match=r"^dvc\.lock: not found; dvc repro writes it$"):
        recorded_stages(read_workspace)


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository in which DVC tracks a file and a folder, and Git everything else. Copy it."""
    project = Project(tmp_path_factory.mktemp("added"))
    (project.path / ".dvc").mkdir()
    (project.path / ".dvc/config").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path)
        write(data__file_csv=b"a\r\n1\r\n", kept__b="1", kept__sub__c="2", code_py="x = 1\n")
        write(_dvcignore="*.part\n__pycache__\n", _gitignore="/ignored.csv\n/.dvc/cache\n/.dvc/tmp\n")
        for name, content in {"b": "1", "B": "2", "a/c": "3", "a-b": "4", "a.b": "5", "naïve/ö é.txt": "6"}.items():
            (project.path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
            (project.path / "raw" / name).write_text(content)
        write(raw__x_part="7", raw____pycache__="8")
        Path("raw/nothing").mkdir()
    project.run("git init -q -b main")
    project.run("dvc add -q data/file.csv raw")
    project.commit("Add them")
    return project


@pytest.fixture
def tracked(added: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it in which the test runs."""
    project = added.copy(tmp_path / "project")
    monkeypatch.chdir(project.path)
    return project


@pytest.mark.usefixtures("tracked")
@pytest.mark.parametrize("name", ["data/file.csv", "raw"])
def test_what_dvc_adds_has_the_hash_that_we_compute(name: str) -> None:
    (out,) = YAML(typ="safe").load(Path(f"{name}.dvc"))["outs"]

    assert content_hash(Path(name)) == out["md5"]


@pytest.mark.usefixtures("tracked")
def test_a_folder_has_another_hash_when_a_file_in_it_moves() -> None:
    before = content_hash(Path("raw"))
    Path("raw/b").rename("raw/d")

    assert content_hash(Path("raw")) != before


@pytest.mark.usefixtures("tracked")
@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("data/file.csv", "data/file.csv.dvc"),
        ("raw", "raw.dvc"),
        ("raw/a/c", "raw.dvc"),
        ("rawer/c", None),
        ("code.py", None),
        ("/raw/b", None),
        ("elsewhere/t.csv", "elsewhere/t.csv.dvc"),
        ("elsewhere/deep/u.csv", None),
        ("deep/u.csv", "deep/u.csv.dvc"),
    ],
)
def test_the_pointer_that_tracks_a_path_is_found(path: str, pointer: str | None) -> None:
    write(elsewhere__t_csv_dvc=f"wdir: ../elsewhere\nouts: [{{path: t.csv, md5: {HASH}}}]\n")
    write(elsewhere__deep__u_csv_dvc=f"wdir: ../../deep\nouts: [{{path: u.csv, md5: {HASH}}}]\n")
    write(deep__u_csv_dvc=f"outs: [{{path: other.csv, md5: {HASH}}}, {{path: u.csv, md5: {HASH}}}]\n")
    found = pointer_to(path, read_workspace)

    assert (found[0].as_posix() if found else None) == pointer
    assert pointer_to("raw/b", reader_of("HEAD")) == pointer_to("raw/b", read_workspace)


def hashes(*paths: str) -> dict[str, str]:
    return {path: content_hash(Path(path)) for path in paths}


ALL = ("data/file.csv", "raw", "raw/a/c", "raw/naïve/ö é.txt", "kept", "kept/sub/c", "code.py")


@pytest.mark.usefixtures("tracked")
def test_a_commit_holds_what_git_and_dvc_keep() -> None:
    assert missing_from("HEAD", hashes(*ALL)) == {}


@pytest.mark.usefixtures("tracked")
def test_what_git_ignores_or_does_not_know_is_missing() -> None:
    write(ignored_csv="1", untracked_csv="2", more__a="3")

    assert missing_from("HEAD", hashes("ignored.csv", "untracked.csv", "more")) == {
        "ignored.csv": "nothing",
        "untracked.csv": "nothing",
        "more": "nothing",
    }


@pytest.mark.parametrize("stage", [False, True])
def test_what_has_changed_since_the_commit_is_missing(tracked: Project, *, stage: bool) -> None:
    for path in ("data/file.csv", "raw/a/c", "kept/sub/c", "code.py"):
        append(Path(path))
    if stage:
        tracked.run("dvc add -q data/file.csv raw")
        tracked.run("git add -A")

    assert missing_from("HEAD", hashes(*ALL)) == {
        "data/file.csv": "another hash in data/file.csv.dvc",
        "raw": "another hash in raw.dvc",
        "raw/a/c": "another hash in raw.dvc",
        "kept": "nothing",
        "kept/sub/c": "other content",
        "code.py": "other content",
    }


def test_a_folder_whose_listing_is_nowhere_is_not_taken_for_held(tracked: Project) -> None:
    read = hashes("raw/b")
    append(Path("raw/b"))
    (entry,) = tracking.parse_pointer(Path("raw.dvc").read_bytes(), Path("raw.dvc")).outs
    with_cache = missing_from("HEAD", read)
    cached(entry.hash).unlink()

    assert with_cache == {}
    assert missing_from("HEAD", read) == {"raw/b": "raw.dvc, whose files DVC's cache does not list; dvc fetch raw.dvc"}
    assert missing_from(tracked.head(), {"raw": entry.hash}) == {}


def test_line_ends_and_filters_make_no_difference_where_a_checkout_gives_the_same(tracked: Project) -> None:
    write(
        _gitattributes="*.csv text=auto\n*.txt text eol=crlf\n*.sec filter=secret\n",
        t_txt=b"a\r\nb\r\n",
        t_sec="PLAIN",
        t_one_csv=b"a\nb\n",
    )
    tracked.run("git config filter.secret.clean 'tr A-Z N-ZA-M'")
    tracked.run("git config filter.secret.smudge 'tr A-Z N-ZA-M'")
    read = hashes("t.txt", "t.sec", "t.one.csv", "code.py")
    tracked.commit("Add")

    assert missing_from("HEAD", read) == {}
    assert md5_of(tracked.run("git show HEAD:t.sec").stdout.encode()) != read["t.sec"]


def test_a_project_in_a_folder_of_a_repository_asks_for_its_own_files(
    repository: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(code_py="top", teams__alpha__code_py="alpha", teams__alpha__kept__a="1")
    repository.commit("Two projects")
    monkeypatch.chdir("teams/alpha")

    assert missing_from("HEAD", hashes("code.py", "kept", "kept/a")) == {}
    assert missing_from("HEAD", {"code.py": md5_of(b"top")}) == {"code.py": "other content"}


@pytest.fixture
def configured(repository: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """A repository, and a user whose configuration names a shared cache."""
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    repository.run(
        f"dvc config -q --global cache.dir {tmp_path / 'of the user'!s}".replace("of the user", "user-cache")
    )
    return repository


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (None, "../user-cache"),
        ("dvc cache dir -q ../shared", "../shared"),
        ("dvc cache dir -q --local /mine", "/mine"),
    ],
)
def test_the_cache_is_where_dvc_itself_is_told(configured: Project, command: str | None, folder: str) -> None:
    if command:
        configured.run(command)

    assert cache_folder(Path.cwd()).resolve() == Path(folder).resolve()


def test_the_cache_is_in_the_repository_unless_told_otherwise(repository: Project) -> None:
    assert cache_folder(repository.path) == repository.path / ".dvc/cache"


def test_where_dvc_does_not_answer_the_cache_cannot_be_asked_for(repository: Project) -> None:
    Path(".dvc/config").write_text("[nonsense\n")

    with pytest.raises(CannotAsk, match=r"^dvc cache dir fails, so DVC's cache is not found:\n"):
        cache_folder(repository.path)


def test_a_link_is_trusted_only_to_the_object_of_its_hash(repository: Project) -> None:
    repository.run("dvc config -q cache.type symlink")
    write(table_csv="1", other_csv="2")
    repository.run("dvc add -q table.csv other.csv")
    md5 = md5_of(b"1")
    Path("copy").write_text("1")
    Path("elsewhere.csv").symlink_to("copy")

    assert Path("table.csv").is_symlink()
    assert Path("table.csv").readlink() == cached(md5)
    assert is_link_to_cache(Path("table.csv"), md5)
    assert not is_link_to_cache(Path("other.csv"), md5)
    assert not is_link_to_cache(Path("elsewhere.csv"), md5)
