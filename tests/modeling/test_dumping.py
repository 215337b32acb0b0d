"""A model's bytes depend on its values, and joblib reads them."""

import copy
import pickle
from io import BytesIO
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from tables import dumped

NUMBERS = np.random.default_rng(0).normal(size=(60, 4))
CLASSES = np.array(["red", "green", "blue"] * 20, dtype=object)
TEXT = "a text"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([TEXT, TEXT], [TEXT, "".join(TEXT)]),
        ({TEXT: [TEXT]}, {TEXT: ["".join(TEXT)]}),
        ([[1.5]] * 2, [[1.5], [1.5]]),
        ([NUMBERS] * 2, [NUMBERS, NUMBERS.copy()]),
        (np.array([TEXT, TEXT], dtype=object), np.array([TEXT, "".join(TEXT)], dtype=object)),
        ([np.random.RandomState(0)] * 2, [np.random.RandomState(0), np.random.RandomState(0)]),
    ],
    ids=["texts", "a key and a value", "lists", "arrays", "an array of objects", "random states"],
)
def test_shared_objects_are_written_as_equal_ones(one: Any, other: Any) -> None:
    assert dumped(one) == dumped(other)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(5, random_state=0),
        VotingClassifier([("near", KNeighborsClassifier()), ("tree", DecisionTreeClassifier(random_state=0))]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_model_that_came_from_another_process_is_written_as_one_that_did_not(model: Any) -> None:
    model.fit(NUMBERS, CLASSES)
    there_and_back = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own

    assert dumped(there_and_back) == dumped(copy.deepcopy(model)) == dumped(model)


def test_what_lies_between_the_columns_of_an_array_is_not_written() -> None:
    kind = np.dtype([("flag", "u1"), ("number", "f8")], align=True)
    clean, dirty = np.zeros(3, kind), np.full(3 * kind.itemsize, 85, "u1").view(kind)
    for name in kind.names or ():
        dirty[name] = 0

    assert clean.tobytes() != dirty.tobytes()
    assert dumped(clean) == dumped(dirty)
    assert dumped(np.array([clean, None], dtype=object)) == dumped(np.array([dirty, None], dtype=object))


def test_what_is_inside_of_itself_is_read_again() -> None:
    chain: dict[str, Any] = {"next": {"numbers": NUMBERS}}
    chain["next"]["previous"] = chain
    read = joblib.load(BytesIO(dumped([chain, chain])))

    assert read[0]["next"]["previous"] is read[0]
    assert read[1]["next"]["previous"] is read[1] is not read[0]
    np.testing.assert_array_equal(read[1]["next"]["numbers"], NUMBERS)
