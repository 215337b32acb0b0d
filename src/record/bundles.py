"""Signed statements: in-toto statements in a DSSE envelope in a Sigstore bundle, by elliptic-curve keys in PEM files.

A key is named by the SHA-256 of its public PEM file, which `sha256sum team.pub` prints. A bundle carries that name as
an unprotected hint: it helps to find the key, and only the signature says whose statement it is.
"""

import base64
import getpass
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from pydantic import AliasPath, BaseModel, ConfigDict, Field, ValidationError

from record.checksums import sha256_of
from record.files import to_json
from record.manifest import Sha256
from record.problem import Problem

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
HASHES: dict[str, HashAlgorithm] = {"secp256r1": SHA256(), "secp384r1": SHA384(), "secp521r1": SHA512()}
CURVES = (
    "expected one on the curve P-256, P-384 or P-521; openssl ecparam -genkey -noout -name prime256v1 -out new-key.pem"
)


class Part(BaseModel):
    """A part of a bundle or of a statement; what is not used here may be there too."""

    model_config = ConfigDict(frozen=True, strict=True)


class _Digest(Part):
    sha256: Sha256


class Subject(Part):
    """A file that an in-toto statement is about, by its content."""

    name: str
    digest: _Digest


def at(*path: str) -> Any:
    """Where a field of a part is found in the document."""
    return Field(validation_alias=AliasPath(*path))


class _PublicKey(Part):
    hint: str = "unnamed"


class _Signature(Part):
    sig: str


class _Bundle(Part):
    media_type: Annotated[Literal["application/vnd.dev.sigstore.bundle.v0.3+json"], at("mediaType")]
    payload_type: Annotated[Literal["application/vnd.in-toto+json"], at("dsseEnvelope", "payloadType")]
    payload: Annotated[str, at("dsseEnvelope", "payload")]
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=1), at("dsseEnvelope", "signatures")]
    key: Annotated[_PublicKey, at("verificationMaterial", "publicKey")]


def fingerprint_of(key: ec.EllipticCurvePublicKey) -> str:
    """The name of a key: the SHA-256 of its PEM file."""
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256_of(key.public_bytes(*form))


@dataclass(frozen=True)
class PublicKey:
    """A key that somebody named, with the name of its file."""

    path: str
    key: ec.EllipticCurvePublicKey

    @property
    def fingerprint(self) -> str:
        """The name of the key."""
        return fingerprint_of(self.key)


@dataclass(frozen=True)
class Signed:
    """What a bundle holds; nobody has checked the signature yet."""

    name: str
    payload: bytes
    signature: bytes
    hint: str


def read_public_key(path: Path) -> PublicKey:
    """The public key in a PEM file."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        raise Problem(f"{path}: not found; name the file of a public key, such as team.pub") from None
    except (ValueError, UnsupportedAlgorithm):
        make = "openssl ec -in key.pem -pubout -out team.pub makes it of a private one"
        raise Problem(f"{path}: is not a public key in PEM; {make}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in HASHES:
        raise Problem(f"{path}: is a key of another kind; {CURVES}")
    return PublicKey(str(path), key)


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in a PEM file; where it is encrypted, the person at the terminal is asked for its passphrase."""
    try:
        content = path.read_bytes()
        password = _passphrase(path).encode() if b"ENCRYPTED" in content else None
        key = serialization.load_pem_private_key(content, password)
    except FileNotFoundError:
        raise Problem(f"{path}: not found; openssl ecparam -genkey -noout -name prime256v1 -out {path}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Problem(f"{path}: is not a private key in PEM, or the passphrase is another") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in HASHES:
        raise Problem(f"{path}: is a key of another kind; {CURVES}")
    return key


def _passphrase(path: Path) -> str:
    if not sys.stdin.isatty():
        raise Problem(f"{path}: is encrypted; run this in a terminal, where its passphrase can be typed")
    return getpass.getpass(f"Passphrase of {path}: ")


def encoded(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding of type and payload."""
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def sign(statement: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> bytes:
    """A bundle of a statement, signed with the hash that belongs to the key's curve."""
    payload = json.dumps(statement, indent=2).encode()
    signature = key.sign(encoded(payload), ec.ECDSA(HASHES[key.curve.name]))
    hint = fingerprint_of(key.public_key())
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    material = {"publicKey": {"hint": hint}, "tlogEntries": []}
    return to_json({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


def parse(content: bytes, name: str) -> Signed:
    """What a bundle holds.

    Raises:
        Problem: when it is not a bundle of exactly one signed in-toto statement.
    """
    try:
        bundle = _Bundle.model_validate_json(content)
        payload, signature = (base64.b64decode(t, validate=True) for t in (bundle.payload, bundle.signatures[0].sig))
    except (ValidationError, ValueError):
        raise Problem(f"{name}: is not a Sigstore bundle v0.3 of one in-toto statement signed by a key") from None
    return Signed(name, payload, signature, bundle.key.hint)


def signer_of(signed: Signed, keys: Iterable[PublicKey]) -> PublicKey | None:
    """Of some keys the one that signed; None where none of them did."""
    for key in keys:
        try:
            key.key.verify(signed.signature, encoded(signed.payload), ec.ECDSA(HASHES[key.key.curve.name]))
        except InvalidSignature:
            continue
        return key
    return None
