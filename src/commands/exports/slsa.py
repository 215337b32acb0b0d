"""SLSA provenance v1 of the run that made a version: the statement that `rebuild --attest` signs of a second run.

It is what the manifest says, in the form that policy engines read. Nobody has signed it, and the builder that it names
vouches for nothing: who does is in attestations/.
"""

from typing import Any

from commands.attestations import descriptor, repository, statement
from record.comparison import code_of
from record.manifest import Manifest
from record.models import REQUIREMENTS, Package
from record.signatures import files_of

BUILDER = "pkg:pypi/dvc"


def document(manifest: Manifest, package: Package) -> dict[str, Any]:
    """The statement about the files of a package."""
    parts = (manifest.data.train, manifest.data.test)
    machine = {"platform": manifest.run.platform, "python": manifest.environment.python}
    details = {
        "builder": {"id": BUILDER, "version": machine},
        "metadata": {"finishedOn": manifest.run.created_at},
        "byproducts": [descriptor(part.path, sha256=part.sha256) for part in parts],
    }
    return statement(manifest, files_of(package), _sources(manifest), details)


def _sources(manifest: Manifest) -> list[dict[str, Any]]:
    """The commit, and where it lacks something, each file of code, which the manifest knows by MD5 alone."""
    record = manifest.run.git
    commit = [repository(record.commit, record.remote)] if record else []
    if record and not record.dirty:
        return commit
    code = code_of(manifest.stages, manifest.inputs)
    return [*commit, *(descriptor(path, md5=md5) for path, md5 in code.items() if path != REQUIREMENTS)]
