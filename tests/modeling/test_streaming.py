import datetime as dt
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import all_estimators
from tables import LOGISTIC, SEARCH, dumped, make_parameters

from modeling import stored
from modeling.determinism import fingerprints
from modeling.estimator import describe, learning_in_batches
from modeling.evaluation import Evaluation, evaluate
from modeling.split import Parts, folds_of
from modeling.stored import Stored
from modeling.streaming import Learner, fit_few, fit_in_batches, learn
from modeling.table import features_and_target, write_table
from modeling.unpickling import unpickle
from record.parameters import Parameters
from record.problem import Problem

SGD = {"class": "sklearn.linear_model.SGDClassifier", "loss": "log_loss", "average": True}
REGRESSOR = {"class": "sklearn.linear_model.SGDRegressor", "average": True}
RATIO = {"class": "own.features.Ratio", "of": "length", "to": "width"}
SPLITS: list[dict[str, Any]] = [
    {"split": "stratified"},
    {"split": "random"},
    {"split": "group", "split_by": "shop"},
    {"split": "time", "split_by": "day"},
]


def table(rows: int = 1200, seed: int = 0) -> pa.Table:
    """Every kind of column, some values missing, and a target that depends on most of them."""
    random = np.random.default_rng(seed)
    length, shop, colour = random.normal(size=rows), random.integers(80, size=rows), random.integers(3, size=rows)
    is_wet, day = random.random(rows) < 0.4, np.sort(random.integers(300, size=rows))
    effect = 2 * length + (shop % 2) + colour - is_wet
    size = np.where(effect > 2, "large", np.where(effect > 0, "medium", "small"))
    return pa.table(
        {
            "length": pa.array(length, mask=random.random(rows) < 0.1),
            "width": random.integers(10, size=rows),
            "shop": pa.array([f"shop {n}" for n in shop], mask=np.zeros(rows, bool)),
            "colour": pa.array(np.array(["red", "green", "blue"])[colour], mask=random.random(rows) < 0.1),
            "is_wet": pa.array(is_wet, mask=random.random(rows) < 0.1),
            "day": [dt.datetime(2024, 1, 1) + dt.timedelta(days=int(n)) for n in day],  # noqa: DTZ001 - as tables have them
            "at": pa.array((random.integers(86_400, size=rows) * 10**6).tolist(), pa.time64("us")),
            "note": [f"came as number {n} from {m}" for n, m in enumerate(shop)],
            "price": effect + 10,
            "size": size,
        }
    )


SLOW = ["note", "at", "day"]  # to encode a batch of
TABLE, OTHERS = table(), table(300, 1)


def parameters_of(settings: dict[str, Any], task: str = "classification", **sections: dict[str, Any]) -> Parameters:
    is_classes = task == "classification"
    other = "price" if is_classes else "size"
    data = {"drop": [other, *SLOW]} | sections.pop("data", {})
    train = {"stream": True, "batch_rows": 300} | sections.pop("train", {})
    return make_parameters(settings, "size" if is_classes else "price", task, data=data, train=train, **sections)


def kept(folder: Path, rows: pa.Table, parameters: Parameters, name: str = "train", group: int = 0) -> Stored:
    """The rows in a file, in one row group or in those of so many rows."""
    path = folder / f"{name}.parquet"
    write_table(rows, path)
    if group:
        pq.write_table(rows, path, row_group_size=group)
    return Stored(path, parameters)


def learned(folder: Path, parameters: Parameters, train: pa.Table = TABLE, group: int = 0) -> Evaluation:
    both = kept(folder, train, parameters, group=group), kept(folder, OTHERS, parameters, "test", group)
    return evaluate(*both, parameters, fit_in_batches)


def model_of(train: Stored) -> Pipeline:
    """What is learned from all rows, without folds."""
    return learn(train, np.zeros(len(train), np.uint8), np.array([[True]]), train.parameters)[0]


@pytest.mark.parametrize(
    ("settings", "task", "prepare"),
    [*((SGD, "classification", split) for split in SPLITS), (REGRESSOR, "regression", SPLITS[0])],
)
def test_what_is_learned_in_batches_scores_about_as_what_is_learned_at_once(
    tmp_path: Path, settings: dict[str, Any], task: str, prepare: dict[str, Any]
) -> None:
    more = {"slices": ["colour", "is_wet"], "passes": 3}
    parameters = parameters_of(settings, task, prepare=prepare, train=more)
    found, at_once = learned(tmp_path, parameters), evaluate(TABLE, OTHERS, parameters)

    name = next(iter(found.metrics))
    assert found.metrics.keys() == at_once.metrics.keys()
    assert found.metrics[name] == pytest.approx(at_once.metrics[name], abs=0.2)
    assert found.metrics["baseline"] == pytest.approx(at_once.metrics["baseline"])
    assert found.metrics["slices"].keys() == at_once.metrics["slices"].keys()
    assert found.plots.keys() == at_once.plots.keys()
    assert [type(step) for _, step in found.model.steps] == [type(step) for _, step in at_once.model.steps]


@pytest.mark.parametrize("classes", [["no", "yes"], [False, True], [-1, 2], [1.0, 2.0]])
def test_classes_of_every_type_are_learned_in_batches(tmp_path: Path, classes: list[Any]) -> None:
    rows = pa.table({"x": np.arange(400.0) % 2, "size": classes * 200})
    parameters = make_parameters(SGD, "size", train={"stream": True})
    both = kept(tmp_path, rows, parameters), kept(tmp_path, rows, parameters, "test")
    found = evaluate(*both, parameters, fit_in_batches)

    assert found.model.classes_.tolist() == classes
    assert found.metrics["balanced_accuracy"]["test"] == 1


@pytest.mark.parametrize(("settings", "task"), [(SGD, "classification"), (REGRESSOR, "regression")])
def test_the_features_of_a_table_that_is_its_own_sample_are_those_of_a_fit_at_once(
    tmp_path: Path, settings: dict[str, Any], task: str
) -> None:
    drop = ["price" if task == "classification" else "size"]
    parameters = parameters_of(settings, task, data={"drop": drop}, train={"folds": 2, "features": [RATIO]})
    ours, theirs = (each.model[:-1] for each in (learned(tmp_path, parameters), evaluate(TABLE, OTHERS, parameters)))
    rows, _ = features_and_target(OTHERS, parameters)

    np.testing.assert_allclose(ours.transform(rows), theirs.transform(rows), rtol=1e-9, atol=1e-9)
    for name, step in theirs["preprocess"].named_transformers_.items():
        assert vars(step).keys() == vars(ours["preprocess"].named_transformers_[name]).keys()


@pytest.mark.parametrize(("settings", "task"), [(SGD, "classification"), (REGRESSOR, "regression")])
def test_target_means_are_those_of_target_encoder_and_a_row_gets_those_of_other_rows(
    settings: dict[str, Any], task: str
) -> None:
    parameters = parameters_of(settings, task)
    frame, target = features_and_target(TABLE, parameters)
    frame, inner = frame[["shop"]], np.random.default_rng(0).integers(5, size=len(frame))
    frame.iloc[:9] = np.nan
    classes = np.unique(target) if task == "classification" else None
    pipeline = Pipeline(
        [("preprocess", ColumnTransformer([("many_valued", TargetEncoder(cv=3), ["shop"])])), ("model", None)]
    )
    learner = Learner(pipeline, frame[:200], target[:200], classes)
    for start in range(0, len(frame), 100):
        rows = slice(start, start + 100)
        learner.learn_features(frame[rows], target[rows], inner[rows])
    learner.end_features()
    crossed = learner.means[0].crossed(frame, inner)

    np.testing.assert_allclose(learner.features.transform(frame), TargetEncoder().fit(frame, target).transform(frame))
    for k in range(5):
        expected = TargetEncoder().fit(frame[inner != k], target[inner != k]).transform(frame[inner == k])
        np.testing.assert_allclose(crossed[inner == k], expected)


@pytest.mark.parametrize("prepare", SPLITS, ids=lambda prepare: prepare["split"])
@pytest.mark.parametrize("order", ["shuffled", "table"])
def test_neither_row_groups_nor_what_is_read_at_a_time_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: dict[str, Any], order: str
) -> None:
    parameters = parameters_of(SGD, prepare=prepare, train={"order": order})
    found = learned(tmp_path, parameters)
    monkeypatch.setattr(stored, "ROW_GROUP", 500) if order == "table" else None
    again = learned(tmp_path, parameters, group=77)

    assert dumped(found.model) == dumped(again.model)
    assert found.metrics == again.metrics


def test_the_size_and_order_of_batches_and_the_number_of_passes_change_the_model(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"batch_rows": 50}, {"order": "table"}, {"passes": 2}, {"seed": 8}]
    models = {dumped(model_of(kept(tmp_path, TABLE, parameters_of(SGD, train=change)))) for change in changes}

    assert len(models) == len(changes)


@pytest.mark.parametrize("most", [1, 7, 100, 5000])
def test_batches_have_their_size_and_each_row_once_and_shuffled_blocks_are_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(stored, "ROW_GROUP", 300)
    rows = TABLE.append_column("row", pa.array(range(len(TABLE))))
    train = kept(tmp_path, rows, parameters_of(SGD), group=77)
    shuffled, plain = (list(train.batches(most, seed)) for seed in ([1, 0], None))

    for batches in (shuffled, plain):
        assert [len(batch) for _, batch in batches[:-1]] == [most] * (len(batches) - 1)
        assert all(numbers.tolist() == batch["row"].to_pylist() for numbers, batch in batches)
    order = np.concatenate([numbers for numbers, _ in shuffled])
    assert sorted(order.tolist()) == np.concatenate([numbers for numbers, _ in plain]).tolist()
    assert all(len({*(order[k : k + 300] // 300).tolist()}) == 1 for k in range(0, 1200, 300))
    assert (np.diff(order) != 1).mean() > 0.9


def parts_of(rows: pa.Table, parameters: Parameters, most: int = 1000) -> np.ndarray:
    rule = Parts(rows, parameters)
    return np.concatenate([rule.of(rows.slice(start, most)) for start in range(0, len(rows), most)])


@pytest.mark.parametrize("prepare", SPLITS, ids=lambda prepare: prepare["split"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_part_of_a_row_does_not_depend_on_how_many_come_with_it(task: str, prepare: dict[str, Any]) -> None:
    parameters = parameters_of(SGD, task, prepare=prepare)
    expected = parts_of(TABLE, parameters)

    assert {*expected.tolist()} == {*range(3 + (prepare["split"] == "time"))}
    assert all((parts_of(TABLE, parameters, most) == expected).all() for most in (1, 7, 500))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_each_class_or_tenth_of_the_numbers_has_its_share_of_each_part_to_within_one_row(task: str) -> None:
    parts = parts_of(TABLE, parameters_of(SGD, task))
    target = TABLE["size"].to_pylist() if task == "classification" else np.argsort(np.argsort(TABLE["price"])) // 120

    for stratum in {*target}:
        counts = Counter(part for part, value in zip(parts.tolist(), target, strict=True) if value == stratum)
        assert max(counts.values()) - min(counts.values()) <= 1 + (task == "regression")


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("prepare", SPLITS[2:], ids=["group", "time"])
def test_parts_by_group_or_time_are_the_folds_of_a_fit_at_once(task: str, prepare: dict[str, Any]) -> None:
    parameters = parameters_of(SGD, task, prepare=prepare)
    rule, parts = Parts(TABLE, parameters), parts_of(TABLE, parameters)

    for k, (fit, held_out) in enumerate(folds_of(TABLE, parameters)):
        assert np.flatnonzero(rule.learns[k][parts]).tolist() == fit.tolist()
        assert np.flatnonzero(parts == rule.held_out[k]).tolist() == held_out.tolist()


def test_groups_that_the_sample_lacks_are_whole_in_one_part() -> None:
    rows = pa.table({"shop": [f"shop {k % 500}" for k in range(5000)], "size": ["a", "b", "b", "a"] * 1250})
    parameters = make_parameters(SGD, "size", prepare=SPLITS[2])
    rule = Parts(rows.slice(0, 100), parameters)
    parts = rule.of(rows)

    assert all(len({*parts[k::500].tolist()}) == 1 for k in range(500))
    assert min(Counter(parts.tolist()).values()) > 1000


@pytest.mark.parametrize("folds", [2, 13])
@pytest.mark.parametrize("prepare", SPLITS, ids=lambda prepare: prepare["split"])
def test_folds_are_refused_in_the_same_words(tmp_path: Path, prepare: dict[str, Any], folds: int) -> None:
    warnings.simplefilter("ignore")  # scikit-learn's, of classes of few rows
    few = TABLE.slice(0, 12).set_column(9, "size", pa.array(["a"] * 11 + ["b"]))
    parameters = parameters_of(SGD, prepare=prepare, train={"folds": folds})
    with pytest.raises(Problem) as expected:
        folds_of(few, parameters)
    with pytest.raises(Problem) as found:
        evaluate(kept(tmp_path, few, parameters), kept(tmp_path, few, parameters, "test"), parameters, fit_in_batches)

    assert str(expected.value) in str(found.value)


def test_a_fold_that_lacks_a_class_is_refused_as_at_once_though_the_sample_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "SAMPLE_ROWS", 100)
    monkeypatch.setattr(stored, "CLASS_ROWS", 3)
    rows = pa.table({"x": np.arange(2000.0), "day": range(2000), "size": [*["a", "b"] * 990, *["late"] * 20]})
    parameters = make_parameters(SGD, "size", prepare=SPLITS[3], train={"stream": True})
    with pytest.raises(Problem, match="leave one without 'late' to learn from") as expected:
        folds_of(rows, parameters)
    with pytest.raises(Problem) as found:
        evaluate(kept(tmp_path, rows, parameters), kept(tmp_path, rows, parameters, "test"), parameters, fit_in_batches)

    assert str(expected.value) == str(found.value)


def odd_rows() -> pa.Table:
    """Of 20,000 rows in a long table, what a sample of 100 would never see comes once, and late."""
    rows = 20_000
    place = np.arange(rows) == rows - 7
    return pa.table(
        {
            "number": pa.array(np.where(place, 5.0, 1.0), mask=~place),
            "flag": pa.array(np.ones(rows, bool), mask=place),
            "few": pa.array(np.where(place, "late", "usual")),
            "many": [f"value {k % 41}" if k > 19_000 else "value 0" for k in range(rows)],
            "size": np.where(np.arange(rows) % 9_000 == 8_990, "rare", np.where(np.arange(rows) % 2, "a", "b")),
        }
    )


def test_what_a_sample_in_equal_steps_would_miss_is_in_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "SAMPLE_ROWS", 100)
    rows, parameters = odd_rows(), make_parameters(SGD, "size", train={"stream": True, "folds": 2})
    train = kept(tmp_path, rows, parameters, group=999)
    model = model_of(train)
    steps = model["preprocess"].named_transformers_

    assert len(train.sample) < 300
    assert model.classes_.tolist() == ["a", "b", "rare"]
    assert steps["categories"].categories_[1].tolist() == ["late", "usual"]
    assert len(steps["categories"].categories_[0]) == 2  # true and missing
    assert len(steps["many_valued"].categories_[0]) == 41
    assert steps["numbers"]["impute"].statistics_.tolist() == [5.0]


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        ("x", [1.0, None] * 10_000, None),
        ("x", [1.0] * 19_990 + [float("inf")] * 10, "column 'x': expected finite numbers"),
        ("x", pa.nulls(20_000, pa.float64()), "column 'x': every value is missing"),
        ("size", ["a", "b"] * 9_999 + ["a", None], "target 'size': values are missing"),
    ],
)
def test_what_cannot_be_learned_is_refused_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, values: Any, sentence: str | None
) -> None:
    monkeypatch.setattr(stored, "SAMPLE_ROWS", 100)
    good = pa.table({"x": np.arange(20_000.0), "y": np.arange(20_000.0), "size": ["a", "b"] * 10_000})
    rows = good.set_column(good.column_names.index(column), column, pa.array(values))
    parameters = make_parameters(SGD, "size", train={"stream": True, "metric": "accuracy"})
    both = kept(tmp_path, rows, parameters), kept(tmp_path, good, parameters, "test")
    if sentence is None:
        assert evaluate(*both, parameters, fit_in_batches).model.classes_.tolist() == ["a", "b"]
    else:
        with pytest.raises(Problem, match=sentence):
            evaluate(*both, parameters, fit_in_batches)


@pytest.mark.parametrize("rows", [TABLE, odd_rows()], ids=["every kind", "odd"])
def test_a_table_in_its_file_is_described_as_one_in_memory(tmp_path: Path, rows: pa.Table) -> None:
    parameters = parameters_of(SGD, data={"drop": ["price"] if "price" in rows.column_names else []})
    model = fit_few(rows.slice(0, 100), parameters)

    assert describe(model, kept(tmp_path, rows, parameters, group=77), parameters, None) == describe(
        model, rows, parameters, None
    )


@pytest.mark.parametrize(
    ("settings", "task", "named"),
    [
        (LOGISTIC, "classification", "GaussianNB, MLPClassifier, MultinomialNB"),
        (SEARCH, "classification", "SGDClassifier"),
        ({"class": "sklearn.ensemble.RandomForestRegressor"}, "regression", "such as MLPRegressor"),
    ],
)
def test_an_estimator_that_cannot_learn_in_batches_is_refused_with_those_that_can(
    tmp_path: Path, settings: dict[str, Any], task: str, named: str
) -> None:
    with pytest.raises(Problem, match=f"learns from all rows at once.*{named}.*train.stream: false"):
        learned(tmp_path, parameters_of(settings, task))


def test_settings_that_leave_an_estimator_without_partial_fit_are_named_as_the_cause(tmp_path: Path) -> None:
    settings = {"class": "sklearn.neural_network.MLPClassifier", "solver": "lbfgs"}
    with pytest.raises(Problem, match=r"MLPClassifier with these settings learns from all rows at once.*Perceptron"):
        learned(tmp_path, parameters_of(settings))


@pytest.mark.parametrize("refused", [{"early_stopping": True}, {"class_weight": "balanced"}])
def test_a_setting_that_partial_fit_alone_refuses_names_the_way_without_batches(
    tmp_path: Path, refused: dict[str, Any]
) -> None:
    with pytest.raises(Problem, match=r"partial_fit.*; change estimators\.mine .*set train\.stream: false"):
        learned(tmp_path, parameters_of(SGD | refused, data={"drop": ["price", "shop", *SLOW]}))


IN_BATCHES = [(name, "classification") for name in learning_in_batches("classifier")]
IN_BATCHES += [(name, "regression") for name in learning_in_batches("regressor")]
POSITIVE = {"MultinomialNB", "ComplementNB", "CategoricalNB"}  # which take no negative numbers


@pytest.mark.parametrize(("name", "task"), IN_BATCHES)
def test_every_estimator_of_scikit_learn_that_can_learn_in_batches_does_and_is_loaded_again(
    name: str, task: str
) -> None:
    cls = dict(all_estimators())[name]
    drop = ["price" if task == "classification" else "size", "length", "width", "shop", *SLOW]
    parameters = parameters_of(
        {"class": f"{cls.__module__}.{name}"}, task, data={"drop": drop} if name in POSITIVE else {}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        model = fit_few(TABLE, parameters)
        loaded = unpickle(dumped(model))
    rows, _ = features_and_target(OTHERS, parameters)

    assert loaded.predict(rows).tolist() == model.predict(rows).tolist()


def test_the_second_fit_of_a_sample_is_in_batches_too(tmp_path: Path) -> None:
    parameters = parameters_of(SGD, train={"batch_rows": 65_536})
    found = fingerprints(kept(tmp_path, TABLE, parameters), parameters)

    assert found == fingerprints(kept(tmp_path, TABLE, parameters, group=99), parameters)
    assert found != fingerprints(TABLE, parameters)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "not found"), (b"", "found an empty file"), (b"PAR1nonsense", "not readable as Parquet")],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "train.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Problem, match=problem):
        Stored(path, parameters_of(SGD))


def test_damage_in_the_middle_of_a_file_is_a_problem_and_a_file_without_rows_too(tmp_path: Path) -> None:
    parameters = parameters_of(SGD)
    train = kept(tmp_path, table(4000), parameters)
    content = bytearray(train.path.read_bytes())
    content[len(content) // 3] ^= 255
    train.path.write_bytes(content)

    with pytest.raises(Problem, match="not readable as Parquet"):
        list(train.batches(100))
    with pytest.raises(Problem, match="not readable as Parquet"):
        list(train.batches(100, [1]))
    with pytest.raises(Problem, match="expected rows, found only column names"):
        kept(tmp_path, TABLE.slice(0, 0), parameters)
