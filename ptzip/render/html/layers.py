"""The weights layer by layer: their norms and distributions. Biases and other vectors are left out."""

from collections.abc import Iterator, Mapping

from ptzip.figures.layers import Layer, distributions, norms
from ptzip.inspecting.tensor_uses import TensorUses
from ptzip.render.html.page import Section
from ptzip.tensors.statistics import Statistics

MOST_LAYERS = 300
"""So many of the largest layers are shown."""

REMOVED = ("optimizer", "EMA or duplicate model")
"""What is no layer of the model, as slim takes it."""


def layer_sections(uses: TensorUses, marks: Mapping[str, str], statistics: Mapping[str, Statistics]) -> Iterator[Section]:
    """The figures; none where there are no statistics."""
    found = [use for use in uses.tensors if use.name in statistics and marks[use.name] not in REMOVED]
    parameters = [use for use in found if use.tensor.class_path.endswith("Parameter")]  # a module also has buffers
    matrices = [use for use in parameters or found if len(use.tensor.shape) > 1 and not use.shared]
    largest = {use.name for use in sorted(matrices, key=lambda use: -use.tensor.nbytes)[:MOST_LAYERS]}
    layers = [layer for use in matrices if use.name in largest for layer in _layer(use.name, statistics[use.name])]
    if layers:
        more = f" The {MOST_LAYERS} largest of {len(matrices):,}." if len(matrices) > MOST_LAYERS else ""
        summary = {"summary": f"{len(layers):,} layers"}
        yield Section(
            "Norms", "figure", norms(layers) | summary, f"Of the weights of each layer, in the order of the file.{more}"
        )
        words = "Boxes are the middle half of the values of each layer, whiskers reach from the 1st to the 99th percentile."
        yield Section("Distributions", "figure", distributions(layers) | summary, words + more)


def _layer(name: str, found: Statistics) -> Iterator[Layer]:
    if found.spread is not None:
        low, _, first, middle, third, _, high = found.spread.percentiles
        yield Layer(name, found.spread.norm, (low, first, middle, third, high))
