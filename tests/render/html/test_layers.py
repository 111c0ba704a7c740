"""Weights by layer, and by block where a page has no room for all layers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ptzip.inspecting.tensor_uses import TensorUses
from ptzip.render.html.layers import MOST_LAYERS, layer_sections
from ptzip.tensors.spread import joined_percentiles, spread

RANDOM = np.random.default_rng(0)
ARRAYS = [RANDOM.normal(scale=scale, size=(20, 20)).astype("float32") for scale in (0.1, 1, 10)]


def sections(names: list[str], shape: tuple[int, ...] = (20, 20), kind: str = "torch.nn.parameter.Parameter") -> list[Any]:
    """The sections of weights with these names, in which three arrays take turns."""
    tensor = SimpleNamespace(class_path=kind, shape=shape)
    uses = [SimpleNamespace(name=name, tensor=tensor, shared="") for name in names]
    spreads = [spread(array.reshape(-1)) for array in ARRAYS]
    statistics = {name: SimpleNamespace(spread=spreads[at % 3]) for at, name in enumerate(names)}
    found: Any = TensorUses(tuple(uses), ())  # type: ignore[arg-type]
    return list(layer_sections(found, dict.fromkeys(names, "weights"), statistics))  # type: ignore[arg-type]


def bars(names: list[str]) -> tuple[list[str], list[float], str]:
    norms, _ = sections(names)
    (trace,) = norms.content["data"]
    return trace["x"], trace["y"], norms.note


def test_few_layers_are_shown_one_by_one() -> None:
    names = [f"layers.{at}.weight" for at in range(MOST_LAYERS)]
    shown, values, note = bars(names)
    assert (shown, "blocks" in note) == (names, False)
    assert values[:3] == pytest.approx([float(np.linalg.norm(array)) for array in ARRAYS])


def test_many_layers_are_shown_as_the_blocks_that_their_names_have() -> None:
    shown, values, note = bars([f"layers.{at}.{leaf}.weight" for at in range(100) for leaf in "abcdef"])
    assert shown == [f"layers.{at}" for at in range(100)]
    assert values == pytest.approx([float(np.sqrt(sum(2 * np.linalg.norm(array) ** 2 for array in ARRAYS)))] * 100)
    assert note.endswith("The 600 weights are shown as 100 blocks, whose percentiles are estimates.")


@pytest.mark.parametrize("form", ["w{}", "a.b.w{}", "blocks.{}.weight", f"{'deep.' * 40}{{}}"])
def test_names_without_such_blocks_are_shown_as_runs_of_neighbours(form: str) -> None:
    names = [form.format(at) for at in range(10_000)]
    shown, values, note = bars(names)
    assert 250 < len(shown) <= MOST_LAYERS
    assert names[0].startswith(shown[0].split(" \u2026 ")[0].removesuffix("..."))
    squares = [float(np.linalg.norm(array.astype("float64"))) ** 2 for array in ARRAYS]
    assert sum(value**2 for value in values) == pytest.approx(sum(squares[at % 3] for at in range(10_000)))
    assert "10,000 weights" in note


def test_vectors_are_left_out_unless_there_is_nothing_else() -> None:
    assert len(sections(["a", "b"], shape=(400,))) == 2


def test_the_percentiles_of_a_block_are_close_to_those_of_its_values() -> None:
    spreads = [found for array in ARRAYS if (found := spread(array.reshape(-1)))]
    values = np.concatenate([array.reshape(-1) for array in ARRAYS])
    exact = np.percentile(values, spreads[0].percents)
    assert np.abs(np.array(joined_percentiles(spreads)) - exact).max() < 0.1 * (exact[-1] - exact[0])
