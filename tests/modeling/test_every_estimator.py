"""Every estimator of scikit-learn is loaded again by the hardened reader, answers as before and is dumped as before."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import SparseCoder
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances
from tables import dumped

from modeling.unpickling import unpickle

RANDOM = np.random.default_rng(0)
NUMBERS = np.abs(RANDOM.normal(size=(60, 4)))
CLASSES, TWO = np.array([0, 1, 2] * 20), np.array([0, 1] * 30)
VALUES = NUMBERS @ np.arange(4.0) + RANDOM.normal(size=60)
TABLES: list[Any] = [NUMBERS, (NUMBERS > 0.5) * 1.0, NUMBERS[:, 0], NUMBERS @ NUMBERS.T]
TABLES += [["some words here", "words of others"] * 30, [{"a": 1.0, "b": 2}] * 60]
TARGETS = [CLASSES, TWO, VALUES, np.column_stack([TWO, 1 - TWO]), np.column_stack([VALUES, VALUES]), None]
METHODS = ("predict", "transform", "predict_proba", "decision_function", "score_samples")
LABELS = [CLASSES, [[0, 1], [2]] * 30]  # of what takes targets alone
RANDOM_ANSWERS = {"BernoulliRBM", "DummyClassifier"}  # drawn anew at each call
ESTIMATORS = dict(all_estimators())
# Searches keep arrays that hide values; a sparse matrix keeps what was found out about it.
NOT_BY_VALUE = {name for name in ESTIMATORS if name.endswith("SearchCV")} | {"SpectralEmbedding"}


def made(name: str) -> BaseEstimator:
    if name == "FrozenEstimator":
        return FrozenEstimator(LogisticRegression().fit(NUMBERS, CLASSES))
    if name == "SparseCoder":
        return SparseCoder(NUMBERS[:6])
    return next(iter(_construct_instances(ESTIMATORS[name])))


def fitted(name: str) -> tuple[BaseEstimator, Any]:
    """The estimator, fitted on the first table and target that it takes, and the table."""
    tried: list[tuple[Any, ...]] = [(table, target) for target in TARGETS for table in TABLES]
    for given in [*tried, *((labels,) for labels in LABELS)]:
        try:
            return made(name).fit(*given), given[0]
        except (ValueError, TypeError, AttributeError, IndexError, KeyError):
            continue
    pytest.fail(f"{name} takes none of these tables")


def answers(estimator: BaseEstimator, table: Any) -> dict[str, np.ndarray]:
    found = {}
    for method in METHODS:
        if hasattr(estimator, method):
            try:
                answer = getattr(estimator, method)(table)
            except (ValueError, TypeError, AttributeError):
                continue
            found[method] = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
    return found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_loads_again_and_answers_as_before(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator, table = fitted(name)
        content = dumped(estimator)
        loaded = unpickle(content)
        expected, found = (answers(one, table) for one in (estimator, unpickle(content)))

    assert expected.keys() == found.keys()
    assert (dumped(loaded) == content) == (name not in NOT_BY_VALUE)
    for method in expected.keys() if name not in RANDOM_ANSWERS else ():
        np.testing.assert_allclose(found[method], expected[method], rtol=1e-9, atol=1e-9)
