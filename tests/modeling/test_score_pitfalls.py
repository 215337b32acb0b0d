"""Each warning about a score is given where it is due, with its numbers, and not elsewhere."""

import math
import statistics
from typing import Any

import pytest

from modeling.score_pitfalls import Scores, margin_of, score_pitfalls

MANY = ["a", "b"] * 50
FOLDS = [0.88, 0.86, 0.9, 0.87, 0.89]


def found(target: list[Any] | None = None, task: str = "classification", **scores: Any) -> dict[str, str]:
    usual = {"name": "balanced_accuracy", "test": 0.88, "folds": FOLDS, "training": 0.9, "baseline": 0.5}
    return {p.name: p.text for p in score_pitfalls(Scores(**usual | scores), target or MANY, task)}


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"training": 1.0},  # as of every random forest
        {"test": 1.0},
        {"name": "r2", "baseline": -0.01},
        {"folds": [0.88, 0.97]},
        {"name": "positive_likelihood_ratio", "folds": [4.8, 4.0, 4.7], "test": 5.6, "training": 5.0, "baseline": 1.0},
        {"name": "neg_log_loss", "folds": [-0.2, -0.25, -0.22], "test": -0.3, "training": -0.15, "baseline": -0.69},
    ],
)
def test_an_honest_score_gets_no_warning(scores: dict[str, Any]) -> None:
    assert found(**scores) == {}


@pytest.mark.parametrize(
    ("scores", "name", "said"),
    [
        ({"test": 1.0, "folds": [1.0] * 5}, "perfect_score", "balanced_accuracy 1.000 over 5 folds and 1.000 on the"),
        (
            {"name": "neg_mean_squared_error", "test": 0.0, "folds": [0.0] * 3, "training": 0.0, "baseline": -4.0},
            "perfect_score",
            "look for a column that knows the target",
        ),
        (
            {"folds": [0.5, 0.56, 0.47, 0.53, 0.49], "training": 0.51},
            "not_above_baseline",
            "balanced_accuracy 0.510 over 5 folds, ± 0.066, is not above the baseline of 0.500 beyond noise",
        ),
        (
            {"folds": [0.7, 0.7, 0.7, 0.71, 0.7], "training": 1.0},
            "overfit",
            "0.702 over 5 folds, but 1.000 on the rows",
        ),
        (
            {"folds": [0.7, 0.74, 0.62, 0.86, 0.66]},
            "unstable_folds",
            "from 0.620 to 0.860 over the folds, more than it is above the baseline",
        ),
    ],
)
def test_a_doubtful_score_is_named_with_its_numbers(scores: dict[str, Any], name: str, said: str) -> None:
    (pair,) = found(**scores).items()

    assert pair[0] == name
    assert said in pair[1]


@pytest.mark.parametrize(
    ("target", "task", "said"),
    [
        (["a", "b"] * 6, "classification", "12 test rows: a share of so few is known to within ±0.28 only"),
        ([1.5] * 29, "regression", "29 test rows: "),
        (["a"] * 96 + ["b"] * 4, "classification", "4 of 100 test rows are of class 'b', too few to say how well"),
        (["a"] * 95 + ["b"] * 5, "classification", None),
        ([1.5] * 30, "regression", None),
    ],
)
def test_too_few_test_rows_are_counted(target: list[Any], task: str, said: str | None) -> None:
    text = found(target, task).get("few_test_rows")

    assert (text is None) if said is None else text is not None and text.startswith(said)


def test_the_margin_is_that_of_nadeau_and_bengio() -> None:
    assert margin_of(FOLDS) == pytest.approx(2.776445 * statistics.stdev(FOLDS) * math.sqrt(1 / 5 + 1 / 4))


def test_a_model_that_learned_nothing_does_not_know_it_by_heart() -> None:
    assert [*found(name="r2", folds=[-0.055, -0.06, -0.05], test=-0.03, training=-0.018, baseline=-0.001)] == [
        "not_above_baseline"
    ]
