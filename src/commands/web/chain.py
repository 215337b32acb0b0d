"""The picture of a chain, raw data → stages → model, laid out in layers from top to bottom.

A stage is in the layer below the lowest of what it reads. An edge over several layers passes each in a place of its
own, so that it crosses no box, and each layer is ordered by where its edges come from.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from record.manifest import Manifest
from record.tracking import overlap

WIDTH, HEIGHT, GAP, LANE, STEP = 176, 40, 16, 14, 72
LETTERS = 24  # that fit into a box
SWEEPS = 4
Node = tuple[str, str]  # its kind (input, stage, model) and its name; a place that an edge passes has another kind


@dataclass(frozen=True)
class Box:
    """A node in its place; x is the middle, y the top. An input's texts are those of each version."""

    kind: str
    name: str
    x: float
    y: float
    title: str
    below: str


@dataclass(frozen=True)
class Picture:
    """Boxes and edges with the size of the whole; the same for all versions of one graph."""

    width: int
    height: int
    boxes: list[Box]
    edges: list[str] = field(default_factory=list)


def graph_of(manifest: Manifest) -> dict[Node, list[Node]]:
    """What each node is made of, in order from raw data to model; an input is known by its number."""
    graph: dict[Node, list[Node]] = {("input", str(number)): [] for number in range(len(manifest.inputs))}
    for name, stage in manifest.stages.items():
        inputs = [
            node for node in graph if node[0] == "input" and _reads(stage.deps, [manifest.inputs[int(node[1])].path])
        ]
        earlier = [node for node in graph if node[0] == "stage" and _reads(stage.deps, manifest.stages[node[1]].outs)]
        graph["stage", name] = inputs + earlier
    used = {above for nodes in graph.values() for above in nodes}
    graph["model", manifest.name] = [node for node in graph if node not in used]
    return graph


def _reads(deps: Iterable[str], paths: Iterable[str]) -> bool:
    known = [*paths]
    return any(overlap(dep, path) for dep in deps for path in known)


def draw(graph: dict[Node, list[Node]], commands: dict[str, str]) -> Picture:
    """The picture of a graph whose nodes come after what they are made of, with the command of each stage."""
    layer: dict[Node, int] = {}
    for node, made_of in graph.items():
        layer[node] = 1 + max((layer[above] for above in made_of), default=-1)
    rows: list[list[Node]] = [[] for _ in range(max(layer.values()) + 1)]
    for node, depth in layer.items():
        rows[depth].append(node)
    routes = []
    for node, made_of in graph.items():
        for above in made_of:
            lanes = [("lane", f"{above}>{node}>{depth}") for depth in range(layer[above] + 1, layer[node])]
            for depth, lane in enumerate(lanes, layer[above] + 1):
                rows[depth].append(lane)
            routes.append([above, *lanes, node])
    untangle(rows, routes)
    return placed(rows, routes, commands)


def untangle(rows: list[list[Node]], routes: list[list[Node]]) -> None:
    """Order each layer by the mean place of its neighbours, down and up in turn, so that few edges cross."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near: dict[Node, list[Node]] = {}
        for one, other in (pair for route in routes for pair in pairwise(route)):
            near.setdefault(other if down else one, []).append(one if down else other)
        for row in rows if down else reversed(rows):
            place = {node: k / len(above) for above in rows for k, node in enumerate(above)}
            wanted = {node: _mean([place[other] for other in near.get(node, [node])]) for node in row}
            row.sort(key=wanted.__getitem__)


def _mean(places: list[float]) -> float:
    return sum(places) / len(places)


def placed(rows: list[list[Node]], routes: list[list[Node]], commands: dict[str, str]) -> Picture:
    """Give every node its place, each layer in the middle of the whole."""
    widths = [sum(_width(node) for node in row) + GAP * (len(row) - 1) for row in rows]
    whole, at = max(widths), {}
    for depth, (row, width) in enumerate(zip(rows, widths, strict=True)):
        x = (whole - width) / 2
        for node in row:
            at[node] = (x + _width(node) / 2, depth * STEP)
            x += _width(node) + GAP
    boxes = [
        Box(kind, name, *at[kind, name], "" if kind == "input" else fitted(name), fitted(commands.get(name, ""), 30))
        for row in rows
        for kind, name in row
        if kind != "lane"
    ]
    return Picture(round(whole), (len(rows) - 1) * STEP + HEIGHT, boxes, [_edge(route, at) for route in routes])


def _width(node: Node) -> int:
    return LANE if node[0] == "lane" else WIDTH


def fitted(name: str, letters: int = LETTERS) -> str:
    """A name that fits into a box, with its end, which tells versions apart."""
    return name if len(name) <= letters else f"{name[: letters - 9]}…{name[-8:]}"


def _edge(route: list[Node], at: dict[Node, tuple[float, int]]) -> str:
    """A line from the bottom of a box to the top of another, straight through the lanes between them."""
    x, y = at[route[0]]
    path = f"M{x:g} {y + HEIGHT}"
    for node in route[1:]:
        nx, ny = at[node]
        middle = (y + HEIGHT + ny) / 2
        path += f"C{x:g} {middle:g} {nx:g} {middle:g} {nx:g} {ny:g}"
        path += f"V{ny + HEIGHT:g}" if node[0] == "lane" else ""
        x, y = nx, ny
    return path
