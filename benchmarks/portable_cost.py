"""What `train.portable: true` costs: `python benchmarks/portable_cost.py [ROWS]`, by default a million rows.

Writes the second table of docs/same-bytes.md to stdout. Each fit is a process of its own under the settings of `train`,
true and false in turn, so that a machine that grows slower meanwhile slows both; the ratio is what to quote. The last
column is what the second fit of `modeling.determinism` takes, on its sample, as a share of the fit.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parent.parent
sys.path.insert(0, str(TOP / "src"))

from modeling.determinism import SAMPLE_ROWS  # noqa: E402 - from src/
from train import numeric_settings  # noqa: E402

ROUNDS = 3
MODELS = {
    "LogisticRegression": "sklearn.linear_model.LogisticRegression(max_iter=50, tol=1e-12)",
    "RandomForest, 3 trees": "sklearn.ensemble.RandomForestClassifier(3, max_depth=12, random_state=0)",
    "HistGradientBoosting": "sklearn.ensemble.HistGradientBoostingClassifier(max_iter=50, random_state=0)",
}
FIT = """
import sys, time, warnings
import numpy, sklearn.ensemble, sklearn.linear_model
warnings.simplefilter("ignore")
rows = int(sys.argv[1])
random = numpy.random.default_rng(0)
x = random.normal(size=(rows, 20))
y = (x @ random.normal(size=20) + random.normal(size=rows) > 0).astype(int)
model = {model}
started = time.perf_counter()
model.fit(x, y)
print(time.perf_counter() - started)
"""


def seconds(model: str, rows: int, *, portable: bool) -> float:
    """How long one fit takes in a new process."""
    environment = os.environ | numeric_settings(1, portable)
    command = [sys.executable, "-c", FIT.format(model=model), str(rows)]
    return float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def main() -> None:
    """Print a row for each model."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    out = sys.stdout.write
    out(f"| {rows:,} rows, 20 columns, 1 thread | true | false | ratio | second fit |\n|---|---|---|---|---|\n")
    for name, model in MODELS.items():
        pairs = [(seconds(model, rows, portable=True), seconds(model, rows, portable=False)) for _ in range(ROUNDS)]
        true, false = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        sample = seconds(model, SAMPLE_ROWS, portable=True)
        out(f"| {name} | {true:.1f} s | {false:.1f} s | {ratio:.2f} | {sample / true:.2%} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
