"""What DVC records: `dvc.yaml` and `dvc.lock`, the `.dvc` files, folders by their hash, and its cache.

Everything is read as DVC wrote it, from the workspace or from a commit. The graph of a model is found in `dvc.lock`,
from what `package` depends on back to the files that no stage made.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from posixpath import normpath
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from record import git
from record.checksums import Digest, md5_of, md5_of_file, md5s_of_files
from record.files import from_document, from_yaml
from record.problem import CannotAsk, Problem

LOCK = Path("dvc.lock")
PIPELINE = Path("dvc.yaml")
PARAMETERS = Path("params.yaml")
OUTS = ("outs", "metrics", "plots")  # the keys of a stage in dvc.yaml under which it names what it makes
PACKAGE = "package"  # the stage at the end of the graph
PACKAGE_AGAIN = f"dvc repro --force --single-item {PACKAGE}"  # DVC sees no reason where only the record is old
TEMPLATE = re.compile(r"(?<!\\)\$\{\s*([^}]+?)\s*\}")
Read = Callable[[Path], bytes | None]  # the content of a file of the repository; None where there is none
Kind = TypeVar("Kind", bound="Written")


def read_workspace(path: Path) -> bytes | None:
    """A file as it is in the workspace."""
    return path.read_bytes() if path.is_file() else None


def reader_of(commit: str | None) -> Read:
    """How files are read as a commit has them; None for the workspace."""
    return partial(git.read_blob, commit) if commit else read_workspace


class Written(BaseModel):
    """What DVC writes; of its keys only those that are used here are checked."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Entry(Written):
    """A file or folder with its hash: an MD5, that of a folder ends in `.dir`; of a URL its etag or checksum."""

    path: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$")]
    hash: Annotated[str, Field(validation_alias=AliasChoices("md5", "etag", "checksum", "version_id"))] = ""


def _as_text(cmd: Any) -> Any:
    """A command as one text; DVC takes a list of them too."""
    return "\n".join(map(str, cmd)) if isinstance(cmd, list) else cmd


def _by_path(entries: Any) -> Any:
    if not isinstance(entries, list):
        return entries
    found = map(Entry.model_validate, entries)
    return {entry.path if "://" in entry.path else normpath(entry.path): entry.hash for entry in found}


def plain(value: Any) -> Any:
    """A value of YAML as JSON can hold it: dates and numbers that are not finite as text, half a letter as `?`."""
    match value:
        case dict():
            return {plain(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float() if value - value != 0:
            return str(value)
        case None | bool() | int() | float():
            return value
    return str(value).encode(errors="replace").decode()


Hashes = Annotated[dict[str, str], BeforeValidator(_by_path)]


class Stage(Written):
    """A stage as it last ran: its command, its parameters by file, and what it read and made, path → hash."""

    cmd: Annotated[str, BeforeValidator(_as_text)]
    params: Annotated[dict[str, dict[str, Any]], BeforeValidator(plain)] = {}
    deps: Hashes = {}
    outs: Hashes = {}


class Lock(Written):
    """The stages of dvc.lock by name."""

    stages: dict[str, Stage] = {}


class Import(Written):
    """The repository that a file was imported from."""

    url: str
    rev_lock: str | None = None


class Source(Written):
    """Where a `.dvc` file says that its content came from."""

    path: str
    etag: Annotated[str | None, Field(validation_alias=AliasChoices("etag", "checksum"))] = None  # HTTP's is a checksum
    repo: Import | None = None


class Pointer(Written):
    """A `.dvc` file: what DVC tracks outside of any stage, and where an import took it from."""

    wdir: str = "."
    outs: list[Entry]
    deps: list[Source] = []


def parse_lock(content: bytes) -> dict[str, Stage]:
    """The stages that the content of a dvc.lock records, their paths as they are written there."""
    return _parse(Lock, content, LOCK).stages


def parse_pointer(content: bytes, path: Path) -> Pointer:
    """What the content of a `.dvc` file tracks."""
    return _parse(Pointer, content, path)


def package_outs(read: Read) -> dict[str, str]:
    """What `package` made by dvc.lock, path → hash; nothing where that does not record it."""
    content = read(LOCK)
    stage = parse_lock(content).get(PACKAGE) if content else None
    return stage.outs if stage else {}


def _parse(kind: type[Kind], content: bytes, path: Path) -> Kind:
    try:
        return kind.model_validate(from_yaml(content))
    except ValueError:
        raise Problem(f"{path}: not what DVC writes; git checkout {path} brings the committed one back") from None


class Declared(Written):
    """A stage of dvc.yaml with its templates filled in; what only DVC can fill in is `*`."""

    cmd: str
    wdir: str
    deps: list[str]
    outs: list[str]
    metrics: list[str]
    persistent: list[str]  # the outs that DVC leaves where they are when it runs the stage
    items: set[str] | None

    def has(self, name: str) -> bool:
        """Whether a stage of this name in dvc.lock is, or is an item of, this one."""
        _, at, item = name.partition("@")
        return self.items is None or (item in self.items if at else not self.items)

    def makes(self, path: str, *, is_kept: bool) -> bool:
        """Whether a path is, or is inside of, an out of this stage; what Git keeps is only by its full name."""
        above = [path, *(parent.as_posix() for parent in Path(path).parents)]
        outs = [out for out in self.outs if not (is_kept and "*" in out)]
        return any(_matches(out, folder, "[^/]*") for out in outs for folder in above)

    def persists(self, path: str) -> bool:
        """Whether an out of this stage stays in its place while the stage runs."""
        return any(_matches(out, path, "[^/]*") for out in self.persistent)

    def runs(self, cmd: str) -> bool:
        """Whether this is the command of the stage."""
        return _matches(self.cmd, cmd, ".*")


def _matches(pattern: str, text: str, anything: str) -> bool:
    return re.fullmatch(anything.join(map(re.escape, pattern.split("*"))), text, flags=re.DOTALL) is not None


def declared_stages(read: Read, folder: Path = Path()) -> dict[str, Declared]:
    """The stages of the dvc.yaml in a folder, by name; a `foreach` or `matrix` stage once, without `@`."""
    document = mapping_in(read, folder / PIPELINE)
    values = _with_variables(mapping_in(read, folder / PARAMETERS), document, read, folder)
    shared = [_path_of(item) for item in document.get("metrics") or []]
    return {
        name: _declared(stage, _with_variables(values, stage, read, folder), folder, shared)
        for name, stage in (document.get("stages") or {}).items()
        if isinstance(stage, dict)
    }


def _with_variables(values: dict[str, Any], section: dict[str, Any], read: Read, folder: Path) -> dict[str, Any]:
    """Parameters with those of the `vars` of dvc.yaml or of one stage."""
    for more in section.get("vars") or []:
        values = values | (more if isinstance(more, dict) else mapping_in(read, folder / str(more).partition(":")[0]))
    return values


def _declared(stage: dict[str, Any], values: dict[str, Any], folder: Path, shared: list[str]) -> Declared:
    body = stage.get("do", stage)
    wdir = normpath((folder / filled_in(str(body.get("wdir", ".")), values)).as_posix())

    def paths(*keys: str, persistent: bool = False) -> list[str]:
        items = [item for key in keys for item in body.get(key) or [] if not persistent or _is_persistent(item)]
        return [_join(wdir, filled_in(_path_of(item), values)) for item in items]

    return Declared(
        cmd=filled_in(str(_as_text(body.get("cmd") or "")), values),
        wdir=wdir,
        deps=paths("deps"),
        outs=paths(*OUTS),
        persistent=paths(*OUTS, persistent=True),
        metrics=[*paths("metrics"), *shared],
        items=_items(stage, values),
    )


def _items(stage: dict[str, Any], values: dict[str, Any]) -> set[str] | None:
    """The names behind `@` of a `foreach` or `matrix` stage, as DVC gives them; None where only DVC knows them."""
    if "matrix" in stage:
        axes = {name: _listed(axis, values) for name, axis in stage["matrix"].items()}
        if None in axes.values():
            return None
        return {"-".join(names) for names in product(*(_names_on_axis(axis, name) for name, axis in axes.items()))}
    items = _listed(stage["foreach"], values) if "foreach" in stage else []
    if isinstance(items, list) and not all(isinstance(item, str | int | float) for item in items):
        return set(map(str, range(len(items))))
    return None if items is None else set(map(str, items))


def _listed(items: Any, values: dict[str, Any]) -> Any:
    match = TEMPLATE.fullmatch(items) if isinstance(items, str) else None
    found = value_at(values, match[1]) if match else items
    return found if isinstance(found, list | dict) else None


def _names_on_axis(items: Any, axis: str) -> list[str]:
    if isinstance(items, dict):
        return list(map(str, items))
    return [f"{axis}{k}" if isinstance(item, dict | list) else str(item) for k, item in enumerate(items)]


def mapping_in(read: Read, path: Path) -> dict[str, Any]:
    """The document of a file of parameters, of any kind that DVC reads; empty where there is none."""
    document = from_document(read(path) or b"", path, path.suffix[1:].upper())
    return dict(document) if isinstance(document, dict) else {}


def _path_of(item: Any) -> str:
    return str(next(iter(item))) if isinstance(item, dict) and item else str(item)


def _is_persistent(item: Any) -> bool:
    return isinstance(item, dict) and any(isinstance(flags, dict) and flags.get("persist") for flags in item.values())


def _join(wdir: str, path: str) -> str:
    return path if "://" in path or path.startswith("/") else normpath(f"{wdir}/{path}")


def filled_in(text: str, values: Mapping[str, Any]) -> str:
    """A text of dvc.yaml with the values of its templates; `*` for one that is not among them."""

    def value(match: re.Match[str]) -> str:
        found = value_at(values, match[1])
        if isinstance(found, bool):
            return str(found).lower()
        return str(found) if isinstance(found, str | int | float) else "*"

    return TEMPLATE.sub(value, text).replace("\\${", "${")


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name among parameters; None where there is none."""
    found: Any = values
    for key in re.findall(r"[^.\[\]]+", name):
        if isinstance(found, list):
            found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        else:
            found = found.get(key) if isinstance(found, Mapping) else None
    return found


def recorded_stages(read: Read) -> dict[str, Stage]:
    """The stages of dvc.lock that dvc.yaml still has, with paths relative to the top folder.

    Raises:
        Problem: when dvc.lock is missing, or is not what DVC writes.
    """
    content = read(LOCK)
    if content is None:
        raise Problem(f"{LOCK}: not found; dvc repro writes it")
    declared = declared_stages(read)
    stages = {name: (stage, declared.get(name.partition("@")[0])) for name, stage in parse_lock(content).items()}
    return {
        name: _moved(name, stage, known.wdir) for name, (stage, known) in stages.items() if known and known.has(name)
    }


def _moved(name: str, stage: Stage, wdir: str) -> Stage:
    if wdir == ".":
        return stage
    params = {_join(wdir, file): values for file, values in stage.params.items()}
    if "*" in wdir:
        raise Problem(
            f"{PIPELINE}: stage '{name}': its wdir is a template, so its files are not found; use paths instead"
        )
    return stage.model_copy(
        update={key: {_join(wdir, path): md5 for path, md5 in getattr(stage, key).items()} for key in ("deps", "outs")}
        | {"params": params}
    )


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is inside of the other."""
    return is_inside(one, other) or is_inside(other, one)


def makers(path: str, stages: Mapping[str, Stage]) -> list[str]:
    """The stages that made a path, or a part of it."""
    return [name for name, stage in stages.items() if any(overlap(path, out) for out in stage.outs)]


def ancestors(stages: Mapping[str, Stage], ends: Iterable[str]) -> dict[str, Stage]:
    """Every stage that some paths come from, however many there are, in order from raw data to these paths."""
    ordered: dict[str, Stage] = {}

    def visit(path: str) -> None:
        for name in makers(path, stages):
            if name not in ordered and name not in visited:
                visited.add(name)
                for dep in stages[name].deps:
                    visit(dep)
                ordered[name] = stages[name]

    visited: set[str] = set()
    for path in ends:
        visit(path)
    return ordered


def inputs_of(stages: Mapping[str, Stage]) -> dict[str, str]:
    """What stages read and none of them made, by path: raw data, code and requirements; sorted.

    A folder in which a stage writes as well is among them, since it can have files that no stage made.
    """
    read = {dep: md5 for stage in stages.values() for dep, md5 in stage.deps.items()}
    outs = [out for stage in stages.values() for out in stage.outs]
    return {path: read[path] for path in sorted(read) if not any(is_inside(path, out) for out in outs)}


def used_parameters(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """What stages used of params.yaml, by the name that dvc.yaml has for it."""
    return {key: value for s in stages.values() for key, value in s.params.get(PARAMETERS.as_posix(), {}).items()}


def is_inside(path: str, folder: str) -> bool:
    """Whether a path is a folder, or in it."""
    return path == folder or path.startswith(f"{folder}/")


def unrecorded(paths: Iterable[str], stages: Mapping[str, Stage]) -> Iterator[str]:
    """Why the graph would end too early: paths that no recorded stage made, but a stage of some dvc.yaml makes."""
    pipelines = {file.parent: declared_stages(read_workspace, file.parent) for file in _files_called(PIPELINE.name)}
    for path in paths:
        if makers(path, stages) or "://" in path or path.startswith(("/", "../")):
            continue
        is_kept = pointer_to(path, read_workspace) is not None or git.ask("ls-files", "--", path) not in {None, ""}
        for folder, declared in pipelines.items():
            for name in [name for name, stage in declared.items() if stage.makes(path, is_kept=is_kept)]:
                if folder == Path():
                    yield f"{path}: the stage '{name}' makes it, but {LOCK} does not record that; run dvc repro"
                else:
                    file = (folder / PIPELINE).as_posix()
                    yield f"{path}: {file} makes it, which is not followed; move its stage '{name}' to {PIPELINE}"


def _files_called(name: str) -> Iterator[Path]:
    for folder, below, files in os.walk("."):
        below[:] = [each for each in below if each[0] != "." and not Path(folder, each, ".dvc").is_dir()]
        if name in files:
            yield Path(folder, name)


def content_hash(path: Path, recorded: Sequence[Digest] = ()) -> str:
    """The hash under which DVC records a file, or a folder: the MD5 of its listing and `.dir`.

    Of files whose pair of hashes is `recorded`, the other one is taken, which need not be taken twice then.
    """
    return hash_of_listing(_listed_now(path, recorded)) if path.is_dir() else md5_of_file(path, recorded)


def _listed_now(folder: Path, recorded: Sequence[Digest] = ()) -> dict[str, str]:
    files = files_in(folder)
    md5s = md5s_of_files(files, recorded)
    return {file.relative_to(folder).as_posix(): md5 for file, md5 in zip(files, md5s, strict=True)}


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that DVC counts, which are those that `.dvcignore` does not name."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - most verbs ask for no folder

    ignored = GitIgnoreSpec.from_lines((read_workspace(Path(".dvcignore")) or b"").decode().splitlines())
    return sorted(file for file in folder.rglob("*") if file.is_file() and not ignored.match_file(file.as_posix()))


def hash_of_listing(md5s: Mapping[str, str], kind: str = "md5") -> str:
    """The hash under which DVC records a folder, from the MD5 of each file in it, or another kind of hash."""
    listing = [{kind: md5s[path], "relpath": path} for path in sorted(md5s)]
    return f"{md5_of(json.dumps(listing).encode())}.dir"


def pointer_to(path: str, read: Read) -> tuple[Path, Pointer, Entry] | None:
    """The `.dvc` file that tracks a path, or a folder above it, with the entry that does; None where there is none."""
    for above in [Path(path), *Path(path).parents][:-1]:
        file = above.with_name(f"{above.name}.dvc")
        if not above.is_absolute() and ".." not in above.parts and (content := read(file)) is not None:
            pointer = parse_pointer(content, file)
            for entry in pointer.outs:
                if _join(normpath((file.parent / pointer.wdir).as_posix()), entry.path) == above.as_posix():
                    return file, pointer, entry
    return None


def missing_from(commit: str, files: Mapping[str, str]) -> dict[str, str]:
    """What a commit does not hold with the hash that is recorded: path → what it has instead.

    Held is what Git would check out with these bytes, and what a `.dvc` file of that commit tracks with this hash.
    """
    contents = git.checked_out(commit, files)
    differing = {path: md5 for path, md5 in files.items() if path not in contents or md5_of(contents[path]) != md5}
    if not differing:
        return {}
    blobs = git.blobs_of(commit)  # listed once, since each file may be tracked by a `.dvc` file at any folder above it
    read = cache(lambda file: git.read_blob(commit, file) if file.as_posix() in blobs else None)
    listing = cache(listing_of)
    otherwise = {path: "other content" if path in contents else "no such file" for path in differing}
    found = {path: _difference(commit, path, md5, read, listing) for path, md5 in differing.items()}
    return {path: said or otherwise[path] for path, said in found.items() if said is not None}


def _difference(commit: str, path: str, md5: str, read: Read, listing_of: Callable[..., Any]) -> str | None:
    """What a commit has of a file that DVC tracks; empty where DVC does not track it, None where it is held."""
    tracked = pointer_to(path, read)
    if tracked is None:
        return None if md5.endswith(".dir") and hash_of_committed(committed_files(commit, path), path) == md5 else ""
    file, _, entry = tracked
    folder = _join(file.parent.as_posix(), file.stem)
    if folder == path:
        return None if entry.hash == md5 else f"another hash in {file}"
    listing = listing_of(entry.hash, Path(folder))
    if listing is None:
        return f"{file}, whose files DVC's cache does not list; dvc fetch {file}"
    return None if listing.get(Path(path).relative_to(folder).as_posix()) == md5 else f"another hash in {file}"


def committed_files(commit: str, path: str) -> dict[str, bytes]:
    """What a commit has at a path, a file or all those of a folder, as a checkout would write them."""
    if git.is_outside(path):
        return {}
    names = (git.ask("ls-tree", "-r", "-z", "--name-only", commit, "--", path) or "").split("\0")[:-1]
    return git.checked_out(commit, names)


def hash_of_committed(contents: Mapping[str, bytes], path: str) -> str | None:
    """The hash under which DVC would record these files of a commit; None where there are none."""
    if path in contents:
        return md5_of(contents[path])
    md5s = {Path(name).relative_to(path).as_posix(): md5_of(content) for name, content in contents.items()}
    return hash_of_listing(md5s) if md5s else None


def listing_of(md5: str, folder: Path) -> dict[str, str] | None:
    """The MD5 of each file of a folder that DVC tracks, from its cache or from the folder itself; None without both."""
    if (file := cached(md5)).is_file():
        return {item["relpath"]: item["md5"] for item in json.loads(file.read_bytes())}
    found = _listed_now(folder) if folder.is_dir() else {}
    return found if hash_of_listing(found) == md5 else None


@cache
def cache_folder(top: Path) -> Path:
    """The folder of DVC's cache, as its configuration of the system, the user and the repository says."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"],
        cwd=top,
        env=git.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotAsk("dvc cache dir fails, so DVC's cache is not found:", *done.stderr.strip().splitlines())
    return top / done.stdout.strip()


def cached(md5: str) -> Path:
    """Where DVC's cache has the content of a hash, if it has it."""
    return cache_folder(Path.cwd()) / "files" / "md5" / md5[:2] / md5[2:]


def is_link_to_cache(path: Path, md5: str) -> bool:
    """Whether a link leads to the object of this hash in DVC's cache, as `cache.type symlink` makes them."""
    return Path(".dvc").is_dir() and path.resolve() == cached(md5).resolve()
