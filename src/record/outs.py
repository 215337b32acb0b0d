"""What stood in the outs of a stage, put back when its command fails, since DVC deletes outs before it runs one.

This runs in a process of its own, after a stage has failed, so it cannot change what a stage makes and no stage
depends on it.
"""

import json
import os
import shutil
from pathlib import Path

from record import git
from record.files import keep_only, replacing, write
from record.problem import say
from record.tracking import cached, content_hash, read_workspace, recorded_stages


def put_back(stage: str) -> list[str]:
    """Put back the outs of a stage that dvc.lock records and that are not there; the paths of those that were."""
    recorded = recorded_stages(read_workspace).get(stage)
    lost = [
        Path(path)
        for path, md5 in (recorded.outs if recorded else {}).items()
        if not Path(path).exists() or content_hash(Path(path)) != md5
        if restore(Path(path), md5)
    ]
    return [path.as_posix() for path in lost]


def restore(path: Path, md5: str) -> bool:
    """Write a file or a folder as DVC's cache or else Git's HEAD has it; False where neither does."""
    files = files_of(path, md5)
    if files is None or not all(cached(each).is_file() for each in files.values()):
        return is_restored_by_git(path, md5)
    for file, each in files.items():
        with replacing(file) as part:
            shutil.copyfile(cached(each), part)
    if path.is_dir():
        keep_only(path, {file.name for file in files})
    return True


def files_of(path: Path, md5: str) -> dict[Path, str] | None:
    """The files of an out with their hashes; None where the cache does not list those of a folder."""
    if not md5.endswith(".dir"):
        return {path: md5}
    listing = cached(md5)
    if not listing.is_file():
        return None
    return {path / item["relpath"]: item["md5"] for item in json.loads(listing.read_bytes())}


def is_restored_by_git(path: Path, md5: str) -> bool:
    """Whether HEAD holds an out that Git keeps, such as metrics; it is then written."""
    names = (git.ask("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", path.as_posix()) or "").split("\0")[:-1]
    for name, content in git.checked_out("HEAD", names).items():
        write(Path(name), content)
    return path.exists() and content_hash(path) == md5


if __name__ == "__main__":
    found = put_back(os.environ["DVC_STAGE"].rpartition(":")[2])
    if found:
        say(f"what stood there before was put back: {', '.join(found)}")
