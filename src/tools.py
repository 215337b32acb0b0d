"""The commands that another repository is worked on with: Python, pip and DVC of one environment."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tools:
    """An environment's Python, and where its commands work."""

    python: Path
    cwd: Path

    def run(self, *arguments: str) -> bool:
        """Run `python …`, its messages passed on to the person on stderr; whether it went well."""
        command = [str(self.python), *arguments]
        return (
            subprocess.run(command, cwd=self.cwd, env=self._environment(), stdout=sys.stderr, check=False).returncode
            == 0
        )

    def read(self, *arguments: str) -> str | None:
        """Run `python …`; what it printed, or None when it failed."""
        command = [str(self.python), *arguments]
        done = subprocess.run(
            command, cwd=self.cwd, env=self._environment(), stdout=subprocess.PIPE, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def _environment(self) -> dict[str, str]:
        # The stages' commands say `python`, so this environment's must be found first.
        return os.environ | {"PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
