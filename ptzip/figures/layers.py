"""Layers in the order of the file: the norms of their weights, and how the values of each are distributed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ptzip.figures.words import BLUE, TEAL, Spec, label

MOST_NAMES, LONGEST_NAME = 40, 40
"""More layers, or longer names, are not named along the axis; pointing at one shows its name."""


class Layer(NamedTuple):
    """A tensor of weights: its L2 norm, and the percentiles 1, 25, 50, 75 and 99 of its values."""

    name: str
    norm: float
    percentiles: tuple[float, float, float, float, float]


def norms(layers: Sequence[Layer]) -> Spec:
    """A bar for the norm of each layer."""
    trace = {
        "type": "bar",
        "x": _names(layers),
        "y": [layer.norm for layer in layers],
        "marker": {"color": BLUE},
        "hovertemplate": "%{x}<br>norm %{y:.4g}<extra></extra>",
    }
    return {"data": [trace], "layout": _layout(layers, "L2 norm")}


def distributions(layers: Sequence[Layer]) -> Spec:
    """A box for the values of each layer: the middle half, and whiskers from the 1st to the 99th percentile."""
    low, first, middle, third, high = zip(*(layer.percentiles for layer in layers), strict=True)
    trace = {
        "type": "box",
        "x": _names(layers),
        "lowerfence": low,
        "q1": first,
        "median": middle,
        "q3": third,
        "upperfence": high,
        "marker": {"color": TEAL},
        "line": {"width": 1},
    }
    return {"data": [trace], "layout": _layout(layers, "value")}


def _names(layers: Sequence[Layer]) -> list[str]:
    return [label(layer.name) for layer in layers]


def _layout(layers: Sequence[Layer], value: str) -> dict[str, Any]:
    are_named = len(layers) <= MOST_NAMES and all(len(layer.name) <= LONGEST_NAME for layer in layers)
    axis = {"type": "category", "showticklabels": are_named, "tickangle": -50, "tickfont": {"size": 10}}
    return {
        "margin": {"l": 70, "r": 10, "t": 10, "b": 30},
        "height": 420,
        "xaxis": axis,
        "yaxis": {"title": {"text": value}},
        "showlegend": False,
    }
