"""Who confirms a version: those who signed its files or its release tag, and those who built it again.

A signature is checked with the keys that are named. Any other is listed as not checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from commands.attestations import Attestation, attestations_of
from record import git
from record.bundles import PublicKey, signer_of
from record.comparison import short
from record.models import SIGNATURE, Package
from record.signatures import check_signature, files_of

NAME_IT = "not checked: --key names a key"


@dataclass(frozen=True)
class Witness:
    """What somebody says of a version, who that is, and whether the signature was checked."""

    kind: str  # signed, tagged or rebuilt
    says: str
    by: str  # the fingerprint of a key, or a name
    checked: bool
    identical: bool | None = None  # of a rebuild, as are the next two
    machine: dict[str, str] | None = None
    finished: str | None = None

    def line(self) -> str:
        """The testimony as a person reads it."""
        if self.kind == "tagged":
            return f"{self.says} {self.by}"
        return f"{self.says} by the key {short(self.by)} ({'checked' if self.checked else NAME_IT})"


def witnesses_of(
    version: str, package: Package, tag: str | None, keys: Sequence[PublicKey]
) -> tuple[list[Witness], list[str]]:
    """All who say something about an intact package, and the problems of what they say."""
    witnesses = []
    signer, problems = check_signature(package, keys)
    if SIGNATURE in package.texts and not problems:
        witnesses.append(Witness("signed", SIGNATURE, signer, checked=bool(keys)))
    if tag and (of_tag := signer_of_tag(tag, problems)):
        witnesses.append(of_tag)
    for attestation in attestations_of(version, problems):
        key = signer_of(attestation.signed, keys)
        if key is None and attestation.signed.hint in {key.fingerprint for key in keys}:
            problems.append(
                f"{attestation.signed.name}: was changed since it was signed; git checkout it, or remove it"
            )
            continue
        witnesses.append(_of_rebuild(attestation, files_of(package), key))
    return witnesses, problems


def _of_rebuild(attestation: Attestation, files: dict[str, str], key: PublicKey | None) -> Witness:
    differs, machine, finished = attestation.differing(), attestation.statement.machine, attestation.statement.finished
    if attestation.expected != files:
        says = "other files than these"
    else:
        says = f"not byte for byte ({', '.join(differs)})" if differs else "byte for byte"
    by = key.fingerprint if key else attestation.signed.hint
    said = f"{says} on {machine.get('platform')}, {finished.partition('T')[0]},"
    return Witness("rebuilt", said, by, key is not None, says == "byte for byte", machine, finished)


def signer_of_tag(tag: str, problems: list[str]) -> Witness | None:
    """Who signed a release tag, as Git's own check says; None for a tag that nobody signed."""
    if not git.ask("for-each-ref", "--format=%(contents:signature)", f"refs/tags/{tag}"):
        return None
    is_good, said = git.verify_tag(tag)
    words = next((line for line in said if "ood " in line and "signature" in line), said[-1] if said else "")
    if is_good:
        return Witness("tagged", f"{tag}:", words.removeprefix("gpg: "), checked=True)
    if any("BAD signature" in line or "incorrect signature" in line for line in said):
        problems.append(f"{tag}: the tag's signature is not right: {words}; git fetch --force origin tag {tag}")
        return None
    return Witness("tagged", f"{tag}:", f"signed, but Git cannot say by whom ({words})", checked=False)
