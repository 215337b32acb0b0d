"""The commands that another repository is worked on with: Python, pip and DVC of one environment."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tools:
    """An environment's Python, and the folder where its commands work."""

    python: Path
    cwd: Path

    def run(self, *arguments: str) -> bool:
        """Run `python …`, its messages passed on to the person on stderr; whether it went well."""
        return self._run(arguments, sys.stderr.fileno())[0] == 0

    def read(self, *arguments: str) -> str | None:
        """Run `python …`; what it printed, or None when it failed."""
        status, output = self._run(arguments, subprocess.PIPE)
        return output.decode().strip() if status == 0 else None

    def _run(self, arguments: tuple[str, ...], stdout: int) -> tuple[int, bytes]:
        # The stages' commands say `python`, so this environment's must be found first.
        environment = os.environ | {"PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        command = [str(self.python), *arguments]
        new_group = os.name == "posix"
        with subprocess.Popen(
            command, cwd=self.cwd, env=environment, stdout=stdout, start_new_session=new_group
        ) as process:
            try:
                output, _ = process.communicate()
            except BaseException:  # Ctrl-C: what the command itself has started must not go on either
                if new_group:
                    os.killpg(process.pid, signal.SIGKILL)
                raise
            return process.returncode, output or b""
