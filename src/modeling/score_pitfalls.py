"""What makes a score misleading, as far as the scores themselves show it.

Each rule is one comparison with a number that is written here, and its sentence has the numbers that were compared.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from record.notes import Pitfall

PERFECT = 0.999  # of scores of which 1 is the best
SURE = 2  # standard deviations, beyond which it is not noise, where too few folds leave an interval too wide
LOST = 0.5  # of what a model has learned beyond the baseline, that it may lose on rows that it did not learn from
FEW_ROWS = 30  # test rows, of which a share is known to within ±0.18
FEW_OF_CLASS = 5  # test rows of a class


@dataclass(frozen=True)
class Scores:
    """The main score of one model, by its scikit-learn name: higher is better, 1 is best, 0 if it begins with neg_."""

    name: str
    test: float
    folds: list[float]
    training: float  # on the rows that it learned from
    baseline: float


def score_pitfalls(scores: Scores, target: list[Any], task: str) -> Iterator[Pitfall]:
    """What a person should know before the score is believed; `target` is that of the test rows."""
    name, mean, gain = scores.name, fmean(scores.folds), fmean(scores.folds) - scores.baseline
    margin = min(margin_of(scores.folds), SURE * stdev(scores.folds))
    spread = max(scores.folds) - min(scores.folds)
    shown = f"{name} {mean:.3f} over {len(scores.folds)} folds"
    if is_perfect(scores):
        text = f"{shown} and {scores.test:.3f} on the test rows: look for a column that knows the target"
        yield Pitfall(name="perfect_score", column=None, text=text)
    if gain <= margin:
        text = f"{shown}, ± {margin:.3f}, is not above the baseline of {scores.baseline:.3f} beyond noise"
        yield Pitfall(name="not_above_baseline", column=None, text=text)
    elif spread > gain:
        lowest, highest = min(scores.folds), max(scores.folds)
        text = f"{name} is from {lowest:.3f} to {highest:.3f} over the folds, more than it is above the baseline"
        yield Pitfall(name="unstable_folds", column=None, text=text)
    lost, learned = scores.training - mean, scores.training - scores.baseline
    if lost > margin and lost > LOST * learned > 0:
        text = f"{shown}, but {scores.training:.3f} on the rows that it learned from: it mostly learns them by heart"
        yield Pitfall(name="overfit", column=None, text=text)
    if few := few_rows(target, task):
        yield Pitfall(name="few_test_rows", column=None, text=few)


def is_perfect(scores: Scores) -> bool:
    """Whether the score is as good as it can be, on the test rows as in the folds, and that of the baseline is not."""
    best = 0 if scores.name.startswith("neg_") else PERFECT
    return min(scores.test, fmean(scores.folds)) >= best > scores.baseline


def few_rows(target: list[Any], task: str) -> str | None:
    """Why there are too few test rows for a score to mean anything."""
    if len(target) < FEW_ROWS:
        return (
            f"{len(target)} test rows: a share of so few is known to within ±{0.98 / math.sqrt(len(target)):.2f} only"
        )
    rarest, rows = min(Counter(target).items(), key=lambda item: (item[1], str(item[0])))
    if task == "classification" and rows < FEW_OF_CLASS:
        return f"{rows} of {len(target)} test rows are of class {rarest!r}, too few to say how well it is recognised"
    return None


def margin_of(scores: list[float]) -> float:
    """Half the width of the 95 % interval of a mean over folds, or of a mean difference.

    Folds share training rows, so the variance is corrected as Nadeau and Bengio (2003) do: the test fold is
    1 / (count - 1) of the training rows.
    """
    from scipy.special import stdtrit  # noqa: PLC0415 - for those who only ask in passing, it takes long to load

    count = len(scores)
    return float(stdtrit(count - 1, 0.975)) * stdev(scores) * math.sqrt(1 / count + 1 / (count - 1))
