"""What each step saves, as a waterfall from the old size to the new one."""

from collections.abc import Mapping

from ptzip.figures.words import BLUE, GREEN, ORANGE, Spec, label
from ptzip.text import size


def waterfall(old_size: int, saved: Mapping[str, int], new_size: int) -> Spec:
    """The figure; `saved` are bytes by step, which add up to the difference of the sizes.

    Each amount is below its name, where it does not get in the way of a bar on a narrow screen.
    """
    names = ["before", *map(label, saved), "after"]
    removed = (f"\u2212{size(step)}" if step > 0 else size(-step) for step in saved.values())
    amounts = [
        f"{name}<br><b>{amount}</b>" for name, amount in zip(names, (size(old_size), *removed, size(new_size)), strict=True)
    ]
    trace = {
        "type": "waterfall",
        "orientation": "h",
        "y": names,
        "x": [old_size, *(-step for step in saved.values()), new_size],
        "measure": ["absolute", *("relative" for _ in saved), "total"],
        "hovertemplate": "%{y}: %{delta:,} bytes<extra></extra>",
        "decreasing": {"marker": {"color": GREEN}},
        "increasing": {"marker": {"color": ORANGE}},
        "totals": {"marker": {"color": BLUE}},
        "connector": {"visible": False},
    }
    layout = {
        "margin": {"l": 10, "r": 10, "t": 10, "b": 40},
        "height": 60 + 44 * (len(saved) + 2),
        "xaxis": {"tickformat": "~s", "ticksuffix": "B", "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "automargin": True, "ticklabelstandoff": 8, "tickvals": names, "ticktext": amounts},
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout}
