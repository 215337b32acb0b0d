"""A contract drafted from a table: what all of its rows have in common, for a person to loosen."""

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modeling.checks import INDEX_NAMES
from modeling.pitfalls import identifiers
from modeling.reading import read_raw
from modeling.summary import Summary
from modeling.table import Source, kind_of, kinds_of
from record.contract import Contract, widen
from record.parameters import Data

MISSING = [""]
FEW = 20  # values of a category, up to which they are listed


def read_as_drafted(path: Source, data: Data) -> pa.Table:
    """A raw table as `prepare` reads it once its contract is there, whose `missingValues` count."""
    return read_raw(path, widen(data, MISSING)).table


def draft(table: pa.Table, data: Data) -> Contract:
    """The contract that a table keeps: types, ranges, the values of categories, and what is never missing."""
    kinds = kinds_of(table, data)
    names = [name for name in table.column_names if name not in INDEX_NAMES]
    naming = [name for name in names if kinds.get(name) != "text" and is_identifier(name, table[name])]
    fields = [describe(name, table[name], is_naming=name in naming) for name in names]
    key = {"primaryKey": naming[0]} if naming else {}
    return Contract.of({"fieldsMatch": "subset", "missingValues": MISSING, **key, "fields": fields}, "the draft")


def is_identifier(name: str, column: pa.ChunkedArray) -> bool:
    """Whether a column names its row in every row."""
    is_named = column.null_count == 0 and any(identifiers(name, Summary.of(column)))
    return is_named and pc.count_distinct(column).as_py() == len(column)


def describe(name: str, column: pa.ChunkedArray, *, is_naming: bool) -> dict[str, Any]:
    """A field: its type, and its constraints where it has any; new rows have other identifiers."""
    values, kind = column.drop_null(), kind_of(column.type)
    asked: dict[str, Any] = {"required": True} if kind and len(values) == len(column) > 0 else {}
    if is_naming:
        asked["unique"] = True
    elif len(values):
        asked |= range_of(values) if kind in {"number", "date"} else {}
        asked |= values_of(values) if kind == "category" else {}
    return {"name": name, "type": type_of(values), **({"constraints": asked} if asked else {})}


def type_of(values: pa.ChunkedArray) -> str:
    """The type in Table Schema's words; `any` for what no model can learn from."""
    match kind_of(values.type):
        case "number":
            return "integer" if pa.types.is_integer(values.type) else "number"
        case "category":
            return "string"
        case "date":
            return "date" if pc.all(pc.equal(values, pc.floor_temporal(values, unit="day"))).as_py() else "datetime"
        case kind:
            return kind or "any"


def range_of(values: pa.ChunkedArray) -> dict[str, Any]:
    """The least and the greatest number; of dates the first alone, since time goes on."""
    ends = pc.min_max(values)
    if kind_of(values.type) == "number":
        seen = {"minimum": ends["min"].as_py(), "maximum": ends["max"].as_py()}
        return {name: end for name, end in seen.items() if math.isfinite(end)}
    try:
        first = ends["min"].as_py()
    except (ValueError, OverflowError):  # of a year that Python does not know
        return {}
    return {"minimum": first.date().isoformat() if type_of(values) == "date" else first.isoformat()}


def values_of(values: pa.ChunkedArray) -> dict[str, Any]:
    """The values of a category, where they are few and repeat."""
    found = pc.unique(values)
    return {"enum": sorted(found.to_pylist())} if len(found) <= FEW and 2 * len(found) <= len(values) else {}
