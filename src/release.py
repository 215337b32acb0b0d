"""`lineage.py release`: freeze the current version under a Git tag, once HEAD can stand for it.

That is asked by content, not by flag: a model that was made before its inputs were committed, or in an experiment that
was applied, qualifies as soon as HEAD holds what made it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import git
import packages
import parameters
from answer import Answer
from checksums import md5_of
from lock import PATH as LOCK
from lock import parse_lock, parse_pointer
from manifest import Manifest
from problem import Problem
from tools import Tools
from verify import STAGES, verify
from version import WORKSPACE, Version, find_version

PIPELINE = Path("dvc.yaml")


def answer() -> Answer:
    """Release the version that params.yaml names."""
    version = find_version(WORKSPACE)
    manifest = version.manifest()
    tag = packages.release_tag(manifest)
    facts = {"version": version.name, "tag": tag, "commit": git.commit_of("HEAD")}
    problems = [*verify(version), *missing_pointers(version), *missing_from_head(version, manifest)]
    if problems:
        return Answer(facts | {"released": False, "problems": problems}, "\n".join(problems), holds=False)
    if git.commit_of(f"refs/tags/{tag}"):
        return Answer(facts | {"released": True, "problems": []}, f"{tag}: released already, with these bytes")
    make_tag(manifest)
    push = f"git push origin HEAD {tag} && dvc push models/{version.name}/{packages.MODEL}"
    return Answer(facts | {"released": True, "problems": []}, f"{tag}: released; share it with: {push}")


def missing_pointers(version: Version) -> Iterator[str]:
    """The versions beside this one that DVC would lose, as when an experiment that made a new version was applied."""
    for pointer in packages.leave_pointers(version.name):
        yield f"{pointer}: was missing and is written now; commit it, then release"


def missing_from_head(version: Version, manifest: Manifest) -> Iterator[str]:
    """Everything that HEAD does not hold as the manifest records it, file by file."""
    for name in (packages.MANIFEST, packages.REQUIREMENTS, packages.SUMS):
        path = version.folder / name
        if git.read_blob("HEAD", path) != path.read_bytes():
            yield f"{path}: HEAD does not hold it as it is; commit it"
    for file in packages.MODELS.glob(f"*/{packages.POINTER}"):
        if git.read_blob("HEAD", file) != file.read_bytes():
            yield f"{file}: HEAD does not hold it as it is; commit it"
    yield from lock_differences(version, manifest)
    yield from input_differences(manifest)
    yield from setting_differences(manifest)


def lock_differences(version: Version, manifest: Manifest) -> Iterator[str]:
    """Hold HEAD's dvc.lock against the manifest."""
    content = git.read_blob("HEAD", LOCK)
    stages = parse_lock(content).stages if content else {}
    model = (version.folder / packages.MODEL).as_posix()
    if "package" not in stages or stages["package"].outputs().get(model) != manifest.model.md5:
        yield f"{LOCK}: HEAD's does not record this model; commit it"
    for name in STAGES:
        recorded = manifest.stages.get(name)
        found = stages.get(name)
        if not recorded or not found or (recorded.deps, recorded.outs) != (found.dependencies(), found.outputs()):
            yield f"{LOCK}: HEAD's records another run of {name}; commit it"


def input_differences(manifest: Manifest) -> Iterator[str]:
    """Hold the code, the requirements and the data of HEAD against the manifest."""
    for path, recorded in manifest.inputs():
        if (found := head_md5(Path(path))) != recorded:
            yield f"{path}: the model was made from MD5 {recorded}, HEAD has {found or 'none'}; commit it, or run again"


def head_md5(path: Path) -> str | None:
    """The MD5 of a file in HEAD, kept by Git itself or by DVC through a pointer."""
    content = git.read_blob("HEAD", path)
    if content is not None:
        return md5_of(content)
    pointer = git.read_blob("HEAD", path.with_name(f"{path.name}.dvc"))
    return next((entry.md5 for entry in parse_pointer(pointer).outs), None) if pointer else None


def setting_differences(manifest: Manifest) -> Iterator[str]:
    """Hold the parameters and the commands of HEAD against the manifest."""
    params, pipeline = _yaml_of(parameters.PATH), _yaml_of(PIPELINE)
    for section, recorded in manifest.params.model_dump().items():
        chosen = (params.get("estimators") or {}).get(manifest.params.train["estimator"])
        if (chosen if section == "estimator" else params.get(section)) != recorded:
            yield f"{parameters.PATH}: HEAD's section {section} is not what the model was made with; commit it"
    for name, stage in manifest.stages.items():
        found = ((pipeline.get("stages") or {}).get(name) or {}).get("cmd")
        if found != stage.cmd:
            yield f"{PIPELINE}: HEAD's stage {name} runs '{found}', the model was made by '{stage.cmd}'; commit it"


def _yaml_of(path: Path) -> dict[str, Any]:
    content = git.read_blob("HEAD", path)
    return (YAML(typ="safe").load(content.decode()) if content else None) or {}


def make_tag(manifest: Manifest) -> None:
    """The annotated tag, made by GTO so that it counts there and in DVC as this artifact's version."""
    message = f"Release {manifest.name} {manifest.version}: model {manifest.model.sha256}"
    here = Tools(Path(sys.executable), Path.cwd())
    arguments = ("register", manifest.name, "HEAD", "--version", manifest.version, "--message", message)
    if here.read("-m", "gto.cli", *arguments) is None:
        raise Problem(f"{packages.release_tag(manifest)}: GTO could not make the tag; it says why above")
