from collections.abc import Mapping
from pathlib import Path

import pytest
from projects import Project, append
from ruamel.yaml import YAML

from record import tracking
from record.checksums import md5_of
from record.problem import CannotAsk, Problem
from record.tracking import Stage, cached, content_hash, missing_from, read_workspace, recorded_stages, unrecorded

HASH = "a" * 32
KEPT_AS_TEXT = {"a": "2026-01-01", "b": "inf", "4": ["nan", 1.5]}
PIPELINE = """
vars: [settings.yaml, here: {kind: mean}]
stages:
  clean:
    cmd: [mkdir data/clean, cp data/raw.csv data/clean/a.csv, cp data/raw.csv data/clean/skipped.tmp]
    deps: [data/raw.csv]
    params: [limit, settings.yaml: [deep.er]]
    outs: [data/clean]
  part:
    foreach: [one, two]
    do: {cmd: "cp data/clean/a.csv ${item}.csv", deps: [data/clean/a.csv], outs: ["${item}.csv"]}
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
  package: {cmd: "echo ${limit} ${yes} > end", deps: [sub/mean.csv], outs: [end]}
metrics: [scores.json]
"""


def write(files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository in which DVC has run stages of every kind and tracks a file and a folder. Copy it."""
    project = Project(tmp_path_factory.mktemp("ran"))
    raw = {"b": "1", "B": "2", "a/c": "3", "a-b": "4", "a.b": "5", "naïve/ö é.txt": "6", "x.part": "7", ".tmp": "8"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.path)
        write({".dvc/config": "", ".dvcignore": "*.tmp\n*.part\n", ".gitignore": "/ignored.csv\n/.dvc/*\n"})
        write({"dvc.yaml": PIPELINE, "params.yaml": "limit: 3\nyes: true\n", "settings.yaml": "deep: {er: [1, 2]}\n"})
        write({"data/raw.csv": b"a\r\n1\r\n", "data/file.csv": b"a\r\n1\r\n", "kept/b": "1", "kept/sub/c": "2"})
        write({f"raw/{name}": content for name, content in raw.items()} | {"sub/code.py": "x = 1\n"})
        Path("raw/nothing").mkdir()
    project.run("git init -q -b main")
    project.run("dvc repro -q")
    project.run("dvc add -q data/file.csv raw")
    project.commit("Run it")
    return project


@pytest.fixture
def here(ran: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it in which the test runs."""
    monkeypatch.chdir(ran.copy(tmp_path / "project").path)
    return Project(Path.cwd())


@pytest.mark.usefixtures("here")
def test_stages_of_every_kind_are_read_as_dvc_recorded_them() -> None:
    stages = recorded_stages(read_workspace)
    assert list(stages) == ["clean", "part@one", "part@two", "grid@1-a", "grid@2-a", "inside", "package"]
    assert stages["clean"].cmd.splitlines()[:2] == ["mkdir data/clean", "cp data/raw.csv data/clean/a.csv"]
    assert stages["clean"].params == {"params.yaml": {"limit": 3}, "settings.yaml": {"deep.er": [1, 2]}}
    assert list(stages["part@two"].outs) == ["two.csv"]
    assert list(stages["inside"].deps | stages["inside"].outs) == ["grid-1-a.csv", "sub/m.yaml", "sub/mean.csv"]


@pytest.mark.usefixtures("here")
def test_every_hash_that_dvc_records_is_the_one_that_we_compute() -> None:
    recorded = {path: md5 for s in recorded_stages(read_workspace).values() for path, md5 in (s.deps | s.outs).items()}
    added = {name: YAML(typ="safe").load(Path(f"{name}.dvc"))["outs"][0]["md5"] for name in ("data/file.csv", "raw")}
    assert Path("data/clean/skipped.tmp").exists()
    assert "data/clean" in recorded
    assert {path: content_hash(Path(path)) for path in recorded | added} == recorded | added
    Path("raw/b").rename("raw/d")
    assert content_hash(Path("raw")) != added["raw"]


@pytest.mark.usefixtures("here")
def test_what_dvc_yaml_declares_has_its_templates_filled_in_and_its_own_commands() -> None:
    declared = tracking.declared_stages(read_workspace)
    assert list(declared) == ["clean", "part", "grid", "inside", "package"]
    assert (declared["part"].outs, declared["grid"].outs) == (["*.csv"], ["grid-*-*.csv"])
    assert (declared["inside"].deps, declared["inside"].outs) == (["grid-1-a.csv"], ["sub/mean.csv", "sub/m.yaml"])
    assert declared["inside"].metrics == ["sub/m.yaml", "scores.json"]
    for name, stage in recorded_stages(read_workspace).items():
        assert [known for known, each in declared.items() if each.runs(stage.cmd)] == [name.partition("@")[0]]


def test_templates_are_filled_in_as_dvc_does_or_left_open() -> None:
    values = {"data": {"path": "x.csv"}, "n": 0.5, "flag": True, "l": [1]}
    text = r"${ data.path }-${n} --flag ${flag} ${l[0]} ${l[7]} ${l[²]} ${item} ${data} ${data.path.more} $HOME \${n}"
    assert tracking.filled_in(text, values) == "x.csv-0.5 --flag true 1 * * * * * $HOME ${n}"


def stages_of(text: str) -> dict[str, Stage]:
    """Stages, written as `name: dep dep > out; name: …`."""
    parts = [part.replace(">", ":").split(":") for part in text.split(";")]
    hashes = [[dict.fromkeys(paths.split(), HASH) for paths in more] for _, *more in parts]
    return {name.strip(): Stage(cmd="", deps=d, outs=o) for (name, *_), (d, o) in zip(parts, hashes, strict=True)}


@pytest.mark.parametrize(
    ("stages", "end", "order", "inputs"),
    [
        ("c: b.x > c.x; b: a > b.x", "c.x", "b c", "a"),
        ("end: l r > e; l: t > l; r: t code > r; top: raw > t", "e", "top l r end", "code raw"),
        ("b: out/a.csv > b; a: raw > out", "b", "a b", "raw"),
        ("b: all > b; a: raw > all/a; c: > all/c", "b", "a c b", "all raw"),
        ("a: raw > out; b: out2/a > b", "b", "b", "out2/a"),
        ("a: raw > a; other: raw > o", "a", "a", "raw"),
        ("a: b > a; b: a > b", "a", "b a", ""),
    ],
    ids=["line", "diamond", "in a folder", "folder of outs", "beginning", "beside", "circle"],
)
def test_a_chain_holds_each_stage_once_after_what_it_reads(stages: str, end: str, order: str, inputs: str) -> None:
    chain = tracking.ancestors(stages_of(stages), [end])
    assert (list(chain), list(tracking.inputs_of(chain))) == (order.split(), inputs.split())


@pytest.mark.usefixtures("here")
def test_stages_that_dvc_yaml_no_longer_has_are_left_out_and_those_that_the_lock_lacks_are_named() -> None:
    stale = "  {}:\n    cmd: x\n    outs: [{{path: data/raw.csv, md5: 0a}}]\n"
    with Path("dvc.lock").open("a") as lock:
        lock.writelines(stale.format(name) for name in ("gone", "part@three", "grid@3-a", "clean@one"))
    stages = recorded_stages(read_workspace)
    chain = tracking.ancestors(stages, ["sub/mean.csv"])

    assert list(chain) == ["clean", "part@one", "part@two", "grid@1-a", "inside"]
    assert list(tracking.inputs_of(chain)) == ["data/raw.csv"]
    assert list(unrecorded(["data/raw.csv", "data/clean/a.csv", "sub/mean.csv", "https://a.org/x.csv"], stages)) == []
    del stages["clean"], stages["part@two"]
    said = "{}: the stage '{}' makes it, but dvc.lock does not record that; run dvc repro"
    named = [said.format("data/clean/a.csv", "clean"), said.format("two.csv", "part")]
    assert list(unrecorded(["data/clean/a.csv", "two.csv"], stages)) == named


def test_a_chain_that_leads_into_a_subfolder_is_named_unless_it_is_another_project(here: Project) -> None:
    write({f"{folder}/dvc.yaml": "stages: {load: {cmd: x, outs: [raw.csv]}}" for folder in ("deep/er", "template")})
    (here.path / "template/.dvc").mkdir()
    said = "deep/er/raw.csv: deep/er/dvc.yaml makes it, which is not followed; move its stage 'load' to dvc.yaml"
    assert list(unrecorded(["deep/er/raw.csv", "deep/raw.csv", "template/raw.csv"], {})) == [said]


def test_a_tracked_file_that_an_open_template_might_make_is_an_input(here: Project) -> None:
    write({"three.csv": "3"})
    assert len(list(unrecorded(["three.csv"], {}))) == 1
    here.run("git add -f three.csv")
    assert list(unrecorded(["three.csv"], {})) == []


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ("outs: [{path: a, md5: 0a, size: 1, hash: md5, new: 3}], new: 1", "outs", {"a": "0a"}),
        ("params: {p: {a: 2026-01-01, b: .inf, 4: [.nan, 1.5]}}", "params", {"p": KEPT_AS_TEXT}),
        ("deps: [{path: 'https://a.org/x', etag: '\"e\"'}]", "deps", {"https://a.org/x": '"e"'}),
    ],
    ids=["of a later DVC", "values that JSON cannot hold are kept as text", "the etag of a URL is its hash"],
)
def test_whatever_dvc_writes_in_its_lock_is_read(written: str, key: str, value: object) -> None:
    lock = f"schema: '3.0'\nstages: {{s: {{cmd: x, {written}}}}}\nnew: 2\n"
    assert tracking.parse_lock(lock.encode()) == {"s": Stage(cmd="x", **{key: value})}


@pytest.mark.parametrize(
    "content",
    [
        *(b"[]", b"stages: [", b"stages: {train: {}}", b"stages: {}  # \xe9", b"\x00"),
        b"stages: {train: {cmd: echo, outs: [{path: a, md5: 3}]}}",
        b'stages: {train: {cmd: echo, outs: [{path: "a\\nb", md5: "3"}]}}',
        b"stages: {train: {cmd: echo}, train: {cmd: echo}}",
        b"<<<<<<< HEAD\nstages: {}\n=======\nstages: {}\n>>>>>>> main\n",
    ],
)
def test_what_dvc_does_not_write_is_refused_with_what_brings_the_lock_back(content: bytes) -> None:
    with pytest.raises(Problem) as caught:
        tracking.parse_lock(content)
    assert caught.value.lines == ("dvc.lock: not what DVC writes; git checkout dvc.lock brings the committed one back",)


@pytest.mark.usefixtures("here")
def test_the_pointer_that_tracks_a_path_is_found() -> None:
    entry = f"{{path: %s, md5: {HASH}}}"
    write({"elsewhere/t.csv.dvc": f"wdir: ../elsewhere\nouts: [{entry % 't.csv'}]\n"})
    write({"elsewhere/deep/u.csv.dvc": f"wdir: ../../deep\nouts: [{entry % 'u.csv'}]\n"})
    write({"deep/u.csv.dvc": f"outs: [{entry % 'other.csv'}, {entry % 'u.csv'}]\n"})
    pointers = {path: f"{path}.dvc" for path in ("data/file.csv", "raw", "elsewhere/t.csv", "deep/u.csv")}
    pointers |= {"raw/a/c": "raw.dvc"}
    others = ("rawer/c", "sub/code.py", "/raw/b", "elsewhere/deep/u.csv")

    found = {path: tracking.pointer_to(path, read_workspace) for path in (*pointers, *others)}
    assert {path: each[0].as_posix() for path, each in found.items() if each} == pointers
    assert tracking.pointer_to("raw/b", tracking.reader_of("HEAD")) == found["raw"]


def hashes(*paths: str) -> dict[str, str]:
    return {path: content_hash(Path(path)) for path in paths}


ALL = ("data/file.csv", "raw", "raw/a/c", "raw/naïve/ö é.txt", "kept", "kept/sub/c", "sub/code.py")


@pytest.mark.parametrize("stage", [False, True])
def test_what_git_or_dvc_does_not_keep_as_it_was_read_is_missing(here: Project, *, stage: bool) -> None:
    assert missing_from("HEAD", hashes(*ALL)) == {}
    write({"ignored.csv": "1", "untracked.csv": "2", "more/a": "3"})
    for path in ("data/file.csv", "raw/a/c", "kept/sub/c", "sub/code.py"):
        append(Path(path))
    if stage:
        here.run("dvc add -q data/file.csv raw")
        here.run("git add -A")
    assert missing_from("HEAD", hashes(*ALL, "ignored.csv", "untracked.csv", "more")) == {
        "data/file.csv": "another hash in data/file.csv.dvc",
        **dict.fromkeys(["raw", "raw/a/c"], "another hash in raw.dvc"),
        **dict.fromkeys(["kept/sub/c", "sub/code.py"], "other content"),
        **dict.fromkeys(["kept", "ignored.csv", "untracked.csv", "more"], "no such file"),
    }


@pytest.mark.usefixtures("here")
def test_a_folder_whose_listing_is_nowhere_is_not_taken_for_held() -> None:
    read, folder = hashes("raw/b"), hashes("raw")
    append(Path("raw/b"))
    assert missing_from("HEAD", read) == {}
    cached(folder["raw"]).unlink()
    assert missing_from("HEAD", read) == {"raw/b": "raw.dvc, whose files DVC's cache does not list; dvc fetch raw.dvc"}
    assert missing_from("HEAD", folder) == {}
    write({"raw/b": "1"})
    assert missing_from("HEAD", read) == {}


def test_line_ends_and_filters_make_no_difference_where_a_checkout_gives_the_same(here: Project) -> None:
    write({".gitattributes": "*.csv text=auto\n*.txt text eol=crlf\n*.sec filter=secret\n"})
    write({"t.txt": b"a\r\nb\r\n", "t.sec": "PLAIN", "t.one.csv": b"a\nb\n"})
    for side in ("clean", "smudge"):
        here.run(f"git config filter.secret.{side} 'tr A-Z N-ZA-M'")
    read = hashes("t.txt", "t.sec", "t.one.csv", "sub/code.py")
    here.commit("Add")
    assert missing_from("HEAD", read) == {}
    assert md5_of(here.run("git show HEAD:t.sec").stdout.encode()) != read["t.sec"]


def test_a_project_in_a_subfolder_asks_for_its_own_files(repository: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"code.py": "top", "teams/alpha/code.py": "alpha", "teams/alpha/kept/a": "1"})
    repository.commit("Two projects")
    monkeypatch.chdir("teams/alpha")
    assert missing_from("HEAD", hashes("code.py", "kept", "kept/a")) == {}
    assert missing_from("HEAD", {"code.py": md5_of(b"top")}) == {"code.py": "other content"}


@pytest.mark.parametrize(("told", "folder"), [(None, ".dvc/cache"), ("../it", "../it"), ("--local /mine", "/mine")])
def test_the_cache_is_where_dvc_itself_is_told(repository: Project, told: str | None, folder: str) -> None:
    if told:
        repository.run(f"dvc cache dir -q {told}")
    assert tracking.cache_folder(Path.cwd()).resolve() == Path(folder).resolve()


def test_where_dvc_does_not_answer_the_cache_cannot_be_asked_for(repository: Project) -> None:
    Path(".dvc/config").write_text("[nonsense\n")
    with pytest.raises(CannotAsk, match=r"^dvc cache dir fails, so DVC's cache is not found:\n"):
        tracking.cache_folder(repository.path)


def test_a_link_is_trusted_only_to_the_object_of_its_hash(repository: Project) -> None:
    repository.run("dvc config -q cache.type symlink")
    write({"table.csv": "1", "other.csv": "2", "copy": "1"})
    repository.run("dvc add -q table.csv other.csv")
    Path("elsewhere.csv").symlink_to("copy")
    links, md5 = ("table.csv", "other.csv", "elsewhere.csv"), md5_of(b"1")
    assert Path("table.csv").readlink() == cached(md5)
    assert [name for name in links if tracking.is_link_to_cache(Path(name), md5)] == ["table.csv"]
