"""An open checkpoint never changes: whatever is planned, written or forecast from it, its own tree stays as it was read."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.editing.edit import Edit
from ptzip.inspecting.report import Slimming
from ptzip.inspecting.summary import summary
from ptzip.pickling.nodes import Node, walk_unordered
from ptzip.pickling.writer import write_pickle
from ptzip.slimming.details import keys
from ptzip.slimming.options import Options, Run
from ptzip.slimming.plan import make_plan
from ptzip.slimming.write import planned_report, write_slim
from tests.corpus import FIXTURES, parameters

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"dtype": "bfloat16", "trim": False},
    {"plain": True},
    {"plain": True, "drop": ("*.0*", "model.names"), "values": (("epoch", -7), ("note", "new"))},
    {"dedupe": True, "keep": ("optimizer*param_groups", "ema"), "ema": False},
    {"format": "legacy", "dtype": "keep", "location": "keep"},
    {"keep_float32": ("*.weight",), "on_overflow": "saturate"},
)


def snapshot(checkpoint: ptzip.Checkpoint) -> tuple[object, ...]:
    """All that a caller can see of a checkpoint: its pickle as bytes, every node with its parts and steps, every tensor."""
    numbers = {id(node): number for number, node in enumerate(walk_unordered(checkpoint.root))}

    def numbered(nodes: list[Node]) -> list[int]:
        return [numbers[id(node)] for node in nodes]

    nodes = [
        (node.op, repr(node.arg), numbered(node.parts), [(step.op, step.arg, numbered(step.items)) for step in node.steps])
        for node in walk_unordered(checkpoint.root)
    ]
    names = [(name, tensor.dtype, tensor.shape, tensor.stride, tensor.offset) for name, tensor in checkpoint.tensors().items()]
    storages = [(key, found.size, len(found.references)) for key, found in checkpoint.storages.items()]
    pickle = checkpoint.pickle
    return write_pickle(pickle), nodes, names, storages, pickle.protocol, list(pickle.frames), len(pickle.calls)


def use(checkpoint: ptzip.Checkpoint, folder: Path) -> None:
    """Plan, foretell, write and check with each of the options, then summarise."""
    for number, chosen in enumerate(OPTIONS):
        options = Options(**chosen)
        try:
            plan = make_plan(checkpoint, options)
            keys(checkpoint, planned_report(checkpoint, plan, options).changes)
            write_slim(checkpoint, options, folder / f"{number}.pt", Run(with_tensors=True, check=True))
        except ptzip.PtzipError:
            continue
    summary(checkpoint, lambda _: Slimming())


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.pt")), ids=lambda path: path.name)
def test_no_fixture_changes_while_it_is_open(path: Path, tmp_path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        before = snapshot(checkpoint)
        use(checkpoint, tmp_path)
        assert snapshot(checkpoint) == before


@pytest.mark.parametrize("path", parameters("yolo", "format"))
def test_no_file_of_the_corpus_changes_while_it_is_open(path: Path, tmp_path: Path) -> None:
    with contextlib.ExitStack() as opened:
        try:
            checkpoint = opened.enter_context(ptzip.open(path))
            before = snapshot(checkpoint)
        except ptzip.PtzipError as error:
            pytest.skip(f"not written again: {error}")
        use(checkpoint, tmp_path)
        assert snapshot(checkpoint) == before


def identities(checkpoint: ptzip.Checkpoint) -> set[int]:
    return {id(node) for node in walk_unordered(checkpoint.root) if node.parts or node.steps}


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.pt")), ids=lambda path: path.name)
def test_plans_of_one_checkpoint_are_the_same(path: Path) -> None:
    for chosen in OPTIONS:
        options = Options(**chosen)
        with ptzip.open(path) as checkpoint:
            try:
                first = make_plan(checkpoint, options)
            except ptzip.PtzipError as error:
                with pytest.raises(type(error), match=re.escape(str(error))):
                    make_plan(checkpoint, options)
                continue
            second = make_plan(checkpoint, options)
            assert second.finished.pickle == first.finished.pickle
            assert planned_report(checkpoint, second, options) == planned_report(checkpoint, first, options)


def test_a_checkpoint_that_released_its_tree_reads_the_file_again(tmp_path: Path) -> None:
    path = FIXTURES / "training.pt"
    with ptzip.open(path) as checkpoint, ptzip.open(path) as untouched:
        released = checkpoint.release().parts[0].root
        released.steps.clear()
        assert checkpoint.root is not released
        assert write_pickle(checkpoint.pickle) == write_pickle(untouched.pickle)
        assert list(checkpoint) == list(untouched)
    with pytest.raises(ptzip.PtzipError, match="is closed"):
        checkpoint.release()


def test_a_plan_that_takes_the_tree_over_shares_no_node_with_what_the_checkpoint_shows_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Edit, "release", lambda _: None)
    with ptzip.open(FIXTURES / "training.pt") as checkpoint:
        plan = make_plan(checkpoint, Options())
        edited = {id(node) for node in walk_unordered(plan.edit.root) if node.parts or node.steps}
        assert not edited & identities(checkpoint)


def test_values_out_of_range_keep_their_dtype_where_the_first_plan_took_the_tree_over(tmp_path: Path) -> None:
    path = FIXTURES / "extremes.pt"
    report = ptzip.slim(path, tmp_path / "taken.pt")
    assert report.wide
    ptzip.slim(path, tmp_path / "copied.pt", check=True)
    assert (tmp_path / "taken.pt").read_bytes() == (tmp_path / "copied.pt").read_bytes()
