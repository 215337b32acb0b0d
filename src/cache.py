"""DVC's cache, to read from: where the bytes are that Git does not hold."""

import configparser
import re
from pathlib import Path

DVC = Path(".dvc")


def folder() -> Path:
    """The folder of the cache, as the repository's configuration says."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([DVC / "config", DVC / "config.local"], encoding="utf-8")
    return DVC / config.get("cache", "dir", fallback="cache").strip("\"'")


def find(md5: str) -> Path | None:
    """The cached file of a hash; None where the cache has none."""
    if not re.fullmatch(r"[0-9a-f]{32}", md5):
        return None
    path = folder() / "files" / "md5" / md5[:2] / md5[2:]
    return path if path.is_file() else None
