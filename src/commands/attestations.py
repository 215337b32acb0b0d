"""Attestations: signed statements, kept by Git, of somebody who built a version again and says what came out.

Each is SLSA provenance v1. Its subjects are the files as they came out of the rebuild, so a statement about one that
differs is not about the package. A manifest that differs in `run` alone, which no two runs share, counts as the same.
"""

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from commands.exports.addresses import purl, url_of
from commands.versions import Version
from record import bundles, git, models
from record.bundles import STATEMENT_TYPE, Part, Signed, Subject, at, fingerprint_of
from record.checksums import digest, sha256_of
from record.files import write
from record.manifest import Manifest, Sha256, now
from record.problem import Problem

FOLDER = Path("attestations")
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://dvc.org/doc/command-reference/repro"
PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Outcome:
    """Whether a file came out as it is recorded, and if not, the likely cause."""

    path: str
    identical: bool
    cause: str | None


class _Outcome(Part):
    uri: str
    annotations: dict[str, Any]


class _Statement(Part):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], at("_type")]
    subject: list[Subject]
    predicate_type: Annotated[Literal["https://slsa.dev/provenance/v1"], at("predicateType")]
    expected: Annotated[dict[str, Sha256], at("predicate", "buildDefinition", "externalParameters", "expected")]
    machine: Annotated[dict[str, str], at("predicate", "runDetails", "builder", "version")]
    finished: Annotated[str, at("predicate", "runDetails", "metadata", "finishedOn")]
    outcomes: Annotated[list[_Outcome], at("predicate", "runDetails", "byproducts")]


@dataclass(frozen=True)
class Attestation:
    """What somebody states of a rebuild; whether that person signed it is for the caller to check."""

    signed: Signed
    statement: _Statement

    @property
    def expected(self) -> dict[str, str]:
        """The files of the package that was built again, name → SHA-256."""
        return self.statement.expected

    def differing(self) -> list[str]:
        """What did not come out as the package has it."""
        made = {file.name: file.digest.sha256 for file in self.statement.subject}
        files = [name for name, sha256 in self.expected.items() if made.get(name) != sha256]
        others = [out.uri for out in self.statement.outcomes if out.annotations.get("identical") is not True]
        return files or others


def attestations_of(version: str, problems: list[str]) -> Iterator[Attestation]:
    """The attestations of a version that are here; one that is not readable becomes a problem."""
    for path in sorted((FOLDER / version).glob("*.json")):
        try:
            signed = bundles.parse(models.read_plain(path), path.as_posix())
            yield Attestation(signed, _Statement.model_validate_json(signed.payload))
        except ValidationError:
            problems.append(f"{path}: is not an attestation of a rebuild; remove it")
        except Problem as problem:
            problems += problem.lines


def write_attestation(
    version: Version, clone: Path, outcomes: Sequence[Outcome], key: ec.EllipticCurvePrivateKey, started: str
) -> Path:
    """Sign what came out of a rebuild, into the file of that version and key; returns its path."""
    fingerprint = fingerprint_of(key.public_key())
    statement = statement_of(version, clone, outcomes, fingerprint, started)
    path = FOLDER / version.name / f"{fingerprint}.json"
    write(path, bundles.sign(statement, key))
    return path


def statement_of(
    version: Version, clone: Path, outcomes: Sequence[Outcome], fingerprint: str, started: str
) -> dict[str, Any]:
    """What came out of a rebuild of a version in a scratch clone, as SLSA provenance."""
    made = models.read_manifest_of(clone / version.folder)
    expected = expected_files(version)
    details = {
        "builder": {"id": f"urn:sha256:{fingerprint}", "version": _machine(made)},
        "metadata": {"startedOn": started, "finishedOn": now()},
        "byproducts": [
            {"uri": outcome.path, "annotations": {"identical": outcome.identical, "cause": outcome.cause}}
            for outcome in outcomes
        ],
    }
    files = dict(made_files(version, clone, outcomes, expected))
    return statement(made, files, [repository(str(version.commit), git.remote())], details, expected=expected)


def statement(
    made: Manifest, files: Mapping[str, str], sources: list[dict[str, Any]], details: dict[str, Any], **parameters: Any
) -> dict[str, Any]:
    """SLSA provenance of a run of the pipeline: the files that came out (name → SHA-256), and all that it used."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [descriptor(name, sha256=sha256) for name, sha256 in files.items()],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "package": f"{made.name}@{made.version}",
                    **parameters,
                    "params": made.params.model_dump(),
                },
                "resolvedDependencies": [*sources, *_dependencies(made)],
            },
            "runDetails": details,
        },
    }


def expected_files(version: Version) -> dict[str, str]:
    """The SHA-256 of each file of a committed package, by name."""
    kept = {name: version.read(version.folder / name) or b"" for name in models.KEPT_BY_GIT}
    hashed = {name: sha256_of(content) for name, content in kept.items()}
    return dict(sorted((hashed | {models.MODEL: version.manifest().model.sha256}).items()))


def made_files(
    version: Version, clone: Path, outcomes: Sequence[Outcome], expected: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """The SHA-256 of each file of the package as it came out; of one that counts as the same, as it is recorded."""
    same = {outcome.path for outcome in outcomes if outcome.identical}
    for name, sha256 in expected.items():
        path = version.folder / name
        if path.as_posix() in same:
            yield name, sha256
        elif (clone / path).is_file():
            yield name, digest(clone / path).sha256


def descriptor(name: str, **digest: str) -> dict[str, Any]:
    """A file by its content."""
    return {"name": name, "digest": digest}


def repository(commit: str, remote: str | None) -> dict[str, Any]:
    """The commit that holds the code, with the address to get it from, if there is one."""
    place = {"uri": f"git+{url_of(remote)}@{commit}"} if remote else {}
    return place | descriptor("repository", gitCommit=commit)


def _dependencies(made: Manifest) -> Iterator[dict[str, Any]]:
    """The data and the packages that a run used."""
    for entry in made.inputs:
        if entry.sha256:
            yield descriptor(entry.path, sha256=entry.sha256)
        elif entry.origin and entry.origin.url:  # in a storage, which knows it by its etag
            yield {"name": entry.path, "uri": url_of(entry.origin.url), "annotations": {"etag": entry.hash}}
    yield descriptor(models.REQUIREMENTS, sha256=made.environment.requirements_sha256)
    yield from ({"uri": purl(name, number)} for name, number in made.environment.packages.items())


def _machine(made: Manifest) -> dict[str, str]:
    """The kind of machine, as far as it can decide a byte."""
    known = PROCESSORS.read_text(encoding="utf-8", errors="replace") if PROCESSORS.is_file() else ""
    model = re.search(r"^model name\s*: (.+)$", known, flags=re.MULTILINE)
    processor = model[1] if model else platform.processor()
    return {"platform": made.run.platform, "processor": processor, "python": made.environment.python}
