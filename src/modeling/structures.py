"""What compiled code takes on trust: indices, shapes and counts, checked before anything follows them.

Each check raises ValueError. They are found by the names of an object's classes, so that nothing is imported for them.
"""

# ruff: noqa: SLF001 - what compiled code reads is private
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

PLAIN_DTYPE = re.compile(r"[?biufcSUVmMO]\d{0,9}")
METHODS = {"auto", "predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform"}
# Attributes that name a method which is called on another object, whatever that object is.
METHOD_NAMES = ("stack_method", "stack_method_", "chain_method", "chain_method_", "response_method", "_response_method")
# Arrays that compiled code reads by the width of the rows it is given: all are as wide as the rows that were fitted.
WIDE = ("_fit_X", "cluster_centers_", "subcluster_centers_", "support_vectors_")
MT19937_WORDS = 624


def require(holds: object, what: str) -> None:
    """Refuse what does not hold."""
    if not holds:
        raise ValueError(what)


def dtype_of(text: str, state: tuple[Any, ...]) -> np.dtype[Any]:
    """The dtype that NumPy itself makes of a description; its own account must equal the one that was given."""
    _, order, _, names, fields, itemsize, _, flags, *metadata = state
    require(PLAIN_DTYPE.fullmatch(text), f"a dtype {text!r}")
    if fields is not None:
        require(all(part[0].names is None and not part[0].hasobject for part in fields.values()), "a nested dtype")
        formats, offsets = zip(*(fields[name][:2] for name in names), strict=True)
        layout = {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": itemsize}
        found: np.dtype[Any] = np.dtype(layout, align=bool(flags & 128))  # type: ignore[call-overload]
    elif metadata:
        unit, number, *_ = metadata[0][1]
        found = np.dtype(f"{text}[{int(number)}{unit.decode() if isinstance(unit, bytes) else unit}]")
    else:
        found = np.dtype(text).newbyteorder(order)
    require(found.__reduce__()[2] == state, "a dtype that is not what NumPy says")
    return found


def count_of(shape: Any) -> int:
    """How many elements an array of a shape has."""
    require(type(shape) is tuple and all(type(size) is int and size >= 0 for size in shape), "a shape without numbers")
    return math.prod(shape)


def check_array_state(shape: Any, dtype: np.dtype[Any], data: Any) -> None:
    """The data of an array are as long as it says, and objects come as objects, never as bytes."""
    kind, size = (list, 1) if dtype == np.dtype(object) else (bytes, dtype.itemsize)
    require(type(data) is kind and len(data) == count_of(shape) * size, "an array of another size")
    require(kind is list or not dtype.hasobject, "objects in bytes")


def check_tree_arguments(n_features: int, n_classes: Any, n_outputs: int) -> None:
    """A tree has one number of classes for each output."""
    require(type(n_features) is int and type(n_outputs) is int and n_features > 0, "a tree without numbers")
    require(n_classes.dtype == np.intp and n_classes.shape == (n_outputs,) and n_outputs > 0, "a tree's outputs")
    require(n_classes.min() > 0 and n_classes.max() < 2**31, "a tree's classes")


def check_children(left: Any, right: Any, inner: Any, feature: Any) -> None:
    """Children come after their parents, so no path leads back, and are inside the tree."""
    place = np.arange(len(inner))
    for child in (left, right):
        behind = (child > place) & (child < len(inner))  # unsigned ones are compared as numbers, too
        require(behind[inner].all(), "a tree whose nodes point elsewhere")
    require((feature[inner] >= 0).all(), "a tree of a feature below zero")


def check_tree_state(tree: Any, state: dict[str, Any]) -> None:
    """The nodes of `Tree` are as many as it says, and walk downwards."""
    nodes = state["nodes"]
    require(nodes.ndim == 1 and 0 < len(nodes) == state["node_count"], "a tree of another size")
    inner = nodes["left_child"] != -1
    check_children(nodes["left_child"], nodes["right_child"], inner, nodes["feature"])
    require((nodes["feature"][inner] < tree.n_features).all(), "a tree of more features than it has")


def check_predictor(predictor: Any) -> None:
    """The nodes of a tree of HistGradientBoosting walk downwards, and its sets of categories are there."""
    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    inner = nodes["is_leaf"] == 0
    require(nodes.ndim == 1 and len(nodes) > 0, "a tree without nodes")
    check_children(nodes["left"], nodes["right"], inner, nodes["feature_idx"])
    for sets in (bitsets, predictor.binned_left_cat_bitsets):
        require(sets.ndim == 2 and sets.shape[1] == 8, "sets of categories")
        require((nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)] < len(sets)).all(), "a set of categories")


def check_neighbours(tree: Any, state: tuple[Any, ...]) -> None:
    """The nodes of `KDTree` and `BallTree` are a whole binary tree over each row once."""
    data, rows, nodes, bounds, leaf_size, levels, count = state[:7]
    weights, start, end = state[12], nodes["idx_start"], nodes["idx_end"]
    require(data.ndim == 2 and np.array_equal(np.sort(rows), np.arange(len(data))), "neighbours of other rows")
    require(0 <= levels < 60 and count == len(nodes) == 2**levels - 1 and leaf_size > 0, "neighbours of another size")
    require(((start >= 0) & (start <= end) & (end <= len(data))).all(), "neighbours elsewhere")
    require((nodes["is_leaf"][(count - 1) // 2 :] != 0).all(), "neighbours without leaves")
    sides = 2 if type(tree).__name__.startswith("KD") else 1
    require(bounds.shape == (sides, count, data.shape[1]), "neighbours of other bounds")
    require(weights is None or weights.shape == (len(data),), "neighbours of other weights")


def check_metric_state(name: str, state: tuple[Any, ...]) -> None:
    """The weights of a distance are a row, or a square."""
    require(name.endswith(("Distance64", "Distance32")) and len(state) == 3, f"a state of {name}")
    require(state[1].ndim == 1 and state[2].ndim == 2, "a distance of other weights")
    require("Mahalanobis" not in name or len(set(state[2].shape)) == 1, "a distance of other weights")


def check_words(state: Any) -> None:
    """The position of the Mersenne Twister is inside of its words."""
    words = state["state"]
    require("pos" not in words or 0 <= words["pos"] <= MT19937_WORDS, "a random state")


# ── what is checked of each object when all are made ───────────────────────────────────────────────────────────────


def check_estimator(made: Any) -> None:
    """It reads no file, calls no odd method, and its arrays are as wide as the rows it was fitted to."""
    state = vars(made)
    require(state.get("input") not in ("filename", "file"), f"{type(made).__name__} reads files")
    for name in METHOD_NAMES:
        values = state.get(name) or "auto"
        known = [values] if isinstance(values, str) else list(values)
        require(all(type(value) is str and value in METHODS for value in known), f"the method {values!r}")
    for name in WIDE:
        shape: Any = getattr(state.get(name), "shape", ())
        is_wide = len(shape) == 2 and 0 not in shape
        require(not is_wide or shape[1] == state.get("n_features_in_"), f"{name} of other rows")


def check_numbers(made: Any) -> None:
    """What compiled code divides by, or takes as a number of threads, is a number from 1 on."""
    for value in (getattr(made, name, 1) for name in ("n_features", "_n_threads")):
        require(isinstance(value, int | np.integer) and value >= 1, f"{value!r} features or threads")


def check_encoder(made: Any) -> None:
    """Its rare values are put to values that it has."""
    for places in getattr(made, "_default_to_infrequent_mappings", ()):
        require(places is None or ((places >= 0) & (places < len(places))).all(), "rare values elsewhere")


def check_decision_tree(made: Any) -> None:
    """Its tree has the features that its rows are checked for."""
    if hasattr(made, "tree_"):
        require(type(made.tree_).__name__ == "Tree" and made.tree_.n_features == made.n_features_in_, "a tree's rows")


def check_boosting(made: Any) -> None:
    """Its trees, which are followed without a further look, have its features, and one column each."""
    if hasattr(made, "estimators_"):
        require(made.estimators_.ndim == 2, "boosting without trees")
        prior: Any = getattr(made.init_, "class_prior_", None)
        known: Any = getattr(made.init_, "classes_", None)
        require(prior is None or len(prior) == len(known), "boosting that begins with other classes")
        classes = [len(each.classes_) for each in (made, made.init_) if hasattr(each, "classes_")]
        columns = classes[0] if classes and classes[0] > 2 else 1
        require(len({*classes}) < 2 and made.n_trees_per_iteration_ == columns, "boosting of other classes")
        require(made.estimators_.shape[1] == made.n_trees_per_iteration_, "boosting of other columns")
        for each in made.estimators_.flat:
            require(each.tree_.n_features == made.n_features_in_ and each.tree_.n_outputs == 1, "boosting's trees")
            require(each.tree_.max_n_classes == 1, "boosting's trees")


def check_hist_boosting(made: Any) -> None:
    """The features of its trees are there, and those of categories are known as such."""
    if hasattr(made, "_predictors"):
        require(made._n_features == made.n_features_in_, "boosting of other rows")
    categorical: Any = getattr(getattr(made, "_bin_mapper", None), "is_categorical_", None)
    for each in (tree for trees in getattr(made, "_predictors", ()) for tree in trees):
        inner = each.nodes[each.nodes["is_leaf"] == 0]
        require((inner["feature_idx"] < made._n_features).all(), "a tree of more features")
        asked = inner["feature_idx"][inner["is_categorical"] != 0]
        require(not len(asked) or (len(categorical) == made._n_features and categorical[asked].all()), "categories")


def check_machine(made: Any) -> None:
    """The arrays of libsvm agree with one another."""
    if hasattr(made, "support_vectors_") and not made._sparse:
        vectors, counts, classes = len(made.support_), made._n_support, max(len(made._n_support), 2)
        classifies = made._impl in ("c_svc", "nu_svc")
        require(made.support_vectors_.shape[0] in (vectors, 0), "support vectors")
        require(made._dual_coef_.shape == (classes - 1 if classifies else 1, vectors), "coefficients")
        require(((made.support_ >= 0) & (made.support_ < made.shape_fit_[0])).all(), "support vectors elsewhere")
        require((counts >= 0).all() and (not classifies or counts.sum() == vectors), "numbers of support vectors")
        require(len(made._intercept_) == (classes * (classes - 1) // 2 if classifies else 1), "intercepts")
        require(not len(made._probA) or len(made._probA) == len(made._intercept_) == len(made._probB), "probabilities")


def check_classes(made: Any) -> None:
    """The labels of neighbours are numbers of classes."""
    labels, classes = getattr(made, "_y", None), getattr(made, "classes_", None)
    if isinstance(classes, np.ndarray) and isinstance(labels, np.ndarray) and labels.ndim == 1 and len(labels):
        require(labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < len(classes), "labels of neighbours")
        require(len(labels) == made._fit_X.shape[0], "labels of other rows")


def check_sparse(made: Any) -> None:
    """Its indices are in bounds, and it is not believed to be sorted."""
    made.__dict__.pop("_has_sorted_indices", None)
    made.__dict__.pop("_has_canonical_format", None)
    require({type(made.data), type(made.indices), type(made.indptr)} == {np.ndarray}, "a matrix of no arrays")
    require(len(made._shape) == 2 and count_of(tuple(map(int, made._shape))) >= 0, "a matrix without a shape")
    made.check_format(full_check=True)


def check_spline(made: Any) -> None:
    """SciPy would make it."""
    type(made)(made.t, made.c, made.k)


def check_metric(made: Any) -> None:
    """The weights of its distance are as many as its columns."""
    state = made.__getstate__()
    state[11]._validate_data(state[0])


CHECKS: dict[str, Callable[[Any], None]] = {
    "BaseDecisionTree": check_decision_tree,
    "BaseEstimator": check_estimator,
    "BaseGradientBoosting": check_boosting,
    "BaseHistGradientBoosting": check_hist_boosting,
    "BaseLibSVM": check_machine,
    "BinaryTree64": check_metric,
    "BSpline": check_spline,
    "FeatureHasher": check_numbers,
    "HashingVectorizer": check_numbers,
    "NeighborsBase": check_classes,
    "TreePredictor": check_predictor,
    "_BaseEncoder": check_encoder,
    "_BaseKMeans": check_numbers,
    "_csc_base": check_sparse,
    "_csr_base": check_sparse,
}


def check(made: Any) -> None:
    """Check an object by all that is known of its classes."""
    for each in type(made).__mro__:
        if each.__name__ in CHECKS:
            CHECKS[each.__name__](made)
