"""Who uses which storage: counted once, on the tree as it is when nothing more is taken out of it.

Rule: only edges of the tree count, so a tensor that stands in two places is used twice, and its storage by one tensor.
"""

import functools
from collections import Counter

from ptzip.pickling.nodes import Call, Node, Persistent, children, walk_unordered
from ptzip.tensors.references import StorageRef, TensorRef, storage_ref, tensor_ref

COUNTED = (Call, Persistent)


class Uses:
    """`edges` are the places that a call or a persistent id stands in, by the node's identity; `references` the persistent
    ids of each storage, `ids` these themselves, and `calls` every call that is met."""

    def __init__(self, root: Node) -> None:
        self.edges: dict[int, int] = {}
        self.references: Counter[str] = Counter()
        self.ids: dict[str, list[StorageRef]] = {}
        self.calls: list[Call] = []
        self.parsed: dict[int, TensorRef] = {}
        """The tensors that calls make, by the calls' identities, once somebody asked for them."""
        for node in walk_unordered(root):
            for below in children(node):
                if type(below) in COUNTED:
                    self.edges[id(below)] = self.edges.get(id(below), 0) + 1
            if isinstance(node, Persistent) and (reference := storage_ref(node)):
                self.references[reference.key] += 1
                self.ids.setdefault(reference.key, []).append(reference)
            elif type(node) is Call:
                self.calls.append(node)

    @functools.cached_property
    def tensors(self) -> dict[str, list[TensorRef]]:
        """The strided tensors on each storage that has no other users."""
        found: dict[str, list[TensorRef]] = {}
        for call in self.calls:
            one = tensor_ref(call)
            if one is not None:
                self.parsed[id(call)] = one
                found.setdefault(one.storage.key, []).append(one)
        return {key: tensors for key, tensors in found.items() if self._are_all(key, tensors)}

    def _are_all(self, key: str, tensors: list[TensorRef]) -> bool:
        """Whether each place of each id of a storage is in the arguments of one of these tensors."""
        places = Counter(id(one.storage.node) for one in {id(one.node.arguments): one for one in tensors}.values())
        return all(self.edges.get(id(reference.node), 0) == places[id(reference.node)] for reference in self.ids[key])

    def left_on(self, key: str) -> list[TensorRef]:
        """Those of a storage that are still in the tree, as they are now."""
        left = [one.node for one in self.tensors.get(key, ()) if self.edges.get(id(one.node), 1)]
        return [one for call in left if (one := tensor_ref(call)) is not None]

    def kept(self) -> set[str]:
        """The storages that are still referred to."""
        return {key for key, count in self.references.items() if count}
