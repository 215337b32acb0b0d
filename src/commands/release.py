"""`lineage.py release`: freeze the current version under a Git tag, once HEAD holds all that made it.

That is `verify` against HEAD, then `dvc status` and `git status`. Content decides, not a flag: a model that was made
before its inputs were committed, or in an experiment that was applied, can be released as soon as HEAD holds what made
it. HEAD is resolved once, and that very commit is tagged.
"""

import json
from collections.abc import Iterator

from commands.processes import Commands
from commands.result import Result
from commands.verify import verify
from commands.versions import WORKSPACE, find_version
from record import git, models
from record.manifest import Manifest
from record.problem import CannotAsk, Problem, step
from record.tracking import PACKAGE, read_workspace, recorded_stages


def run() -> Result:
    """Release the version that params.yaml names."""
    head = git.commit_of("HEAD")
    if head is None:
        raise Problem("nothing is committed yet; git init and git commit first")
    version = find_version(WORKSPACE)
    manifest = version.manifest()
    tag = models.release_tag(manifest)
    facts = {"version": version.name, "tag": tag, "commit": head}
    findings = verify(version, holder=head)
    found = [*findings.problems, *missing_pointers(version.name), *uncommitted(), *stale(manifest)]
    problems = list(dict.fromkeys(found))
    if problems:
        return Result(facts | {"released": False, "problems": problems}, problems, holds=False)
    if git.commit_of_tag(tag):
        return Result(facts | {"released": True, "problems": []}, [f"{tag}: released already, with these bytes"])
    models.refuse_if_released_elsewhere(tag)
    make_tag(manifest, tag, head)
    push = f"git push --atomic origin HEAD {tag} && dvc push models/{version.name}/{models.MODEL}"
    if not git.ask("remote"):
        push = f"git remote add origin URL && dvc remote add --default storage PATH && {push}"
    return Result(facts | {"released": True, "problems": []}, [f"{tag}: released; share it with: {push}"])


def missing_pointers(version: str) -> Iterator[str]:
    """The versions beside this one that DVC would lose, as when an experiment that made a new version was applied."""
    for pointer in models.keep_others(version):
        yield f"{pointer}: was missing or wrong and is written now; commit it, then release"


def uncommitted() -> Iterator[str]:
    """What HEAD does not hold as it is here, of all that Git tracks and of all packages."""
    for options in (("--untracked-files=no",), ("--untracked-files=all", "--", models.MODELS.as_posix())):
        for line in (git.ask("status", "--porcelain", "-z", "--no-renames", *options) or "").split("\0")[:-1]:
            yield f"{line[3:]}: not committed as it is; commit it"


def stale(manifest: Manifest) -> Iterator[str]:
    """What DVC would run again of the stages behind the model; that an import has a newer upstream changes nothing."""
    recorded = recorded_stages(read_workspace)
    stages = [name for name in (*manifest.stages, PACKAGE) if name in recorded]
    with step("asking dvc status", to_all=False):
        said = Commands().read("-m", "dvc", "status", "--json", *stages)
    if said is None:
        raise CannotAsk("dvc status fails; it says why above")
    for stage, changes in json.loads(said or "{}").items():
        if changes != ["always changed"]:  # says so of itself in dvc.yaml, and nothing else did change
            yield f"{stage}: dvc status says that it changed ({json.dumps(changes)}); dvc repro, then commit"


def make_tag(manifest: Manifest, tag: str, commit: str) -> None:
    """The annotated tag after the convention of GTO, so that it counts there and in DVC as this artifact's version."""
    message = f"Release {manifest.name} {manifest.version}: model {manifest.model.sha256}"
    identity = git.ask("var", "GIT_COMMITTER_IDENT", no=(128,))
    if identity is None:
        raise Problem(
            "Git does not know who you are, and a release is signed with a name:",
            'git config user.name "Your Name"',
            "git config user.email you@example.org",
        )
    git.ask("tag", "--annotate", "--message", message, tag, commit, no=())  # honours tag.gpgSign
