"""Keys that tests sign with, and bundles that somebody changed."""

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
