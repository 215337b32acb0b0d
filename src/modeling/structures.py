"""What compiled code takes on trust: indices, shapes and counts, checked before anything follows them.

Each check raises ForbiddenError, or what an attribute of another kind provokes. They are found by the names of an
object's classes, so that nothing is imported for them.
"""

# ruff: noqa: SLF001 - what compiled code reads is private
import math
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from record.notes import MODEL
from record.problem import Problem

PLAIN_DTYPE = re.compile(r"[?biufcSUVmMO]\d{0,9}")
METHODS = {"auto", "predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform"}
# Attributes that name a method which is called on another object, whatever that object is.
METHOD_NAMES = ("stack_method", "stack_method_", "chain_method", "chain_method_", "response_method", "_response_method")
NORMS = {"X_norm_squared", "Y_norm_squared"}  # which compiled code takes instead of computing them
MT19937_WORDS = 624
MOST_DIMENSIONS = 64  # as many as NumPy has
MOST_EMPTY = 2**24  # bytes that an array without elements would have, if each dimension of 0 were 1


class ForbiddenError(Problem):
    """The model file asks for, or holds, something that a fitted Pipeline is never made of."""


def require(holds: object, what: str) -> None:
    """Refuse what does not hold."""
    if not holds:
        raise ForbiddenError(f"{MODEL}: holds {what}, which a fitted model never does; nothing was loaded")


def dtype_of(text: str, state: tuple[Any, ...]) -> np.dtype[Any]:
    """The dtype that NumPy itself makes of a description; its own account must equal the one that was given."""
    _, order, _, names, fields, itemsize, _, flags, *metadata = state
    require(PLAIN_DTYPE.fullmatch(text), "a dtype that is not plain")
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


def size_of(shape: Any, dtype: np.dtype[Any]) -> int:
    """How many bytes an array has in a file, or how many objects; one that has none must not seem to be large."""
    is_shape = type(shape) is tuple and len(shape) <= MOST_DIMENSIONS
    require(is_shape and all(type(size) is int and 0 <= size < 2**63 for size in shape), "a shape without numbers")
    size: int = math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize)
    seeming = math.prod(filter(None, shape)) * max(dtype.itemsize, 1)
    require(size or seeming <= MOST_EMPTY, "an empty array of a large shape")
    return size


def check_array_state(shape: Any, dtype: np.dtype[Any], data: Any) -> None:
    """The data of an array are as long as it says, and objects come as objects, never as bytes."""
    kind = list if dtype == np.dtype(object) else bytes
    require(type(data) is kind and len(data) == size_of(shape, dtype), "an array of another size")
    require(kind is list or not dtype.hasobject, "objects in bytes")
    if kind is bytes and data:
        check_values(np.frombuffer(data, dtype))


def check_values(array: Any) -> None:
    """Text is made of characters and truth of zeros and ones, on which NumPy relies."""
    for name in array.dtype.names or ():
        check_values(array[name])
    if array.dtype.kind == "U" and array.dtype.itemsize:
        characters = np.ascontiguousarray(array).view(np.uint32 if array.dtype.isnative else ">u4")
        require(not characters.size or characters.max() <= sys.maxunicode, "text of no characters")
    elif array.dtype.kind == "b":
        require(not array.size or np.ascontiguousarray(array).view(np.uint8).max() <= 1, "truth of other numbers")


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
    parents = np.bincount(np.concatenate([left[inner], right[inner]]).astype(np.intp), minlength=len(inner))
    require((parents[1:] == 1).all(), "a tree whose nodes have not one parent each")
    require((feature[inner] >= 0).all(), "a tree of a feature below zero")


def check_tree_state(tree: Any, state: dict[str, Any]) -> None:
    """The nodes of `Tree` are as many as it says, and walk downwards."""
    nodes = state["nodes"]
    require(nodes.ndim == 1 and 0 < len(nodes) == state["node_count"], "a tree of another size")
    inner = nodes["left_child"] != -1
    check_children(nodes["left_child"], nodes["right_child"], inner, nodes["feature"])
    require((nodes["feature"][inner] < tree.n_features).all(), "a tree of more features than it has")
    depth = depth_of(nodes["left_child"][inner], nodes["right_child"][inner], np.flatnonzero(inner), len(nodes))
    require(type(state["max_depth"]) is int and depth <= state["max_depth"], "a tree that is deeper than it says")


def depth_of(left: Any, right: Any, inner: Any, count: int) -> int:
    """How many steps the longest path of a tree has, by steps that double."""
    above, steps = np.zeros(count, dtype=np.intp), np.ones(count, dtype=np.intp)
    above[left], above[right], steps[0] = inner, inner, 0
    for _ in range(count.bit_length()):
        steps, above = steps + steps[above], above[above]
    return int(steps.max())


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


def check_thresholds(state: dict[str, Any]) -> None:
    """The steps of `IsotonicRegression`, between which SciPy interpolates as soon as they are set."""
    names = [name for name in ("X_thresholds_", "y_thresholds_") if name in state]
    require(len({len(array_of(state[name], 1, "f")) for name in names}) < 2, "steps without values")


# ── what is checked of each object when all are made ───────────────────────────────────────────────────────────────


def array_of(value: Any, dimensions: int, kinds: str = "fiu") -> Any:
    """A plain array of numbers; whatever else an attribute may be answers in its own way."""
    is_array = type(value) is np.ndarray and value.ndim == dimensions and value.dtype.kind in kinds
    require(is_array, "an attribute that is not the array it should be")
    return value


def is_within(places: Any, count: int) -> bool:
    """Whether places of an array are those of something that has `count` of them."""
    return not places.size or bool(places.min() >= 0 and places.max() < count)


def check_methods(made: Any) -> None:
    """It calls no odd method of another object."""
    for name in METHOD_NAMES:
        values = vars(made).get(name) or "auto"
        known = [values] if isinstance(values, str) else list(values)
        require(all(type(value) is str and value in METHODS for value in known), f"an odd method in {name}")


def check_files(made: Any) -> None:
    """It reads no file."""
    require(getattr(made, "input", "content") == "content", f"a {type(made).__name__} that reads files")


def check_rows(made: Any, name: str) -> None:
    """An array that compiled code compares with rows is as wide as they are, and not empty."""
    if (array := getattr(made, name, None)) is not None:
        array = array if hasattr(array, "indptr") else array_of(array, 2)
        require(array.shape[0] > 0 and array.shape[1] == made.n_features_in_, f"{name} of other rows")


def check_numbers(made: Any) -> None:
    """What compiled code divides by, or takes as a number of threads, is a number from 1 on."""
    for value in (getattr(made, name, 1) for name in ("n_features", "_n_threads")):
        require(isinstance(value, int | np.integer) and value >= 1, "no features or threads")


def check_means(made: Any) -> None:
    """Its centres are as wide as its rows, also those that are split into two."""
    check_numbers(made)
    check_rows(made, "cluster_centers_")
    waiting, seen = [getattr(made, "_bisecting_tree", None)], set()
    while waiting:
        node = waiting.pop()
        if node is not None:
            require(type(node).__name__ == "_BisectingTree" and id(node) not in seen, "centres in a circle")
            require(array_of(node.center, 1).shape == (made.n_features_in_,), "centres of other rows")
            seen.add(id(node))
            waiting += [node.left, node.right]


def check_function(made: Any) -> None:
    """It calls what computes with numbers alone, whatever it is given beside them."""
    for function in (getattr(made, "func", None), getattr(made, "inverse_func", None)):
        is_plain = function is None or isinstance(function, np.ufunc | partial | type)
        require(is_plain or function.__module__ == "numpy", "a function that is not one of numbers")
    for settings in (getattr(made, "kw_args", None) or {}, getattr(made, "inv_kw_args", None) or {}):
        require(type(settings) is dict and "out" not in settings, "a function that writes into another array")


def check_subclusters(made: Any) -> None:
    """Each of its centres has a norm."""
    check_rows(made, "subcluster_centers_")
    if hasattr(made, "subcluster_centers_"):
        require(array_of(made._subcluster_norms, 1).shape == made.subcluster_centers_.shape[:1], "norms of others")


def check_factors(made: Any) -> None:
    """Rows are written in as many parts as there are."""
    if hasattr(made, "components_"):
        require(array_of(made.components_, 2).shape[0] == made._n_components, "another number of components")


def check_places(made: Any) -> None:
    """Each word, or class, is put to a column that there is."""
    for name in ("vocabulary_", "_cached_dict"):
        if (places := getattr(made, name, None)) is not None:
            columns = list(places.values()) if type(places) is dict else [None]
            whole = all(isinstance(place, int | np.integer) for place in columns)
            require(whole and set(columns) == set(range(len(columns))), f"columns of {name} that are not there")


def check_one_hot(made: Any) -> None:
    """What each value is put to, and how many columns its feature has, agree with the values that there are."""
    drops = getattr(made, "_drop_idx_after_grouping", None)
    rare = getattr(made, "_default_to_infrequent_mappings", None) if getattr(made, "_infrequent_enabled", 0) else None
    for number, values in enumerate(getattr(made, "categories_", ())):
        require(type(values) is np.ndarray and values.ndim == 1, "values that are not a row")
        columns = len(values)
        if rare is not None:
            places, grouped = rare[number], made._infrequent_indices[number]
            require((places is None) == (grouped is None), "rare values of others")
            if places is not None:
                require(array_of(places, 1, "iu").shape == values.shape, "rare values of others")
                require(is_within(array_of(grouped, 1, "iu"), len(values)) and grouped.size, "rare values of others")
                columns = columns - grouped.size + 1
                require(is_within(places, columns), "rare values elsewhere")
        if drops is not None and (drop := drops[number]) is not None:
            require(isinstance(drop, int | np.integer) and 0 <= drop < columns, "a dropped value that is not there")
            columns -= 1
        outs = getattr(made, "_n_features_outs", None)  # an OrdinalEncoder has none
        require(outs is None or (type(outs) is list and outs[number] == columns), "columns of other values")


def check_decision_tree(made: Any) -> None:
    """Its tree has the features that its rows are checked for."""
    if hasattr(made, "tree_"):
        require(type(made.tree_).__name__ == "Tree" and made.tree_.n_features == made.n_features_in_, "a tree's rows")


def check_boosting(made: Any) -> None:
    """It begins with, and its trees, which are followed without a further look, add to, one column each."""
    if hasattr(made, "estimators_"):
        classes = len(made.classes_) if hasattr(made, "classes_") else 1
        columns = classes if classes > 2 else 1
        is_of_many = type(made._loss).__name__ == "HalfMultinomialLoss" and made._loss.is_multiclass is True
        require(made.n_trees_per_iteration_ == columns and is_of_many == (columns > 1), "boosting of other classes")
        check_beginning(made.init_, classes)
        require(made.estimators_.ndim == 2 and made.estimators_.shape[1] == columns, "boosting of other columns")
        for each in made.estimators_.flat:
            require(each.tree_.n_features == made.n_features_in_ and each.tree_.n_outputs == 1, "boosting's trees")
            require(each.tree_.max_n_classes == 1, "boosting's trees")


def check_beginning(init: Any, classes: int) -> None:
    """What boosting begins with gives a number for each class; of other estimators only their classes are known."""
    match type(init).__name__:
        case "DummyClassifier":
            require(init.strategy == "prior" and init.n_outputs_ == 1, "boosting that begins with other classes")
            require(len(array_of(init.class_prior_, 1)) == classes, "boosting that begins with other classes")
        case "DummyRegressor":
            shape = array_of(init.constant_, 2).shape
            require(init.n_outputs_ == 1 and shape == (1, 1), "boosting that begins with more numbers")
    known = len(getattr(init, "classes_", "1"))
    require(type(init) is str or known == classes, "boosting that begins with other classes")


def check_hist_boosting(made: Any) -> None:
    """The features of its trees are there, and those of categories are known as such."""
    if hasattr(made, "_predictors"):
        count = made._n_features
        require(isinstance(count, int | np.integer) and count == made.n_features_in_, "boosting of other rows")
        check_preprocessor(made._preprocessor, made._n_features)
    categorical: Any = getattr(getattr(made, "_bin_mapper", None), "is_categorical_", None)
    for each in (tree for trees in getattr(made, "_predictors", ()) for tree in trees):
        inner = each.nodes[each.nodes["is_leaf"] == 0]
        require((inner["feature_idx"] < made._n_features).all(), "a tree of more features")
        asked = inner["feature_idx"][inner["is_categorical"] != 0]
        require(not len(asked) or (len(categorical) == made._n_features and categorical[asked].all()), "categories")


def check_preprocessor(made: Any, features: int) -> None:
    """What puts categories first hands on as many columns as it takes."""
    if made is not None:
        (_, encoder, coded), (_, same, others), *rest = made.transformers_
        require(all(each[1] == "drop" for each in rest), "more columns")
        require(type(made).__name__ == "ColumnTransformer" and type(encoder).__name__ == "OrdinalEncoder", "columns")
        is_same = type(same).__name__ == "FunctionTransformer" and type(same.func) is partial
        sizes = {len(array_of(coded, 1, "b")), len(array_of(others, 1, "b"))}
        require(is_same and sizes == {features} and (coded ^ others).all(), "other columns than there are")


def check_machine(made: Any) -> None:
    """The arrays of libsvm agree with one another."""
    if not hasattr(made, "support_"):
        return
    classifies, is_precomputed = made._impl in ("c_svc", "nu_svc"), not isinstance(made.kernel, str)
    is_precomputed |= made.kernel == "precomputed"
    support, counts = array_of(made.support_, 1, "i"), array_of(made._n_support, 1, "i")
    count, classes = len(support), len(counts)
    rows, pairs = (classes - 1, classes * (classes - 1) // 2) if classifies else (1, 1)
    require(classes > 1 if classifies else classes == 2, "a machine of other classes")
    require(is_within(support, made.shape_fit_[0]), "support vectors elsewhere")
    require(not classifies or ((counts >= 0).all() and counts.sum() == count > 0), "numbers of support vectors")
    require(len(array_of(made._intercept_, 1)) == pairs, "intercepts")
    chances = len(array_of(made._probA, 1))
    require(chances in (0, pairs) and chances == len(array_of(made._probB, 1)), "probabilities")
    vectors, weights = made.support_vectors_, made._dual_coef_
    if made._sparse:
        require(hasattr(vectors, "indptr") and hasattr(weights, "indptr") and not is_precomputed, "a sparse machine")
        require(vectors.shape == (count, made.n_features_in_) and weights.data.size == rows * count, "coefficients")
    else:
        require(array_of(weights, 2).shape == (rows, count), "coefficients")
        wide = (count, made.n_features_in_)
        require(array_of(vectors, 2).shape == wide or (is_precomputed and vectors.size == 0), "support vectors")
    compared = getattr(made, "_BaseLibSVM__Xfit", None)  # with which a kernel of one's own compares rows
    require(compared is None or compared.shape[0] == made.shape_fit_[0], "rows that a kernel compares")


def check_classes(made: Any) -> None:
    """There are as many rows as it says, and the labels of neighbours are numbers of classes."""
    check_rows(made, "_fit_X")
    labels, classes = getattr(made, "_y", None), getattr(made, "classes_", None)
    if hasattr(made, "_fit_X"):
        require(made.n_samples_fit_ == made._fit_X.shape[0], "another number of neighbours")
        settings = getattr(made, "effective_metric_params_", None) or {}
        require(type(settings) is dict and settings.keys().isdisjoint(NORMS), "norms of other rows")
    if classes is not None and isinstance(labels, np.ndarray) and labels.ndim == 1:
        require(labels.dtype.kind in "iu" and is_within(labels, len(classes)), "labels of neighbours")
        require(len(labels) == made._fit_X.shape[0], "labels of other rows")


def check_sparse(made: Any) -> None:
    """Its indices are in bounds, and it is not believed to be sorted."""
    made.__dict__.pop("_has_sorted_indices", None)
    made.__dict__.pop("_has_canonical_format", None)
    array_of(made.data, 1, "fiub")
    array_of(made.indices, 1, "i")
    array_of(made.indptr, 1, "i")
    sizes = list(map(int, made._shape))
    require(len(sizes) == 2 and min(sizes) >= 0, "a matrix without a shape")
    made.check_format(full_check=True)


def check_spline(made: Any) -> None:
    """SciPy would make it of plain arrays."""
    require(type(made.k) is int and type(made._c) is np.ndarray and made._c.dtype.kind == "f", "another spline")
    type(made)(array_of(made._t, 1, "f"), made._c, made.k)


def check_metric(made: Any) -> None:
    """The weights of its distance are as many as its columns."""
    state = made.__getstate__()
    state[11]._validate_data(state[0])


CHECKS: dict[str, Callable[[Any], None]] = {
    "BaseDecisionTree": check_decision_tree,
    "BaseEstimator": check_methods,
    "BaseGradientBoosting": check_boosting,
    "BaseHistGradientBoosting": check_hist_boosting,
    "BaseLibSVM": check_machine,
    "BinaryTree64": check_metric,
    "Birch": check_subclusters,
    "BSpline": check_spline,
    "DictVectorizer": check_places,
    "FeatureHasher": check_numbers,
    "FunctionTransformer": check_function,
    "HashingVectorizer": check_numbers,
    "MultiLabelBinarizer": check_places,
    "NeighborsBase": check_classes,
    "TreePredictor": check_predictor,
    "_BaseEncoder": check_one_hot,
    "_BaseKMeans": check_means,
    "_BaseNMF": check_factors,
    "_VectorizerMixin": check_files,
    "CountVectorizer": check_places,
    "_csc_base": check_sparse,
    "_csr_base": check_sparse,
}


def check(made: Any) -> None:
    """Check an object by all that is known of its classes."""
    for each in type(made).__mro__:
        if each.__name__ in CHECKS:
            CHECKS[each.__name__](made)
