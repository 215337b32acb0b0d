"""Stage 2: fit the estimator that params.yaml chooses, score it, and keep it. Run it with `dvc repro train`.

A stage of your own between `prepare` and `train` hands its tables on by their folder: `python src/train.py
data/features`, in which train.parquet and test.parquet are.
"""

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record.problem import run, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from record.parameters import Parameters


def parse_arguments() -> argparse.Namespace:
    """Which tables to train and test on."""
    parser = argparse.ArgumentParser(prog="train.py", description="Fit, score and keep a model of a prepared table.")
    text = "the folder of train.parquet and test.parquet"
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=Path("data/prepared"), help=text)
    return parser.parse_args()


def numeric_settings(threads: int, portable: bool) -> dict[str, str]:
    """The environment variables, by name, under which a model is fitted.

    Libraries choose their kernels by the processor and share work by the number of cores, and sums that are taken in
    another order differ in the last bit.
    """
    settings = {
        "OMP_NUM_THREADS": str(threads),  # HistGradientBoosting stores the number, reductions depend on it
        "OPENBLAS_NUM_THREADS": str(threads),  # the order of sums in matrix products
        "PYTHONHASHSEED": "6640",  # the order of sets; this one since Dask starts its workers with it instead of 0
    }
    if portable and platform.machine() in {"x86_64", "AMD64"}:
        # Kernels differ by processor. Nehalem's are in every build and ran all estimators that were tried;
        # Haswell's with one thread crashed LogisticRegression(solver="newton-cholesky") on one table.
        settings["OPENBLAS_CORETYPE"] = "Nehalem"
        settings["NPY_DISABLE_CPU_FEATURES"] = " ".join(dispatched_features())  # sums, exp, log have SIMD variants
        if platform.libc_ver()[0] == "glibc":
            # exp, log and pow of libm, which compiled loss functions call, have variants with other last bits
            settings["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"
    return dict(sorted(settings.items()))


def dispatched_features() -> list[str]:
    """The processor features for which NumPy has kernels of their own."""
    import numpy as np

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return sorted({*extensions.get("found", []), *extensions.get("not found", [])})


def used_parameters(parameters: "Parameters") -> dict[str, Any]:
    """The sections that this stage depends on, as `dvc.yaml` names them."""
    return {
        "data": parameters.data.model_dump(),
        "prepare.split": parameters.prepare.split,
        "prepare.split_by": parameters.prepare.split_by,
        "train": parameters.train.model_dump(by_alias=True),
        f"estimators.{parameters.train.estimator}": parameters.estimator.model_dump(by_alias=True),
    }


def summary(parameters: "Parameters", metrics: dict[str, Any]) -> str:
    """The main score in one line."""
    name, main = next(iter(metrics.items()))
    folds = f"{main['cv_mean']:.3f} ± {main['cv_std']:.3f} over {parameters.train.folds} folds"
    return f"{parameters.train.estimator}: {name} {main['test']:.3f}, {folds}, baseline {main['baseline']:.3f}"


def worst_groups(metrics: dict[str, Any]) -> "Iterator[str]":
    """The group of each slice that scores least, in one line each."""
    name = next(iter(metrics))
    for column, groups in metrics.get("slices", {}).items():
        scored = {group: found for group, found in groups.items() if found[name] is not None}
        if scored:
            worst = min(scored, key=lambda group: scored[group][name])
            yield f"{column}: {name} is least for {worst}: {scored[worst][name]:.3f} ({scored[worst]['rows']} rows)"


def opened(train: Path, test: Path, parameters: "Parameters") -> tuple[Any, Any]:
    """Both parts: in their files where they are learned from in batches, otherwise in memory, if there is enough."""
    from modeling.memory import check_memory, check_rows
    from modeling.stored import Stored
    from modeling.table import read_table
    from record.environment import available_memory

    parts = Stored(train, parameters), Stored(test, parameters)
    if parameters.train.stream:
        return parts
    check_rows(parts[0], parameters, available_memory())
    table = read_table(train)
    check_memory(table, parameters, available_memory())
    return table, read_table(test)


def main() -> None:
    """Read the prepared table; write the candidate model with its description, metrics.json and the plots' data."""
    folder = parse_arguments().folder
    from record.environment import REQUIREMENTS, check_environment, installed_versions, start_with

    check_environment()
    from record.parameters import read_parameters

    parameters = read_parameters()
    settings = numeric_settings(parameters.train.threads, parameters.train.portable)
    start_with(settings)
    import pandas as pd

    from modeling.determinism import difference, second_process
    from modeling.dumping import dump
    from modeling.estimator import describe, distributions
    from modeling.evaluation import evaluate, fit_at_once
    from modeling.parallel import cluster
    from modeling.streaming import fit_in_batches
    from modeling.unpickling import check_loads, libraries_in
    from record import notes
    from record.files import keep_only, replacing, to_json, write

    tables = {"train": folder / notes.TRAIN, "test": folder / notes.TEST}
    readings = notes.Readings.start(*tables.values(), REQUIREMENTS, params=used_parameters(parameters))
    train, test = opened(tables["train"], tables["test"], parameters)
    with second_process(folder) as second, cluster(parameters):
        found = evaluate(train, test, parameters, fit_in_batches if parameters.train.stream else fit_at_once)
        notes.warn_of(found.warnings)
        notes.refuse_named(found.warnings, parameters.data.refuse)
        nondeterminism = difference(second, train, parameters)
    behind = ["scikit-learn", "joblib", "pandas", "pyarrow", *distributions(found.model, parameters)]
    description = notes.Description(
        fitted=describe(found.model, train, parameters, nondeterminism),
        tables={part: path.as_posix() for part, path in tables.items()},
        rows={"train": len(train), "test": len(test)},
        folds=found.folds,
        warnings=found.warnings,
        python=platform.python_version(),
        packages=installed_versions(behind),
        numeric=settings,
        readings=readings.finish(),
    )

    asked = parameters.estimator.model_dump(by_alias=True), parameters.train.model_dump(by_alias=True)["features"]
    with replacing(notes.CANDIDATE / notes.MODEL) as part:
        dump(found.model, part)
        check_loads(part, libraries_in(*asked))
    description.write(notes.CANDIDATE / notes.DESCRIPTION)
    keep_only(notes.CANDIDATE, {notes.MODEL, notes.DESCRIPTION})
    for name, rows in found.plots.items():
        write(notes.PLOTS / name, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode())
    keep_only(notes.PLOTS, set(found.plots))
    write(notes.METRICS, to_json(found.metrics))
    notes.note_cost(notes.CANDIDATE / notes.DESCRIPTION)
    if nondeterminism:
        say(f"warning: this model cannot be rebuilt byte for byte: {nondeterminism}")
    say(summary(parameters, found.metrics))
    for line in worst_groups(found.metrics):
        say(line)
    say(f"{notes.CANDIDATE / notes.MODEL}: {(notes.CANDIDATE / notes.MODEL).stat().st_size:,} bytes")


if __name__ == "__main__":
    run(main)
