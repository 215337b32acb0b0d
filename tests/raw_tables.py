"""Raw tables of three columns, and what reading makes of them."""

import csv
import random
from pathlib import Path
from typing import Any

from modeling.reading import DEFAULTS, read_raw
from record.parameters import Data

ROWS = 60
Cells = list[str]


def settings(path: Path | str, **more: Any) -> Data:
    """The section `data` for a table, with some values changed."""
    return Data.model_validate(
        DEFAULTS | {"path": Path(path).name, "target": "y", "task": "classification", "drop": []} | more
    )


def numbers() -> Cells:
    """Numbers with three decimals, all of them different."""
    return [f"{random.Random(row).uniform(1, 999):.3f}" for row in range(ROWS)]  # noqa: S311 - not a secret


def written(path: Path, z: Cells, delimiter: str = ",") -> Path:
    """A text file with the columns x, z and y."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow("xzy")
        rows.writerows([str(row), cell, "ab"[row % 2]] for row, cell in enumerate(z))
    return path


def with_cell(cell: str, row: int = 6) -> Cells:
    """The numbers with another text in one row."""
    return [cell if k == row else value for k, value in enumerate(numbers())]


def kinds(path: Path, **more: Any) -> dict[str, str]:
    """The Arrow type of each column, as it is read."""
    table = read_raw(path, settings(path, **more)).table
    return {name: str(table[name].type) for name in table.column_names}
