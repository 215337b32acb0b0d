"""`lineage.py deployed`: which version is, or was on a day, in `prod` or in any other stage of life of GTO's."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from commands import deployments
from commands.deployments import Deployment
from commands.result import Result, table
from record import git, models
from record.parameters import read_parameters
from record.problem import CannotAsk, Problem, did_you_mean, say

PRECISE = "%Y-%m-%dT%H:%M:%SZ"


def run(stage: str | None, on: str | None) -> Result:
    """What was in a stage, or in any, now or on a day: the whole of it, so there may be several answers."""
    start, end = period(on) if on else (datetime.now(UTC), None)
    known = deployments.deployments_of(read_parameters().package.name)
    refuse_unknown(stage, {deployment.stage for deployment in known})
    found = [each for each in deployments.during(known, start, end) if stage in {None, each.stage}]
    if cut := git.what_is_cut():
        if not found:
            raise CannotAsk(f"no tag here says what was in {stage or 'any stage'}, but of this clone {cut}")
        say(f"note: this answer may be old, since of this clone {cut}")
    facts = [each.facts() | {"before": (last := deployments.before(each, known)) and last.facts()} for each in found]
    if not found:
        others = [each for each in known if stage in {None, each.stage}]
        return Result([], [nothing(stage, on, others, start)], holds=False)
    rows = ((each.stage, each.name, deployments.words(each, known, PRECISE)) for each in found)
    return Result(facts, table(rows))


def period(on: str) -> tuple[datetime, datetime | None]:
    """A day in UTC from its beginning to its end, or a moment.

    Raises:
        Problem: when it is neither, or has not begun yet.
    """
    try:
        start = datetime.combine(date.fromisoformat(on), time(), UTC)
        end = start + timedelta(days=1)
    except (ValueError, OverflowError):
        start, end = _moment(on), None
    if start > datetime.now(UTC):
        raise Problem(f"--on: {on} is yet to come; without --on, what is deployed now is shown")
    return start, end


def _moment(on: str) -> datetime:
    try:
        found = datetime.fromisoformat(on)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        example = "2026-03-01 or 2026-03-01T12:00:00Z"
        raise Problem(f"--on: expected a day or a time (UTC), such as {example}, found '{on}'") from None


def refuse_unknown(stage: str | None, known: set[str]) -> None:
    """Refuse a stage that no version was ever in, and say how one gets there."""
    if stage in known or (stage is None and known):
        return
    if not git.has_repository():
        raise Problem("this is not a Git repository, and what was deployed is written in its tags; git clone brings it")
    if cut := git.what_is_cut():
        raise CannotAsk(f"no tag here names {stage or 'any stage'}, but of this clone {cut}")
    asked = read_parameters().package
    if known:
        raise Problem(
            f"'{stage}': no version of {asked.name} was ever in this stage; {did_you_mean(str(stage), known)}"
        )
    artifact = models.artifact_of(asked.name).replace("=", ":")  # as GTO's command line spells it
    assign = f"gto assign {artifact} --version {asked.version} --stage {stage or 'prod'}"
    released = git.commit_of_tag(models.tag_of(asked.name, asked.version))
    raise Problem(
        f"no version of {asked.name} was ever in a stage",
        *([] if released else ["release one: python src/lineage.py release"]),
        f"assign it: {assign}",
    )


def nothing(stage: str | None, on: str | None, known: Sequence[Deployment], start: datetime) -> str:
    """That nothing was in the stage, with what was there before or, failing that, came first."""
    said = f"nothing {'was' if on else 'is'} in {stage or 'any stage'} {f'on {on}' if on else 'now'}"
    earlier = [(each.until, each.name) for each in known if each.until and each.until <= start]
    if earlier:
        until, name = max(earlier)
        return f"{said}; the last was {name}, until {until:{PRECISE}}"
    return f"{said}; the first was {known[0].name}, since {known[0].since:{PRECISE}}"
