"""Versions travel through real storage: an S3 server and an SSH server on the loopback address, started for the tests.

They need `pip install -r requirements-remotes.txt`, and for SSH, which is among the long tests, an installed `sshd`;
without, they are skipped.
"""

import getpass
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import BIN
from projects import MODELS, Project, recipe

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
