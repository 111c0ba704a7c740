"""Optimizers whose keys a loader needs are emptied wherever they are, once each, whatever the containers around them."""

from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.pickling.nodes import List, Node, Step, lookup, pairs
from tests.checkpoint_builder import CheckpointBuilder, node, numbers

LEVELS, DEEP = 24, 5000


def optimizer(one: CheckpointBuilder) -> dict[str, Any]:
    return {"state": {0: {"exp_avg": one.tensor(numbers(64))}}, "param_groups": [{"lr": 0.1, "params": [0]}]}


def inside_itself(inner: Node) -> Node:
    found = List("EMPTY_LIST", None, [], [*node([]).steps])
    found.add(Step("APPENDS", items=[found, inner]))
    return found


def in_shared_levels(inner: Node) -> Node:
    for _ in range(LEVELS):
        inner = node([inner, inner])
    return inner


def deep(inner: Node) -> Node:
    for _ in range(DEEP):
        inner = node([inner])
    return inner


@pytest.mark.parametrize("container", [inside_itself, in_shared_levels, deep])
def test_an_optimizer_in_any_containers_is_emptied(container: Any, tmp_path: Path) -> None:
    one = CheckpointBuilder()
    network = {"a.weight": one.tensor(numbers(64)), "a.bias": one.tensor(numbers(4))}
    emptied = node(optimizer(one))
    networks = {"modules": {"actor": network}, "optimizers": {"adam": container(emptied), "sgd": emptied}}
    path = one.save(tmp_path / "agent.pt", {"network_info": networks, "registry": {}})
    report = ptzip.slim(path, tmp_path / "slim.pt")
    assert report.recipe == "agilerl"
    assert sum("emptied" in change.what for change in report.changes) == 1
    with ptzip.open(tmp_path / "slim.pt") as slim:
        left = lookup(lookup(lookup(slim.root, "network_info"), "optimizers"), "sgd")
        state = lookup(left, "state")
        assert state is not None
        assert list(pairs(state)) == []
        assert len(slim.storages) == 2
