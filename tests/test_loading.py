import ast
import builtins
import copyreg
import functools
import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.pipeline
from conftest import CHECKOUT, Project
from sklearn.base import BaseEstimator, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import KNNImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, RANSACRegressor, Ridge, SGDClassifier
from sklearn.metrics._scorer import _PassthroughScorer
from sklearn.multiclass import OneVsRestClassifier, OutputCodeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import packages
import tools
from checksums import digest, format_sums
from files import to_json
from loading import (
    EnvironmentDiffersError,
    ForbiddenError,
    NotAPackageError,
    NotIntactError,
    PackageNotFoundError,
    is_allowed,
    load_model,
)
from problem import Problem

VERSION = "v1.0.0"


@pytest.fixture
def package(finished: Project, tmp_path: Path) -> Path:
    """A package to do with as one likes, away from any repository."""
    folder = tmp_path / VERSION
    folder.mkdir()
    for name in (*packages.CHECKED, packages.SUMS):
        (folder / name).write_bytes((finished.path / packages.folder_of(VERSION) / name).read_bytes())
    return folder


def seal(folder: Path, model: bytes | None = None, **changes: Any) -> None:
    """Change a package as one who knows how it is made: each hash in it is right again afterwards.

    A key's dots are written as two underscores.
    """
    manifest = json.loads((folder / packages.MANIFEST).read_bytes())
    for key, value in changes.items():
        *parents, name = key.split("__")
        functools.reduce(dict.__getitem__, parents, manifest)[name] = value
    if model is not None:
        (folder / packages.MODEL).write_bytes(model)
        manifest["model"] |= vars(digest(folder / packages.MODEL))
    (folder / packages.MANIFEST).write_bytes(to_json(manifest))
    reseal(folder)


def reseal(folder: Path) -> None:
    """Write the checksums of the files as they are."""
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in packages.CHECKED}
    (folder / packages.SUMS).write_bytes(format_sums(sums))


def dumped(model: object) -> bytes:
    content = BytesIO()
    joblib.dump(model, content)
    return content.getvalue()


class Call:
    """Something whose pickle calls a function when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class State:
    """Something whose pickle sets the state of an object, which may run its `__setstate__`."""

    def __init__(self, of: Call, state: object) -> None:
        self.of, self.state = of, state

    def __reduce__(self) -> tuple[Any, ...]:
        return (*self.of.call, self.state)


def test_the_model_comes_with_its_manifest_and_predicts_what_it_did(finished: Project) -> None:
    folder = finished.path / packages.folder_of(VERSION)
    loaded = load_model(folder)
    same = joblib.load(folder / packages.MODEL)

    assert type(loaded.model) is Pipeline
    assert dumped(loaded.model) == dumped(same)
    assert loaded.manifest.to_bytes() == (folder / packages.MANIFEST).read_bytes()


def test_a_path_may_be_text(package: Path) -> None:
    assert load_model(str(package)).manifest.version == VERSION  # type: ignore[arg-type]


def test_a_folder_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(PackageNotFoundError) as caught:
        load_model(tmp_path / "v9")

    assert caught.value.lines == (f"{tmp_path / 'v9'}: not found; packages are the folders of models/",)


def test_all_missing_files_are_named_with_the_command_that_brings_them_back(package: Path) -> None:
    (package / packages.MODEL).unlink()
    (package / packages.SUMS).unlink()
    with pytest.raises(PackageNotFoundError) as caught:
        load_model(package)

    assert caught.value.lines == tuple(
        f"{package / name}: not found; python src/lineage.py restore {VERSION} brings it back"
        for name in (packages.MODEL, packages.SUMS)
    )


@pytest.mark.parametrize("name", packages.CHECKED)
def test_a_file_that_is_not_what_the_checksums_say_is_named(package: Path, name: str) -> None:
    (package / name).write_bytes((package / name).read_bytes() + b"\n")
    with pytest.raises(NotIntactError) as caught:
        load_model(package)

    assert caught.value.lines == (f"{name}: is not what SHA256SUMS says; restore the package",)


@pytest.mark.parametrize("name", [packages.MODEL, packages.REQUIREMENTS])
def test_a_file_that_is_not_what_the_manifest_says_is_named_though_the_checksums_hold(package: Path, name: str) -> None:
    (package / name).write_bytes((package / name).read_bytes() + b"\n")
    reseal(package)
    with pytest.raises(NotIntactError) as caught:
        load_model(package)

    assert caught.value.lines == (f"{name}: is not what manifest.json says; restore it",)


@pytest.mark.parametrize(
    ("name", "content", "sealed", "line"),
    [
        (packages.SUMS, b"", False, "SHA256SUMS: does not name manifest.json"),
        (packages.SUMS, b"\xff\x00", False, "SHA256SUMS: line 1 is not 'SHA-256, two spaces, file name'"),
        (packages.MANIFEST, b"{}", True, "manifest.json: name: Field required"),
        (packages.MANIFEST, b"\xff", True, "manifest.json: document: Invalid JSON: expected value at line 1 column 1"),
    ],
)
def test_what_has_not_the_form_of_a_package_is_none(
    package: Path, name: str, content: bytes, sealed: bool, line: str
) -> None:
    (package / name).write_bytes(content)
    if sealed:
        reseal(package)
    with pytest.raises(NotAPackageError) as caught:
        load_model(package)

    assert line in caught.value.lines


def test_every_version_that_differs_is_listed_with_the_one_that_is_installed(package: Path) -> None:
    seal(package, environment__python="3.2.1", environment__packages={"numpy": "1.0", "no-such-package": "2.0"})
    with pytest.raises(EnvironmentDiffersError) as caught:
        load_model(package)

    assert caught.value.lines == (
        f"Python: the model was trained with 3.2, this is {sys.version_info.major}.{sys.version_info.minor}",
        f"numpy: the model was trained with 1.0, installed is {np.__version__}",
        "no-such-package: the model was trained with 2.0, installed is none",
        "install the requirements.txt of the package, then load it",
    )


@pytest.mark.parametrize(
    "error", [PackageNotFoundError, NotAPackageError, NotIntactError, EnvironmentDiffersError, ForbiddenError]
)
def test_each_error_is_a_problem_that_is_told_in_lines(error: type[Exception]) -> None:
    assert issubclass(error, Problem)


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", b"\x80\xff.", b"\x80\x04N", dumped([1, 2])[:-1]],
    ids=["empty", "text", "9", "open", "cut"],
)
def test_a_model_file_that_is_no_pickle_is_refused(package: Path, content: bytes) -> None:
    seal(package, content)
    with pytest.raises(NotIntactError, match=r"model\.joblib cannot be loaded"):
        load_model(package)


# ── what models are made of ────────────────────────────────────────────────────────────────────────────────────────

TREE = DecisionTreeClassifier(max_depth=2)
MODELS = [
    LogisticRegression(),
    SGDClassifier(),
    GaussianNB(),
    SVC(probability=False),
    KNeighborsClassifier(algorithm="kd_tree"),
    RadiusNeighborsRegressor(radius=9.0, algorithm="ball_tree"),
    TREE,
    RandomForestClassifier(n_estimators=3),
    ExtraTreesRegressor(n_estimators=3),
    GradientBoostingClassifier(n_estimators=3),
    HistGradientBoostingClassifier(max_iter=3, early_stopping=True),
    AdaBoostClassifier(TREE, n_estimators=3),
    BaggingClassifier(TREE, n_estimators=3, random_state=np.random.RandomState(0)),
    IsolationForest(n_estimators=3),
    CalibratedClassifierCV(TREE, cv=2, method="isotonic"),
    OneVsRestClassifier(LogisticRegression()),
    OutputCodeClassifier(TREE),
    RANSACRegressor(Ridge(), min_samples=5),
    make_pipeline(SelectFromModel(TREE), SVC()),
    make_pipeline(PCA(2), LinearDiscriminantAnalysis()),
    TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=5)),
    GaussianProcessRegressor(RBF() + WhiteKernel()),
    MLPClassifier(hidden_layer_sizes=(3,), max_iter=2),
    make_pipeline(FeatureUnion([("k", KBinsDiscretizer(3)), ("p", PolynomialFeatures())]), Ridge()),
    make_pipeline(ColumnTransformer([("o", OneHotEncoder(), [0])], remainder=KNNImputer()), Ridge()),
    make_pipeline(FunctionTransformer(), ColumnTransformer([("first", "passthrough", [0])]), IsotonicRegression()),
]


@pytest.mark.parametrize("estimator", MODELS, ids=lambda estimator: type(estimator).__name__)
def test_a_fitted_pipeline_of_any_kind_loads_and_predicts_the_same(package: Path, estimator: BaseEstimator) -> None:
    rows = np.random.default_rng(0).uniform(size=(40, 3)).round(1)
    labels = np.array(["no", "yes"], dtype=object)[(rows[:, 0] > 0.5).astype(int)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Pipeline([("model", estimator)]).fit(rows, rows[:, 0] if is_regressor(estimator) else labels)
    seal(package, dumped(model))
    loaded = load_model(package).model

    assert loaded.predict(rows).tolist() == model.predict(rows).tolist()


# ── what they are not made of ──────────────────────────────────────────────────────────────────────────────────────


def hidden_in_an_array(mark: Path) -> bytes:
    """joblib keeps arrays of objects as a pickle inside of the pickle."""
    return dumped(np.array([Call(os.system, f"touch {mark}")], dtype=object))


def by_opcodes(form: bytes) -> Callable[[Path], bytes]:
    return lambda mark: form.replace(b"MARK", os.fsencode(mark))


def by_extension_code(mark: Path) -> bytes:
    """A registered code stands for a name; whoever registers it can have it looked up without its being spelled."""
    argument = pickle.dumps(f"touch {mark}", 0).removesuffix(b".")
    return b"\x80\x02\x82\xf0" + argument + b"\x85R."


def in_a_fitted_pipeline(mark: Path) -> bytes:
    model = make_pipeline(Ridge()).fit([[0.0], [1.0]], [0.0, 1.0])
    model.extra = Call(os.system, f"touch {mark}")
    return dumped(model)


def pickled(*call: Any) -> bytes:
    return pickle.dumps(Call(*call))


MALICIOUS: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda mark: pickled(os.system, f"touch {mark}"),
    "os.system in protocol 0": by_opcodes(b"cos\nsystem\n(S'touch MARK'\ntR."),
    "eval": lambda mark: pickled(builtins.eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: pickled(builtins.exec, f"open({str(mark)!r}, 'w')"),
    "open": lambda mark: pickled(builtins.open, str(mark), "w"),
    "exec of Python 2": by_opcodes(b"\x80\x02c__builtin__\neval\nX\x00\x00\x00\x00\x85R."),
    "a path through a module": by_opcodes(b"\x80\x04\x8c\x10sklearn.pipeline\x8c\x0bnp.os.mkdir\x93(VMARK\ntR."),
    "a path through an allowed class": by_opcodes(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."),
    "numpy.memmap": lambda mark: pickled(np.memmap, str(mark), "uint8", "w+", 0, (4,)),
    "numpy.load": lambda mark: pickled(np.load, str(mark)),
    "an array of objects": hidden_in_an_array,
    "functools.partial": lambda mark: pickled(functools.partial, os.mkdir, str(mark)),
    "what sklearn imported": lambda mark: pickled(sklearn.pipeline.clone, str(mark)),
    "a function of sklearn": by_opcodes(b"csklearn.datasets._base\nclear_data_home\n(S'MARK'\ntR."),
    "a class of sklearn's tests": by_opcodes(b"csklearn.utils._testing\nTempMemmap\n(S'MARK'\ntR."),
    "importlib": lambda _: pickled(importlib.import_module, "antigravity"),
    "subprocess.Popen": lambda mark: pickled(subprocess.Popen, ["touch", str(mark)]),
    "joblib.Memory": lambda mark: pickled(joblib.Memory, str(mark)),
    "INST": by_opcodes(b"(S'touch MARK'\nios\nsystem\n."),
    "OBJ": by_opcodes(b"(cos\nsystem\nS'touch MARK'\no."),
    "a code of copyreg": by_extension_code,
    "__setstate__": lambda mark: pickle.dumps(State(Call(functools.partial, print), (os.mkdir, (str(mark),), {}, {}))),
    "a list filled by a call": by_opcodes(b"(lp0\ncos\nmkdir\n(S'MARK'\ntRa."),
    "inside of a good model": in_a_fitted_pipeline,
    "getattr": by_opcodes(b"c__builtin__\ngetattr\n."),
}


@pytest.fixture
def _code() -> Any:
    """The code 240 stands for os.system, as long as a test runs."""
    copyreg.add_extension("os", "system", 240)
    yield
    copyreg.remove_extension("os", "system", 240)


@pytest.mark.usefixtures("_code")
@pytest.mark.parametrize("make", MALICIOUS.values(), ids=MALICIOUS)
def test_a_model_that_asks_for_anything_else_is_refused_and_nothing_runs(
    package: Path, make: Callable[[Path], bytes]
) -> None:
    """Its checksums and its manifest are right, so that nothing but the unpickler can stop it."""
    mark = package.parent / "mark"
    seal(package, make(mark))
    before = sorted(package.parent.rglob("*"))
    with pytest.raises(ForbiddenError, match=r"model\.joblib: asks for .*, which no model is made of") as caught:
        load_model(package)

    assert len(caught.value.lines) == 1
    assert sorted(package.parent.rglob("*")) == before


def test_the_malicious_models_would_leave_a_mark_if_they_were_loaded(tmp_path: Path) -> None:
    marks = {}
    for name in ("os.system", "eval", "an array of objects", "numpy.memmap", "subprocess.Popen", "INST", "OBJ"):
        marks[name] = tmp_path / name.replace(" ", "-")
        (tmp_path / "model").write_bytes(MALICIOUS[name](marks[name]))
        code = "import joblib, sys; x = joblib.load(sys.argv[1]); getattr(x, 'wait', int)()"
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path / "model"], check=False)

    assert [name for name, mark in marks.items() if not mark.exists()] == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "list.append"),
        ("builtins", "getattr"),
        ("builtins", "type"),
        ("numpy", "memmap"),
        ("numpy", "fromfile"),
        ("numpy", "save"),
        ("numpy", "os"),
        ("numpy.lib._npyio_impl", "NpzFile"),
        ("joblib.numpy_pickle_compat", "NDArrayWrapper"),
        ("joblib.memory", "Memory"),
        ("sklearn.neighbors._kd_tree", "newObj.__self__"),
        ("sklearn.pipeline", "islice"),
        ("sklearn.pipeline", "make_pipeline"),
        ("sklearn.pipeline", "no_such_name"),
        ("sklearn.datasets._base", "RemoteFileMetadata"),
        ("sklearn.utils._testing", "TempMemmap"),
        ("sklearn.utils.parallel", "Parallel"),
        ("sklearn.externals._arff", "ArffDecoder"),
        ("scipy.io", "netcdf_file"),
        ("scipy.sparse", "load_npz"),
        ("scipy._lib._ccallback", "LowLevelCallable"),
        ("pathlib", "Path"),
        ("", "object"),
        ("..", "object"),
        ("../src/tools", "Tools"),
        ("tests.conftest", "Project"),
    ],
)
def test_a_name_that_no_model_needs_is_not_allowed(module: str, name: str) -> None:
    assert not is_allowed(module, name)


STEP = """
from sklearn.base import BaseEstimator, TransformerMixin
class Step(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None): return self
    def transform(self, X): return X
    def __sklearn_is_fitted__(self): return True
def function(): open("MARK", "w")
"""
ASK = """
import sys; sys.path.insert(0, "src")
import joblib, json
from io import BytesIO
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from loading import ModelUnpickler, is_allowed
from problem import Problem
answers = {}
for name in ("committed", "dropped", "changed"):
    module = __import__(name)
    content = BytesIO()
    joblib.dump(make_pipeline(module.Step(), Ridge()).fit([[0.0], [1.0]], [0.0, 1.0]), content)
    try:
        answers[name] = type(ModelUnpickler(content.getvalue()).load()[0]).__name__
    except Problem as problem:
        answers[name] = str(problem)
answers["function"] = is_allowed("committed", "function")
answers["imported"] = is_allowed("committed", "BaseEstimator")
print(json.dumps(answers))
"""


def test_of_the_repositorys_own_classes_those_in_heads_code_load_alone(project: Project) -> None:
    for name in ("committed", "changed"):
        (project.path / f"src/{name}.py").write_text(STEP)
    project.commit("Add a step")
    (project.path / "src/dropped.py").write_text(STEP)
    (project.path / "src/changed.py").write_text(STEP + "import os\n")
    (project.path / "ask.py").write_text(ASK)

    assert json.loads(project.run("python -B ask.py").stdout) == {
        "committed": "Step",
        "dropped": "model.joblib: asks for dropped.Step, which no model is made of; nothing was loaded",
        "changed": "model.joblib: asks for changed.Step, which no model is made of; nothing was loaded",
        "function": False,
        "imported": False,
    }


# ── the bytes that are checked are the bytes that are loaded ───────────────────────────────────────────────────────

WATCH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from loading import load_model
folder, opened = sys.argv[2], []
def hook(event, arguments):
    if event in ("open", "os.open") and str(arguments[0]).startswith(folder):
        opened.append(str(arguments[0]).removeprefix(folder + "/"))
sys.addaudithook(hook)
load_model(folder)
print(json.dumps(opened))
"""


def test_each_file_is_opened_once_so_none_can_be_swapped_between_check_and_load(package: Path) -> None:
    command = [sys.executable, "-c", WATCH, str(CHECKOUT / "src"), str(package)]
    opened = json.loads(subprocess.check_output(command, text=True))

    assert sorted(opened) == sorted([*packages.CHECKED, packages.SUMS])


UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "skops", "torch"}
LOADERS = {"load", "loads", "read_pickle", "Unpickler", "load_npz", "memmap"}


def test_no_other_file_of_src_unpickles_anything() -> None:
    found = []
    for path in sorted((CHECKOUT / "src").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".")[0] for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [(node.module or "").partition(".")[0], *(alias.name for alias in node.names)]
            if isinstance(node, ast.Attribute) and node.attr in LOADERS:
                owner = ast.unparse(node.value)
                names = [] if owner == "json" or owner.startswith("YAML(") else [node.attr]
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                names = ["pickle"]
            found += [path.name for name in names if name in UNPICKLING | LOADERS | {"NumpyUnpickler"}]

    assert set(found) == {"loading.py"}


def test_a_chain_of_allowed_classes_runs_no_program(package: Path) -> None:
    """A scorer that calls its estimator, which reads what it is given, which is a command of this repository."""
    mark, program = package.parent / "mark", package.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    name = NotFittedError(str(program))
    name.parent = "/tmp"  # noqa: S108
    reader = HashingVectorizer(input="file", n_features=4)
    inner = make_pipeline(reader, Ridge().fit([[0, 0, 0, 0], [1, 0, 0, 0]], [0, 1]))
    command = tools.Tools(python=name, cwd=".")
    seal(package, pickle.dumps(Call(_PassthroughScorer(inner), inner, [command], [1])))

    with pytest.raises(ForbiddenError):
        load_model(package)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.pipeline", "Parallel"),
        ("sklearn.calibration", "Parallel"),
        ("sklearn.metrics._scorer", "_PassthroughScorer"),
        ("sklearn.utils._testing", "TempMemmap"),
        ("tools", "Tools"),
        ("loading", "ModelUnpickler"),
    ],
)
def test_a_class_that_could_do_more_than_compute_is_refused_by_whatever_name(module: str, name: str) -> None:
    assert not is_allowed(module, name)
