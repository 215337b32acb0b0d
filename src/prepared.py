"""`data/prepared/`: the two parts of the table that `prepare` makes, and the profile of what it found."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from witness import Notes

FOLDER = Path("data/prepared")
TRAIN = FOLDER / "train.parquet"
TEST = FOLDER / "test.parquet"
PROFILE = FOLDER / "profile.json"


class Rows(BaseModel):
    """How many rows were read, dropped (by reason), and put in each part."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    read: int
    dropped: dict[str, int]
    train: int
    test: int


class Column(BaseModel):
    """One column of the raw table, counted before rows were dropped; missing values are not counted as distinct."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: str
    role: Literal["feature", "target", "dropped"]
    missing: int
    distinct: int | None  # None for types whose values cannot be compared


class Profile(Notes):
    """What `prepare` read and found."""

    rows: Rows
    columns: dict[str, Column]
