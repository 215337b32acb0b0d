"""Who vouches for a package: Git's history of this repository, this very clone, or the holder of a named key.

A package that is intact may still be anybody's: whoever writes a model writes its checksums too. This repository is
the one whose code is running, wherever the package is and whatever folder is the current one. What was merely fetched,
such as a stranger's pull request under refs/remotes, vouches for nothing.
"""

from collections.abc import Iterable
from pathlib import Path

from record import git
from record.bundles import read_public_key
from record.models import MANIFEST, MODELS, Package, places
from record.problem import Problem
from record.signatures import check_signature

TOP = Path(__file__).parent.parent.parent
MINE = ("--branches", "--tags", "--glob=refs/exps/**")  # and HEAD


class UnvouchedError(Problem):
    """Nobody who is trusted here says that a package is theirs."""


def refuse_unvouched(folder: Path, package: Package, keys: Iterable[Path] = ()) -> None:
    """Raise unless somebody vouches for an intact package. Where keys are named, they are asked and nobody else.

    Raises:
        CannotAsk: when Git is needed, and there is a repository of which it does not answer.
    """
    named = [read_public_key(Path(path)) for path in keys]
    if named:
        if problems := check_signature(package, named)[1]:
            raise UnvouchedError(*(f"{folder}: {problem}" for problem in problems))
        return
    if not any(is_known(package.texts[MANIFEST], place) for place in places(TOP)):
        cut = git.what_is_cut(TOP)
        raise UnvouchedError(
            f"{folder}: nobody vouches for it: no commit, tag or experiment of this repository holds its {MANIFEST}, "
            "and it was not packaged in this clone",
            *([f"of this clone {cut}"] if cut else []),
            "merge the commit that holds it; or, where it is signed, name the signer's key: --key team.pub; "
            "or, if you know where it comes from, --trust-unvouched (in Python, keys=[...] or trust_unvouched=True)",
        )


def is_known(manifest: bytes, place: Path | None) -> bool:
    """Whether the repository at a place has made a manifest itself, or has it in its own history."""
    return git.has_note(manifest, place) or _is_in_history(manifest, place)


def _is_in_history(manifest: bytes, place: Path | None) -> bool:
    """Whether any commit of HEAD, of a local branch, tag or experiment has it as the manifest of a package."""
    blob = git.hash_of(manifest, place)
    if blob is None:
        return False
    head = ["HEAD"] if git.commit_of("HEAD", place) else []  # -m: also what only a merge brought
    walk = ("-c", "log.showRoot=true", "log", "-1", "-m", "--format=%H", f"--find-object={blob}")
    found = git.ask(*walk, *head, *MINE, "--", f":(glob){MODELS.as_posix()}/*/{MANIFEST}", cwd=place, no=())
    return bool(found)
