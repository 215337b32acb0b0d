"""The signature of a package: every way to change it or what it covers, and the published forms."""

import base64
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from keys import BUNDLE, CURVES, DIGEST, PEM, TEXT, one, payload_of, strict, with_payload, write_key
from manifests import changed

from record import bundles, signatures
from record.bundles import PublicKey, read_private_key, read_public_key
from record.checksums import Digest
from record.models import CHECKED, SIGNATURE, SUMS, Package
from record.problem import Problem
from record.signatures import check_signature

FILES = sorted((*CHECKED, SUMS))
SHA = {name: hashlib.sha256(name.encode()).hexdigest() for name in FILES}


@cache
def key_on(curve: str, _which: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVES[curve])


def public(key: ec.EllipticCurvePrivateKey) -> PublicKey:
    return PublicKey("team.pub", key.public_key())


TEAM, OTHER = key_on("P-256"), key_on("P-256", 1)


def package(signature: bytes | None = None, **sha256: str) -> Package:
    """A package of files whose content is their name, but for those that have another SHA-256."""
    digests = {name: Digest(1, "0" * 32, sha) for name, sha in (SHA | sha256).items() if sha}
    return Package({SIGNATURE: signature} if signature is not None else {}, digests)


SIGNED = signatures.sign("v1.0.0", package(), TEAM)


@pytest.mark.parametrize("curve", CURVES)
def test_a_package_is_vouched_for_by_the_key_that_signed_it_and_by_no_other(curve: str) -> None:
    key, other = key_on(curve), key_on(curve, 1)
    signed = package(signatures.sign("v1.0.0", package(), key))
    fingerprint = public(key).fingerprint

    assert check_signature(signed, [public(key)]) == check_signature(signed) == (fingerprint, [])
    assert check_signature(signed, [public(other), public(key)]) == (fingerprint, [])
    for wrong in (other, *(key_on(name) for name in CURVES if name != curve)):
        said = f"model.sig: was not made with team.pub ({public(wrong).fingerprint}), but with {fingerprint}"
        assert check_signature(signed, [public(wrong)])[1] == [said]


def test_without_a_signature_no_named_key_says_anything() -> None:
    assert check_signature(package()) == ("", [])
    assert check_signature(package(), [public(TEAM)])[1] == [
        "model.sig: not found, so team.pub says nothing of this package"
    ]


def resigned(path: str, value: Any) -> Callable[[], bytes]:
    """The statement with another value at one place, signed with the right key."""
    return lambda: bundles.sign(changed(path, value, payload_of(SIGNED)), TEAM)


def covering(files: dict[str, str], *more: dict[str, str]) -> Callable[[], bytes]:
    """A signature by the right key over other files, its digest being right."""

    def make() -> bytes:
        resources = [{"name": n, "algorithm": "sha256", "digest": d} for n, d in files.items()] + [*more]
        root = hashlib.sha256(bytes.fromhex("".join(entry["digest"] for entry in resources))).hexdigest()
        document = changed("predicate.resources", resources, payload_of(SIGNED))
        return bundles.sign(changed("subject.0.digest.sha256", root, document), TEAM)

    return make


def edited(path: str, value: Any) -> Callable[[], bytes]:
    return lambda: json.dumps(changed(path, value, json.loads(SIGNED))).encode()


def with_other_hash() -> bytes:
    """A signature by the curve P-384 with the hash of P-256."""
    key = key_on("P-384")
    document = json.loads(signatures.sign("v1.0.0", package(), key))
    signed = bundles.encoded(base64.b64decode(document["dsseEnvelope"]["payload"]))
    document["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(key.sign(signed, ec.ECDSA(SHA256()))).decode()
    return json.dumps(document).encode()


FORM = "model.sig: is not a Sigstore bundle v0.3 of one in-toto statement signed by a key"
STATEMENT = "model.sig: is not a signature of OpenSSF Model Signing v1.0 over the SHA-256 of files"
SINCE = "model.sig: names the key of team.pub, but was changed since, or was never made with it"
ITSELF = "model.sig: contradicts itself: its digest is not that of the files that it names, each once"
MODEL_LESS = {name: sha for name, sha in SHA.items() if name != "model.joblib"}
SWAPPED = json.dumps(payload_of(SIGNED)).encode()
TWICE = {"name": "model.joblib", "algorithm": "sha256", "digest": "0" * 64}
ENVELOPE = "dsseEnvelope"
TAMPERED: dict[str, tuple[Callable[[], bytes], str]] = {
    "swapped payload": (lambda: with_payload(SIGNED, SWAPPED), SINCE),
    "another's signature": (
        lambda: signatures.sign("v1.0.0", package(), OTHER),
        "model.sig: was not made with team.pub",
    ),
    "the hint of the team": (edited("verificationMaterial.publicKey.hint", "0" * 64), ""),
    "no signature at all": (edited(f"{ENVELOPE}.signatures.0.sig", ""), SINCE),
    "another curve's hash": (with_other_hash, "model.sig: was not made with team.pub"),
    "an empty model": (covering({}), "model.sig: does not cover model.joblib; sign the package again"),
    "a file less": (covering(MODEL_LESS), "model.sig: does not cover model.joblib; sign the package again"),
    "a file more": (covering(SHA | {"x\n": "0" * 64}), "model.sig: covers 'x\\n', which the package does not have"),
    "other bytes": (covering(SHA | {"model.joblib": "0" * 64}), "model.joblib: is not what model.sig says; restore it"),
    "a file twice": (covering(SHA, TWICE), ITSELF),
    "another digest": (resigned("subject.0.digest.sha256", "0" * 64), ITSELF),
    "no subject": (resigned("subject", []), STATEMENT),
    "shards": (resigned("predicate.serialization.method", "shards"), STATEMENT),
    "BLAKE3": (resigned("predicate.serialization.hash_type", "blake3"), STATEMENT),
    "provenance": (resigned("predicateType", "https://slsa.dev/provenance/v1"), STATEMENT),
    "version 0.2": (resigned("predicateType", "https://model_signing/Digests/v0.1"), STATEMENT),
    "a list": (lambda: bundles.sign([], TEAM), STATEMENT),  # type: ignore[arg-type]
    "two signatures": (edited(f"{ENVELOPE}.signatures", [{"sig": ""}] * 2), FORM),
    "no signatures": (edited(f"{ENVELOPE}.signatures", []), FORM),
    "another media type": (edited("mediaType", "application/vnd.dev.sigstore.bundle.v0.2+json"), FORM),
    "another payload type": (edited(f"{ENVELOPE}.payloadType", "text/plain"), FORM),
    "not base64": (edited(f"{ENVELOPE}.payload", "{}"), FORM),
    "a certificate": (edited("verificationMaterial", {"certificate": {}}), FORM),
    "empty": (lambda: b"", FORM),
    "deep": (lambda: b"[" * 100_000, FORM),
    "null": (lambda: b"null", FORM),
}


@pytest.mark.parametrize(("make", "said"), TAMPERED.values(), ids=TAMPERED)
def test_a_changed_signature_is_refused_and_says_why(make: Callable[[], bytes], said: str) -> None:
    """But for the hint, which nothing protects and nothing rests on."""
    signer, problems = check_signature(package(make()), [public(TEAM)])

    assert [line for line in problems if line.startswith(said)] if said else problems == []
    assert said or signer == public(TEAM).fingerprint


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_changed_or_is_gone_is_named_with_a_key_or_without(name: str) -> None:
    gone = f"model.sig: covers {name!r}, which the package does not have"
    for keys in ([], [public(TEAM)]):
        assert check_signature(package(SIGNED, **{name: "0" * 64}), keys)[1][0].startswith(f"{name}: is not what ")
        assert check_signature(package(SIGNED, **{name: ""}), keys)[1] == [gone]


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_signature_changes_what_is_vouched_for(at: int, value: int) -> None:
    changed_bytes = SIGNED[:at] + bytes([SIGNED[at] ^ value]) + SIGNED[at + 1 :]
    if check_signature(package(changed_bytes), [public(TEAM)])[1]:
        return

    assert payload_of(changed_bytes) == payload_of(SIGNED)


MODEL_SIGNATURE = strict(
    _type={"const": "https://in-toto.io/Statement/v1"},
    subject=one(strict(name=TEXT, digest=strict(sha256=DIGEST))),
    predicateType={"const": "https://model_signing/signature/v1.0"},
    predicate=strict(
        serialization=strict(
            method={"const": "files"},
            hash_type={"const": "sha256"},
            allow_symlinks={"const": False},
            ignore_paths={"type": "array", "items": TEXT},
        ),
        resources={"type": "array", "items": strict(name=TEXT, algorithm={"const": "sha256"}, digest=DIGEST)},
    ),
)


def test_a_signature_has_the_published_form_and_the_files_in_order() -> None:
    statement = payload_of(SIGNED)
    Draft202012Validator(BUNDLE).validate(json.loads(SIGNED))
    Draft202012Validator(MODEL_SIGNATURE).validate(statement)

    assert {entry["name"]: entry["digest"] for entry in statement["predicate"]["resources"]} == SHA
    assert [entry["name"] for entry in statement["predicate"]["resources"]] == FILES
    assert "model.joblib.dvc" in statement["predicate"]["serialization"]["ignore_paths"]


def test_a_key_is_named_by_the_checksum_of_its_public_file(tmp_path: Path) -> None:
    path = write_key(tmp_path, "team")
    found = read_public_key(tmp_path / "team.pub")

    assert found.fingerprint == hashlib.sha256((tmp_path / "team.pub").read_bytes()).hexdigest()
    assert PublicKey("", read_private_key(path).public_key()).fingerprint == found.fingerprint


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["secp256k1", "brainpool", "RSA", "Ed25519"],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, key: Any) -> None:
    path = write_key(tmp_path, "odd", key)
    for read, name in ((read_private_key, path), (read_public_key, tmp_path / "odd.pub")):
        with pytest.raises(Problem, match=r"is a key of another kind; expected one on the curve P-256, P-384 or P-521"):
            read(name)


def test_a_file_that_is_not_the_key_it_should_be_is_named(tmp_path: Path) -> None:
    path = write_key(tmp_path, "team")
    encrypted = TEAM.private_bytes(PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "encrypted.pem").write_bytes(encrypted)
    for read, name, said in [
        (read_public_key, path, "is not a public key in PEM; openssl ec -in key.pem -pubout -out team.pub makes it"),
        (read_public_key, tmp_path / "none", "not found; name the file of a public key"),
        (read_private_key, tmp_path / "team.pub", "is not a private key in PEM"),
        (read_private_key, tmp_path / "none", "not found; openssl ecparam"),
        (read_private_key, tmp_path / "encrypted.pem", "is encrypted; run this in a terminal"),
    ]:
        with pytest.raises(Problem, match=f"^{name}: {said}"):
            read(name)
