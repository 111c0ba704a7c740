"""The weights layer by layer, or block by block where there are too many layers: their norms and distributions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ptzip.figures.layers import Layer, distributions, norms
from ptzip.inspecting.tensor_uses import TensorUse, TensorUses
from ptzip.render.html.page import Section
from ptzip.tensors.statistics import Statistics

if TYPE_CHECKING:
    from ptzip.tensors.spread import Spread

MOST_LAYERS = 300
"""More layers are shown as blocks, for which a page has room."""

FEWEST_BLOCKS, MOST_DEPTH = 40, 16
"""Blocks are what has the first so many parts of a name in common, if there are so many."""

REMOVED = ("optimizer", "EMA or duplicate model")
"""What is no layer of the model, as slim takes it."""

MEANING = "Boxes are the middle half of the values of each {0}, whiskers reach from the 1st to the 99th percentile.{1}"

Groups = dict[str, list["Spread"]]
"""The spreads of tensors by the name of their layer or block."""


def layer_sections(uses: TensorUses, marks: Mapping[str, str], statistics: Mapping[str, Statistics]) -> Iterator[Section]:
    """The figures; none where there are no statistics."""
    shown = [use for use in uses.tensors if use.name in statistics and marks[use.name] not in REMOVED and not use.shared]
    spreads = {use.name: spread for use in _weights(shown) if (spread := statistics[use.name].spread) is not None}
    groups = _groups(spreads)
    layers = [_layer(name, some) for name, some in groups.items()]
    if not layers:
        return
    one, more = "layer", ""
    if len(layers) < len(spreads):
        one, more = (
            "block",
            f" The {len(spreads):,} weights are shown as {len(layers):,} blocks, whose percentiles are estimates.",
        )
    summary = {"summary": f"{len(layers):,} {one}s"}
    yield Section("Norms", "figure", norms(layers) | summary, f"Of the weights of each {one}, in the order of the file.{more}")
    yield Section("Distributions", "figure", distributions(layers) | summary, MEANING.format(one, more))


def _weights(uses: Sequence[TensorUse]) -> Sequence[TensorUse]:
    """The weights of a model without its buffers, biases and other vectors; all, where nothing would be left."""
    parameters = [use for use in uses if use.tensor.class_path.endswith("Parameter")] or uses
    return [use for use in parameters if len(use.tensor.shape) > 1] or parameters


def _groups(spreads: "Mapping[str, Spread]") -> Groups:
    """The layers; where there are too many, blocks of which there are not too few, or else runs of neighbours."""
    layers = {name: [spread] for name, spread in spreads.items()}
    if len(layers) <= MOST_LAYERS:
        return layers
    levels = [_at_depth(depth, spreads) for depth in range(MOST_DEPTH, 0, -1)]
    fitting = (groups for groups in levels if FEWEST_BLOCKS <= len(groups) <= MOST_LAYERS)
    return next(fitting, None) or _runs(min((one for one in (*reversed(levels), layers) if len(one) > MOST_LAYERS), key=len))


def _at_depth(depth: int, spreads: "Mapping[str, Spread]") -> Groups:
    """The blocks of all whose names begin with the same parts."""
    groups = Groups()
    for name, spread in spreads.items():
        groups.setdefault(".".join(name.split(".", depth)[:depth]), []).append(spread)
    return groups


def _runs(groups: Groups) -> Groups:
    """Neighbours joined, as few as possible."""
    names, length = list(groups), -(-len(groups) // MOST_LAYERS)
    runs = (names[at : at + length] for at in range(0, len(names), length))
    return {f"{run[0]} \u2026 {run[-1]}": [spread for name in run for spread in groups[name]] for run in runs}


def _layer(name: str, spreads: "Sequence[Spread]") -> Layer:
    from ptzip.tensors.spread import joined_percentiles  # here, with numpy: most pages have no statistics

    low, _, first, middle, third, _, high = joined_percentiles(spreads)
    return Layer(name, math.hypot(*(one.norm for one in spreads)), (low, first, middle, third, high))
