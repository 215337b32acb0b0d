"""How other tools address what a model was made of: a package as a purl, a repository or a table as a URL."""

import re
from urllib.parse import quote

ALLOWED = ":/?@!$&'()*+,;=%~"  # in a URL, beside letters, digits and -._


def purl(name: str, version: str) -> str:
    """The package URL of a version on PyPI, by which scanners look up what is known of it."""
    return f"pkg:pypi/{quote(name, safe='')}@{quote(version, safe='')}"


def url_of(place: str) -> str:
    """A place as a URL, also one that Git and SSH write as `user@host:path`; what no URL can have is escaped."""
    short_form = re.fullmatch(r"([^/:\\]{2,}):(?!//)(.+)", place)
    url = f"ssh://{short_form[1]}/{short_form[2].lstrip('/')}" if short_form else place
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", url), safe=ALLOWED)
