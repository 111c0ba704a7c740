"""The tree of a folder, path by path."""

import pytest

from ptzip.errors import FormatError
from ptzip.formats.container import Part, nothing_stored
from ptzip.formats.folders.assembly import MOST_ITEMS, Assembly, Key, Tree
from ptzip.formats.folders.pieces import Piece, Stored
from ptzip.io.payloads import BytesPayload
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import Pickle
from ptzip.values.builder import build

Path = tuple[Key, ...]


def value(tree: Tree) -> object:
    return build(Part("tree", Pickle(tree.node(), 2), nothing_stored))


def tree(*paths: Path) -> Tree:
    made = Tree()
    for number, path in enumerate(paths):
        made.put(path, atom(number))
    return made


def test_strings_are_keys_and_numbers_are_items() -> None:
    made = tree(("a", "b"), ("a", "c.d"), ("list", 2, "x"), ("list", 0), ("list", 2, "y"))
    assert value(made) == {"a": {"b": 0, "c.d": 1}, "list": [3, None, {"x": 2, "y": 4}]}


@pytest.mark.parametrize(
    "paths",
    [
        [("a",), ("a",)],
        [("a",), ("a", "b")],
        [("a", "b"), ("a",)],
        [("a", "b"), ("a", 0)],
        [("a", 0), ("a", "b")],
        [("a", -1)],
        [(0,)],
    ],
    ids=str,
)
def test_paths_that_contradict_one_another_are_an_error(paths: list[Path]) -> None:
    with pytest.raises(FormatError, match="in this folder"):
        tree(*paths)


def test_an_index_does_not_make_lists_of_any_length() -> None:
    with pytest.raises(FormatError, match="make lists of more than"):
        tree(("a", MOST_ITEMS // 2), ("b", MOST_ITEMS // 2)).node()


@pytest.mark.parametrize("shape", [(1,) * 65, (1 << 40, 1 << 40)], ids=["dimensions", "elements"])
def test_a_shape_that_torch_does_not_take_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="larger than torch takes"):
        Assembly().tensor("weight", "float32", shape, [])


def test_no_two_storages_get_one_key() -> None:
    assembly = Assembly()
    for byte in b"abc":
        assembly.whole("weight", "uint8", (1,), BytesPayload(bytes([byte])))
    assert [b"".join(payload.chunks(0, 1)) for payload in assembly.payloads.values()] == [b"a", b"b", b"c"]


def test_stretches_of_a_flat_buffer_are_a_tensor_of_any_shape() -> None:
    stored = [Stored(BytesPayload(bytes(range(8))), 2, (1,)), Stored(BytesPayload(bytes(range(100, 108))), 0, (1,))]
    pieces = [Piece((0,), (4,), lambda: stored[0], "rank 0"), Piece((4,), (2,), lambda: stored[1], "rank 1")]
    assembly = Assembly()
    assembly.tensor("weight", "uint8", (3, 2), pieces, is_flat=True)
    assert b"".join(assembly.payloads["weight"].chunks(0, 6)) == bytes((2, 3, 4, 5, 100, 101))
