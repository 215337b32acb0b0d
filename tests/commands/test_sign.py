"""Signing a package, and what `verify` says of who vouches for it: signers, the signer of the tag, rebuilders."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from keys import BUNDLE, DIGEST, TEXT, payload_of, strict, with_payload, write_key
from projects import PACKAGE, VERSION, Project, append
from tables import seal

from commands import attestations, release, sign, verify
from commands.attestations import Outcome, write_attestation
from commands.versions import Version
from record.bundles import read_private_key, read_public_key
from record.models import CHECKED, MANIFEST, MODEL, POINTER, SIGNATURE, SUMS
from record.problem import Problem

FOLDER = Path(PACKAGE)
FILE = FOLDER / SIGNATURE


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The private key of a team; the public one is beside it."""
    return write_key(tmp_path, "team")


def checked(*keys: Path) -> list[str]:
    """What `verify` says with these keys."""
    return verify.run([VERSION], [key.with_suffix(".pub") for key in keys]).lines


@pytest.mark.usefixtures("here")
def test_a_package_is_signed_once_by_a_key_and_verify_says_whose_signature_that_is(tmp_path: Path, key: Path) -> None:
    told = sign.run(VERSION, key)
    fingerprint = read_public_key(key.with_suffix(".pub")).fingerprint
    content = FILE.read_bytes()
    other = write_key(tmp_path, "other")

    assert told.facts == {"version": VERSION, "key": fingerprint, "path": FILE.as_posix()}
    assert told.lines == [f"{FILE}: signed by the key {fingerprint[:8]}; commit it"]
    assert sign.run(VERSION, key).lines == [f"{FILE}: signed by this key already ({fingerprint[:8]})"]
    assert FILE.read_bytes() == content
    row = f"signed  v1.0.0  model.sig by the key {fingerprint[:8]}"
    assert checked()[1:] == [f"{row} (not checked: --key names a key)"]
    assert checked(key)[1:] == checked(other, key)[1:] == [f"{row} (checked)"]
    assert checked(other)[0].startswith("FAILED  v1.0.0  model.sig: was not made with ")
    sign.run(VERSION, other)
    assert checked(other)[0].startswith("ok ")


def test_what_is_not_intact_or_not_under_models_is_not_signed(here: Project, key: Path) -> None:
    with pytest.raises(Problem, match=r"^HEAD: is not under models/; python src/lineage.py restore HEAD, then sign"):
        sign.run("HEAD", key)
    append(FOLDER / MODEL)
    with pytest.raises(Problem, match=r"model.joblib: is not what SHA256SUMS says"):
        sign.run(VERSION, key)
    assert here.run("git status --porcelain").stdout == ""


@pytest.mark.parametrize("name", [*CHECKED, SUMS])
def test_a_signed_package_that_changed_is_found(here: Project, key: Path, name: str) -> None:
    """Also where whoever changed it made every checksum right again."""
    sign.run(VERSION, key)
    append(FOLDER / name)
    assert checked(key)[0].startswith("FAILED")
    here.run(f"git checkout -q {PACKAGE}")
    here.run("dvc checkout -q --force")
    seal(FOLDER, metrics={})
    assert any(f"{MANIFEST}: is not what {SIGNATURE} says" in line for line in [*checked(key), *checked()])


def test_repro_neither_needs_nor_removes_a_signature_and_other_bytes_drop_it(here: Project, key: Path) -> None:
    sign.run(VERSION, key)
    content = FILE.read_bytes()
    here.commit("Sign it")
    here.run("dvc repro -q --force --single-item package")
    assert FILE.read_bytes() == content
    assert here.run("git status --porcelain").stdout + here.run("dvc status -q").stdout == ""

    here.set(train__seed=7)
    here.run("dvc repro -q")
    assert not FILE.exists()
    assert verify.run([VERSION]).holds


def test_release_wants_the_signature_committed_and_right(here: Project, key: Path) -> None:
    sign.run(VERSION, key)
    assert release.run().lines == [f"{FILE}: not committed as it is; commit it"]
    FILE.write_bytes(with_payload(FILE.read_bytes(), b"{}"))
    here.commit("Sign it")
    assert any(line.startswith("model.sig: is not a signature of OpenSSF") for line in release.run().lines)


def test_a_signature_comes_back_with_its_version_though_it_was_made_after_the_release(
    moved_on: Project, key: Path
) -> None:
    file = moved_on.path / FILE
    moved_on.ask(f"sign v1.0.0 --key {key}")
    content = file.read_bytes()
    moved_on.commit("Sign the first")
    for harm in (lambda: shutil.rmtree(file.parent), lambda: append(file, b"}"), lambda: file.write_bytes(b"")):
        harm()
        moved_on.ask("restore v1.0.0")
        assert file.read_bytes() == content
    assert (moved_on.path / FOLDER / POINTER).is_file()
    assert "(checked)" in moved_on.ask(f"verify v1.0.0 --key {key.with_suffix('.pub')}").stdout


@pytest.fixture
def tagger(here: Project, tmp_path: Path) -> Project:
    """A repository that signs its tags with an SSH key."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    here.run(f"ssh-keygen -q -t ed25519 -N '' -f {tmp_path / 'ssh'}")
    here.type(f"git config gpg.format ssh; git config user.signingKey {tmp_path / 'ssh'}; git config tag.gpgSign true")
    return here


def test_a_release_is_signed_where_git_signs_tags_and_verify_says_by_whom(tagger: Project, tmp_path: Path) -> None:
    release.run()
    assert checked()[1].startswith("tagged  v1.0.0  penguins@v1.0.0: signed, but Git cannot say by whom (")

    (tmp_path / "signers").write_text(f"ada@example.org {(tmp_path / 'ssh.pub').read_text()}")
    tagger.run(f"git config gpg.ssh.allowedSignersFile {tmp_path / 'signers'}")
    assert checked()[1].startswith('tagged  v1.0.0  penguins@v1.0.0: Good "git" signature for ada@example.org')

    forged = tagger.run("git cat-file tag penguins@v1.0.0").stdout.replace("Release penguins", "Release Penguins")
    (tmp_path / "tag").write_text(forged)
    tagger.type(f"git update-ref refs/tags/penguins@v1.0.0 $(git hash-object -t tag -w {tmp_path / 'tag'})")
    assert checked()[0].startswith("FAILED  v1.0.0  penguins@v1.0.0: the tag's signature is not right: ")


# ── attestations ───────────────────────────────────────────────────────────────────────────────────────────────────


def attest(project: Project, key: Path, *, clone: Path | None = None, differs: tuple[str, ...] = ()) -> Path:
    """Attest a rebuild of the version as HEAD has it, without running it, from the files of a clone."""
    names = (*(f"{PACKAGE}/{name}" for name in (*CHECKED, SUMS)), "data/prepared")
    outcomes = [Outcome(name, name not in differs, "data: x" if name in differs else None) for name in names]
    version = Version(VERSION, project.head())
    return write_attestation(version, clone or project.path, outcomes, read_private_key(key), attestations.now())


TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
URI, MANY = {"type": "string", "format": "uri", "pattern": "^[a-z]+:"}, {"type": "array", "minItems": 1}
DESCRIPTOR = {"type": "object", "anyOf": [{"required": [key]} for key in ("uri", "digest", "content")]}
PROVENANCE = strict(  # https://slsa.dev/spec/v1.0/provenance
    _type={"const": "https://in-toto.io/Statement/v1"},
    subject=MANY | {"items": strict(name=TEXT, digest=strict(sha256=DIGEST))},
    predicateType={"const": "https://slsa.dev/provenance/v1"},
    predicate=strict(
        buildDefinition=strict(
            buildType=URI, externalParameters={"type": "object"}, resolvedDependencies=MANY | {"items": DESCRIPTOR}
        ),
        runDetails=strict(
            builder=strict(id=URI, version={"type": "object", "additionalProperties": TEXT}),
            metadata=strict(startedOn=TIME, finishedOn=TIME),
            byproducts=MANY | {"items": DESCRIPTOR},
        ),
    ),
)


def test_an_attestation_is_slsa_provenance_of_the_files_the_commit_the_data_and_the_packages(
    here: Project, key: Path
) -> None:
    path = attest(here, key)
    statement, manifest = payload_of(path.read_bytes()), json.loads((FOLDER / MANIFEST).read_bytes())
    Draft202012Validator(BUNDLE).validate(json.loads(path.read_bytes()))
    Draft202012Validator(PROVENANCE).validate(statement)
    used = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    fingerprint = read_public_key(key.with_suffix(".pub")).fingerprint

    assert path.as_posix() == f"attestations/{VERSION}/{fingerprint}.json"
    sums = {line.split()[1]: line.split()[0] for line in (FOLDER / SUMS).read_text().splitlines()}
    assert {file["name"]: file["digest"]["sha256"] for file in statement["subject"]}.items() >= sums.items()
    assert {"name": "repository", "digest": {"gitCommit": here.head()}} in used
    assert [entry for entry in used if entry.get("digest", {}).get("sha256") == manifest["inputs"][0]["sha256"]]
    assert {f"pkg:pypi/{n}@{v}" for n, v in manifest["environment"]["packages"].items()} <= {e.get("uri") for e in used}


def test_verify_lists_who_rebuilt_it_where_when_and_with_which_result(here: Project, key: Path, tmp_path: Path) -> None:
    other, clone = write_key(tmp_path, "other"), here.copy(tmp_path / "clone").path
    sign.run(VERSION, key)
    attest(here, key)
    append(clone / FOLDER / MODEL)
    theirs = attest(here, other, clone=clone, differs=(f"{PACKAGE}/{MODEL}",))
    rebuilt = {line.split("by the key ")[1]: line for line in checked(key)[2:]}
    day = attestations.now().partition("T")[0]

    short = {
        name: read_public_key(path.with_suffix(".pub")).fingerprint[:8] for name, path in (("us", key), ("they", other))
    }
    assert rebuilt.keys() == {f"{short['us']} (checked)", f"{short['they']} (not checked: --key names a key)"}
    said = "rebuilt  v1.0.0  {} on "
    assert rebuilt[f"{short['us']} (checked)"].startswith(said.format("byte for byte"))
    assert all(f", {day}, by the key " in line for line in rebuilt.values())
    differing = rebuilt[f"{short['they']} (not checked: --key names a key)"]
    assert differing.startswith(said.format("not byte for byte (model.joblib)"))
    facts = {w["by"][:8]: w for w in verify.run([]).facts[0]["witnesses"] if w["kind"] == "rebuilt"}
    assert {by: fact["identical"] for by, fact in facts.items()} == {short["us"]: True, short["they"]: False}
    assert facts[short["us"]]["machine"].keys() == {"platform", "processor", "python"}
    subject = {file["name"]: file["digest"]["sha256"] for file in payload_of(theirs.read_bytes())["subject"]}
    assert subject[MODEL] not in (FOLDER / SUMS).read_text()


def test_an_attestation_of_other_bytes_or_that_was_changed_never_counts(here: Project, key: Path) -> None:
    path = attest(here, key, differs=("data/prepared",))
    assert "not byte for byte (data/prepared)" in checked()[1]

    seal(FOLDER, metrics={})
    assert verify.witnesses_of(VERSION, verify.models.read_package(FOLDER), None, [])[0][0].says.startswith(
        "other files than"
    )
    here.run(f"git checkout -q {PACKAGE}")
    good = path.read_bytes()
    public: Any = key.with_suffix(".pub")
    for content, said in [
        (with_payload(good, json.dumps(payload_of(good)).encode()), "was changed since it was signed; git checkout it"),
        (with_payload(good, b"{}"), "is not an attestation of a rebuild; remove it"),
        (b"{}", "is not a Sigstore bundle v0.3 of one in-toto statement signed by a key"),
    ]:
        path.write_bytes(content)
        found = verify.witnesses_of(VERSION, verify.models.read_package(FOLDER), None, [])[1] if said[0] == "i" else []
        found += verify.witnesses_of(VERSION, verify.models.read_package(FOLDER), None, [read_public_key(public)])[1]
        assert f"{path}: {said}" in " ".join(found)


def test_attest_and_key_belong_together(here: Project, key: Path) -> None:
    for asked in ("rebuild v1.0.0 --attest", f"rebuild v1.0.0 --key {key}"):
        done = here.ask(asked, check=False)
        assert (done.returncode, "--attest and --key belong together" in done.stderr) == (2, True)
