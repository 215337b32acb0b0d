"""`lineage.py sign`: write model.sig into a package that verifies, in the form of OpenSSF Model Signing."""

from pathlib import Path

from commands.result import Result
from commands.verify import verify
from commands.versions import find_version
from record import models, signatures
from record.bundles import PublicKey, read_private_key
from record.comparison import short
from record.files import write
from record.problem import Problem, refuse_if, say


def run(version: str, key: Path) -> Result:
    """Sign a package under models/; one that this key has signed already is left alone."""
    private = read_private_key(key)
    public = PublicKey(str(key), private.public_key())
    found = find_version(version)
    if found.commit:
        raise Problem(f"{version}: is not under {models.MODELS}/; python src/lineage.py restore {version}, then sign")
    package = models.read_package(found.folder)
    signer, wrong = signatures.check_signature(package, [public])
    facts = {"version": found.name, "key": public.fingerprint, "path": (found.folder / models.SIGNATURE).as_posix()}
    if not wrong:
        return Result(facts, [f"{facts['path']}: signed by this key already ({short(public.fingerprint)})"])
    refuse_if(verify(found).problems)
    if signer:
        say(f"note: replaces the signature of the key {short(signer)}")
    write(found.folder / models.SIGNATURE, signatures.sign(found.name, package, private))
    return Result(facts, [f"{facts['path']}: signed by the key {short(public.fingerprint)}; commit it"])
