"""Drawings of numbers: the rows that DVC draws plots of, as shapes with whole coordinates in a small box."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

SIDE = 100  # of a square chart, which is shown larger
MOST_CLASSES = 12  # of which a confusion matrix can be read
MOST_POINTS = 200
MOST_BARS = 10
TIMELINE = (1000, 150)
Row = dict[str, str]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Cell:
    """How many rows of one class were predicted as another; the share is of the actual class."""

    x: int
    y: int
    rows: int
    share: float


@dataclass(frozen=True)
class Bar:
    """A column's importance; where it begins and ends, and its spread, in the box."""

    name: str
    value: float
    zero: int
    end: int
    low: int
    high: int


def read_rows(content: bytes | None) -> list[Row]:
    """The rows of a CSV file, none where it is not one."""
    try:
        return list(csv.DictReader(io.StringIO((content or b"").decode(), newline="")))
    except (UnicodeDecodeError, csv.Error):
        return []


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def points_of(rows: Iterable[Row], x: str, y: str) -> Points:
    """The points of two columns; a row without both numbers is left out."""
    found = ((number(row.get(x)), number(row.get(y))) for row in rows)
    return [(a, b) for a, b in found if a is not None and b is not None]


def confusion(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The confusion matrix: actual from left to right, predicted from top to bottom."""
    classes = [*dict.fromkeys(str(row.get("actual")) for row in rows)]
    if not rows or "rows" not in rows[0] or len(classes) > MOST_CLASSES:
        return None
    counts = {(row["actual"], row["predicted"]): int(number(row["rows"]) or 0) for row in rows}
    of = {one: sum(counts.get((one, other), 0) for other in classes) for one in classes}
    cells = [
        Cell(x, y, counts.get((one, other), 0), round(counts.get((one, other), 0) / max(of[one], 1), 2))
        for x, one in enumerate(classes)
        for y, other in enumerate(classes)
    ]
    return {"classes": classes, "cells": cells}


def curves(rows: Sequence[Row], kind: str) -> list[tuple[str, str]]:
    """The curves of one kind, the name of the class with its path in the box."""
    of = [row for row in rows if row.get("curve") == kind]
    groups = groupby(of, key=lambda row: str(row.get("class")))
    return [(name, line(points_of(group, "x", "y"), (0, 1), (0, 1))) for name, group in groups][:MOST_CLASSES]


def scatter(points: Points, *, same: bool = False) -> dict[str, Any] | None:
    """Points in the box, with the ends of both axes, which are the same where both are of one quantity."""
    if not points:
        return None
    step = math.ceil(len(points) / MOST_POINTS)
    xs, ys = ends(x for x, _ in points), ends(y for _, y in points)
    if same:
        xs = ys = min(xs[0], ys[0]), max(xs[1], ys[1])
    placed = dict.fromkeys((_at(x, xs), SIDE - _at(y, ys)) for x, y in points[::step])
    zero = SIDE - _at(0, ys) if ys[0] <= 0 <= ys[1] else None
    return {"path": "".join(f"M{x} {y}h0" for x, y in placed), "x": xs, "y": ys, "zero": zero}


def ends(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest of some numbers."""
    known = [*values]
    return min(known), max(known)


def line(points: Points, xs: tuple[float, float], ys: tuple[float, float]) -> str:
    """A path through points, without those in the middle of a straight stretch."""
    places = [*dict.fromkeys((_at(x, xs), SIDE - _at(y, ys)) for x, y in points)]
    kept = [
        place
        for k, place in enumerate(places)
        if not 0 < k < len(places) - 1 or not any(places[k - 1][i] == place[i] == places[k + 1][i] for i in (0, 1))
    ]
    return "M" + "L".join(f"{x} {y}" for x, y in kept) if kept else ""


def _at(value: float, span: tuple[float, float], side: int = SIDE) -> int:
    """Where a number is in the box; halves are taken, since the range of finite numbers may not be one."""
    half = span[1] / 2 - span[0] / 2
    return round(min(max((value / 2 - span[0] / 2) / half, 0), 1) * side) if half else side // 2


def importance(rows: Sequence[Row]) -> list[Bar]:
    """The most important columns as bars with the spread over the shuffles."""
    read = [(str(row.get("feature")), number(row.get("importance")), number(row.get("spread"))) for row in rows]
    known = [(name, value, spread or 0) for name, value, spread in read if value is not None][:MOST_BARS]
    low = min((min(0, value - spread) for _, value, spread in known), default=0)
    high = max((max(0, value + spread) for _, value, spread in known), default=0)
    bars = []
    for name, value, spread in known:
        zero, end, first, last = (_at(x, (low, high)) for x in (0, value, value - spread, value + spread))
        bars.append(Bar(name, value, zero, end, first, last))
    return bars


def histogram(counts: Sequence[int] | None) -> str | None:
    """Counts as the outline of at most 20 bars, 80 wide and 20 high; of more counts the largest."""
    if not counts or min(counts) < 0 or max(counts) == 0:
        return None
    shown = counts if len(counts) <= 20 else sorted(counts, reverse=True)[:20]
    width, path = 80 // len(shown), "M0 20"
    for count in shown:
        path += f"V{20 - math.ceil(20 * count / max(shown))}h{width}"
    return f"{path}V20z"


def timeline(scores: Sequence[tuple[float | None, float | None]]) -> dict[str, Any] | None:
    """Scores and their baselines over the versions, in the order in which they were made."""
    values = [value for pair in scores for value in pair if value is not None]
    if not values:
        return None
    span, (width, height) = ends(values), TIMELINE
    span = span if span[0] < span[1] else (span[0] - 0.5, span[1] + 0.5)
    step = width / max(len(scores) - 1, 1)
    at = [round(k * step) if len(scores) > 1 else width // 2 for k in range(len(scores))]
    lines = [
        [(x, height - _at(value, span, height)) for x, value in zip(at, values, strict=True) if value is not None]
        for values in zip(*scores, strict=True)
    ]
    path, chance = ("M" + "L".join(f"{x} {y}" for x, y in points) if points else "" for points in lines)
    dots = "".join(f"M{x} {y}h0" for x, y in lines[0])
    return {"score": path, "baseline": chance, "dots": dots, "low": span[0], "high": span[1]}
