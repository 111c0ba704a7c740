"""Which persistent ids, calls and tensors of a tree use which storage, counted in one walk."""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from ptzip.errors import EditError
from ptzip.pickling.new_nodes import atom, memoized
from ptzip.pickling.nodes import Call, Node, Persistent, children, walk, walk_unordered
from ptzip.tensors.references import KEY, StorageRef, TensorRef, storage_ref, tensor_ref


class StorageUsers:
    """The users of each storage, to be counted once nothing more is removed from the tree; casts keep it up to date.

    `edges` counts the positions of each call and persistent id, by the identity of the node: a tensor in two positions is used
    twice, and its storage by one tensor.
    """

    def __init__(self, root: Node) -> None:
        self.edges: dict[int, int] = {}
        self.references: Counter[str] = Counter()
        """How many persistent ids name a storage, by key."""
        self.ids: dict[str, list[StorageRef]] = {}
        self.parsed: dict[int, TensorRef] = {}
        """The tensors among the calls, by the identity of their nodes, once `tensors` was used."""
        self._calls: list[Call] = []
        for node in walk_unordered(root):
            for below in children(node):
                if type(below) is Call or type(below) is Persistent:
                    self.edges[id(below)] = self.edges.get(id(below), 0) + 1
            if type(node) is Call:
                self._calls.append(node)
            elif type(node) is Persistent and (reference := storage_ref(node)):
                self.references[reference.key] += 1
                self.ids.setdefault(reference.key, []).append(reference)

    @functools.cached_property
    def tensors(self) -> dict[str, list[TensorRef]]:
        """The strided tensors on each storage that nothing else uses, by key."""
        found: dict[str, list[TensorRef]] = {}
        for call in self._calls:
            tensor = tensor_ref(call)
            if tensor is not None:
                self.parsed[id(call)] = tensor
                found.setdefault(tensor.storage.key, []).append(tensor)
        return {key: tensors for key, tensors in found.items() if self._are_all_users(key, tensors)}

    def _are_all_users(self, key: str, tensors: list[TensorRef]) -> bool:
        """Whether every position of every id of a storage is in the arguments of one of these tensors."""
        positions = Counter(id(one.storage.node) for one in {id(one.arguments): one for one in tensors}.values())
        return all(self.edges.get(id(reference.node), 0) == positions[id(reference.node)] for reference in self.ids[key])

    def remaining_on(self, key: str) -> list[TensorRef]:
        """The tensors that are still in the tree, of those that `tensors` found on a storage, as they are now."""
        remaining = [one.node for one in self.tensors.get(key, ()) if self.edges.get(id(one.node), 1)]
        return [tensor for call in remaining if (tensor := tensor_ref(call)) is not None]

    def used(self) -> set[str]:
        """The keys of the storages that are still referred to."""
        return {key for key, count in self.references.items() if count}


def storages_below(root: Node, walked: Callable[[Node], Iterable[Node]] = walk_unordered) -> set[str]:
    """The keys of the storages that are used below a node, among the nodes that are `walked` there."""
    ids = (storage_ref(node) for node in walked(root) if isinstance(node, Persistent))
    return {reference.key for reference in ids if reference}


def storage_ids(root: Node) -> Iterator[StorageRef]:
    """Every persistent id, in the order of the stream. Raises EditError for one that does not name a storage."""
    for node in walk(root):
        if isinstance(node, Persistent):
            reference = storage_ref(node)
            if reference is None:
                raise EditError("a persistent id does not name a storage, so storages cannot be renumbered", node.offset)
            yield reference


def renumber(ids: list[StorageRef], key: str) -> None:
    """Give all ids of a storage a new key node; the old node may be used elsewhere too."""
    if ids[0].key == key:
        return
    node = atom(key)
    if len(ids) > 1:
        node.add(memoized())
    for reference in ids:
        reference.id_parts[KEY] = node
