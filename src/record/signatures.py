"""`model.sig`: the signature of a package in the form of OpenSSF Model Signing v1.0.

It names the package's files with their SHA-256, so `model_signing verify key` checks it with nothing of this
repository, and what that tool signed is checked here. Git keeps it beside the files; DVC does not know it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field, ValidationError

from record import bundles
from record.bundles import STATEMENT_TYPE, Part, PublicKey, Subject, at
from record.checksums import sha256_of
from record.manifest import Sha256
from record.models import CHECKED, SIGNATURE, SUMS, WRITTEN_BY_DVC, Package
from record.problem import Problem

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
IGNORED = (SIGNATURE, *WRITTEN_BY_DVC)  # beside the signed files, which the pointer of a later version may join


class _Resource(Part):
    name: str
    algorithm: Literal["sha256"]
    digest: Sha256


class _Statement(Part):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], at("_type")]
    subject: Annotated[list[Subject], Field(min_length=1, max_length=1)]
    predicate_type: Annotated[Literal["https://model_signing/signature/v1.0"], at("predicateType")]
    method: Annotated[Literal["files"], at("predicate", "serialization", "method")]
    hash_type: Annotated[Literal["sha256"], at("predicate", "serialization", "hash_type")]
    resources: Annotated[list[_Resource], at("predicate", "resources")]


def files_of(package: Package) -> dict[str, str]:
    """The SHA-256 of each file that a signature covers, sorted by name."""
    return {name: package.digests[name].sha256 for name in sorted((*CHECKED, SUMS)) if name in package.digests}


def sign(name: str, package: Package, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The signature of an intact package."""
    files = files_of(package)
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": list(IGNORED)}
    statement: dict[str, Any] = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": _root(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": serialization,
            "resources": [{"name": n, "algorithm": "sha256", "digest": sha256} for n, sha256 in files.items()],
        },
    }
    return bundles.sign(statement, key)


def _root(files: Mapping[str, str]) -> str:
    return sha256_of(bytes.fromhex("".join(files.values())))


def check_signature(package: Package, keys: Sequence[PublicKey] = ()) -> tuple[str, list[str]]:
    """The fingerprint of the key that signed, and every reason why the signature does not vouch for the package.

    Whether it covers these files is checked in any case. Who made it is checked where keys are named, of which one is
    enough; otherwise the fingerprint is what the signature claims.
    """
    if SIGNATURE not in package.texts:
        named = ", ".join(key.path for key in keys)
        return "", [f"{SIGNATURE}: not found, so {named} says nothing of this package"] if keys else []
    try:
        signed = bundles.parse(package.texts[SIGNATURE], SIGNATURE)
        statement = _Statement.model_validate_json(signed.payload)
    except ValidationError:
        return "", [f"{SIGNATURE}: is not a signature of OpenSSF Model Signing v1.0 over the SHA-256 of files"]
    except Problem as problem:
        return "", list(problem.lines)
    signer = bundles.signer_of(signed, keys)
    problems = list(_not_covered(statement, files_of(package)))
    if signer is None:
        problems = [*_wrong_keys(signed, keys), *problems]
    return signer.fingerprint if signer else signed.hint, problems


def _wrong_keys(signed: bundles.Signed, keys: Sequence[PublicKey]) -> Iterator[str]:
    for key in keys:
        if key.fingerprint == signed.hint:
            yield f"{SIGNATURE}: names the key of {key.path}, but was changed since, or was never made with it"
        else:
            yield f"{SIGNATURE}: was not made with {key.path} ({key.fingerprint}), but with {signed.hint}"


def _not_covered(statement: _Statement, files: Mapping[str, str]) -> Iterator[str]:
    """Compare the files that a statement names with those that are there."""
    resources = statement.resources
    named = {resource.name: resource.digest for resource in resources}
    if len(named) != len(resources) or _root({str(k): r.digest for k, r in enumerate(resources)}) != (
        statement.subject[0].digest.sha256
    ):
        yield f"{SIGNATURE}: contradicts itself: its digest is not that of the files that it names, each once"
    for name in sorted({*named, *files}):
        if name not in named:
            yield f"{SIGNATURE}: does not cover {name}; sign the package again"
        elif name not in files:
            yield f"{SIGNATURE}: covers {name!r}, which the package does not have"
        elif named[name] != files[name]:
            yield f"{name}: is not what {SIGNATURE} says; restore it, or remove {SIGNATURE}"
