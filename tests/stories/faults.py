"""Kill the pipeline at random moments and see what is lost.

Each kill hits a copy of a repository in which v1.0.0 is released and v1.1.0 is being made. SIGKILL goes to the whole
process group, at a uniformly random moment of what the command usually takes. Then the same command, or else the one of
the README's recipe, must bring a whole, verified package back.
"""

import hashlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from projects import Project, recipe

OBJECT = re.compile(r"files/md5/(?P<start>[0-9a-f]{2})/(?P<rest>[0-9a-f]{30})(\.dir)?")
EXTRA = re.compile(r"'([^']+)' is not part of a package; remove it")
LARGE = 48 * 1024 * 1024  # bytes; what makes a push or a pull last long enough to be hit
LATER = 1.1  # a moment may be this much later than what the command usually takes

NEW = "models/v1.1.0"
RELEASED = ("models/v1.0.0", "data/raw")
COMMITTED = "models/v1.0.0 data/raw src params.yaml dvc.yaml requirements.txt"

FROM_README = "the README's command"
REMOVAL = "rm the file that verify names"


@dataclass(frozen=True)
class Target:
    """What is killed where, what brings it back, how often it is chosen, and the file whose birth starts the clock."""

    command: str
    base: str
    again: str
    weight: int
    since: str = ".git"


TARGETS = [
    Target("dvc repro --force", "asked", "dvc repro", 3),
    Target("dvc repro --force", "done", "dvc repro", 1),
    Target("python src/prepare.py", "asked", "dvc repro", 1),
    Target("python src/train.py", "prepared", "dvc repro", 3),
    Target("python src/package.py", "trained", "dvc repro", 4),
    Target("python src/package.py", "trained", "dvc repro", 8, since=NEW),
    Target("dvc repro package", "trained", "dvc repro", 4),
    Target("dvc repro package", "trained", "dvc repro", 12, since=NEW),
    Target("dvc push", "unshared", "dvc push", 2),
    Target("dvc pull", "emptied", "dvc pull", 3),
]


@dataclass(frozen=True)
class Outcome:
    """What a kill left behind: the commands that brought all back, what was lost, and unfinished files."""

    target: Target
    moment: float
    commands: tuple[str, ...]
    losses: tuple[str, ...]
    leftovers: tuple[str, ...]


@dataclass(frozen=True)
class Bases:
    """The repositories that are copied for each kill, by how far v1.1.0 is made; and what must come of it."""

    projects: dict[str, Project]
    released: dict[str, bytes]
    made: dict[str, bytes]
    durations: dict[Target, float] = field(default_factory=dict)

    def copy(self, base: str, target: Path) -> Project:
        """One of the repositories, somewhere else."""
        return self.projects[base].copy(target)

    def usual_duration(self, target: Target, folder: Path) -> float:
        """How many seconds a command takes undisturbed, measured once."""
        if target not in self.durations:
            project = self.copy(target.base, folder)
            with start(project, target.command) as process:
                wait_for(project.path / target.since, process)
                began = time.monotonic()
                process.communicate()
            self.durations[target] = time.monotonic() - began
            shutil.rmtree(folder)
        return self.durations[target]


def lineage_of(project: Project, version: str) -> dict[str, bytes]:
    """The files of a package that must be the same whenever it is made: all, but the manifest's record of the run."""
    found = project.snapshot(f"models/{version}")
    manifest = json.loads(found.pop(f"models/{version}/manifest.json", b"{}"))
    manifest.pop("run", None)
    kept = {name: found.get(f"models/{version}/{name}", b"") for name in ("model.joblib", "requirements.txt")}
    return kept | {"manifest.json": json.dumps(manifest).encode()}


def make_bases(finished: Project, folder: Path) -> Bases:
    """Release v1.0.0, ask for v1.1.0 made of other rows, and keep a copy after each stage of the way there."""
    asked = finished.copy(folder / "asked")
    (asked.path / ".git/info/exclude").write_text("/storage/\n")
    asked.ask("release")
    released = asked.snapshot(*RELEASED)
    asked.set(prepare__seed=7, train__seed=7, package__version="v1.1.0")
    asked.commit("Ask for v1.1.0")
    projects = {"asked": asked}
    for name, stage in {"prepared": "prepare", "trained": "train", "done": "package"}.items():
        projects[name] = list(projects.values())[-1].copy(folder / name)
        projects[name].run(f"dvc repro {stage}")
    projects["done"].commit("Run the pipeline")

    unshared = projects["done"].copy(folder / "unshared")
    (unshared.path / "data/raw/large.bin").write_bytes(random.Random(1).randbytes(LARGE))  # noqa: S311 - any bytes
    unshared.run("dvc remote add -q -d storage ../storage")
    unshared.run("dvc add -q data/raw/large.bin")
    unshared.commit("Keep a large file with DVC")
    emptied = unshared.copy(folder / "emptied")
    emptied.run("dvc push -q")
    for path in (".dvc/cache", "data/prepared", "models/candidate"):
        shutil.rmtree(emptied.path / path)
    for path in ("data/raw/large.bin", "models/v1.0.0/model.joblib", "models/v1.1.0/model.joblib"):
        (emptied.path / path).unlink()
    return Bases(
        projects | {"unshared": unshared, "emptied": emptied}, released, lineage_of(projects["done"], "v1.1.0")
    )


def start(project: Project, command: str) -> subprocess.Popen[str]:
    """Run a command beside this process, as the leader of its own group."""
    return subprocess.Popen(
        shlex.split(command),
        cwd=project.path,
        env=os.environ | project.env,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Return when a path is there, or the process has ended."""
    while process.poll() is None and not path.exists():
        time.sleep(0.0005)


def kill_at(project: Project, target: Target, moment: float) -> bool:
    """Run a command and kill it with all that it started; False when it ended before that moment."""
    with start(project, target.command) as process:
        wait_for(project.path / target.since, process)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # until the last of the group has closed its end
            return True
    return False


def objects(folder: Path) -> dict[str, bool]:
    """The objects of a cache or a remote, and whether each one's content is what its name says."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    matches = {name: match for name in found if (match := OBJECT.fullmatch(name))}
    return {name: _md5(found[name]) == match["start"] + match["rest"] for name, match in matches.items()}


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def leftovers(project: Project) -> tuple[str, ...]:
    """Unfinished files in the workspace."""
    found = [path.relative_to(project.path) for pattern in ("*.part", "*.tmp") for path in project.path.rglob(pattern)]
    return tuple(sorted(path.as_posix() for path in found if path.parts[:2] != (".dvc", "tmp")))


def lost(project: Project, bases: Bases, before: dict[str, bool], *, pulled: bool = False) -> Iterator[str]:
    """What is no longer as it was: the released version, the raw data, whole objects of the cache."""
    now = project.snapshot(*RELEASED)
    for name, content in bases.released.items():
        if not (pulled and name.endswith("model.joblib")) and now.get(name) != content:
            yield f"{name}: not the bytes that were released"
    after = objects(project.path / ".dvc/cache")
    yield from (f"cache: {name} was whole, and is {after.get(name)}" for name in before if not after.get(name))


def unsound(project: Project, bases: Bases) -> Iterator[str]:
    """What keeps the project from being finished: both versions hold, the new one is as if nothing had happened."""
    verified = project.ask("verify v1.0.0 v1.1.0", check=False)
    if verified.returncode != 0:
        yield f"verify: {verified.stdout}{verified.stderr}"
    if lineage_of(project, "v1.1.0") != bases.made:
        yield "models/v1.1.0: not the lineage and the bytes that an undisturbed run makes"
    if changed := project.run(f"git diff HEAD --stat -- {COMMITTED}").stdout:
        yield f"committed files changed: {changed}"
    for folder in (".dvc/cache", "storage"):
        broken = [name for name, whole in objects(project.path / folder).items() if not whole]
        yield from (f"{folder}: {name}: is not what its name says" for name in broken)
    for command in ("git add -A", "git commit -qm again --allow-empty"):
        done = project.run(command, check=False)
        if done.returncode != 0:
            yield f"{command}: {done.stdout}{done.stderr}"


def recover(project: Project, again: str) -> tuple[str, ...]:
    """Run the same command again and, where that cannot go on, the README's before it; returns what was run."""
    commands = [again]
    done = project.run(again, check=False)
    if done.returncode != 0:
        commands.append(FROM_README)
        done = project.type(recipe("After a crash"), check=False)
        if done.returncode == 0 and again != "dvc repro":
            done = project.run(again, check=False)
    if done.returncode != 0:
        return (*commands, f"failed: {done.stderr.strip()}")
    return (*commands, *remove_extra_files(project))


def remove_extra_files(project: Project) -> Iterator[str]:
    """Remove the files that `verify` says to remove: DVC leaves some when it ends while it copies from its cache."""
    said = project.ask("verify --json", check=False).stdout
    for verdict in json.loads(said or "[]"):
        for problem in verdict["problems"]:
            if found := EXTRA.fullmatch(problem):
                (project.path / "models" / verdict["version"] / found[1]).unlink()
                yield REMOVAL


def try_kill(bases: Bases, target: Target, chance: random.Random, folder: Path) -> Outcome:
    """Kill a target in a copy of its repository, bring all back, and look at what was lost."""
    usual = bases.usual_duration(target, folder)
    killed = False
    while not killed:
        shutil.rmtree(folder, ignore_errors=True)
        project = bases.copy(target.base, folder)
        before = objects(project.path / ".dvc/cache")
        moment = chance.uniform(0, LATER * usual)
        killed = kill_at(project, target, moment)
    losses = [*lost(project, bases, before, pulled=target.base == "emptied")]
    commands = recover(project, target.again)
    losses += [*lost(project, bases, before), *unsound(project, bases)]
    outcome = Outcome(target, moment, commands, tuple(losses), leftovers(project))
    if not losses:
        shutil.rmtree(folder)
    return outcome


def try_kills(bases: Bases, kills: int, seed: int, folder: Path, jobs: int = 1) -> Iterator[Outcome]:
    """Kill targets that are chosen by weight at moments that are chosen by chance; the likeliest targets first."""
    chance = random.Random(seed)  # noqa: S311 - a moment, not a secret
    first = sorted(TARGETS, key=lambda target: -target.weight)
    chosen = [*first, *chance.choices(TARGETS, [target.weight for target in TARGETS], k=kills)][:kills]
    for target in dict.fromkeys(chosen):
        bases.usual_duration(target, folder / "measured")
    chances = [random.Random(chance.random()) for _ in chosen]  # noqa: S311
    with ThreadPoolExecutor(jobs) as pool:
        folders = (folder / f"kill{number}" for number in range(kills))
        yield from pool.map(lambda asked: try_kill(bases, *asked), zip(chosen, chances, folders, strict=True))


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """The figures, a line for each target."""
    heads = ("kills", "same command alone", "needed the README's", "a file to remove", "losses", "files left")
    yield f"| killed | v1.1.0 until then | at a moment | {' | '.join(heads)} |"
    yield f"|---|---|---|{'---:|' * len(heads)}"
    for target in TARGETS:
        mine = [outcome for outcome in outcomes if outcome.target == target]
        moment = f"after `{target.since}` is there" if target.since == NEW else "of the whole time"
        counts = (
            len(mine),
            sum(len(outcome.commands) == 1 for outcome in mine),
            sum(FROM_README in outcome.commands for outcome in mine),
            sum(REMOVAL in outcome.commands for outcome in mine),
            sum(bool(outcome.losses) for outcome in mine),
            sum(bool(outcome.leftovers) for outcome in mine),
        )
        yield f"| `{target.command}` | {target.base} | {moment} | {' | '.join(map(str, counts))} |"
