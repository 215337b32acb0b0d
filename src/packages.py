"""A package on disk: `models/<version>/` with the model, its manifest, its requirements, and their checksums."""

from pathlib import Path

from checksums import digest, format_sums
from files import replacing, write
from manifest import Manifest, read_manifest
from problem import Problem

MODELS = Path("models")
MODEL = "model.joblib"
MANIFEST = "manifest.json"
REQUIREMENTS = "requirements.txt"
SUMS = "SHA256SUMS"
CHECKED = (MODEL, MANIFEST, REQUIREMENTS)  # what SHA256SUMS names


def folder_of(version: str) -> Path:
    """Where the package of a version stands."""
    return MODELS / version


def standing_manifest(folder: Path) -> Manifest | None:
    """The manifest of the package that stands in a folder; None where there is none or it cannot be read."""
    try:
        return read_manifest(folder / MANIFEST)
    except Problem:
        return None


def lay_down(folder: Path, model: Path, manifest: Manifest, requirements: bytes) -> None:
    """Write a package, each file in one step and SHA256SUMS last, so that it holds only when all the others stand.

    The model is copied byte for byte: loading and dumping it again would change it.
    """
    expected = manifest.model.sha256
    if not (folder / MODEL).is_file() or digest(folder / MODEL).sha256 != expected:
        with replacing(folder / MODEL) as part:
            part.write_bytes(model.read_bytes())
            if digest(part).sha256 != expected:
                raise Problem(f"{model}: changed while it was being packaged; run dvc repro again")
    _write_if_different(folder / REQUIREMENTS, requirements)
    _write_if_different(folder / MANIFEST, manifest.to_bytes())
    _write_if_different(folder / SUMS, format_sums({name: digest(folder / name).sha256 for name in CHECKED}))


def _write_if_different(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        write(path, content)
