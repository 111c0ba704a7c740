"""What each step saves, as a waterfall from the old size to the new one."""

from collections.abc import Mapping

from ptzip.figures.words import BLUE, GREEN, ORANGE, Spec, label
from ptzip.text import size


def waterfall(old_size: int, saved: Mapping[str, int], new_size: int) -> Spec:
    """The figure; `saved` are bytes by step, which add up to the difference of the sizes."""
    trace = {
        "type": "waterfall",
        "orientation": "h",
        "y": ["before", *map(label, saved), "after"],
        "x": [old_size, *(-step for step in saved.values()), new_size],
        "measure": ["absolute", *("relative" for _ in saved), "total"],
        "text": [
            size(old_size),
            *(f"\u2212{size(step)}" if step > 0 else size(-step) for step in saved.values()),
            size(new_size),
        ],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{delta:,} bytes<extra></extra>",
        "decreasing": {"marker": {"color": GREEN}},
        "increasing": {"marker": {"color": ORANGE}},
        "totals": {"marker": {"color": BLUE}},
        "connector": {"visible": False},
    }
    layout = {
        "margin": {"l": 170, "r": 70, "t": 10, "b": 40},
        "height": 60 + 44 * (len(saved) + 2),
        "xaxis": {"tickformat": "~s", "ticksuffix": "B", "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed"},
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout}
