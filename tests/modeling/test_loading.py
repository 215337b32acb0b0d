import builtins
import copyreg
import functools
import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.pipeline
from projects import CHECKOUT, VERSION, Project
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.metrics._scorer import _PassthroughScorer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import all_estimators
from tables import dumped, reseal, seal, write_package_of

from modeling.loading import (
    EnvironmentDiffersError,
    NotIntactError,
    PackageNotFoundError,
    load_model,
)
from modeling.unpickling import ForbiddenError, is_allowed, is_ours
from record.models import CHECKED, MANIFEST, MODEL, SIGNATURE, SUMS
from record.problem import Problem


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package, away from any repository. Copy it."""
    folder = tmp_path_factory.mktemp("packages") / VERSION
    write_package_of(folder)
    return folder


@pytest.fixture
def package(original: Path, tmp_path: Path) -> Path:
    """A package for one test to do with as it likes."""
    return Path(shutil.copytree(original, tmp_path / VERSION))


class Call:
    """Its pickle calls a function when it is loaded, and may then set a state, which may run a `__setstate__`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: object = None) -> None:
        self.call = function, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def refusal(package: Path, error: type[Problem]) -> tuple[str, ...]:
    assert issubclass(error, Problem)
    with pytest.raises(error) as caught:
        load_model(package, trust_unvouched=True)
    return caught.value.lines


def test_the_model_comes_with_its_manifest_and_a_path_may_be_text(original: Path) -> None:
    loaded = load_model(str(original), trust_unvouched=True)  # type: ignore[arg-type]

    assert type(loaded.model) is Pipeline
    assert dumped(loaded.model) == dumped(joblib.load(original / MODEL))
    assert loaded.manifest.to_bytes() == (original / MANIFEST).read_bytes()


def test_a_missing_folder_and_all_missing_files_are_named(package: Path) -> None:
    elsewhere = package.parent / "v9"
    (package / MODEL).unlink()
    (package / SUMS).unlink()

    assert refusal(elsewhere, PackageNotFoundError) == (f"{elsewhere}: not found; packages are the folders of models/",)
    assert sorted(refusal(package, PackageNotFoundError)) == [
        f"{package / name}: not found; copy the whole package" for name in (SUMS, MODEL)
    ]


@pytest.mark.parametrize("name", CHECKED)
def test_a_file_that_differs_from_the_checksums_or_the_manifest_is_named(package: Path, name: str) -> None:
    (package / name).write_bytes((package / name).read_bytes() + b"\n")
    lines = refusal(package, NotIntactError)
    reseal(package)

    assert f"{name}: is not what SHA256SUMS says; restore it" in lines
    if name != MANIFEST:
        (line,) = refusal(package, NotIntactError)
        assert line.startswith(f"{name}: is not ")
        assert line.endswith("manifest.json records; restore it")


def test_a_manifest_without_its_form_and_a_link_are_refused(package: Path) -> None:
    (package / MODEL).rename(package.parent / "elsewhere")
    (package / MODEL).symlink_to(package.parent / "elsewhere")
    of_link = refusal(package, NotIntactError)
    (package / MANIFEST).write_bytes(b"{}")
    reseal(package)

    assert "model.joblib: is a link" in of_link[0]
    assert "manifest.json: name: Field required" in refusal(package, NotIntactError)


def test_every_version_that_differs_in_more_than_its_spelling_is_listed_with_the_installed_one(package: Path) -> None:
    versions = {"numpy": "1.0", "no-such-package": "2.0", "joblib": f"{joblib.__version__}.0"}
    seal(package, environment__python="3.2.1", environment__packages=versions)

    assert refusal(package, EnvironmentDiffersError) == (
        f"Python: the model was trained with 3.2, this is {sys.version_info.major}.{sys.version_info.minor}",
        f"numpy: the model was trained with 1.0, installed is {np.__version__}",
        "no-such-package: the model was trained with 2.0, installed is none",
        "install the requirements.txt of the package, then load it",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        *((content, "cannot be loaded: ") for content in (b"", b"no pickle", b"\x80\xff.", dumped([1, 2])[:-1])),
        (dumped([1, 2]), "holds a list, expected a Pipeline"),
        (zlib.compress(dumped([1, 2])), "cannot be loaded: KeyError: 120"),
    ],
    ids=["empty", "text", "9", "cut", "no pipeline", "compressed"],
)
def test_a_model_file_that_is_not_a_pickle_of_a_pipeline_is_refused(package: Path, content: bytes, reason: str) -> None:
    seal(package, content)

    assert f"model.joblib {reason}" in " ".join(refusal(package, NotIntactError))


# ── what models are made of ────────────────────────────────────────────────────────────────────────────────────────

sk = SimpleNamespace(**dict(all_estimators()))  # each class of scikit-learn by its name
TREE = sk.DecisionTreeClassifier(max_depth=2)
PLAIN = "LogisticRegression SGDClassifier GaussianNB SVC GaussianProcessRegressor"
FORESTS = "RandomForestClassifier ExtraTreesRegressor IsolationForest GradientBoostingClassifier"
ONE_HOT = sk.ColumnTransformer([("o", sk.OneHotEncoder(), [0])], remainder=sk.KNNImputer())
FIRST = sk.ColumnTransformer([("first", "passthrough", [0])])
MODELS = [
    *(vars(sk)[name]() for name in PLAIN.split()),
    *(vars(sk)[name](n_estimators=3) for name in FORESTS.split()),
    *(of(TREE) for of in (sk.OutputCodeClassifier, sk.OneVsRestClassifier, sk.AdaBoostClassifier)),
    *(sk.KNeighborsClassifier(algorithm="kd_tree"), sk.RadiusNeighborsRegressor(radius=9.0, algorithm="ball_tree")),
    *(TREE, sk.HistGradientBoostingClassifier(max_iter=3, early_stopping=True), sk.RANSACRegressor(min_samples=5)),
    *(sk.CalibratedClassifierCV(TREE, cv=2, method="isotonic"), sk.MLPClassifier(max_iter=2, early_stopping=True)),
    sk.BaggingClassifier(TREE, n_estimators=3, random_state=np.random.RandomState(0)),
    sk.TransformedTargetRegressor(sk.Ridge(), transformer=sk.QuantileTransformer(n_quantiles=5)),
    sk.GaussianProcessRegressor(RBF() + WhiteKernel()),
    *(make_pipeline(sk.SelectFromModel(TREE), sk.SVC()), make_pipeline(sk.PCA(2), sk.LinearDiscriminantAnalysis())),
    make_pipeline(sk.FeatureUnion([("k", sk.KBinsDiscretizer(3)), ("p", sk.PolynomialFeatures())]), sk.Ridge()),
    *(make_pipeline(ONE_HOT, sk.Ridge()), make_pipeline(sk.FunctionTransformer(), FIRST, sk.IsotonicRegression())),
]


@pytest.mark.parametrize("estimator", MODELS, ids=lambda estimator: type(estimator).__name__)
def test_a_fitted_pipeline_of_any_kind_loads_and_predicts_the_same(package: Path, estimator: BaseEstimator) -> None:
    rows = np.random.default_rng(0).uniform(size=(40, 3)).round(1)
    labels = np.array(["no", "yes"], dtype=object)[(rows[:, 0] > 0.5).astype(int)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Pipeline([("model", estimator)]).fit(rows, rows[:, 0] if is_regressor(estimator) else labels)
    seal(package, dumped(model))
    loaded = load_model(package, trust_unvouched=True).model

    assert loaded.predict(rows).tolist() == model.predict(rows).tolist()


# ── what they are not made of ──────────────────────────────────────────────────────────────────────────────────────


def by_opcodes(form: bytes) -> Callable[[Path], bytes]:
    return lambda mark: form.replace(b"MARK", os.fsencode(mark))


def by_extension_code(mark: Path) -> bytes:
    """A registered code stands for a name; whoever registers it can have it looked up without its being spelled."""
    argument = pickle.dumps(f"touch {mark}", 0).removesuffix(b".")
    return b"\x80\x02\x82\xf0" + argument + b"\x85R."


def in_a_fitted_pipeline(mark: Path) -> bytes:
    model = make_pipeline(sk.Ridge()).fit([[0.0], [1.0]], [0.0, 1.0])
    model.extra = Call(os.system, f"touch {mark}")
    return dumped(model)


def pickled(*call: Any, **state: Any) -> bytes:
    return pickle.dumps(Call(*call, **state))


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
    "an array of objects": lambda mark: dumped(np.array([Call(os.system, f"touch {mark}")], dtype=object)),
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
    "__setstate__": lambda mark: pickled(functools.partial, print, state=(os.mkdir, (str(mark),), {}, {})),
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
def test_a_malicious_model_is_refused_and_nothing_runs(package: Path, make: Callable[[Path], bytes]) -> None:
    """Its checksums and its manifest are right, so that nothing but the unpickler can stop it."""
    seal(package, make(package.parent / "mark"))
    before = sorted(package.parent.rglob("*"))
    line, advice = refusal(package, ForbiddenError)

    assert advice == "make it anew where it comes from: python src/lineage.py rebuild v1.0.0"
    assert line.startswith("model.joblib: asks for ")
    assert line.endswith(", which a model is never made of; nothing was loaded")
    assert sorted(package.parent.rglob("*")) == before


def test_the_malicious_models_leave_a_mark_when_joblib_loads_them(tmp_path: Path) -> None:
    marks = {}
    for name in ("os.system", "eval", "an array of objects", "numpy.memmap", "subprocess.Popen", "INST", "OBJ"):
        marks[name] = tmp_path / name.replace(" ", "-")
        (tmp_path / "model").write_bytes(MALICIOUS[name](marks[name]))
        code = "import joblib, sys; x = joblib.load(sys.argv[1]); getattr(x, 'wait', int)()"
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, tmp_path / "model"], check=False)

    assert [name for name, mark in marks.items() if not mark.exists()] == []


FORBIDDEN = """
builtins:list.append builtins:getattr builtins:type numpy:memmap numpy:fromfile numpy:save numpy:os pathlib:Path
numpy.lib._npyio_impl:NpzFile joblib.numpy_pickle_compat:NDArrayWrapper joblib.memory:Memory :object ..:object
sklearn.neighbors._kd_tree:newObj.__self__ sklearn.pipeline:islice sklearn.pipeline:make_pipeline
sklearn.pipeline:no_such_name sklearn.pipeline:Parallel sklearn.calibration:Parallel sklearn.utils.parallel:Parallel
sklearn.datasets._base:RemoteFileMetadata
sklearn.utils._testing:TempMemmap sklearn.externals._arff:ArffDecoder scipy.io:netcdf_file scipy.sparse:load_npz
scipy._lib._ccallback:LowLevelCallable ../src/modeling/loading:Loaded tests.conftest:Project
record.checksums:Digest modeling.unpickling:ModelUnpickler
"""


@pytest.mark.parametrize("name", FORBIDDEN.split())
def test_a_name_that_no_model_needs_is_not_allowed_wherever_it_is_imported(name: str) -> None:
    module, _, name = name.partition(":")

    assert not is_allowed(module, name, is_ours)


def test_a_chain_of_allowed_classes_runs_no_program(package: Path) -> None:
    """A scorer that calls its estimator, which reads what it is given."""
    mark, program = package.parent / "mark", package.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    name = NotFittedError(str(program))
    name.parent = "/tmp"  # noqa: S108
    inner = make_pipeline(sk.HashingVectorizer(input="file", n_features=4), sk.Ridge().fit([[0] * 4, [1] * 4], [0, 1]))
    seal(package, pickled(_PassthroughScorer(inner), inner, [name], [1]))

    assert refusal(package, ForbiddenError)
    assert not mark.exists()


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
from importlib import import_module
from io import BytesIO
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from modeling.loading import is_committed
from modeling.unpickling import is_allowed, unpickle
from record.problem import Problem
answers = {}
for name in ("committed", "modeling.inner", "dropped", "changed"):
    content = BytesIO()
    model = make_pipeline(import_module(name).Step(), Ridge()).fit([[0.0], [1.0]], [0.0, 1.0])
    joblib.dump(model, content)
    try:
        answers[name] = type(unpickle(content.getvalue(), own=is_committed)[0]).__name__
    except Problem as problem:
        answers[name] = str(problem)
answers["function"] = is_allowed("committed", "function", is_committed)
answers["imported"] = is_allowed("committed", "BaseEstimator", is_committed)
print(json.dumps(answers))
"""


COMMIT = "and FILE is not committed as it is\nreview it, then git add FILE && git commit"


def test_of_own_classes_only_committed_and_unchanged_ones_are_loaded(tmp_path: Path) -> None:
    project = Project(tmp_path)
    shutil.copytree(CHECKOUT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("committed", "changed", "modeling/inner"):
        (tmp_path / f"src/{name}.py").write_text(STEP)
    project.run("git init -q")
    project.commit("Add steps")
    (tmp_path / "src/dropped.py").write_text(STEP)
    (tmp_path / "src/changed.py").write_text(STEP + "import os\n")
    (tmp_path / "ask.py").write_text(ASK)

    assert json.loads(project.run("python -B ask.py").stdout) == {
        "committed": "Step",
        "modeling.inner": "Step",
        "dropped": f"model.joblib: asks for dropped.Step, {COMMIT.replace('FILE', 'src/dropped.py')}",
        "changed": f"model.joblib: asks for changed.Step, {COMMIT.replace('FILE', 'src/changed.py')}",
        "function": False,
        "imported": False,
    }


# ── the bytes that are checked are the bytes that are loaded ───────────────────────────────────────────────────────

WATCH = """
import json, sys
sys.path.insert(0, sys.argv[1])
from modeling.loading import load_model
folder, opened = sys.argv[2], []
def hook(event, arguments):
    if event in ("open", "os.open") and str(arguments[0]).startswith(folder):
        opened.append(str(arguments[0]).removeprefix(folder + "/"))
sys.addaudithook(hook)
load_model(folder, trust_unvouched=True)
print(json.dumps(opened))
"""


def test_each_file_is_opened_once_so_that_none_can_be_swapped(package: Path) -> None:
    command = [sys.executable, "-c", WATCH, str(CHECKOUT / "src"), str(package)]
    opened = json.loads(subprocess.check_output(command, text=True))

    assert sorted(opened) == sorted([*CHECKED, SUMS, SIGNATURE])  # asked for, whether it is there or not


UNPICKLES = (
    r"\b(c?[Pp]ickle|_pickle|dill|cloudpickle|shelve|marshal|skops|torch|allow_pickle|read_pickle|load_npz|memmap)\b"
    r"|Unpickler\b|import [\w, ]*\bloads?\b|import \([\w,\s]*\bloads?\b"
    r"|(?<!json)(?<!tomllib)(?<!YAML\(typ=\"safe\"\))\.loads?\b"
)


def test_no_other_file_of_src_unpickles_anything() -> None:
    sources = sorted((CHECKOUT / "src").rglob("*.py"))

    found = [path.name for path in sources if re.search(UNPICKLES, path.read_text())]
    # The first takes what the workers of a cluster send, as Dask does anyway; the second writes alone.
    assert found == ["cluster.py", "dumping.py", "unpickling.py"]
    assert not re.search(r"Unpickler|\bloads?\b", (CHECKOUT / "src/modeling/dumping.py").read_text())
