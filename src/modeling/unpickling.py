"""Reads a fitted Pipeline from bytes that somebody else may have written.

A name in the file becomes an inert `Name`. A table says which names may be called and how, which classes may be made
empty and given a state, once, and which names may stay as values; whatever else is asked for is refused before it is
imported. This is hardening, not a sandbox: what it checks and what rests on trust is in docs/loading.md.
"""

import inspect
import pickle
import sys
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from joblib.numpy_pickle import NumpyArrayWrapper, NumpyUnpickler
from sklearn.base import BaseEstimator
from sklearn.tree._tree import Tree
from sklearn.utils import Bunch

from modeling import structures
from modeling.structures import ForbiddenError
from record.notes import MODEL
from record.parameters import modules_of_classes

SOURCES = Path(__file__).parent.parent
MOST_NESTED = 200  # lists in lists; models were seen to need 8
MOST_ARRAYS = 20  # arrays of objects in one another, which C frees without a limit; models were seen to need 2
MOST_IN_TUPLES = 1000  # values in a tuple of tuples, which C follows without a limit when it is hashed

# Classes that are made empty and then given their state, apart from estimators, which are found by their base class.
PLAIN = {
    "scipy.interpolate._bsplines": {"BSpline"},
    "scipy.sparse._csc": {"csc_array", "csc_matrix"},
    "scipy.sparse._csr": {"csr_array", "csr_matrix"},
    "sklearn.calibration": {"_CalibratedClassifier"},
    "sklearn.cluster._birch": {"_CFNode", "_CFSubcluster"},
    "sklearn.cluster._bisect_k_means": {"_BisectingTree"},
    "sklearn.ensemble._hist_gradient_boosting.predictor": {"TreePredictor"},
    "sklearn.gaussian_process._gpc": {"_BinaryGaussianProcessClassifierLaplace"},
    "sklearn.metrics._scorer": {"_CurveScorer", "_PassthroughScorer", "_Scorer"},
    "sklearn.model_selection._split": {"KFold", "ShuffleSplit", "StratifiedKFold", "StratifiedShuffleSplit"},
    "sklearn.utils._bunch": {"Bunch"},
    "sklearn.utils._metadata_requests": {"MetadataRequest", "MethodMetadataRequest"},
}
PLAIN_MODULES = (
    "sklearn._loss.link",
    "sklearn._loss.loss",
    "sklearn.gaussian_process.kernels",
    "sklearn.neural_network._stochastic_optimizers",
)
# What is called with numbers, or with a class of its own module.
COMPILED = ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast")
BY_NEW_OBJECT = ("sklearn.metrics._dist_metrics", "sklearn.neighbors._ball_tree", "sklearn.neighbors._kd_tree")
CONSTRUCTORS = ("newObj", "__pyx_unpickle_")  # how their Cython classes are made
CALLED = {
    "builtins": {"bytearray", "dict", "list", "slice"},
    "collections": {"OrderedDict", "defaultdict"},
    "functools": {"partial"},
    "joblib.numpy_pickle": {"NumpyArrayWrapper"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy.ma": {"MaskedArray"},
    "numpy.ma.core": {"MaskedArray", "_mareconstruct"},
    "numpy.random._mt19937": {"MT19937"},
    "numpy.random._pcg64": {"PCG64"},
    "numpy.random._pickle": {"__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"},
    "numpy.random.bit_generator": {"SeedSequence", "__pyx_unpickle_SeedSequence"},
    "sklearn.tree._tree": {"Tree"},
    "sklearn.utils.validation": {"check_array"},
}
# What a model keeps and calls later: each computes with numbers alone, whatever it is given.
VALUES = {
    "builtins": {"bool", "float", "int", "object", "str"},
    "numpy": {
        *("absolute", "cbrt", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "negative", "reciprocal"),
        *("sign", "sqrt", "square", "max", "mean", "median", "min"),
    },
    "scipy._lib.array_api_compat.numpy._aliases": {"asarray"},
    "sklearn.cluster._kmeans": {"_kmeans_single_elkan", "_kmeans_single_lloyd"},
    "sklearn.feature_selection._univariate_selection": {"chi2", "f_classif", "f_regression"},
}
SCORES = ("sklearn.metrics._classification", "sklearn.metrics._ranking", "sklearn.metrics._regression")
PLACED = (np.ma.MaskedArray, Tree)
BIT_GENERATOR = 4096  # bytes; what one takes in memory
KNOWN = {"joblib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "skrub"}  # to which the tables above apply
# Parts of scikit-learn and skrub that change the process when they are imported, or exist to be tested or to download.
NEVER = ("conftest", "datasets", "estimator_checks", "experimental", "externals", "test", "_test", "_mocking")
KEYS = (str, bytes, int, float, bool, type(None), np.generic)  # what is hashed
MOST_TUPLE_KEYS = 1000  # in a file


@dataclass(eq=False)
class Name:
    """What a file calls by a name: nothing, until a table says what may become of it."""

    module: str
    name: str

    def __str__(self) -> str:
        """As it is spelled."""
        return f"{self.module}.{self.name}"

    def found(self) -> Any:
        """What the name stands for."""
        return getattr(import_module(self.module), self.name)


@dataclass(eq=False)
class Header:
    """Stands before the bytes of an array, until its state says how long they are."""


@dataclass
class Reading:
    """What the reader of a file and the readers of the arrays inside of it know together."""

    file: IO[bytes]
    size: int  # bytes
    own: Callable[[str], bool]  # whether classes of a module of this repository may be made
    libraries: frozenset[str]
    fresh: dict[int, Any] = field(default_factory=dict)  # made, and not yet given a state
    built: list[Any] = field(default_factory=list)
    names: "weakref.WeakSet[Name]" = field(default_factory=weakref.WeakSet)
    taken: int = 0  # bytes of arrays and trees; one text of the file can be made into many
    keys: int = 0  # tuples that are hashed, which can be made to collide
    layers: dict[int, tuple[Any, int]] = field(default_factory=dict)  # of an array of objects, how many are below it

    def take(self, size: int) -> None:
        """Count what is made, which honest files make once and a second time as trees."""
        self.taken += size
        structures.require(self.taken <= 4 * self.size + 2**20, "more than its file does")


def refuse(what: object) -> NoReturn:
    """Refuse what no model is made of."""
    raise ForbiddenError(f"{MODEL}: asks for {what}, which a model is never made of; nothing was loaded")


def libraries_in(estimator: dict[str, Any], features: list[Any]) -> frozenset[str]:
    """The top modules of the classes that params.yaml names, nested ones too, that are of other libraries."""
    tops = modules_of_classes(estimator, features) - KNOWN - sys.stdlib_module_names
    return frozenset(top for top in tops if not ((SOURCES / top).exists() or (SOURCES / f"{top}.py").exists()))


def unpickle(
    content: bytes, libraries: frozenset[str] = frozenset(), own: Callable[[str], bool] = lambda _: False
) -> Any:
    """The object in a file of joblib, made of what models are made of.

    Of this repository's modules, `own` says whose classes may be made. Classes of `libraries`, whose own readers
    nothing here can check, are made for a package that is vouched for.

    Raises:
        ForbiddenError: it asks for something else
        Exception: whatever a broken file provokes
    """
    return ModelUnpickler(Reading(BytesIO(content), len(content), own, libraries)).load()


def check_loads(path: Path, libraries: frozenset[str] = frozenset()) -> None:
    """Refuse a new model that could not be loaded, before it is kept; classes of this repository may be new too."""
    advice = "choose another estimator or other steps in params.yaml"
    try:
        with path.open("rb") as file:
            ModelUnpickler(Reading(file, path.stat().st_size, is_ours, libraries)).load()
    except ForbiddenError as problem:
        raise ForbiddenError(*problem.lines, f"this model could not be loaded from its package; {advice}") from None
    except Exception as error:
        raise ForbiddenError(f"{MODEL}: could not be loaded from its package: {error}; {advice}") from error


class ModelUnpickler(NumpyUnpickler):  # type: ignore[misc]
    """Builds what a fitted Pipeline is made of, and nothing else, whatever the file asks for."""

    dispatch = dict(NumpyUnpickler.dispatch)  # noqa: RUF012 - joblib's own

    def __init__(self, reading: Reading, level: int = 0) -> None:
        super().__init__("", reading.file, ensure_native_byte_order=True)
        self.reading = reading
        self.level = level  # 0 for the file, and one more for each array of objects around
        self.tuples: dict[int, tuple[Any, int]] = {}  # of tuples of tuples, how many values are in them

    def load(self) -> Any:
        """The whole object, of which each part was checked.

        A name that is still referred to when the reader has forgotten all it read is one that the object keeps.
        """
        structures.require(self.level < MOST_ARRAYS, "arrays in arrays")
        found = super().load()
        self.memo.clear()
        self.stack.clear()
        self.metastack.clear()
        self.tuples.clear()
        if self.level == 0:
            self.check_whole()
        return found

    def check_whole(self) -> None:
        """Refuse kept names, and structures that were never given a state or do not fit together."""
        for kept in list(self.reading.names):
            refuse(f"{kept} as a value")
        for made in self.reading.fresh.values():
            structures.require(type(made).__module__ not in ("sklearn.tree._tree", *BY_NEW_OBJECT), "an empty tree")
        for made in [*self.reading.built, *self.reading.fresh.values()]:
            structures.check(made)

    def find_class(self, module: str, name: str) -> Any:
        """A value, if a model may keep it, or a name that does nothing by itself."""
        if not (self.is_foreign(module) or is_allowed(module, name, self.reading.own)):
            raise ForbiddenError(*why_not(module, name, self.reading.own))
        named = Name(module, name)
        if is_value(module, name):
            return named.found()
        self.reading.names.add(named)
        return named

    def is_foreign(self, module: str) -> bool:
        """Whether a module is of a library that the vouched manifest names."""
        return module.partition(".")[0] in self.reading.libraries

    # ── what is made ───────────────────────────────────────────────────────────────────────────────────────────────

    def make(self, made: Any) -> None:
        """Put a new object on the stack; it may be given a state once."""
        self.reading.fresh[id(made)] = made
        self.append(made)

    def settled(self, value: Any, kind: type) -> Any:
        """A value that no later state changes, since memory may depend on it."""
        is_settled = id(value) not in self.reading.fresh
        structures.require(isinstance(value, kind) and is_settled, f"an unfinished {kind.__name__}")
        return value

    def load_newobj(self) -> None:
        """An empty object of a class that is given its state later."""
        arguments, named = self.stack.pop(), self.stack.pop()
        if not isinstance(named, Name) or arguments != ():
            refuse("an object that is not made empty")
        if str(named) == "joblib.numpy_pickle.NumpyArrayWrapper":
            return self.make(Header())
        is_known = is_plain(named.module, named.name) or is_estimator(named.module, named.name, self.reading.own)
        if not (is_known or self.is_foreign(named.module)):
            refuse(f"{named} made empty")
        cls = named.found()
        return self.make(cls.__new__(cls))

    def load_reduce(self) -> None:
        """What a call returns, of the few that are known."""
        arguments, named = self.stack.pop(), self.stack.pop()
        if not isinstance(named, Name) or type(arguments) is not tuple:
            refuse(f"a call of a {type(named).__name__}")
        made = self.call(named, *arguments)
        if isinstance(made, (slice, np.generic, np.random.Generator)) or named.name == "_frombuffer":
            self.append(made)
        else:
            self.make(made)

    def call(self, named: Name, *arguments: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - a table
        """Call a name with arguments of its kind."""
        match (str(named), *arguments):
            case ["builtins.slice", *parts] if all(part is None or type(part) is int for part in parts):
                return slice(*parts)
            case ["collections.OrderedDict"]:
                return named.found()()
            case ["collections.defaultdict", Name(name="OrderedDict" | "dict" | "list") as kind]:
                return named.found()(kind.found())
            case ["builtins.bytearray", bytes(data)]:
                self.reading.take(len(data))
                return bytearray(data)
            case ["numpy.dtype", str(text), False, True] if structures.PLAIN_DTYPE.fullmatch(text):
                return np.dtype(text, align=False, copy=True)
            case ["numpy._core.multiarray._reconstruct", Name(name="ndarray"), (0,), b"b"]:
                return np.ndarray((0,), "b")
            case ["numpy.ma.core._mareconstruct", Name(name="MaskedArray"), Name(name="ndarray"), (0,), b"b" | "b"]:
                return named.found()(np.ma.MaskedArray, np.ndarray, (0,), "b")
            case ["numpy._core.multiarray.scalar", dtype, bytes(data)]:
                structures.check_array_state((), self.settled(dtype, np.dtype), data)
                self.reading.take(len(data))
                return named.found()(dtype, data)
            case ["numpy._core.numeric._frombuffer", bytes() | bytearray() as data, dtype, shape, "C" | "F" as order]:
                structures.check_array_state(shape, self.settled(dtype, np.dtype), bytes(data))
                return named.found()(data, dtype, shape, order)
            case ["numpy.random._pickle.__bit_generator_ctor", Name(name="MT19937" | "PCG64") as kind]:
                self.reading.take(BIT_GENERATOR)
                return kind.found()()
            case ["numpy.random._pickle.__generator_ctor" | "numpy.random._pickle.__randomstate_ctor", bits]:
                return named.found()(self.settled(bits, np.random.BitGenerator))
            case ["numpy.random.bit_generator.__pyx_unpickle_SeedSequence", Name() as kind, int(check), None]:
                return named.found()(kind.found(), check, None)
            case ["functools.partial", Name(name="check_array") as function]:  # of HistGradientBoosting's categories
                return partial(function.found())
            case ["sklearn.tree._tree.Tree", n_features, n_classes, n_outputs]:
                structures.check_tree_arguments(n_features, self.settled(n_classes, np.ndarray), n_outputs)
                return named.found()(n_features, n_classes, n_outputs)
        return self.call_compiled(named, *arguments)

    def call_compiled(self, named: Name, *arguments: Any) -> Any:
        """Make an object of a Cython class of numbers."""
        first = arguments[0] if arguments else None
        if isinstance(first, Name) and first.module == named.module and not first.name.startswith(CONSTRUCTORS):
            if named.module in BY_NEW_OBJECT and named.name == "newObj" and len(arguments) == 1:
                return named.found()(first.found())
            if named.module in COMPILED and named.name.startswith("__pyx_unpickle_") and arguments[2:] in {(), ((),)}:
                return named.found()(first.found(), *arguments[1:])
        numbers = all(type(value) in (int, float) for value in arguments)
        if named.module in COMPILED and not named.name.startswith(CONSTRUCTORS) and numbers:
            return named.found()(*arguments)
        return refuse(f"a call of {named}")

    # ── what is given a state ──────────────────────────────────────────────────────────────────────────────────────

    def load_build(self) -> None:
        """Give an object that was just made its state."""
        state, made = self.stack.pop(), self.stack[-1]
        if self.reading.fresh.get(id(made)) is not made:
            refuse(f"another state of {type(made).__name__}")
        if isinstance(made, Header):
            self.stack[-1] = self.read_array(**state)
        elif isinstance(made, np.dtype):
            structures.dtype_of(made.str.lstrip("<>|=") if made.kind not in "mM" else made.kind + "8", state)
            made.__setstate__(state)  # type: ignore[attr-defined]
        elif type(made).__module__ in (*CALLED, *BY_NEW_OBJECT, "numpy.random.mtrand"):
            self.set_compiled(made, state)
        elif self.is_foreign(type(made).__module__):
            set_any_state(made, state)
        else:
            set_attributes(made, state)
        del self.reading.fresh[id(made)]
        self.reading.built.append(made)

    def set_compiled(self, made: Any, state: Any) -> None:
        """Give a compiled object its state, once its indices are in bounds and no part of it can change."""
        for part in state.values() if isinstance(state, dict) else state:
            structures.require(id(part) not in self.reading.fresh, "a part that is not finished")
            self.reading.take(part.nbytes if isinstance(part, np.ndarray) else len(part) if type(part) is bytes else 0)
        match type(made).__name__:
            case "ndarray":
                structures.check_array_state(state[1], self.settled(state[2], np.dtype), state[4])
                self.check_layers(made, state[4])
            case "MaskedArray":
                structures.check_array_state(state[1], self.settled(state[2], np.dtype), state[4])
                structures.check_array_state(state[1], np.dtype(bool), state[5])
                structures.require(state[2].names is None and state[6] is None, "a masked table, or filling")
                self.check_layers(made, state[4])
            case "Tree":
                structures.check_tree_state(made, state)
            case "KDTree" | "BallTree":
                structures.check_neighbours(made, state)
            case "RandomState" | "MT19937" | "PCG64":
                structures.check_words(state if isinstance(state, dict) else state[0])
            case "SeedSequence":
                pass
            case "partial":
                structures.require(isinstance(state[0], Name) and state[0].name == "check_array", "another function")
                structures.require(state[1] == () and type(state[2]) is dict and not state[3], "arguments")
                state = (made.func, (), state[2], {})
            case name:
                structures.check_metric_state(name, state)
        made.__setstate__(state)

    def check_layers(self, made: Any, items: Any) -> None:
        """Arrays of objects are finished before they are put into another, and not in one another without end."""
        if type(items) is list:
            inner = [id(item) for item in items if isinstance(item, np.ndarray)]
            structures.require(self.reading.fresh.keys().isdisjoint(inner), "a part that is not finished")
            deepest = max((self.reading.layers[item][1] for item in inner if item in self.reading.layers), default=0)
            structures.require(deepest < MOST_ARRAYS, "arrays in arrays")
            self.reading.layers[id(made)] = made, deepest + 1

    def read_array(self, subclass: Any, shape: Any, order: str, dtype: Any, **how: Any) -> Any:
        """The array behind a header: as many bytes as there are, or objects that are read by the same rules."""
        align = how.get("numpy_array_alignment_bytes")
        named = isinstance(subclass, Name) and str(subclass) == "numpy.ndarray"
        structures.require(named and order in ("C", "F") and align in (None, 16), "an array of another kind")
        size = structures.size_of(shape, self.settled(dtype, np.dtype))
        if dtype == np.dtype(object):
            found = ModelUnpickler(self.reading, self.level + 1).load()
            structures.require(type(found) is np.ndarray and found.shape == shape, "objects of another shape")
            return found
        left = self.reading.size - self.file_handle.tell()
        structures.require(not dtype.hasobject and size <= left, "more than the file holds")
        self.reading.take(size)
        wrapper = NumpyArrayWrapper(np.ndarray, shape, order, dtype, numpy_array_alignment_bytes=align)
        found = wrapper.read_array(self, ensure_native_byte_order=True)
        structures.check_values(found)
        return found

    # ── containers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def load_mark(self) -> None:
        """Begin a container."""
        structures.require(len(self.metastack) < MOST_NESTED, "nesting without end")
        super().load_mark()

    def push_tuple(self, items: Iterable[Any]) -> None:
        """A tuple, and how many values are in it when its tuples are followed."""
        made = tuple(parts(items))
        inner = [self.tuples[id(item)][1] if id(item) in self.tuples else 1 for item in made if type(item) is tuple]
        if inner:
            self.tuples[id(made)] = made, 1 + sum(inner)
            structures.require(1 + sum(inner) <= MOST_IN_TUPLES, "tuples without end")
        self.append(made)

    def load_tuple(self) -> None:
        """A tuple of all since the mark."""
        self.push_tuple(self.pop_mark())

    def load_short_tuple(self, length: int) -> None:
        """A tuple of the last values."""
        items = self.stack[-length:]
        del self.stack[-length:]
        self.push_tuple(items)

    def load_appends(self) -> None:
        """Add to a list."""
        items = self.pop_mark()
        self.fill(list).extend(parts(items))

    def load_append(self) -> None:
        """Add a value to a list."""
        value = self.stack.pop()
        self.fill(list).extend(parts([value]))

    def load_setitems(self) -> None:
        """Add to a dictionary."""
        items = self.pop_mark()
        self.fill_dictionary(items[::2], items[1::2])

    def load_setitem(self) -> None:
        """Add a value to a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        self.fill_dictionary([key], [value])

    def fill_dictionary(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Add to a dictionary."""
        filled = self.fill(dict)
        parts(value for key, value in zip(keys, values, strict=True) if not has_place(key, value))
        if type(filled) is defaultdict:
            structures.require(all(type(value) in (dict, list, OrderedDict) for value in values), "another default")
        filled.update(zip(map(self.hashable, keys), values, strict=True))

    def hashable(self, key: Any) -> Any:
        """A key whose hash runs no code but Python's and NumPy's, and which is not one of many of the same hash."""
        self.reading.keys += type(key) is tuple
        structures.require(is_key(key) and self.reading.keys <= MOST_TUPLE_KEYS, f"a key of type {type(key).__name__}")
        return key

    def load_additems(self) -> None:
        """Add to a set."""
        items = self.pop_mark()
        self.fill(set).update(map(self.hashable, items))

    def load_frozenset(self) -> None:
        """A set that does not change."""
        items = self.pop_mark()  # which changes what `append` appends to
        self.append(frozenset(map(self.hashable, items)))

    def fill(self, kind: type) -> Any:
        """The container that is filled: a plain one, or a dictionary of the kinds that models have."""
        found = self.stack[-1]
        if type(found) is not kind and not (kind is dict and isinstance(found, (Bunch, OrderedDict, defaultdict))):
            refuse(f"a {type(found).__name__} filled as a {kind.__name__}")
        return found

    def load_bytearray8(self) -> None:
        """Bytes, as many as there are."""
        self.load_binbytes8()
        self.reading.take(len(self.stack[-1]))
        self.stack[-1] = bytearray(self.stack[-1])

    def get_extension(self, code: int) -> None:
        """Refuse a code that stands for a name."""
        refuse(f"the extension {code}")

    def refuse_opcode(self) -> NoReturn:
        """Refuse ways to make objects that no model was written with."""
        refuse("an object made another way")

    def _instantiate(self, *_: Any) -> NoReturn:
        self.refuse_opcode()


OVERRIDDEN = "MARK TUPLE APPEND APPENDS SETITEM SETITEMS ADDITEMS FROZENSET BYTEARRAY8 BUILD NEWOBJ REDUCE"
for code in OVERRIDDEN.split():
    ModelUnpickler.dispatch[getattr(pickle, code)[0]] = getattr(ModelUnpickler, f"load_{code.lower()}")
for length, code in enumerate(("TUPLE1", "TUPLE2", "TUPLE3"), start=1):
    ModelUnpickler.dispatch[getattr(pickle, code)[0]] = lambda self, length=length: self.load_short_tuple(length)
for code in ("DICT", "NEWOBJ_EX", "READONLY_BUFFER", "NEXT_BUFFER"):
    ModelUnpickler.dispatch[getattr(pickle, code)[0]] = ModelUnpickler.refuse_opcode


def parts(items: Iterable[Any]) -> Sequence[Any]:
    """What a container is made of: nothing that has one place, where alone it is checked."""
    found = items if isinstance(items, list) else list(items)
    structures.require(not any(isinstance(each, PLACED) for each in found), "something out of its place")
    return found


def has_place(key: Any, value: Any) -> bool:
    """Whether this is the one place of a masked array, whose values are hidden, or of a tree, which checks no width."""
    if isinstance(value, np.ma.MaskedArray):
        return type(key) is str and key.startswith("param_")  # what a search keeps of its parameters
    return isinstance(value, Tree) and key == "tree_"


def is_key(key: Any) -> bool:
    """Whether a value is text, a number of 64 bits, or a tuple of such."""
    if type(key) is tuple:
        return all(map(is_key, key))
    return isinstance(key, KEYS) and not (isinstance(key, int) and not -(2**63) <= key < 2**63)


@lru_cache(maxsize=10_000)
def is_defined(cls: type, key: str) -> bool:
    """Whether a class has a method, a property or a table of this name, rather than a plain default."""
    found = next((vars(each)[key] for each in cls.__mro__ if key in vars(each)), None)
    return callable(found) or isinstance(found, dict) or hasattr(type(found), "__get__")


def set_any_state(made: Any, state: Any) -> None:
    """Give an object of a trusted library its state, in its own way."""
    if hasattr(type(made), "__setstate__"):
        made.__setstate__(state)
    else:
        vars(made).update(state)


def set_attributes(made: Any, state: Any) -> None:
    """Give an object its attributes, none of which takes the place of what its class defines."""
    structures.require(type(state) is dict, f"a state of {type(made).__name__} that is not a dictionary")
    for key in state:
        if type(key) is not str or key.startswith("__") or is_defined(type(made), key):  # type: ignore[arg-type]
            refuse(f"{type(made).__name__}.{key if type(key) is str else type(key).__name__} of another kind")
    structures.check_thresholds(state)
    set_any_state(made, state)


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_allowed(module: str, name: str, own: Callable[[str], bool]) -> bool:
    """Whether a model may be made of what a module calls by this name."""
    if "." in name or is_never_imported(module):  # a path through what a module happens to import
        return False
    if name in CALLED.get(module, ()) or is_value(module, name) or is_plain(module, name):
        return True
    if module in (*COMPILED, *BY_NEW_OBJECT):
        return name.startswith(CONSTRUCTORS) or (_is_class_of(module, name) and "PyFunc" not in name)
    return is_estimator(module, name, own)


def is_never_imported(module: str) -> bool:
    """Whether it is a part of scikit-learn or skrub that no model needs."""
    package, *parts = module.split(".")
    return package in ("sklearn", "skrub") and any(part.startswith(NEVER) for part in parts)


def is_value(module: str, name: str) -> bool:
    """Whether a model may keep it as a value, and call it."""
    if name in VALUES.get(module, ()):
        return True
    if module in SCORES:
        found = getattr(import_module(module), name, None)
        return name.endswith(("_score", "_error", "_loss")) and getattr(found, "__module__", None) == module
    found = getattr(np, name, None) if module == "numpy" else None
    return inspect.isclass(found) and issubclass(found, np.generic) and not issubclass(found, np.void)


def is_plain(module: str, name: str) -> bool:
    """Whether it is a class, not of an estimator, that is made empty and given its attributes."""
    return name in PLAIN.get(module, ()) or (module in PLAIN_MODULES and _is_class_of(module, name))


def is_estimator(module: str, name: str, own: Callable[[str], bool]) -> bool:
    """Whether it is a class of an estimator of scikit-learn, of skrub, or of committed code of this repository."""
    if not module.startswith(("sklearn.", "skrub.")) and not own(module):
        return False
    return _is_class_of(module, name) and issubclass(getattr(import_module(module), name), BaseEstimator)


def _is_class_of(module: str, name: str) -> bool:
    """Whether it is a class that the module itself defines, not one that it imported from elsewhere."""
    found = getattr(import_module(module), name, None)
    return inspect.isclass(found) and found.__module__ == module


def why_not(module: str, name: str, own: Callable[[str], bool]) -> list[str]:
    """Why a model may not be made of what is in a module, and what to do about it."""
    file, asks = file_of(module), f"{MODEL}: asks for {module}.{name}"
    if file is None or own(module):
        return [f"{asks}, which a model is never made of; nothing was loaded"]
    return [f"{asks}, and src/{file} is not committed as it is", f"review it, then git add src/{file} && git commit"]


def file_of(module: str) -> str | None:
    """The file of a module of this repository, below src/."""
    file = f"{module.replace('.', '/')}.py"
    return file if all(map(str.isidentifier, module.split("."))) and (SOURCES / file).is_file() else None


def is_ours(module: str) -> bool:
    """Whether a module is code of this repository, committed or not."""
    return file_of(module) is not None
