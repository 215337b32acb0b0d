"""Keys that tests sign with, bundles that somebody changed, and the published form of a bundle."""

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
PEM = serialization.Encoding.PEM


def write_key(folder: Path, name: str, key: Any = None) -> Path:
    """Write a key, by default of the curve P-256, as `<name>.pem` and `<name>.pub`; returns the first path."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pem").write_bytes(private)
    (folder / f"{name}.pub").write_bytes(public)
    return folder / f"{name}.pem"


def payload_of(bundle: bytes) -> Any:
    """The statement in a bundle."""
    return json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))


def with_payload(bundle: bytes, payload: bytes) -> bytes:
    """A bundle with another payload under the same signature."""
    document = json.loads(bundle)
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    return json.dumps(document).encode()


# The published forms: sigstore/protobuf-specs, in-toto/attestation, and the predicate of sigstore/model-transparency.
TEXT, DIGEST = {"type": "string"}, {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def strict(**properties: Any) -> dict[str, Any]:
    """The schema of an object with these keys and no other."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def one(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": 1}


BUNDLE = strict(
    mediaType={"const": "application/vnd.dev.sigstore.bundle.v0.3+json"},
    verificationMaterial=strict(publicKey=strict(hint=DIGEST), tlogEntries={"type": "array", "maxItems": 0}),
    dsseEnvelope=strict(
        payload={"type": "string", "pattern": "^[A-Za-z0-9+/]+=*$"},
        payloadType={"const": "application/vnd.in-toto+json"},
        signatures=one(strict(sig={"type": "string", "pattern": "^[A-Za-z0-9+/]+=*$"}, keyid={"const": ""})),
    ),
)
