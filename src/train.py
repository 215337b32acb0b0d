"""Stage 2: fit the estimator that params.yaml chooses, score it, and keep it. Run it with `dvc repro train`."""

import csv
import io
import platform
from typing import Any

import candidate
import numeric
import prepared
from candidate import Description
from environment import REQUIREMENTS, check_environment, packages_behind
from files import keep_only, replacing, to_json, write
from parameters import Parameters, read_parameters
from problem import run, say
from witness import Readings


def used_parameters(parameters: Parameters) -> dict[str, Any]:
    """The sections that this stage depends on, as `dvc.yaml` names them."""
    return {
        "data": parameters.data.model_dump(),
        "train": parameters.train.model_dump(),
        f"estimators.{parameters.train.estimator}": parameters.estimator.model_dump(by_alias=True),
    }


def to_csv(rows: list[dict[str, Any]]) -> bytes:
    """The rows as CSV with a header line; numbers in full."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def summary(parameters: Parameters, metrics: dict[str, Any]) -> str:
    """The main score in one line."""
    name, main = next(iter(metrics.items()))
    folds = f"{main['cv_mean']:.3f} ± {main['cv_std']:.3f} over {parameters.train.folds} folds"
    return f"{parameters.train.estimator}: {name} {main['test']:.3f}, {folds}, baseline {main['baseline']:.3f}"


def main() -> None:
    """Read the prepared table; write the candidate model with its description, metrics.json and the plots' data."""
    parameters = read_parameters()
    pins = numeric.pins(parameters.train.threads, parameters.train.portable)
    numeric.pin(pins)
    check_environment()
    # Late: these load the numeric libraries, which read what `pin` sets when they are loaded.
    import joblib  # noqa: PLC0415

    from determinism import difference, twin  # noqa: PLC0415
    from fitting import fit  # noqa: PLC0415
    from model import describe, distributions  # noqa: PLC0415
    from table import read_table  # noqa: PLC0415

    readings = Readings.start(prepared.TRAIN, prepared.TEST, REQUIREMENTS, params=used_parameters(parameters))
    train, test = read_table(prepared.TRAIN), read_table(prepared.TEST)
    with twin() as other:
        fitted = fit(train, test, parameters)
        nondeterminism = difference(other, train, parameters)
    description = Description(
        fitted=describe(fitted.model, train, parameters.data, nondeterminism),
        folds=fitted.folds,
        python=platform.python_version(),
        packages=packages_behind(["scikit-learn", "joblib", "pandas", "pyarrow", *distributions(parameters.estimator)]),
        numeric=pins,
        readings=readings.finish(),
    )

    with replacing(candidate.MODEL) as part:
        joblib.dump(fitted.model, part)
    description.write(candidate.DESCRIPTION)
    keep_only(candidate.FOLDER, {candidate.MODEL.name, candidate.DESCRIPTION.name})
    for name, rows in fitted.plots.items():
        write(candidate.PLOTS / name, to_csv(rows))
    keep_only(candidate.PLOTS, set(fitted.plots))
    write(candidate.METRICS, to_json(fitted.metrics))
    if nondeterminism:
        say(f"warning: this model cannot be made again byte for byte: {nondeterminism}")
    say(summary(parameters, fitted.metrics))
    say(f"{candidate.MODEL}: {candidate.MODEL.stat().st_size:,} bytes")


if __name__ == "__main__":
    run(main)
