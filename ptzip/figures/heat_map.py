"""How far tensors moved, as a heat map: a row for each module, a column for each name of a tensor in it."""

import math
from collections.abc import Mapping

from ptzip.figures.words import Spec, label
from ptzip.text import TOP_LEVEL

MOST_MODULES = 400
"""So many of the modules whose tensors moved most are shown."""

ROW, MARGIN = 18, 130
"""The height of a row, and of what is above and below all of them, in pixels."""

SMALLEST = 1e-12
"""Less than this is shown as this, since the colours are logarithmic."""


def heat_map(distances: Mapping[str, float]) -> Spec:
    """The figure; `distances` are by dotted name, each as a part of the norm of the tensor."""
    cells: dict[str, dict[str, float]] = {}
    for name, distance in distances.items():
        module, _, leaf = name.rpartition(".")
        cells.setdefault(module or TOP_LEVEL, {})[leaf] = distance
    rows = list(cells)
    if len(rows) > MOST_MODULES:
        most = sorted(rows, key=lambda row: -max(cells[row].values()))[:MOST_MODULES]
        rows = [row for row in rows if row in set(most)]
    columns = list(dict.fromkeys(leaf for row in rows for leaf in cells[row]))
    found = [[cells[row].get(leaf) for leaf in columns] for row in rows]
    trace = {
        "type": "heatmap",
        "x": [label(leaf) for leaf in columns],
        "y": [label(row) for row in rows],
        "z": [[None if cell is None else math.log10(max(cell, SMALLEST)) for cell in row] for row in found],
        "text": [["" if cell is None else f"{cell:.2g}" for cell in row] for row in found],
        "hovertemplate": "%{y}<br>%{x}: moved by %{text} of its norm<extra></extra>",
        "colorscale": "Viridis",
        "colorbar": {
            "title": {"text": "part of<br>the norm"},
            "thickness": 14,
            **{"tickprefix": "10<sup>", "ticksuffix": "</sup>", "dtick": 1},
            **{"lenmode": "pixels", "len": 260, "y": 1, "yanchor": "top"},
        },
        "xgap": 1,
        "ygap": 1,
    }
    layout = {
        "margin": {"l": 10, "r": 20, "t": 80, "b": 20},
        "height": MARGIN + ROW * max(len(rows), 4),
        "xaxis": {"side": "top", "type": "category", "tickangle": -40},
        "yaxis": {"autorange": "reversed", "type": "category", "automargin": True, "tickfont": {"size": 11}},
    }
    return {"data": [trace], "layout": layout}
