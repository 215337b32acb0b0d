"""What stood in the outs of a stage, put back when its command fails, since DVC deletes outs before it runs one.

This runs in a process of its own, after a stage has failed, so it cannot change what a stage makes and no stage
depends on it. Outs that are `persist: true` were never deleted, and whatever is there stays.
"""

import os
import shutil
from pathlib import Path

from record.files import keep_only, replacing, write
from record.problem import say
from record.tracking import (
    cached,
    committed_files,
    content_hash,
    declared_stages,
    hash_of_committed,
    listing_of,
    read_workspace,
    recorded_stages,
)


def put_back(stage: str) -> list[str]:
    """Put back what DVC deleted of the outs that dvc.lock records of a stage; returns the paths of what was."""
    recorded = recorded_stages(read_workspace).get(stage)
    if recorded is None:
        return []
    declared = declared_stages(read_workspace)[stage.partition("@")[0]]
    deleted = ((path, md5) for path, md5 in recorded.outs.items() if not declared.persists(path))
    return [path for path, md5 in deleted if not is_there(Path(path), md5) and is_restored(Path(path), md5)]


def is_there(path: Path, md5: str) -> bool:
    """Whether an out is what dvc.lock records."""
    return path.exists() and content_hash(path) == md5


def is_restored(path: Path, md5: str) -> bool:
    """Write a file or a folder as DVC's cache or else Git's HEAD has it; False where neither does."""
    listing = listing_of(md5, path) if md5.endswith(".dir") else {"": md5}
    files = {path / name: each for name, each in (listing or {}).items()}
    if listing is None or not all(cached(each).is_file() for each in files.values()):
        return is_restored_by_git(path.as_posix(), md5)
    for file, each in files.items():
        with replacing(file) as part:
            shutil.copyfile(cached(each), part)
    if path.is_dir():
        keep_only(path, {file.name for file in files})
    return True


def is_restored_by_git(path: str, md5: str) -> bool:
    """Write an out that Git keeps, such as metrics, as HEAD has it; False where it has another."""
    contents = committed_files("HEAD", path)
    if hash_of_committed(contents, path) != md5:
        return False
    for name, content in contents.items():
        write(Path(name), content)
    return True


if __name__ == "__main__":
    found = put_back(os.environ["DVC_STAGE"].rpartition(":")[2])
    if found:
        say(f"what stood there before was put back: {', '.join(found)}")
