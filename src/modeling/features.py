"""The features: how the raw columns become the numbers that an estimator takes."""

import pyarrow as pa
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modeling.table import kind_of


def build_preprocessing(schema: pa.Schema, target: str) -> ColumnTransformer:
    """Numbers: missing ones become the median, then mean 0 and variance 1. The rest: the most frequent, then one-hot.

    A value that training never saw is all zeros, so scoring new rows does not fail.
    """
    features = [field for field in schema if field.name != target]
    numbers = [field.name for field in features if kind_of(field.type) == "number"]
    others = [field.name for field in features if kind_of(field.type) != "number"]
    number = [("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())]
    other = [
        ("impute", SimpleImputer(strategy="most_frequent", keep_empty_features=True)),
        ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
    ]
    return ColumnTransformer(
        [("numbers", Pipeline(number), numbers), ("categories", Pipeline(other), others)],
        verbose_feature_names_out=False,
    )
