"""One walk, one search, one spelling: a path that any command shows is understood by every other command."""

import glob
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.checkpoint import Checkpoint
from ptzip.editing.drop_and_set import drop
from ptzip.editing.edit import Edit
from ptzip.errors import LimitError
from ptzip.globs import Patterns
from ptzip.inspecting.tree_rows import TreeRow, tree_rows
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import named
from ptzip.pickling.nodes import Call, List, Node, Step, Tuple
from ptzip.tree import paths
from ptzip.tree.children import NodeChild, node_at, node_children, node_paths
from ptzip.tree.paths import TOP, key_text, walk
from tests.small_checkpoints import Saving, archive, called, weights

KEYS = st.text("ab.: 0é", min_size=1, max_size=4) | st.integers(-9, 9) | st.tuples(st.integers(0, 9), st.text("ab", max_size=2))
LEAVES = (
    st.sampled_from(["tensor", "parameter", "sparse"]).map(lambda kind: (kind,))
    | st.none()
    | st.integers()
    | st.text(max_size=3)
)
FORMS = ("dict", "ordered", "pairs", "module", "object", "slots", "keywords")


def nests(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keyed = st.tuples(st.sampled_from(FORMS), st.dictionaries(KEYS, inner, max_size=4))
    listed = st.tuples(st.sampled_from(["list", "tuple", "arguments", "state"]), st.lists(inner, max_size=4))
    return keyed | listed | st.tuples(st.just("set"), st.lists(st.integers(0, 99), max_size=3, unique=True))


class Nest:
    """Builds nodes of every form from what hypothesis draws."""

    def __init__(self) -> None:
        self.saving = Saving()

    def node(self, value: Any) -> Node:
        if not isinstance(value, tuple):
            return self.saving.node(value)
        form, *given = value
        return getattr(self, f"_{form}")(*given) if form in ("set", "sparse") else self._other(form, *given)

    def _other(self, form: str, content: Any = None) -> Node:
        if form in ("tensor", "parameter"):
            return self.saving.tensor(weights(2)) if form == "tensor" else self.saving.parameter(weights(2))
        if isinstance(content, list):
            items = [self.node(item) for item in content]
            return self._listed(form, items)
        return self._keyed(form, [(self.saving.node(key), self.node(item)) for key, item in content.items()])

    def _listed(self, form: str, items: list[Node]) -> Node:
        listed = List("EMPTY_LIST", steps=[Step("APPENDS", items=items)])
        if form == "state":
            return Call("NEWOBJ", None, [named("a", "B"), Tuple("EMPTY_TUPLE")], [Step("BUILD", items=[listed])])
        if form == "arguments":
            return called("a", "B", Tuple("TUPLE", None, items))
        return listed if form == "list" else Tuple("TUPLE", None, items)

    def _keyed(self, form: str, pairs: list[tuple[Node, Node]]) -> Node:
        filled = self.saving.node({})
        filled.steps.append(Step("SETITEMS", items=[part for pair in pairs for part in pair]))
        if form == "ordered":
            made = self.saving.ordered({})
            made.steps += filled.steps
            return made
        if form == "pairs":
            listed = List("EMPTY_LIST", steps=[Step("APPENDS", items=[Tuple("TUPLE2", None, list(pair)) for pair in pairs])])
            return called("collections", "OrderedDict", Tuple("TUPLE1", None, [listed]))
        if form == "keywords":
            return Call("NEWOBJ_EX", None, [named("a", "B"), Tuple("EMPTY_TUPLE"), filled])
        if form == "module":
            module = self.saving.module("a.Net", {"weight": weights(2)})
            (state,) = module.steps[0].items
            state.steps[0].items[-1].steps += filled.steps  # its _modules
            return module
        state = filled if form == "object" else self.saving.node((None, filled))
        return (
            filled
            if form == "dict"
            else Call("NEWOBJ", None, [named("a", "B"), Tuple("EMPTY_TUPLE")], [Step("BUILD", items=[state])])
        )

    def _set(self, items: list[int]) -> Node:
        return called("builtins", "set", self.saving.node((items,)))

    def _sparse(self) -> Node:
        layout = called("torch.serialization", "_get_layout", self.saving.node(("torch.sparse_coo",)))
        parts = (self.saving.tensor(weights(2, "int64")), self.saving.tensor(weights(2)), (4,))
        return called("torch._utils", "_rebuild_sparse_tensor", self.saving.node((layout, parts)))


def shown(rows: list[TreeRow]) -> set[str]:
    """The paths in a tree as `inspect` shows it: those above are the last rows of a smaller depth."""
    found, above = set[str](), list[paths.Path]()
    for row in rows[1:]:
        path = (above[row.depth - 2] if row.depth > 1 else TOP).below(row.name)
        above[row.depth - 1 :] = [path]
        found.add(str(path))
    return found


@given(st.recursive(LEAVES, nests, max_leaves=12))
def test_a_path_that_inspect_shows_is_found_and_matched_and_tensors_have_such_names(value: Any) -> None:
    nest = Nest()
    root = nest.node(value)
    with Checkpoint(BytesSource(archive(nest.saving.records(root)))) as checkpoint:
        tree, tensors = checkpoint.root, checkpoint.tensors()
    inspected = shown(list(tree_rows(tree, tensors, everything=True)))
    everywhere: dict[str, list[Node]] = {}
    for path, child in node_paths(tree):
        everywhere.setdefault(path, []).append(child.value)
        assert Patterns([glob.escape(path)]).match(path)
    assert inspected <= everywhere.keys()
    assert {name.partition(" (")[0] for name in tensors} <= everywhere.keys() | {""}
    for path, nodes in everywhere.items():
        match = node_at(tree, path)
        assert match is not None
        assert not path or any(match.value is node for node in nodes)


@given(st.recursive(LEAVES, nests, max_leaves=6))
def test_a_path_that_inspect_shows_can_be_dropped_unless_a_function_is_given_it(value: Any) -> None:
    nest = Nest()
    data = archive(nest.saving.records(nest.node(value)))
    with Checkpoint(BytesSource(data)) as checkpoint:
        given = {path for path, child in node_paths(checkpoint.root) if child.slot is None}
        for path in shown(list(tree_rows(checkpoint.root, {}, everything=True))) - given:
            if any(path.startswith(f"{above}.") for above in given):
                continue
            edit = Edit(checkpoint.main)
            drop(edit, [glob.escape(path)])
            assert edit.account.warnings == []


def test_what_is_named_once_is_entered_at_its_first_position_only() -> None:
    shared = Saving().node({"x": [1]})
    root = Saving().node({"a": shared, "b": shared})
    assert [str(path) for path, _ in walk(root, node_children)] == ["a", "a.x", "a.x.0", "b", "b.x", "b.x.0"]
    once = walk(root, node_children, is_named_once=lambda node: node is shared)
    assert [str(path) for path, _ in once] == ["a", "a.x", "a.x.0", "b"]


def test_nothing_below_a_closed_path_is_walked() -> None:
    root = Saving().node({"a": {"x": 1}, "b": {"x": 2}})
    assert [path for path, _ in node_paths(root, closed=Patterns(["a"]))] == ["a", "b", "b.x"]


def test_a_tree_of_few_nodes_with_very_many_paths_is_refused() -> None:
    root = Saving().node([1])
    for _ in range(30):
        root = Saving().node([root, root])
    with pytest.raises(LimitError, match="--limit paths=N"):
        list(node_paths(root, most=1000))


def test_shared_values_that_multiply_paths_are_counted_ahead() -> None:
    """A million paths of 25 lists took 7 s, until there were too many."""
    root, looked = Saving().node([1]), list[Node]()
    for _ in range(24):
        root = Saving().node([root, root])

    def counted(node: Node) -> list[NodeChild]:
        looked.append(node)
        return node_children(node)

    with pytest.raises(LimitError, match=r"the object has at least \d+,\d+,\d+ paths, above the limit"):
        list(walk(root, counted))
    assert len(looked) < 3 * paths.FEW_PATHS


@pytest.mark.parametrize(
    ("key", "text"),
    [("a", "a"), (1, "1"), (True, "True"), (None, "None"), (b"x", "b'x'"), ((1, "a"), "(1, 'a')"), ((1, (2,)), None)],
)
def test_a_key_is_named_as_python_prints_it(key: object, text: str | None) -> None:
    assert key_text(key) == text


def type_name(key: object) -> str:
    return type(key).__name__


@pytest.mark.parametrize("key", ["x" * 1001, 1 << 100_000, (1 << 100_000,), object(), {}], ids=type_name)
def test_a_key_without_a_short_text_has_none(key: object) -> None:
    assert key_text(key) is None


def test_the_length_of_a_path_is_that_of_its_text() -> None:
    path = TOP.below("a").below(None).below("").below("b.c")
    assert (str(path), path.length) == ("a..b.c", 6)
