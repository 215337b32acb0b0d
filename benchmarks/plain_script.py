"""What a data scientist would write for one table: `python benchmarks/plain_script.py TABLE FOLDER`.

It does the work of the pipeline without its record: split, cross-validation, fit, scores against a baseline, curves,
permutation importance, files. benchmarks/pipeline.py compares the two.
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

SEED = 42
TARGET = "outcome"
FEW = 40
SHOWN = 10_000


def make_model(features: pd.DataFrame) -> object:
    """Numbers scaled, categories one-hot, those of many values by the mean of the target; then the estimator."""
    numbers = features.select_dtypes("number").columns.tolist()
    others = [name for name in features if name not in numbers]
    many = [name for name in others if features[name].nunique() > FEW]
    few = [name for name in others if name not in many]
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("few", OneHotEncoder(handle_unknown="ignore", sparse_output=False), few),
            ("many", TargetEncoder(random_state=SEED), many),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def scores(model: object, features: pd.DataFrame, target: pd.Series) -> dict[str, float]:
    """The usual scores of the test part."""
    guessed, chances = model.predict(features), model.predict_proba(features)
    return {
        "balanced_accuracy": balanced_accuracy_score(target, guessed),
        "accuracy": accuracy_score(target, guessed),
        "log_loss": log_loss(target, chances),
        "roc_auc": roc_auc_score(target, chances[:, 1]),
    }


def main() -> None:
    """Train on one table and write model, parts, scores and the plots' data."""
    table, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    rows = pd.read_parquet(table).dropna(subset=[TARGET])
    train, test = train_test_split(rows, test_size=0.2, stratify=rows[TARGET], random_state=SEED)
    train.to_parquet(folder / "train.parquet")
    test.to_parquet(folder / "test.parquet")
    known, unseen = train.drop(columns=TARGET), test.drop(columns=TARGET)
    model = make_model(known)
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    by_fold = cross_val_score(model, known, train[TARGET], cv=folds, scoring="balanced_accuracy")
    model.fit(known, train[TARGET])
    baseline = DummyClassifier().fit(known, train[TARGET])
    found = {
        "cv": by_fold.tolist(),
        "test": scores(model, unseen, test[TARGET]),
        "baseline": scores(baseline, unseen, test[TARGET]),
        "train": balanced_accuracy_score(train[TARGET][:SHOWN], model.predict(known[:SHOWN])),
    }
    chances, is_yes = model.predict_proba(unseen)[:, 1], test[TARGET] == "yes"
    for name, curve in {"roc": roc_curve, "precision_recall": precision_recall_curve}.items():
        points = np.column_stack(curve(is_yes, chances)[:2])
        pd.DataFrame(points).iloc[:: -(-len(points) // 200)].to_csv(folder / f"{name}.csv")
    pd.DataFrame(confusion_matrix(test[TARGET], model.predict(unseen))).to_csv(folder / "confusion.csv")
    some = unseen.iloc[:SHOWN]
    importance = permutation_importance(
        model, some, test[TARGET].iloc[:SHOWN], scoring="balanced_accuracy", n_repeats=10, random_state=SEED
    )
    pd.DataFrame({"feature": known.columns, "mean": importance.importances_mean}).to_csv(folder / "importance.csv")
    joblib.dump(model, folder / "model.joblib")
    (folder / "metrics.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
