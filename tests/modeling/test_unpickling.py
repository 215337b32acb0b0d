"""Models behind right checksums that attack who loads them, by kind; each batch is loaded in a process of its own."""

# ruff: noqa: E501, FBT003, SLF001 - a crafted model is a row of a table, and what it changes is private

import copyreg
import io
import json
import pickle
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from projects import CHECKOUT
from scipy.interpolate import BSpline
from scipy.sparse import csr_matrix
from sklearn._loss.loss import HalfBinomialLoss
from sklearn.cluster import Birch, BisectingKMeans, KMeans
from sklearn.cluster._kmeans import _kmeans_single_lloyd
from sklearn.decomposition import NMF
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MultiLabelBinarizer,
    OneHotEncoder,
    SplineTransformer,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeRegressor
from sklearn.tree._tree import Tree
from tables import dumped

from modeling.dumping import dump
from modeling.unpickling import ForbiddenError, check_loads, unpickle

ROWS = np.random.default_rng(0).uniform(size=(40, 3))
NUMBERS = ROWS[:, 0]
CLASSES = (NUMBERS > 0.5).astype(int)


# ── a small assembler ──────────────────────────────────────────────────────────────────────────────────────────────


def plain(value: Any) -> bytes:
    """The opcodes of a plain value, which remember nothing."""
    content = io.BytesIO()
    pickler = pickle.Pickler(content, 3)
    pickler.fast = True
    pickler.dump(value)
    return content.getvalue()[2:-1]


def name(dotted: str) -> bytes:
    module, _, last = dotted.partition(":")
    return f"c{module}\n{last}\n".encode()


def called(dotted: str, *arguments: bytes) -> bytes:
    return name(dotted) + b"(" + b"".join(arguments) + b"tR"


def empty(dotted: str) -> bytes:
    return name(dotted) + b")\x81"


def stated(made: bytes, state: bytes) -> bytes:
    return made + state + b"b"


def having(dotted: str, **attributes: bytes) -> bytes:
    return stated(empty(dotted), b"}(" + b"".join(plain(key) + value for key, value in attributes.items()) + b"u")


def whole(opcodes: bytes) -> bytes:
    return b"\x80\x04" + opcodes + b"."


def inside_of_an_array(opcodes: bytes) -> bytes:
    """joblib keeps an array of objects as a pickle of its own."""
    outer = dumped(np.array([None], dtype=object))
    inner = outer.rindex(b"\x80\x05")
    return outer[:inner] + whole(opcodes) + outer[inner:].partition(b".")[2]


def forged(model: Any, kind: type, change: Callable[[Any], Any]) -> bytes:
    """A fitted model in which the state of each object of a kind is changed."""

    def reduced(made: Any) -> tuple[Any, ...]:
        function, arguments, state, *_ = made.__reduce_ex__(2)
        if kind is Tree:
            function, arguments, state = made.__reduce__()
        state = dict(state) if isinstance(state, dict) else list(state)
        change(state)
        return function, arguments, state if isinstance(state, dict) else tuple(state)

    content = io.BytesIO()
    pickler = joblib.numpy_pickle.NumpyPickler(content)
    pickler.dispatch_table = copyreg.dispatch_table | {kind: reduced}
    pickler.dump(model)
    return content.getvalue()


def changed(model: Any, **attributes: Any) -> bytes:
    vars(model).update(attributes)
    return dumped(model)


def at(key: Any, field: str, value: Any, *, row: int = 0) -> Callable[[Any], None]:
    def change(state: Any) -> None:
        state[key] = state[key].copy()
        state[key][field][row] = value

    return change


def put(key: Any, value: Any) -> Callable[[Any], None]:
    return lambda state: state.__setitem__(key, value)


# ── the kinds ──────────────────────────────────────────────────────────────────────────────────────────────────────

ATTACKED = [
    *("sklearn.linear_model._ridge:Ridge", "sklearn.pipeline:Pipeline", "sklearn.model_selection._split:KFold"),
    *("scipy.sparse._csr:csr_matrix", "scipy.interpolate._bsplines:BSpline", "sklearn.utils._bunch:Bunch"),
    *("joblib.numpy_pickle:NumpyArrayWrapper", "sklearn.gaussian_process.kernels:RBF", "sklearn._loss.link:LogLink"),
    *("sklearn.ensemble._hist_gradient_boosting.predictor:TreePredictor", "sklearn.calibration:_CalibratedClassifier"),
    *("sklearn.feature_selection._univariate_selection:f_classif", "sklearn.metrics._scorer:_Scorer"),
]
RIDGE, SCALER = "sklearn.linear_model._ridge:Ridge", "sklearn.preprocessing._function_transformer:FunctionTransformer"
STACK = "sklearn.ensemble._stacking:StackingClassifier"
TEXT = "sklearn.feature_extraction.text:"
STATE = plain({"predict": 1, "f": 2})
OBJECTS = stated(
    called("numpy:dtype", plain("O8"), plain(False), plain(True)), plain((3, "|", None, None, None, -1, -1, 63))
)
FLOATS = stated(
    called("numpy:dtype", plain("f8"), plain(False), plain(True)), plain((3, "<", None, None, None, -1, -1, 0))
)
ARRAY = called("numpy._core.multiarray:_reconstruct", name("numpy:ndarray"), plain((0,)), plain(b"b"))


def array_of(shape: Any, dtype: bytes, data: bytes) -> bytes:
    return stated(ARRAY, b"(" + plain(1) + plain(shape) + dtype + plain(False) + data + b"t")


def header(shape: Any, dtype: bytes, order: str = "C") -> bytes:
    attributes = {"subclass": name("numpy:ndarray"), "shape": plain(shape), "order": plain(order), "dtype": dtype}
    return having("joblib.numpy_pickle:NumpyArrayWrapper", **attributes)


def lying(text: str, *state: Any) -> bytes:
    return stated(called("numpy:dtype", plain(text), plain(False), plain(True)), plain(state))


DEEP = b")" + b"\x85" * 200_000
WIDE = b")" + b"2\x86" * 60
KINDS: dict[str, dict[str, bytes]] = {
    "a class is given a state": {
        **{dotted: whole(stated(name(dotted), STATE)) for dotted in ATTACKED},
        **{f"{dotted} in an array": inside_of_an_array(stated(name(dotted), STATE)) for dotted in ATTACKED},
        "numpy.float64": whole(stated(name("numpy:float64"), STATE)),
        "slots": whole(stated(name(RIDGE), b"N" + STATE + b"\x86")),
        "its __dict__": whole(stated(name(RIDGE), plain({"__dict__": {}}))),
    },
    "a state comes twice": {
        "an estimator": whole(stated(having(RIDGE, alpha=plain(1)), STATE)),
        "an array": whole(stated(array_of((1,), FLOATS, plain(b"\0" * 8)), plain((1, (2,), None, False, b"")))),
        "a dtype": whole(stated(FLOATS, plain((3, "<", None, None, None, -1, -1, 0)))),
        "a list": whole(stated(b"]", STATE)),
        "a dictionary": whole(stated(b"}", STATE)),
        "a number": whole(stated(plain(1), STATE)),
    },
    "a call": {
        **{dotted: whole(called(dotted, plain("x"))) for dotted in ATTACKED},
        "a ufunc": whole(called("numpy:log", plain(1.0))),
        "numpy.ndarray": whole(called("numpy:ndarray", plain((4,)), OBJECTS, plain(b"\1" * 32))),
        "OBJ": whole(b"(" + name(RIDGE) + b"o"),
        "INST": whole(b"(isklearn.linear_model._ridge\nRidge\n"),
        "NEWOBJ_EX": whole(name(RIDGE) + b")}\x92"),
        "arguments of NEWOBJ": whole(name(RIDGE) + plain((1,)) + b"\x81"),
        "an empty Tree": whole(empty("sklearn.tree._tree:Tree")),
        "a Tree without nodes": whole(called("sklearn.tree._tree:Tree", plain(3), array_of((1,), lying("i8", 3, "<", None, None, None, -1, -1, 0), plain(b"\1" + b"\0" * 7)), plain(1))),
        "neighbours of nothing": whole(called("sklearn.neighbors._kd_tree:newObj", name("sklearn.neighbors._kd_tree:KDTree"))),
        "neighbours of Python": whole(called("sklearn.metrics._dist_metrics:newObj", name("sklearn.metrics._dist_metrics:PyFuncDistance64"))),
        "a range": whole(called("builtins:range", plain(2**30))),
        "a bytearray": whole(called("builtins:bytearray", plain(2**40))),
    },
    "a value that is called later": {
        **{dotted: whole(having(SCALER, func=name(dotted))) for dotted in [*ATTACKED[:5], "numpy:ndarray", "numpy:dtype", "sklearn.tree._tree:Tree", "sklearn.neighbors._kd_tree:newObj", "numpy._core.numeric:_frombuffer", "sklearn.utils.validation:check_array", "functools:partial"]},
        "in a list": whole(having(RIDGE, alpha=b"]" + name("numpy:ndarray") + b"a")),
        "in a function": whole(stated(called("functools:partial", name("sklearn.utils.validation:check_array")), b"(" + name("numpy:ndarray") + b")}Nt")),
        **{method: whole(having(STACK, stack_method_=plain([method]))) for method in ("tofile", "eval", "dump", "to_pickle")},
        "filled later": whole(having(STACK, stack_method_=b"]q\1") + b"0h\1" + plain("tofile") + b"a0" + having(STACK, stack_method_=b"h\1")),
        **{f"shadowed {key}": whole(having(RIDGE, **{key: plain(1)})) for key in ("predict", "fit", "__class__", "__sklearn_tags__", "_parameter_constraints", "__dict__", "_repr_html_")},
        "keys that are no text": whole(stated(empty(RIDGE), b"}" + plain(1) + plain(1) + b"s")),
    },
    "a reader of files": {
        f"{each} of a {kind}": whole(having(TEXT + each, input=plain(kind)))
        for each in ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer")
        for kind in ("file", "filename")
    },
    "bytes that are objects": {
        "an array": whole(array_of((4,), OBJECTS, plain(b"\1" * 32))),
        "a buffer": whole(called("numpy._core.numeric:_frombuffer", plain(b"\1" * 32), OBJECTS, plain((4,)), plain("C"))),
        "a scalar": whole(called("numpy._core.multiarray:scalar", OBJECTS, plain(b"\1" * 8))),
        "hidden ones": whole(array_of((1,), lying("V8", 3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0), plain(b"\1" * 8))),
        "a dtype that lies": whole(lying("f8", 3, "<", None, None, None, -1, -1, 63)),
        "a dtype of another size": whole(lying("V8", 3, "|", None, None, None, 2**40, 1, 0)),
        "a dtype of arrays": whole(lying("V8", 3, "|", (np.dtype("f8"), (9,)), None, None, 8, 1, 0)),
        "a dtype by a list": whole(lying("f8,O", 3, "|", None, None, None, -1, -1, 0)),
        "a dtype used before its state": whole(header((1,), called("numpy:dtype", plain("V8"), plain(False), plain(True)))),
        "an array too short": whole(array_of((4,), FLOATS, plain(b"\0" * 8))),
        "a negative shape": whole(array_of((-1, -8), FLOATS, plain(b"\0" * 64))),
        "a header of more": whole(header((2**40,), FLOATS)),
        "a header of an empty type": whole(header((2**60,), lying("V0", 3, "|", None, None, None, 0, 1, 0))),
        "a header of a negative shape": whole(header((-1,), FLOATS)),
        "a random state beyond its words": forged(np.random.RandomState(0), np.random.MT19937, lambda state: state[0]["state"].update(pos=10**6)),
    },
    "nesting and sizes": {
        "a deep key": whole(b"}" + DEEP + b"Ns"),
        "a deep member": whole(b"\x8f(" + DEEP + b"\x90"),
        "a deep frozen member": whole(b"(" + DEEP + b"\x91"),
        "a wide key": whole(b"}" + WIDE + b"Ns"),
        "marks": whole(b"(" * 200_000 + b"t" * 200_000),
        "lists as sets": whole(empty("sklearn.utils._bunch:Bunch") + b"(" + plain("a") + b"\x90"),
        "many bytes": whole(b"\x96" + (2**50).to_bytes(8, "little")),
        "many more bytes": whole(b"\x8e" + (2**50).to_bytes(8, "little")),
        "an object as a key": whole(b"}" + empty(RIDGE) + b"Ns"),
        "arrays in arrays": whole(header((1,), OBJECTS) * 30),
    },
}  # fmt: skip


def trees() -> dict[str, bytes]:
    """Structures that compiled code would follow out of their memory, or for ever."""
    tree = DecisionTreeRegressor(max_depth=3).fit(ROWS, NUMBERS)
    hist = HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=5).fit(ROWS, NUMBERS)
    kd, ball = KDTree(ROWS, leaf_size=5), BallTree(ROWS, leaf_size=5)
    sparse = csr_matrix(np.eye(3))
    spline = BSpline(np.arange(8.0), np.ones(4), 3)
    boosted, means = GradientBoostingRegressor(n_estimators=2).fit(ROWS, NUMBERS), KMeans(2, n_init=1).fit(ROWS)
    neighbours, machine = KNeighborsClassifier().fit(ROWS, CLASSES), SVC().fit(ROWS, CLASSES)
    rare = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2).fit([["a"], ["a"], ["b"], ["c"]])
    of_two = DecisionTreeRegressor().fit(ROWS[:, :2], NUMBERS)
    node = ("feature", "left_child", "right_child")
    return {
        **{f"Tree {key} {value}": forged(tree, Tree, at("nodes", key, value)) for key in node for value in (2**40, -7)},
        **{f"Tree {key} 0": forged(tree, Tree, at("nodes", key, 0)) for key in node[1:]},
        "Tree of more nodes": forged(tree, Tree, put("node_count", 10**6)),
        **{f"hist {key}": forged(hist, TreePredictor, at("nodes", key, 2**31)) for key in ("left", "right", "feature_idx")},
        **{f"hist cycle {key}": forged(hist, TreePredictor, at("nodes", key, 0)) for key in ("left", "right")},
        "hist of no categories": forged(hist, TreePredictor, at("nodes", "is_categorical", 1)),
        **{f"{type(made).__name__} rows": forged(made, type(made), put(1, np.arange(1, 41))) for made in (kd, ball)},
        **{f"{type(made).__name__} end": forged(made, type(made), at(2, "idx_end", 10**9)) for made in (kd, ball)},
        "KDTree levels": forged(kd, KDTree, put(5, 40)),
        "KDTree leaves": forged(kd, KDTree, at(2, "is_leaf", 0, row=-1)),
        "KDTree bounds": forged(kd, KDTree, put(3, np.ones((2, 1, 3)))),
        "csr indices": changed(sparse, indices=np.array([0, 10**9, 2], dtype=np.int32)),
        "csr pointers": changed(csr_matrix(np.eye(3)), indptr=np.array([0, 1, 2, 10**9], dtype=np.int32)),
        "spline": changed(spline, k=10**6),
        "spline coefficients": changed(BSpline(np.arange(8.0), np.ones(4), 3), _c=np.ones(1)),
        "boosting": changed(boosted, n_features_in_=1),
        "a tree's rows": changed(of_two, n_features_in_=1),
        "centres": changed(means, cluster_centers_=np.ones((2, 300))),
        "threads": changed(KMeans(2, n_init=1).fit(ROWS), _n_threads=-5),
        "no hashes": changed(HashingVectorizer(n_features=8), n_features=0),
        "rare values": changed(rare, _default_to_infrequent_mappings=[np.array([10**9, 1, 1])]),
        "labels": changed(neighbours, _y=np.full(40, 10**9)),
        "centres in a square": changed(KMeans(2, n_init=1).fit(ROWS), cluster_centers_=np.ones((300, 300))),
        "columns of hist": changed(HistGradientBoostingRegressor(max_iter=2).fit(ROWS, NUMBERS), _n_features=9),
        "support elsewhere": changed(SVC().fit(ROWS, CLASSES), support_=np.full(40, 10**8, dtype=np.int32)),
        "support": changed(machine, _n_support=np.array([10**8, 5], dtype=np.int32)),
    }  # fmt: skip


def values() -> dict[str, bytes]:
    """Values that no array has, or that are hidden from who looks for them."""
    masked = np.ma.MaskedArray([0, 10**9, 1], mask=[0, 1, 0])
    return {
        "text of no characters": whole(
            array_of((1,), lying("U1", 3, "<", None, None, None, 4, 4, 8), plain(b"\xff" * 4))
        ),
        "truth of other numbers": whole(array_of((1,), lying("b1", 3, "|", None, None, None, -1, -1, 0), plain(b"\7"))),
        "truth in a buffer": whole(
            called(
                "numpy._core.numeric:_frombuffer",
                plain(b"\7"),
                lying("b1", 3, "|", None, None, None, -1, -1, 0),
                plain((1,)),
                plain("C"),
            )
        ),
        "text in a header": whole(header((1,), lying("U1", 3, "<", None, None, None, 4, 4, 8)))[:-1]
        + b"\xff" * 4
        + b".",
        "an empty array of a large shape": whole(array_of((0, 2**50), FLOATS, plain(b""))),
        "a header of a large empty shape": whole(header((0, 2**50), FLOATS)),
        "empty texts without number": whole(
            array_of((2**60,), lying("U0", 3, "<", None, None, None, 0, 4, 8), plain(b""))
        ),
        "empty texts of a large size": whole(
            array_of((0,), lying("S999999999", 3, "|", None, None, None, 999999999, 1, 0), plain(b""))
        ),
        "a masked array": dumped(Ridge().set_params(alpha=masked)),
        "a masked array in a list": dumped([masked]),
        "a masked array in a tuple": dumped((masked,)),
        "a masked array of objects": dumped(np.array([masked, None], dtype=object)),
        "filling": forged({"param_a": masked}, np.ma.MaskedArray, put(6, np.zeros((1, 5)))),
        "arrays of arrays": whole(
            nested(lambda inner: b"(" + plain(1) + plain((1,)) + OBJECTS + plain(False) + b"]" + inner + b"at")
        ),
        "an array that is finished later": whole(
            ARRAY + b"q\1" + stated(ARRAY, b"(" + plain(1) + plain((1,)) + OBJECTS + plain(False) + b"]h\1at")
        ),
        "defaults of defaults": whole(
            called("collections:defaultdict", name("builtins:dict"))
            + plain("a")
            + called("collections:defaultdict", name("builtins:dict"))
            + b"s"
        ),
        "an endless word": whole(LAUGHS + b"0" + having(STACK, stack_method_=b"h\1")),
        "an endless number": whole(LAUGHS + b"0" + having(TEXT + "HashingVectorizer", n_features=b"h\1")),
        "an endless name": whole(LAUGHS + b")R"),
        "an endless class": whole(LAUGHS + b")\x81"),
        "an endless key": whole(b"}" + LAUGHS + b"Ns"),
    }


def nested(state: Callable[[bytes], bytes], *, depth: int = 60_000) -> bytes:
    """Arrays of objects, each in the next, made one after another so that no reader nests."""
    remember = [b"r" + number.to_bytes(4, "little") for number in range(depth)]
    recall = [b"j" + number.to_bytes(4, "little") for number in range(depth)]
    first = stated(ARRAY, state(b"N")) + remember[0]
    return first + b"".join(b"0" + stated(ARRAY, state(recall[n - 1])) + remember[n] for n in range(1, depth))


# Lists of twice the same list, of which the words would fill all memory.
LAUGHS = b"]q\1" + b"".join(b"0](h\1h\1eq\1" for _ in range(60))


def one_hot(**attributes: Any) -> bytes:
    rows = [["a"], ["a"], ["b"], ["c"]]
    return changed(OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2).fit(rows), **attributes)


def machine(rows: Any = ROWS, target: Any = CLASSES, kind: Any = SVC, **attributes: Any) -> bytes:
    return changed(kind().fit(rows, target), **attributes)


def fitted() -> dict[str, bytes]:
    """Fitted estimators that compiled code, or what an encoder makes, would follow elsewhere when they are used."""
    words = ["some words", "other words"]
    three = (NUMBERS * 3).astype(int)
    means = BisectingKMeans(3, random_state=0).fit(ROWS)
    means._bisecting_tree.left.center = np.ones(300)
    circle = BisectingKMeans(3, random_state=0).fit(ROWS)
    circle._bisecting_tree.left = circle._bisecting_tree
    boosted = {
        key: GradientBoostingClassifier(n_estimators=2).fit(ROWS, three)
        for key in ("prior", "numbers", "classes", "kind")
    }
    boosted["prior"].init_.class_prior_ = np.ones((1, 3))
    boosted["numbers"].init_ = DummyRegressor().fit(ROWS, NUMBERS)
    boosted["classes"].init_ = DummyClassifier(strategy="prior").fit(ROWS, CLASSES)
    boosted["kind"].init_.strategy = "uniform"
    regressor = GradientBoostingRegressor(n_estimators=2).fit(ROWS, NUMBERS)
    regressor.init_.constant_ = np.ones((1, 7))
    coded = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(
        np.c_[CLASSES, ROWS[:, 1:]], CLASSES
    )
    coded._preprocessor.transformers_[1] = (*coded._preprocessor.transformers_[1][:2], np.array([False, False, True]))
    tree = DecisionTreeRegressor(max_depth=3).fit(ROWS, NUMBERS)
    sparse = csr_matrix(ROWS)
    steps = IsotonicRegression().fit(NUMBERS, NUMBERS)
    return {
        "columns of one hot": one_hot(_n_features_outs=[10**9]),
        "fewer columns of one hot": one_hot(_n_features_outs=[1]),
        "rare values of one hot": one_hot(_default_to_infrequent_mappings=[np.array([0, 1, 2])]),
        "rare values below": one_hot(_default_to_infrequent_mappings=[np.array([-5, 1, 1])]),
        "values in a square": one_hot(categories_=[np.array([["a", "b"], ["c", "d"]], dtype=object)]),
        "a dropped value": changed(OneHotEncoder(drop="first").fit([["a"], ["b"]]), _drop_idx_after_grouping=np.array([-9], dtype=object)),
        "columns of bins": forged(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf").fit(ROWS), OneHotEncoder, put("_n_features_outs", [10**8, 3, 3])),
        "words elsewhere": changed(CountVectorizer().fit(words), vocabulary_={"some": 0, "words": 10**9}),
        "words below": changed(TfidfVectorizer().fit(words), vocabulary_={"some": -10**6, "words": 0, "other": 1}),
        "words by default": changed(CountVectorizer().fit(words), vocabulary_=defaultdict(list)),
        "names elsewhere": changed(DictVectorizer().fit([{"a": 1.0}]), vocabulary_={"a": 10**9}),
        "labels in a cache": changed(MultiLabelBinarizer().fit([[0, 1]]), _cached_dict={0: 10**9, 1: 0}),
        "centres of a half": dumped(means),
        "centres in a circle": dumped(circle),
        "no centres": changed(KMeans(2, n_init=1).fit(ROWS), cluster_centers_=np.ones((0, 3))),
        "norms of centres": changed(Birch(n_clusters=2).fit(ROWS), _subcluster_norms=np.ones(1)),
        "components": changed(NMF(2).fit(ROWS), _n_components=1),
        **{f"boosting that begins with another {key}": dumped(model) for key, model in boosted.items()},
        "boosting that begins with more numbers": dumped(regressor),
        "categories of other columns": dumped(coded),
        "a deeper tree": forged(tree, Tree, put("max_depth", 0)),
        "a tree without an end": forged(tree, Tree, at("nodes", "right_child", len(tree.tree_.feature) - 1)),
        "more neighbours than rows": changed(KNeighborsClassifier(algorithm="brute").fit(ROWS, CLASSES), n_samples_fit_=10**9, n_neighbors=10**6),
        "no support vectors": machine(support_vectors_=np.ones((0, 3))),
        "support vectors without a number": machine(support_vectors_=np.ones((0, 0))),
        "fewer coefficients": machine(_dual_coef_=np.ones((1, 1))),
        "classes of a regression": machine(target=NUMBERS, kind=SVR, _n_support=np.array([1] * 50, dtype=np.int32)),
        "sparse support vectors": machine(sparse, support_vectors_=csr_matrix(ROWS[:1])),
        "sparse coefficients": machine(sparse, _dual_coef_=csr_matrix(np.ones((1, 1)))),
        "sparse and precomputed": machine(sparse, kernel="precomputed"),
        "steps of any size": changed(steps, X_thresholds_=np.ones((1, 1)), y_thresholds_=np.ones((1, 1))),
        "steps of a number": changed(IsotonicRegression().fit(NUMBERS, NUMBERS), X_thresholds_=2**40, y_thresholds_=2**40),
        "steps of text": changed(IsotonicRegression().fit(NUMBERS, NUMBERS), X_thresholds_=np.array(["a", "b"]), y_thresholds_=np.ones(2)),
        "knots of a list": changed(BSpline(np.arange(8.0), np.ones(4), 3), _t=[0.0] * 8),
        "knots of text": changed(BSpline(np.arange(8.0), np.ones(4), 3), _t=np.array(list("abcdefgh"))),
        "coefficients of objects": changed(BSpline(np.arange(8.0), np.ones(4), 3), _c=np.ones(4, dtype=object)),
    }  # fmt: skip


def shared(value: object) -> bytes:
    """A file in which what is met again is referred to, as joblib writes it."""
    content = io.BytesIO()
    joblib.dump(value, content)
    return content.getvalue()


def multiplied() -> dict[str, bytes]:
    """Little that becomes much: one value made into many, numbers that collide, comparisons without end."""
    tree = DecisionTreeRegressor().fit(ROWS, NUMBERS).tree_
    count = 20_001
    nodes = np.zeros(count, dtype=tree.__getstate__()["nodes"].dtype)
    nodes["left_child"], nodes["right_child"], inner = -1, -1, np.arange(0, count - 1, 2)
    nodes["left_child"][inner], nodes["right_child"][inner] = inner + 1, inner + 2
    state = {"max_depth": count, "node_count": count, "nodes": nodes, "values": np.zeros((count, 1, 1))}
    arguments = 3, np.array([1], dtype=np.intp), 1

    class Copied:
        def __reduce__(self) -> tuple[Any, ...]:
            return Tree, arguments, state

    prime = 2**61 - 1  # by which Python divides a number for its hash
    pairs = b"".join(plain((number, prime - number)) + b"N" for number in range(5000))
    number = b"\x8b" + (400_000).to_bytes(4, "little") + b"\x7f" * 400_000
    other = LAUGHS.replace(b"q\1", b"q\2").replace(b"h\1", b"h\2")
    boosted = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting:HistGradientBoostingRegressor"
    return {
        "one text as many": whole(plain(b"a" * 2_000_000) + b"q\1" + b"0](" + called("builtins:bytearray", b"h\1") * 1000 + b"e"),
        "random numbers without end": whole(name("numpy.random._pickle:__bit_generator_ctor") + b"q\1" + b"0" + name("numpy.random._mt19937:MT19937") + b"\x85q\2" + b"0](" + b"h\1h\2R" * 350_000 + b"e"),
        "one tree as many": shared([Copied() for _ in range(600)]),
        "numbers of one hash": whole(b"}(" + b"".join(plain(prime * k) + b"N" for k in range(1, 60_000)) + b"u"),
        "many tuples": whole(b"}(" + pairs + b"u"),
        "a shape of huge numbers": whole(number + b"q\1" + b"0" + ARRAY + b"(" + plain(1) + b"(" + b"h\1" * 60 + b"t" + FLOATS + plain(False) + plain(b"") + b"tb"),
        "sets in tuples in sets": whole(b"(N\x91\x85" + b"".join(b"q\1(h\1\x91\x85" for _ in range(60)) + b"."),
        "two endless numbers": whole(LAUGHS + b"0" + other + b"0" + having(boosted, _predictors=b"]", _n_features=b"h\1", n_features_in_=b"h\2")),
    }  # fmt: skip


def believed() -> dict[str, bytes]:
    """What one attribute says, and another, or a function, is trusted to fit."""
    many = GradientBoostingClassifier(n_estimators=2, max_depth=1).fit(ROWS, np.arange(40) % 10)
    many._loss = HalfBinomialLoss()
    rare = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2).fit([["a"], ["a"], ["b"], ["c"]])
    rare._default_to_infrequent_mappings, rare._infrequent_indices, rare._n_features_outs = (
        [None],
        [np.array([10**9])],
        [3],
    )
    norms = KNeighborsClassifier(algorithm="brute").fit(ROWS, CLASSES)
    norms.effective_metric_params_ = {"Y_norm_squared": np.ones(1)}
    given = {"sample_weight": np.ones(40), "centers_init": np.ones((5000, 2)), "max_iter": 3}
    loose = MultiOutputRegressor(Ridge()).fit(ROWS, ROWS)
    loose.estimators_ = [DecisionTreeRegressor().fit(ROWS, NUMBERS).tree_]
    return {
        "a tree in place of an estimator": dumped(loose),
        "an array that is written into": dumped(FunctionTransformer(np.log, kw_args={"out": np.ones((40, 3))})),
        "the loss of boosting": dumped(many),
        "rare values without places": dumped(rare),
        "norms of neighbours": dumped(norms),
        "a part of a value": changed(OneHotEncoder(drop="first").fit([["a"], ["b"]]), _drop_idx_after_grouping=np.array([0.9], dtype=object)),
        "k-means as a function": dumped(FunctionTransformer(_kmeans_single_lloyd, kw_args=given)),
        "k-means the other way": dumped(FunctionTransformer(np.log, inverse_func=_kmeans_single_lloyd)),
    }  # fmt: skip


KINDS["a structure"] = trees()
KINDS["little that becomes much"] = multiplied()
KINDS["what is believed"] = believed()
KINDS["values that are none"] = values()
KINDS["a fitted estimator"] = fitted()
NOT_IMPORTED = [
    *("sklearn._mocking", "sklearn.conftest", "sklearn.utils._mocking", "sklearn.utils.estimator_checks"),
    *("sklearn.tests.test_base", "sklearn.experimental.enable_halving_search_cv", "sklearn.datasets._openml"),
    *("antigravity", "this", "scipy.io", "numpy.f2py", "pandas.io.pickle", "joblib.memory.x", "xml.sax"),
]
KINDS["a module that is not needed"] = {module: whole(name(f"{module}:Anything")) for module in NOT_IMPORTED}

LOAD = """
import json, pathlib, resource, signal, sys, warnings
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
from importlib import import_module
from modeling.unpickling import ForbiddenError, check_loads, unpickle
attacked = [getattr(import_module(module), name) for module, _, name in (each.partition(":") for each in sys.argv[3:])]
NOT_IMPORTED = {*NAMES}
before = [dict(vars(each)) for each in attacked]
answers = {}
NOT_IMPORTED -= sys.modules.keys()
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + 2**30
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
    signal.alarm(10)
    try:
        answers[path.name] = f"loaded a {type(unpickle(path.read_bytes())).__name__}"
    except Exception as error:
        answers[path.name] = "took all memory" if isinstance(error, MemoryError) else ""
    if [dict(vars(each)) for each in attacked] != before:
        answers[path.name] += "changed a class"
    answers[path.name] += " ".join(sys.modules.keys() & NOT_IMPORTED)
print(json.dumps(answers))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_crafted_model_is_refused_and_changes_nothing(tmp_path: Path, kind: str) -> None:
    """A crash, more than 1 GiB or 10 seconds, a class that changed, and a model that was loaded all fail."""
    for number, content in enumerate(KINDS[kind].values()):
        (tmp_path / f"{number:03}").write_bytes(content)
    command = [
        sys.executable,
        "-c",
        LOAD.replace("NAMES", repr(NOT_IMPORTED)),
        str(CHECKOUT / "src"),
        str(tmp_path),
        *ATTACKED,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)

    assert {key: answer for key, answer in zip(KINDS[kind], answers.values(), strict=True) if answer} == {}


HONEST = [
    TunedThresholdClassifierCV(LogisticRegression()),
    GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}),
    KNeighborsClassifier(algorithm="ball_tree", metric="mahalanobis", metric_params={"VI": np.eye(3)}),
    *(SVC(kernel="precomputed"), Birch(n_clusters=2), BisectingKMeans(2), GradientBoostingClassifier(n_estimators=2)),
    HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]),
    make_pipeline(FunctionTransformer(np.log1p), SplineTransformer(), Ridge()),
]


@pytest.mark.parametrize("model", HONEST, ids=lambda model: type(model).__name__)
def test_an_honest_model_that_an_allow_list_of_names_refused_is_loaded(model: Any) -> None:
    rows = np.c_[CLASSES, ROWS[:, 1:]]
    rows = rows @ rows.T if getattr(model, "kernel", "") == "precomputed" else rows
    model.fit(rows, CLASSES)

    assert np.array_equal(unpickle(dumped(model)).predict(rows), model.predict(rows))


def test_sets_and_tuples_come_back_as_they_were() -> None:
    kept = {"a": frozenset({"b", (1, "c")}), ("d", 2): {None, 2.5}, "e": ()}

    assert unpickle(dumped(kept)) == kept


def test_train_refuses_a_model_that_could_not_be_loaded(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.joblib", tmp_path / "bad.joblib"
    dump(Ridge(), good)
    dump(FunctionTransformer(np.save), bad)

    check_loads(good)
    with pytest.raises(ForbiddenError) as caught:
        check_loads(bad)

    assert caught.value.lines[0].startswith("model.joblib: asks for numpy.save, which a model is never made of")
    assert "choose another estimator or other steps in params.yaml" in caught.value.lines[1]
