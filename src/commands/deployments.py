"""Stages of life: which version was in `prod`, or in any other stage, from when to when, as the tags of GTO say.

`gto assign penguins --version v1.1.0 --stage prod` tags the version's commit `penguins#prod#1`, and `gto deprecate
penguins v1.1.0 prod` tags it `penguins#prod!#2`. As in GTO, a stage holds the version that was assigned to it last, of
those that were neither taken out of it nor deregistered since. The times are those of the taggers' clocks.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from record import git, models
from record.comparison import short
from record.manifest import as_time
from record.parameters import ARTIFACT_NAME

ACTION = r"#(?P<stage>[^#!@]+)|@(?P<version>v[^#!@]+)"
TAG = re.compile(rf"(?P<name>{ARTIFACT_NAME})(?:{ACTION})(?P<ends>!?)(?:#(?P<count>[0-9]+))?")
LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()  # a tag may say any number
UNITS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}


@dataclass(frozen=True)
class Event:
    """What a tag of GTO says: that a version is registered, or is in a stage, from now on or no longer."""

    when: datetime
    count: int
    tag: str
    commit: str
    stage: str | None
    version: str | None  # where it is registered
    ends: bool


@dataclass(frozen=True)
class Deployment:
    """A time that a version spent in a stage; without an end, it is still there."""

    stage: str
    version: str  # the commit, where that has no version
    commit: str
    tag: str
    since: datetime
    until: datetime | None = None

    @property
    def name(self) -> str:
        """The version as a person reads it."""
        return short(self.version) if self.version == self.commit else self.version

    @property
    def place(self) -> str:
        """Where the version is, or was."""
        return f"in {self.stage}" if self.until is None else f"was in {self.stage}"

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Whether the version was in the stage at any time from `start` on and before `end`."""
        return self.since < end and (self.until is None or self.until > start)

    def facts(self) -> dict[str, Any]:
        """The same for a program."""
        times = {"since": as_time(self.since), "until": self.until and as_time(self.until)}
        return {"stage": self.stage, "version": self.version, "commit": self.commit, "tag": self.tag, **times}


def deployments_of(name: str) -> list[Deployment]:
    """Every time that a version of a model spent in a stage, the earliest first."""
    return replay(events_by_name(git.tags()).get(name, []))


def events_by_name(tags: Iterable[git.Tag]) -> dict[str, list[Event]]:
    """What the tags say of each model of this folder. A stage's tag without a tagger has no time, and is left out."""
    prefix = models.artifact_of("")
    found: dict[str, list[Event]] = defaultdict(list)
    for tag in tags:
        said = TAG.fullmatch(tag.name.removeprefix(prefix)) if tag.name.startswith(prefix) else None
        if said and (said["version"] or (tag.is_annotated and tag.time is not None)):
            when = datetime.fromtimestamp(min(tag.time or 0, LATEST), UTC)
            count, ends = int(said["count"] or 0), bool(said["ends"])
            event = Event(when, count, tag.name, tag.commit, said["stage"], said["version"], ends)
            found[said["name"]].append(event)
    return found


def replay(events: Iterable[Event]) -> list[Deployment]:
    """The times that versions spent in stages, from all that happened to one model.

    What happened in one second did so in the order in which GTO counted the tags.
    """
    ordered = sorted(events, key=lambda event: (event.when, event.count, event.tag))
    versions = {event.commit: event.version for event in ordered if event.version}
    assigned: dict[str, dict[str, Event]] = defaultdict(dict)  # stage → commit → by what, the latest last
    deregistered: set[str] = set()
    running, over = dict[str, Deployment](), list[Deployment]()
    for event in ordered:
        if event.stage:
            assigned[event.stage].pop(event.commit, None)
            if not event.ends:
                assigned[event.stage][event.commit] = event
        else:
            (deregistered.add if event.ends else deregistered.discard)(event.commit)
        for stage, events_there in assigned.items():
            standing = (each for each in reversed(events_there.values()) if each.commit not in deregistered)
            before, after = running.get(stage), next(standing, None)
            if before and (after is None or after.commit != before.commit):
                over.append(replace(running.pop(stage), until=event.when))
            if after and stage not in running:
                version = versions.get(after.commit) or after.commit
                running[stage] = Deployment(stage, version, after.commit, after.tag, event.when)
    return sorted([*over, *running.values()], key=lambda deployment: (deployment.since, deployment.stage))


def during(deployments: Iterable[Deployment], start: datetime, end: datetime | None = None) -> list[Deployment]:
    """What was in a stage at some time from `start` on and before `end`; without an end, at that very second."""
    return [each for each in deployments if each.overlaps(start, end or start + timedelta(seconds=1))]


def before(deployment: Deployment, deployments: Sequence[Deployment]) -> Deployment | None:
    """What was in the same stage before; None for the first."""
    earlier = [each for each in deployments[: deployments.index(deployment)] if each.stage == deployment.stage]
    return earlier[-1] if earlier else None


def words(deployment: Deployment, deployments: Sequence[Deployment], form: str = "%Y-%m-%d") -> str:
    """A deployment as a person reads it, with what was in the stage before."""
    return ", ".join(_parts(deployment, before(deployment, deployments), form))


def _parts(deployment: Deployment, earlier: Deployment | None, form: str) -> Iterator[str]:
    since, until = deployment.since, deployment.until
    yield (
        f"since {since:{form}}" if until is None else f"from {since:{form}} to {until:{form}} ({lasting(since, until)})"
    )
    if earlier and earlier.until:
        gap = "" if earlier.until == since else f" until {earlier.until:{form}}"
        yield f"before it {earlier.name} for {lasting(earlier.since, earlier.until)}{gap}"


def lasting(since: datetime, until: datetime) -> str:
    """A time in words: in whole days, or hours or minutes where it is shorter."""
    for unit, length in UNITS.items():
        if count := (until - since) // length:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
