"""The EMA weights take the model's place where they are a module; a frozen model has no parameter with a gradient."""

from typing import Any

import pytest

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import freeze, promoted_model
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, module, numbers


def model_of(edit: Edit) -> Node:
    found = lookup(edit.root, "model")
    assert found is not None
    return found


def test_ema_weights_become_the_model() -> None:
    edit = CheckpointBuilder().edit(DEFAULTS | {"model": module("a.Raw"), "ema": module("a.Ema")})
    ema = lookup(edit.root, "ema")
    assert promoted_model(edit) is ema is model_of(edit)
    assert [(change.category, change.path, change.what) for change in edit.account.changes] == [
        (Category.EMA, "model", "replaced by ema")
    ]


def test_ema_weights_become_the_model_also_where_there_is_none() -> None:
    edit = CheckpointBuilder().edit(DEFAULTS | {"model": None, "ema": module("a.Ema")})
    assert promoted_model(edit) is lookup(edit.root, "ema") is model_of(edit)


@pytest.mark.parametrize("ema", [None, {"weight": 1}, 7])
def test_the_raw_model_stays_where_ema_is_no_module(ema: Any) -> None:
    edit = CheckpointBuilder().edit(DEFAULTS | {"model": module("a.Raw"), "ema": ema})
    before = lookup(edit.root, "model")
    assert promoted_model(edit) is before
    assert edit.account.changes == []


@pytest.mark.parametrize("values", [{}, {"model": None}, {"model": {"a": 1}, "ema": None}])
def test_without_any_module_the_recipe_does_not_fit(values: dict[str, Any]) -> None:
    with pytest.raises(EditError, match="there is no pickled module under the keys model and ema"):
        promoted_model(CheckpointBuilder().edit(DEFAULTS | values))


def test_freezing_counts_only_parameters_that_had_a_gradient() -> None:
    builder = CheckpointBuilder()
    tied = builder.parameter(numbers(2))
    parameters = {"a": tied, "b": builder.parameter(numbers(2), grad=False), "c": None}
    edit = builder.edit({"model": module(parameters=parameters, children={"x": module(parameters={"a": tied})})})
    freeze(edit, model_of(edit))
    assert [(change.what, change.gain) for change in edit.account.changes] == [
        ("requires_grad of 1 parameters to False", False)
    ]
    freeze(edit, model_of(edit))
    assert len(edit.account.changes) == 1
