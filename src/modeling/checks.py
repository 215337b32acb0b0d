"""What a raw table must be like to be learned from, which of its columns are used, and what is noted of them."""

from collections.abc import Iterator, Mapping
from typing import Literal

from modeling.spellings import as_yaml
from modeling.summary import Summary, Survey, problems_of_scale, problems_of_summary
from record.notes import Column, Rows
from record.parameters import Data, Parameters
from record.problem import did_you_mean, refuse_if

Columns = Mapping[str, Summary]

MANY_CLASSES = 20
INDEX_NAMES = {"", "Unnamed: 0", "__index_level_0__"}  # which pandas gives to the index of a frame


def check_table(found: Survey, parameters: Parameters) -> None:
    """Raise a problem for every column that cannot play the part that params.yaml gives it."""
    data, columns = parameters.data, found.columns
    problems = [
        f"params.yaml: {key}: '{name}' is not a column of {data.path}; {did_you_mean(name, columns)}"
        for key, name in asked_columns(parameters)
        if name not in columns
    ]
    if found.rows == 0:
        problems.append(f"{data.path}: expected rows, found only column names")
    refuse_if(problems)

    problems += problems_of_target(columns[data.target], data)
    features = usable_features(columns, parameters)
    if not features:
        used = f" and prepare.split_by '{parameters.prepare.split_by}'" if parameters.prepare.split_by else ""
        what = f"no column that can be a feature is left beside the target '{data.target}'{used}"
        problems.append(f"{data.path}: {what}; {'shorten data.drop' if data.drop else 'bring more columns'}")
    if by := parameters.prepare.split_by:
        problems += problems_of_split_column(by, columns[by], parameters.prepare.split)
    for name in dict.fromkeys([*features, *parameters.train.slices]):
        problems += problems_of_summary(name, columns[name], remedy := "correct it or add it to data.drop")
        problems += problems_of_scale(name, columns[name], remedy)
    refuse_if(problems)


def asked_columns(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """The columns that params.yaml names, each with the key that does."""
    data, by = parameters.data, parameters.prepare.split_by
    yield "data.target", data.target
    lists = {"data.drop": data.drop, "data.types": data.types, "train.slices": parameters.train.slices}
    lists |= {"data.missing": [name for name in data.missing if name != "*"], "prepare.split_by": [by] if by else []}
    yield from ((key, name) for key, names in lists.items() for name in names)


def prepared_columns(columns: Columns, parameters: Parameters) -> list[str]:
    """The columns that `train` needs: the features, those of the split and the slices, and last the target."""
    needed = {*usable_features(columns, parameters), *parameters.train.slices}
    kept = [name for name in columns if name in needed or name == parameters.prepare.split_by]
    return [*(name for name in kept if name != parameters.data.target), parameters.data.target]


def usable_features(columns: Columns, parameters: Parameters) -> list[str]:
    """The columns to learn from, in the table's order."""
    return [name for name in columns if name not in parameters.not_features and not why_left_out(name, columns[name])]


def why_left_out(name: str, column: Summary) -> tuple[Literal["index", "unusable"], str] | None:
    """The rule by which a column is not a feature, as the name of a warning and a sentence; None if it can be one."""
    if name in INDEX_NAMES:
        return "index", "is the index of a pandas frame"
    if column.is_empty:
        return "unusable", "has no value in any row"
    if column.kind is None:
        return "unusable", f"holds {column.type}, which no model here can learn from"
    return None


def problems_of_target(column: Summary, data: Data) -> Iterator[str]:
    """Why the target cannot be learned for this task."""
    name = data.target
    if problems := list(problems_of_summary(name, column, "correct it or choose another data.target")):
        yield from problems
    elif column.kind in {"date", "time"}:
        yield f"target '{name}': expected classes or numbers, found {column.type}; turn it into those in a stage before"
    elif data.task == "regression":
        if column.kind != "number":
            yield f"target '{name}': expected numbers for a regression, found {column.type}; check data.task"
        elif column.distinct.count == 1:
            yield f"target '{name}': every value is {column.least}, so there is nothing to learn"
    elif column.fractions:
        ways = f"check data.task, or add {as_yaml(name)}: category to data.types if they are classes"
        yield f"target '{name}': expected classes for a classification, found fractions; {ways}"
    else:
        yield from _problems_of_classes(name, column)


def _problems_of_classes(name: str, column: Summary) -> Iterator[str]:
    count, rows = column.distinct.count, column.known
    if column.kind == "number" and count > max(MANY_CLASSES, rows // 10):
        values = f"{count:,} different numbers in {rows:,} rows"
        yield f"target '{name}': {values} look like a regression; check data.task"
        return
    if not column.counts.is_complete:
        yield f"target '{name}': expected classes, found {count:,} different values; merge them in a stage before"
        return
    classes = column.counts.items()
    if len(classes) < 2:
        yield f"target '{name}': expected at least two classes, found only {classes[0][0]!r}"
    if alone := [value for value, rows in classes if rows < 2]:
        few = f"{len(alone)} of {len(classes)} classes with only one row, such as {alone[0]!r}"
        yield f"target '{name}': expected several rows of each class, found {few}; remove or merge them"


def problems_of_split_column(name: str, column: Summary, split: str) -> Iterator[str]:
    """Why rows cannot be split by a column."""
    place = f"params.yaml: prepare.split_by: '{name}'"
    if column.kept_missing:
        yield f"{place} is missing in {column.kept_missing:,} rows; correct them or choose another column"
    elif column.kind is None:
        yield f"{place} holds {column.type}; choose another column"
    elif column.distinct.count < 2:
        yield f"{place} is the same in all rows, so that none are left for the test; choose another column"
    elif split == "time" and column.kind not in {"date", "number"}:
        yield f"{place}: expected dates or numbers to order rows by, found {column.type}; choose another column"


def profile_columns(
    columns: Columns, features: list[str], parameters: Parameters, date_orders: Mapping[str, str]
) -> dict[str, Column]:
    """Describe every column of the raw table."""
    return {
        name: Column.model_validate(
            {
                "type": str(column.type),
                "role": "feature" if name in features else role_of(name, parameters),
                "missing": column.missing,
                "distinct": column.distinct.count if column.kind else None,
                "date_order": date_orders.get(name),
            }
        )
        for name, column in columns.items()
    }


def role_of(name: str, parameters: Parameters) -> Literal["target", "split", "dropped"]:
    """What a column is for that is not a feature."""
    if name == parameters.data.target:
        return "target"
    return "split" if name == parameters.prepare.split_by else "dropped"


def count_rows(found: Survey, parts: tuple[int, int], data: Data) -> Rows:
    """Where the rows of the raw table went."""
    dropped = found.rows - found.kept
    reasons = {f"{data.target} is missing": dropped} if dropped else {}
    return Rows(read=found.rows, dropped=reasons, train=parts[0], test=parts[1])
