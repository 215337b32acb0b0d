"""How much longer the hardened reader takes than joblib, on a forest of some 16 MB: `python benchmarks/loading.py`.

Both are timed in turns in one process, so only the ratio means something.
"""

import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
from modeling.unpickling import unpickle

ROUNDS = 5


def seconds(load: Callable[[], object]) -> float:
    """The time of one load."""
    start = time.perf_counter()
    load()
    return time.perf_counter() - start


def main() -> None:
    """Fit a forest, load it both ways in turns, and print the ratio of the fastest."""
    random = np.random.default_rng(0)
    features, classes = random.normal(size=(20_000, 10)), random.integers(0, 2, 20_000)
    forest = RandomForestClassifier(n_estimators=30, random_state=0).fit(features, classes)
    file = BytesIO()
    joblib.dump(Pipeline([("model", forest)]), file)
    content = file.getvalue()
    loads: list[Callable[[], object]] = [lambda: joblib.load(BytesIO(content)), lambda: unpickle(content)]
    times = [[seconds(load) for load in loads] for _ in range(ROUNDS)]
    plain, hardened = map(min, zip(*times, strict=True))
    size = f"{len(content) / 1e6:.1f} MB"
    sys.stdout.write(f"{size}: joblib {plain:.3f} s, hardened {hardened:.3f} s, ratio {hardened / plain:.2f}\n")


if __name__ == "__main__":
    main()
