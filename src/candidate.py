"""`models/candidate/`: the model that `train` has just made, what `train` says of it, and its reports.

The description is what lets `package` work without unpickling anything.
"""

from pathlib import Path

from manifest import Fitted
from witness import Notes

FOLDER = Path("models/candidate")
MODEL = FOLDER / "model.joblib"
DESCRIPTION = FOLDER / "description.json"
METRICS = Path("reports/metrics.json")
PLOTS = Path("reports/plots")


class Description(Notes):
    """What was fitted, with which libraries and numeric settings, from what, and how it scored on each fold."""

    fitted: Fitted
    folds: list[float]
    python: str
    packages: dict[str, str]
    numeric: dict[str, str]
