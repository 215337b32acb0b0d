"""A manifest with something in every place, and what can be changed in it."""

from typing import Any

MISSING = object()
SEEN = {"kind": "number", "missing": 0.1, "minimum": 32.1, "maximum": 59.6, "values": None}  # by training, of a feature


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "size": 1, "md5": "0" * 32, "sha256": "0" * 64, **more}


def document() -> dict[str, Any]:
    """The document of a manifest, its keys in the order in which they are kept."""
    origin = {
        "tracked_by": "data/shared/islands.csv.dvc",
        "url": "https://example.org/islands.git",
        "path": "islands.csv",
        "revision": "6" * 40,
        "etag": None,
    }
    return {
        "schema_version": 2,
        "name": "penguins",
        "version": "v1.0.0",
        "model": {
            **file("model.joblib"),
            "class": "sklearn.pipeline.Pipeline",
            "steps": [{"name": "model", "class": "sklearn.linear_model._logistic.LogisticRegression"}],
            "task": "classification",
            "target": "sex",
            "classes": ["female", "male"],
            "features": [{"name": "bill_length_mm", "dtype": "double", "nullable": True} | SEEN],
            "deterministic": True,
            "nondeterminism": None,
        },
        "inputs": [
            file("data/raw/penguins.parquet", rows=10, origin=None),
            file("data/shared/islands.csv", rows=None, origin=origin),
        ],
        "stages": {
            "prepare": {
                "cmd": "python src/prepare.py",
                "params": {"params.yaml": {"data": {"drop": []}, "clean": {"above": 3}}},
                "deps": {"data/raw/penguins.parquet": "0" * 32, "src/prepare.py": "1" * 32},
                "outs": {"data/prepared": f"{'2' * 32}.dir"},
            }
        },
        "data": {
            **{part: file(f"data/prepared/{part}.parquet", rows=rows) for part, rows in (("train", 8), ("test", 2))},
            "date_orders": {},
        },
        "params": {
            "data": {"drop": []},
            "prepare": {"test_size": 0.2},
            "train": {"seed": 42},
            "estimator": {"class": "sklearn.linear_model.LogisticRegression", "C": 1.0},
            "package": {"name": "penguins"},
        },
        "metrics": {"balanced_accuracy": {"test": 0.875}},
        "warnings": [],
        "contract": None,
        "environment": {
            "python": "3.11.7",
            "requirements_sha256": "3" * 64,
            "packages": {"numpy": "2.4.6"},
            "numeric": {"OMP_NUM_THREADS": "1"},
        },
        "run": {
            "created_at": "2026-11-23T03:19:00Z",
            "git": {"commit": "4" * 40, "dirty": False, "remote": "https://example.org/penguins.git"},
            "experiment": {"name": "dingy-arum", "baseline": "5" * 40},
            "platform": "Linux-x86_64",
            "seconds": {"prepare": 1.2},
            "peak_memory_mib": {"prepare": 230},
        },
    }


def changed(path: str, value: object, whole: Any = None) -> dict[str, Any]:
    """The document, or another one, with another value at one place, or without the place."""
    whole = part = document() if whole is None else whole
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        part = part[key]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    return whole
