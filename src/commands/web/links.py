"""Links to the repository's own remote: a known form of address as a web page, and nothing else."""

import re

ADDRESS = re.compile(
    r"(?:(?P<web>https?)://|(?:ssh|git)://(?:[\w.-]+@)?|[\w.-]+@)"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)(?P<port>:[0-9]+(?=/))?[/:](?P<path>[\w~.-]+(?:/[\w~.-]+)*)/?",
    flags=re.ASCII,
)
COMMIT = re.compile(r"[0-9a-f]{40,64}")


def web_address(remote: str | None) -> str | None:
    """The page of a repository, from the address that Git fetches it from; None where that has no known form."""
    found = ADDRESS.fullmatch(remote or "")
    if found is None or ".." in found["path"].split("/"):
        return None
    port = found["port"] if found["web"] and found["port"] else ""  # that of SSH is not that of the page
    return f"{found['web'] or 'https'}://{found['host'].lower()}{port}/{found['path'].removesuffix('.git')}"


def commit_address(page: str | None, commit: str | None) -> str | None:
    """The page of a commit, as the host spells it; None without a remote."""
    if page is None or commit is None or not COMMIT.fullmatch(commit):
        return None
    host = page.split("/")[2]
    if "gitlab" in host:
        return f"{page}/-/commit/{commit}"
    return f"{page}/{'commits' if 'bitbucket' in host else 'commit'}/{commit}"
