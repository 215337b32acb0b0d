"""Who trusts whom: a team that signs, a stranger who rebuilds and signs that, and a machine that has only a key."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from keys import CURVES, write_key
from projects import CHECKOUT, PACKAGE, SOURCE, VERSION, Project, append

PAGE = (CHECKOUT / "docs/signing.md").read_text(encoding="utf-8")


def commands(title: str, which: int = 0) -> str:
    """The shell commands of a section of docs/signing.md."""
    return re.findall(r"```sh\n(.*?)```", PAGE.partition(f"## {title}")[2], flags=re.DOTALL)[which]


def machine(project: Project, folder: Path) -> Project:
    """A folder with nothing but the code, the package and the rows; no Git."""
    shutil.copytree(project.path / "src", folder / "src")
    shutil.copytree(project.path / PACKAGE, folder / VERSION)
    shutil.copy(project.path / SOURCE, folder / "data.parquet")
    return Project(folder, {"GIT_CEILING_DIRECTORIES": str(folder.parent)})


def test_a_team_signs_a_stranger_attests_and_a_machine_with_the_key_alone_scores(
    project: Project, tmp_path: Path
) -> None:
    project.type(
        commands("A key for the team").replace("models team.pub", "models").replace("team.", f"{tmp_path}/team.")
    )
    project.type(f"git init -q --bare -b main {tmp_path / 'hub'} && git remote add origin {tmp_path / 'hub'}")
    project.run(f"dvc remote add -q -d storage {tmp_path / 'storage'}")
    project.commit("Say where the models are")
    project.type("dvc repro -q && python src/lineage.py release && git push -q --tags origin main && dvc push -q")

    project.run(f"git clone -q {tmp_path / 'hub'} {tmp_path / 'clone'}")
    stranger = Project(tmp_path / "clone")
    write_key(stranger.path.parent, "me")
    stranger.run("dvc pull -q")
    assert "(checked)" in stranger.ask(f"verify --key {tmp_path}/team.pub").stdout
    stranger.type(commands("A second person's signature").replace("me.pem", f"{tmp_path}/me.pem"))

    project.run("git pull -q origin main")
    both = project.ask(f"verify {VERSION} --key {tmp_path}/team.pub --key {tmp_path}/me.pub").stdout.splitlines()
    assert [line.split()[0] for line in both] == ["ok", "signed", "rebuilt"]
    assert all(line.endswith("(checked)") for line in both[1:])
    assert "byte for byte" in both[2]

    serving = machine(project, tmp_path / "machine")
    predict = f"python src/predict.py {VERSION} data.parquet scored.csv"
    assert "nobody vouches for it" in serving.run(predict, check=False).stderr
    serving.run(f"{predict} --key {tmp_path}/team.pub")
    assert "model.sig: was not made with" in serving.run(f"{predict} --key {tmp_path}/me.pub", check=False).stderr
    append(serving.path / VERSION / "requirements.txt")
    sums = "sha256sum manifest.json model.joblib requirements.txt > SHA256SUMS"
    for harm in ("true", f"cd {VERSION} && {sums}"):
        serving.type(harm)
        assert serving.run(f"{predict} --key {tmp_path}/team.pub", check=False).returncode == 1


def test_a_model_is_tried_where_it_was_made_before_it_is_committed_and_not_elsewhere(
    project: Project, tmp_path: Path
) -> None:
    project.set(train__seed=7)
    project.run("dvc repro -q")
    predict = f"python src/predict.py {PACKAGE} {SOURCE} {tmp_path / 'scored.csv'}"
    project.run(predict)

    project.run(f"git clone -q . {tmp_path / 'clone'}")
    elsewhere = Project(tmp_path / "clone")
    shutil.rmtree(elsewhere.path / PACKAGE)
    shutil.copytree(project.path / PACKAGE, elsewhere.path / PACKAGE)
    assert "nobody vouches for it" in elsewhere.run(predict, check=False).stderr
    elsewhere.run(f"{predict} --trust-unvouched")
    elsewhere.commit("Take it")
    elsewhere.run(predict)


def test_an_experiment_in_a_temporary_folder_leaves_its_note_in_the_repository(project: Project) -> None:
    notes = project.path / ".git/lineage"
    before = {*notes.iterdir()}
    project.run("dvc exp run -q --temp -S train.seed=7")

    assert len({*notes.iterdir()} - before) == 1


@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("openssl"), reason="openssl or jq is not installed")
def test_openssl_alone_checks_a_signature(project: Project, tmp_path: Path) -> None:
    key = write_key(tmp_path, "team")
    project.ask(f"sign {VERSION} --key {key}")
    shutil.copytree(project.path / PACKAGE, tmp_path / VERSION)
    package = Project(tmp_path / VERSION)
    shutil.copy(tmp_path / "team.pub", package.path)
    check = commands("A consumer without this repository", 1)

    assert "model.joblib: OK" in package.type(check).stdout
    append(package.path / "model.joblib")
    assert package.type(check, check=False).returncode != 0


@pytest.mark.long
def test_the_reference_implementation_accepts_ours_and_ours_accepts_its(project: Project, tmp_path: Path) -> None:
    """model-signing imports pyOpenSSL and does not require it."""
    project.run(f"{sys.executable} -m venv {tmp_path / 'venv'}")
    project.run(f"{tmp_path / 'venv/bin/pip'} install -q model-signing==1.1.1 pyopenssl")
    reference, signature = tmp_path / "venv/bin/model_signing", f"--signature {PACKAGE}/model.sig"
    for name, curve in CURVES.items():
        key = write_key(tmp_path, name, ec.generate_private_key(curve))
        public = key.with_suffix(".pub")
        project.ask(f"sign {VERSION} --key {key}")
        verify = f"{reference} verify key {PACKAGE} {signature} --public_key {public}"
        assert "Verification succeeded" in project.run(verify).stdout
        append(project.path / PACKAGE / "requirements.txt")
        assert project.run(verify, check=False).returncode != 0
        project.run(f"git checkout -q {PACKAGE}/requirements.txt")

        (project.path / PACKAGE / "model.sig").unlink()
        project.run(f"{reference} sign key {PACKAGE} {signature} --private_key {key}")
        assert "(checked)" in project.ask(f"verify --key {public}").stdout
