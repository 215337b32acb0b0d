"""An OCI image layout after the model specification of CNCF's ModelPack, which any registry of containers stores.

Each file of the package is a layer of its own, as it is, so that a registry keeps a model once however many versions
have it. All that could tell one run of this from another is fixed: the digest is a function of the package.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from commands.exports.addresses import url_of
from record.checksums import Digest, sha256_of
from record.files import to_json
from record.manifest import Manifest
from record.models import MANIFEST, MODEL, REQUIREMENTS, SIGNATURE, SUMS, Package

MODEL_TYPE = "application/vnd.cncf.model"
IMAGE_TYPE = "application/vnd.oci.image"
IMAGE = "org.opencontainers.image"
BLOBS = PurePosixPath("blobs/sha256")
KINDS = {MODEL: "weight", REQUIREMENTS: "weight.config", MANIFEST: "doc", SUMS: "doc", SIGNATURE: "doc"}
PLAIN = {"mode": 0o644, "uid": 0, "gid": 0, "typeflag": ord("0")}  # a file of tar's, with the usual rights


@dataclass(frozen=True)
class Layout:
    """The digest that a registry knows the artifact by, and its files by path, but for the model's blob."""

    digest: str
    files: dict[str, bytes]


def layout(manifest: Manifest, package: Package) -> Layout:
    """The layout of a package, whose model counts as recorded."""
    layers = [_layer(name, package.digests[name], manifest) for name in KINDS if name in package.digests]
    config = to_json(_config(manifest, layers))
    image = to_json(_image(manifest, config, layers))
    found = {"artifactType": f"{MODEL_TYPE}.manifest.v1+json", "annotations": {f"{IMAGE}.ref.name": manifest.version}}
    index = {
        "schemaVersion": 2,
        "mediaType": f"{IMAGE_TYPE}.index.v1+json",
        "manifests": [_descriptor(f"{IMAGE_TYPE}.manifest.v1+json", image) | found],
    }
    files = {"oci-layout": to_json({"imageLayoutVersion": "1.0.0"}), "index.json": to_json(index)}
    blobs = {blob_of(sha256_of(content)): content for content in (config, image, *package.texts.values())}
    return Layout(f"sha256:{sha256_of(image)}", files | blobs)


def blob_of(sha256: str) -> str:
    """Where a layout has the content of a hash."""
    return (BLOBS / sha256).as_posix()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256_of(content)}", "size": len(content)}


def _layer(name: str, digest: Digest, manifest: Manifest) -> dict[str, Any]:
    metadata = {"name": name, "size": digest.size, "mtime": manifest.run.created_at} | PLAIN
    return {
        "mediaType": f"{MODEL_TYPE}.{KINDS[name]}.v1.raw",
        "digest": f"sha256:{digest.sha256}",
        "size": digest.size,
        "annotations": {
            "org.cncf.model.filepath": name,
            "org.cncf.model.file.metadata+json": json.dumps(metadata),
            f"{IMAGE}.title": name,  # by which `oras pull` names the file
        },
    }


def _image(manifest: Manifest, config: bytes, layers: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest in the sense of OCI, not of this repository."""
    revision, source = _origin(manifest)
    known = {
        "created": manifest.run.created_at,
        "title": manifest.name,
        "version": manifest.version,
        "revision": revision,
        "source": source,
    }
    return {
        "schemaVersion": 2,
        "mediaType": f"{IMAGE_TYPE}.manifest.v1+json",
        "artifactType": f"{MODEL_TYPE}.manifest.v1+json",
        "config": _descriptor(f"{MODEL_TYPE}.config.v1+json", config),
        "layers": layers,
        "annotations": {f"{IMAGE}.{key}": value for key, value in known.items() if value},
    }


def _config(manifest: Manifest, layers: list[dict[str, Any]]) -> dict[str, Any]:
    revision, source = _origin(manifest)
    origins = [url_of(entry.origin.url) for entry in manifest.inputs if entry.origin and entry.origin.url]
    known = {
        "createdAt": manifest.run.created_at,
        "name": manifest.name,
        "version": manifest.version,
        "description": f"{manifest.model.task} of {manifest.model.target}",
        "revision": revision,
        "sourceURL": source,
        "datasetsURL": list(dict.fromkeys(origins)),
    }
    architecture = str(manifest.params.estimator.get("class", manifest.model.class_))
    return {
        "descriptor": {key: value for key, value in known.items() if value},
        "config": {"architecture": architecture, "format": "joblib"},
        "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
    }


def _origin(manifest: Manifest) -> tuple[str | None, str | None]:
    """The commit, if it holds all that made the model, and the address of its repository, if there is one."""
    record = manifest.run.git
    if record is None:
        return None, None
    return None if record.dirty else record.commit, url_of(record.remote) if record.remote else None
