"""`lineage.py list`: which versions there are, what they scored, from which data and code, and in which state."""

from commands import versions
from commands.result import WIDTH, Result, table
from record import git
from record.problem import say


def run(everywhere: bool) -> Result:
    """The versions under models/; or everywhere, with those that only Git's history and experiments have."""
    found = versions.in_workspace()
    if everywhere:
        found = versions.one_for_each_model([*found, *versions.in_commits()])
        if cut := git.what_is_cut():
            say(f"note: this list is partial, since of this clone {cut}")
    facts = versions.describe(found)
    if not facts:
        return Result([], ["no version yet; dvc repro makes one"])
    return Result(facts, table([versions.HEADER, *map(versions.row, facts)], WIDTH))
