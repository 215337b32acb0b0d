"""What a stage really read: the hashes of its files when it started, and its parameters.

DVC hashes dependencies after a command has run (iterative/dvc#11058), so a file that changes meanwhile would be
recorded with a hash that made nothing. A stage therefore takes its own notes, refuses to end when a file has
changed under it, and `package` holds the notes against `dvc.lock`.
"""

import sys
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from checksums import dvc_md5
from files import to_json, write
from problem import Problem, refuse_if


class Readings(BaseModel):
    """The MD5 of every file that a stage read, by path, and the sections of params.yaml that it used."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    files: dict[str, str]
    params: dict[str, Any]

    @classmethod
    def start(cls, *inputs: Path, params: dict[str, Any]) -> Self:
        """Note the inputs, and all of this repository's code that the process has loaded."""
        refuse_if(
            f"{path}: not found; dvc pull brings what DVC tracks, dvc repro makes what a stage makes"
            for path in inputs
            if not path.is_file()
        )
        paths = sorted({path.as_posix() for path in [*inputs, *loaded_code()]})
        return cls(files={path: dvc_md5(Path(path)) for path in paths}, params=params)

    def finish(self) -> Self:
        """Raise a problem when a file no longer is what was read; add the code that was loaded meanwhile."""
        refuse_if(
            f"{path}: changed while it was being used, so what was made of it has no known origin; run dvc repro again"
            for path, md5 in self.files.items()
            if not Path(path).exists() or dvc_md5(Path(path)) != md5
        )
        loaded = {path.as_posix() for path in loaded_code()} - self.files.keys()
        files = self.files | {path: dvc_md5(Path(path)) for path in loaded}
        return self.model_copy(update={"files": dict(sorted(files.items()))})


class Notes(BaseModel):
    """What a stage writes of its own work beside its outputs, for the stages after it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    readings: Readings

    def write(self, path: Path) -> None:
        """Keep the notes as JSON."""
        write(path, to_json(self.model_dump(mode="json", by_alias=True)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The notes that an earlier stage kept."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise Problem(f"{path}: not found; dvc repro makes it") from None
        except ValidationError:
            raise Problem(f"{path}: not what this version of the code writes; run dvc repro --force") from None


def loaded_code() -> set[Path]:
    """The source files of this repository that the process has imported or runs, relative to its top folder."""
    top = Path.cwd()
    files = {
        Path(file).absolute() for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
    }
    return {file.relative_to(top) for file in files if file.is_relative_to(top / "src")}
