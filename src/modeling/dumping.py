"""Writes a model so that its bytes depend on its values alone, not on which of its objects are one and the same.

A pickle writes an object once and refers to it wherever it is met again. Which objects those are depends on where the
parts of a model were fitted: the trees of a forest share the text 'gini' when they come from one process, and do not
when they come from the workers of a cluster. So each object is written as often as it is met, and only an object inside
of itself, as in a chain that is linked both ways, is referred to. Joblib reads such files as any others.
"""

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from joblib.numpy_pickle import NumpyPickler, Pickler
from sklearn.utils import Bunch


def dump(model: object, file: Path) -> None:
    """Write a model to a file."""
    with file.open("wb") as written:
        dump_into(written, model)


def dump_into(file: IO[bytes], model: object) -> None:
    """Write a model, or a part of one, to an open file."""
    ModelPickler(file).dump(model)


class ByValue(Pickler):  # type: ignore[misc]
    """Refers to an object only while it is being written."""

    count = 0  # of what the reader will remember

    def memoize(self, obj: object) -> None:
        """Let the reader remember an object under the next number, though most are forgotten here when written."""
        self.write(pickle.MEMOIZE)
        self.memo[id(obj)] = self.count, obj
        self.count += 1

    def save(self, obj: Any) -> None:
        """Write an object that is met."""
        is_inside_itself = id(obj) in self.memo
        super().save(padded(obj))
        if not is_inside_itself:
            self.memo.pop(id(obj), None)

    def reducer_override(self, obj: Any) -> Any:
        """Leave out of a Bunch which of its keys warn, since its own reader drops that."""
        if type(obj) is not Bunch:
            return NotImplemented
        make, arguments, _, *items = obj.__reduce_ex__(self.proto)
        return make, arguments, None, *items


class ModelPickler(ByValue, NumpyPickler):  # type: ignore[misc]
    """Joblib's pickler, which puts arrays of numbers beside the pickle."""

    def save(self, obj: Any) -> None:
        """Write an array of objects as joblib does, but by value too."""
        if type(obj) is not np.ndarray or not obj.dtype.hasobject:
            super().save(obj)
        else:
            Pickler.save(self, self._create_array_wrapper(obj))
            self.framer.commit_frame(force=True)
            ByValue(self.file_handle, protocol=5).dump(obj)


def padded(value: Any) -> Any:
    """A table with zeros between its columns, where memory may hold anything; any other value as it is."""
    if type(value) is not np.ndarray or value.dtype.names is None or value.dtype.hasobject:
        return value
    found = np.zeros(value.shape, value.dtype)
    for name in value.dtype.names:
        found[name] = value[name]
    return found
