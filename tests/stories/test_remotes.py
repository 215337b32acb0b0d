"""Versions travel through real storage: an S3 server and an SSH server on the loopback address, started for the tests.

They need `pip install -r requirements-remotes.txt`, and for SSH, which is among the long tests, an installed `sshd`;
without, they are skipped.
"""

import getpass
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from conftest import BIN
from projects import MODELS, RELEASE, SOURCE, Project, recipe

LOOPBACK = "127.0.0.1"
PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd will not start as root without; its service script makes it too
SSHD_CONFIG = """
ListenAddress {address}:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/ada.pub
PidFile none
AuthenticationMethods publickey
UsePAM no
# pytest's folders lie in /tmp, where anyone may write.
StrictModes no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Remote:
    """A storage, by the settings that DVC takes: those of the project, those of a person, and what can be wrong.

    And the README's recipe for it, with the words in it that stand for a user's own.
    """

    recipe: str
    own_words: dict[str, str]
    url: str
    address: tuple[str, str]
    credentials: dict[str, str]
    nowhere: tuple[str, str]
    forged: tuple[str, str]

    def add_to(self, project: Project) -> None:
        name, value = self.address
        project.run(f"dvc remote add -f -d storage {self.url}")
        project.run(f"dvc remote modify storage {name} {value}")
        project.commit("Say where the models are kept")

    def log_in(self, project: Project) -> None:
        for setting in self.credentials.items():
            set_locally(project, setting)


def set_locally(project: Project, setting: tuple[str, str]) -> None:
    name, value = setting
    project.run(f"dvc remote modify --local storage {name} {value}")


@pytest.fixture(scope="module", autouse=True)
def _nobodys_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, agent, profile or proxy of the person who runs the tests is used, and no cloud is asked for one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "SSH_", "RCLONE_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setenv("NO_PROXY", LOOPBACK)
        yield


def installed(program: str, plugin: str) -> str:
    """The path of a server's program; the test is skipped where it or DVC's plugin is missing."""
    found = shutil.which(program, path=os.pathsep.join([str(BIN), os.environ["PATH"], "/usr/sbin"]))
    missing = [] if found else [program]
    missing += [] if importlib.util.find_spec(plugin.replace("-", "_")) else [plugin]
    if missing or not found:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return found


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serving(*command: str, port: int, log: Path) -> Iterator[None]:
    """A server that answers on its port, until the end of the block."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            deadline = time.monotonic() + 20
            while not answers(port):
                assert server.poll() is None, f"{command[0]} ended:\n{log.read_text()}"
                assert time.monotonic() < deadline, f"{command[0]} does not answer:\n{log.read_text()}"
                time.sleep(0.05)
            yield
        finally:
            server.terminate()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def s3(folder: Path) -> Iterator[Remote]:
    """rclone, with a bucket and one person's keys."""
    rclone, port = installed("rclone", plugin="dvc-s3"), free_port()
    (folder / "buckets/my-bucket").mkdir(parents=True)
    command = (rclone, "serve", "s3", "--config=", f"--addr={LOOPBACK}:{port}", "--auth-key=KEY,SECRET")
    with serving(*command, str(folder / "buckets"), port=port, log=folder / "log"):
        yield Remote(
            recipe="Keep the models elsewhere",
            own_words={},
            url="s3://my-bucket/penguins",
            address=("endpointurl", f"http://{LOOPBACK}:{port}"),
            credentials={"access_key_id": "KEY", "secret_access_key": "SECRET"},
            nowhere=("endpointurl", f"http://{LOOPBACK}:{free_port()}"),
            forged=("secret_access_key", "GUESS"),
        )


@contextmanager
def ssh(folder: Path) -> Iterator[Remote]:
    """OpenSSH's server, with a key of its own, which lets the person who runs the tests in by one key."""
    sshd, port = installed("sshd", plugin="dvc-ssh"), free_port()
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    for key in ("host", "ada", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    (folder / "config").write_text(SSHD_CONFIG.format(address=LOOPBACK, port=port, folder=folder))
    with serving(sshd, "-D", "-e", "-f", str(folder / "config"), port=port, log=folder / "log"):
        yield Remote(
            recipe="Keep them on a server",
            own_words={
                "ssh://example.org/srv/penguins": f"ssh://{LOOPBACK}{folder / 'readme'}",
                "user ada": f"user {getpass.getuser()}",
                "~/.ssh/id_ed25519": str(folder / "ada"),
            },
            url=f"ssh://{LOOPBACK}{folder / 'storage'}",
            address=("port", str(port)),
            credentials={"user": getpass.getuser(), "keyfile": str(folder / "ada")},
            nowhere=("port", str(free_port())),
            forged=("keyfile", str(folder / "eve")),
        )


@pytest.fixture(scope="module", params=[pytest.param(s3, id="s3"), pytest.param(ssh, id="ssh", marks=pytest.mark.long)])
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with request.param(tmp_path_factory.mktemp("remote")) as remote:
        yield remote


@pytest.fixture(scope="module")
def pushed(remote: Remote, two_versions: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Both versions, pushed to the remote. Copy it."""
    project = two_versions.copy(tmp_path_factory.mktemp("pushed") / "project")
    remote.add_to(project)
    remote.log_in(project)
    project.run("dvc push")
    return project


def test_the_readmes_recipe_sends_all_versions_there_and_dvc_pull_brings_them_back(
    remote: Remote, two_versions: Project, tmp_path: Path
) -> None:
    """Typed as it is written, but for a user's own words and for the port, which is not the usual one here."""
    project = two_versions.copy(tmp_path / "project")
    project.run("dvc remote remove storage")
    project.commit("Forget the storage")
    before = project.snapshot("models")
    commands = recipe(remote.recipe)
    for word, own in remote.own_words.items():
        assert word in commands
        commands = commands.replace(word, own)
    added, _, rest = commands.partition("\n")
    project.type(f"{added}\ndvc remote modify storage {' '.join(remote.address)}\n{rest}")
    shutil.rmtree(project.path / ".dvc/cache")
    for model in MODELS:
        (project.path / model).unlink()
    project.run("dvc pull")

    assert project.run("git status --porcelain").stdout == ""
    assert project.snapshot("models") == before
    assert remote.credentials.keys().isdisjoint((project.path / ".dvc/config").read_text().replace("=", " ").split())


def test_a_stranger_gets_both_versions_whole_but_nothing_with_forged_credentials(
    remote: Remote, pushed: Project, tmp_path: Path
) -> None:
    pushed.run(f"git clone -q . {tmp_path / 'clone'}")
    stranger = Project(tmp_path / "clone")
    assert not (stranger.path / ".dvc/config.local").exists()

    remote.log_in(stranger)
    set_locally(stranger, remote.forged)
    done = stranger.run("dvc pull", check=False)
    assert done.returncode != 0
    assert "ERROR" in done.stderr
    assert not any((stranger.path / model).exists() for model in MODELS)

    remote.log_in(stranger)
    stranger.run("dvc pull")
    verdicts = json.loads(stranger.ask("verify --json").stdout)
    assert [(verdict["version"], verdict["holds"]) for verdict in verdicts] == [("v1.0.0", True), ("v1.1.0", True)]
    assert all((stranger.path / model).read_bytes() == (pushed.path / model).read_bytes() for model in MODELS)
    assert stranger.run("git status --porcelain").stdout == ""


def test_restore_brings_an_older_version_back_from_the_remote(pushed: Project, tmp_path: Path) -> None:
    project = pushed.copy(tmp_path / "project")
    before = project.snapshot("models/v1.0.0")
    shutil.rmtree(project.path / "models/v1.0.0")
    shutil.rmtree(project.path / ".dvc/cache")
    project.ask("restore v1.0.0")

    assert project.snapshot("models/v1.0.0") == before


def test_an_unreachable_remote_is_an_error_that_costs_no_byte(remote: Remote, pushed: Project, tmp_path: Path) -> None:
    project = pushed.copy(tmp_path / "project")
    before = project.snapshot("data", "models", ".dvc/cache")
    set_locally(project, remote.nowhere)
    push = project.run("dvc push", check=False)
    assert push.returncode != 0
    assert "ERROR" in push.stderr
    assert project.snapshot("data", "models", ".dvc/cache") == before

    shutil.rmtree(project.path / ".dvc/cache")
    pull = project.run("dvc pull", check=False)
    assert pull.returncode != 0
    assert "failed to connect" in pull.stderr
    assert project.snapshot("data", "models").items() == {k: v for k, v in before.items() if k[0] != "."}.items()


@pytest.mark.long
def test_what_an_unreachable_remote_has_is_rebuilt(remote: Remote, pushed: Project, tmp_path: Path) -> None:
    project = pushed.copy(tmp_path / "project")
    before = project.snapshot("data", "models")
    (project.path / MODELS[1]).unlink()
    shutil.rmtree(project.path / ".dvc/cache")
    set_locally(project, remote.nowhere)
    done = project.ask("restore v1.1.0")

    assert "; rebuilding it" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.snapshot("data", "models") == before


URL = "remote://lake/penguins_v1.1.0.parquet"
PARTS = ("data/prepared/train.parquet", "data/prepared/test.parquet")
UPLOAD = """
import sys
from dvc.config import Config
from dvc.fs import parse_external_url
for url, file in zip(sys.argv[1::2], sys.argv[2::2]):
    fs, key = parse_external_url(url, config=Config.from_cwd())
    fs.makedirs(fs.parent(key), exist_ok=True)
    fs.put_file(file, key)
"""


def put(project: Project, files: dict[str, Path]) -> None:
    """Keep files in the storage under some names, as somebody else does."""
    arguments = [argument for name, file in files.items() for argument in (f"remote://lake/{name}", str(file))]
    project.run(shlex.join(["python", "-c", UPLOAD, *arguments]))


@pytest.fixture(scope="module")
def read_there(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A version of a table in S3, made as docs/your-table.md says, and released. Copy it."""
    project = finished.copy(tmp_path_factory.mktemp("read") / "project")
    with s3(tmp_path_factory.mktemp("lake")) as remote:
        commands = recipe("A table in object storage").replace("https://s3.example.org", remote.address[1])
        configure, sed, rest = commands.partition("sed ")
        project.type(configure)
        put(project, {"penguins_v1.1.0.parquet": project.path / SOURCE})
        project.type(sed + rest)
        project.commit("Run the pipeline")
        project.run(RELEASE)
        yield project


def made_of(project: Project, version: str = "v1.0.0") -> list[dict[str, Any]]:
    manifest: dict[str, Any] = json.loads((project.path / f"models/{version}/manifest.json").read_text())
    return list(manifest["inputs"])


def test_a_table_in_a_storage_is_read_there_and_the_model_is_the_same(finished: Project, read_there: Project) -> None:
    project, local = read_there, (read_there.path / SOURCE).read_bytes()
    (entry,) = made_of(project)
    listed = json.loads(project.ask(f"trace {URL} --json").stdout)

    assert (entry["path"], entry["size"], entry["rows"]) == (URL, len(local), 344)
    assert entry["origin"]["url"] == "s3://my-bucket/tables/penguins_v1.1.0.parquet"
    assert entry["origin"]["etag"] == hashlib.md5(local).hexdigest()  # as long as an object is sent in one piece
    assert (project.path / MODELS[0]).read_bytes() == (finished.path / MODELS[0]).read_bytes()
    assert [fact["version"] for fact in listed] == ["v1.0.0"]
    assert f"not checked: whether {URL} is still" in project.ask("verify v1.0.0").stdout
    assert local not in project.snapshot(".dvc").values()
    assert project.run("git status --porcelain").stdout == ""


def test_every_verb_takes_a_version_of_a_table_in_a_storage(read_there: Project, tmp_path: Path) -> None:
    project = read_there.copy(tmp_path / "project")
    etag = made_of(project)[0]["origin"]["etag"]
    for verb in ("show v1.0.0 --json", "card v1.0.0", "export v1.0.0 --format slsa"):
        assert etag in project.ask(verb).stdout
    for verb in ("export v1.0.0 --format cyclonedx", "export v1.0.0 --format oci", "page", "list"):
        project.ask(verb)
    other = project.ask("diff HEAD~2 v1.0.0")  # of before the table was in the storage

    assert f"{URL}.origin.etag  " in other.stdout
    assert "rows not compared" not in other.stderr  # the etag is the other's MD5


def test_another_object_under_the_same_url_is_noticed_and_read(read_there: Project, tmp_path: Path) -> None:
    project = read_there.copy(tmp_path / "project")
    older = project.path / "data/raw/penguins_v1.0.0.parquet"
    put(project, {"penguins_v1.1.0.parquet": older})
    try:
        said = project.run("dvc status").stdout
        refused = project.run(RELEASE, check=False).stdout
        project.set(package__version="v1.1.0")
        project.run("dvc repro")
    finally:
        put(project, {"penguins_v1.1.0.parquet": project.path / SOURCE})

    assert f"modified:           {URL}" in said
    assert "dvc status says that it changed" in refused
    assert made_of(project, "v1.1.0")[0]["size"] == older.stat().st_size
    assert made_of(project)[0]["size"] != older.stat().st_size


def test_text_feather_and_folders_are_read_there_too(read_there: Project, tmp_path: Path) -> None:
    project = read_there.copy(tmp_path / "project")
    before, table = [(project.path / part).read_bytes() for part in PARTS], pq.read_table(project.path / SOURCE)
    pyarrow.feather.write_feather(table, tmp_path / "penguins.feather")
    with pyarrow.output_stream(tmp_path / "penguins.csv.gz") as stream:
        pyarrow.csv.write_csv(table, stream)
    (tmp_path / "folder").mkdir()
    pq.write_table(table[:200], tmp_path / "folder/1.parquet")
    pq.write_table(table[200:], tmp_path / "folder/2.parquet")
    names = ("penguins.feather", "penguins.csv.gz", "folder/1.parquet", "folder/2.parquet")
    put(project, {name: tmp_path / name for name in names})
    commands = dict.fromkeys(("penguins.feather", "penguins.csv.gz"), "python src/prepare.py")
    for name, command in (commands | {"folder": "dvc repro prepare"}).items():
        project.set(data__path=f"remote://lake/{name}", package__version="v1.1.0")
        project.run(command)

        assert [(project.path / part).read_bytes() for part in PARTS] == before
        assert f"/tables/{name}" in (project.path / "data/prepared/profile.json").read_text()


WRONG = {  # what is set, or the path, and what is said
    f"endpointurl http://{LOOPBACK}:1": "the storage does not hand it out: Could not connect",
    "secret_access_key GUESS": "the storage does not hand it out: ",
    "remote://lake/none.parquet": "not found",
    "remote://elsewhere/penguins.parquet": "DVC knows no remote of this name",
    "gs://my-bucket/penguins.parquet": "dvc-gs is not installed; python -m pip install dvc-gs",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_storage_refuses_is_one_sentence(wrong: str, read_there: Project, tmp_path: Path) -> None:
    project = read_there.copy(tmp_path / "project")
    if " " not in wrong:
        project.set(data__path=wrong)
    else:
        project.run(f"dvc remote modify --local lake {wrong}")
    done = project.run("python src/prepare.py", check=False)

    assert done.returncode in {1, 2}
    assert len(done.stderr.splitlines()) == 1
    assert WRONG[wrong] in done.stderr


@pytest.mark.long
def test_a_version_of_a_table_in_a_storage_is_rebuilt(read_there: Project, tmp_path: Path) -> None:
    """The keys are the caller's alone, and the clone in which it is rebuilt must be told them."""
    project = read_there.copy(tmp_path / "project")

    assert "rebuilt byte for byte" in project.ask("rebuild v1.0.0").stdout
