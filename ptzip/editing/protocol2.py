"""Values in the opcodes of protocol 2 that `torch.load(weights_only=True)` reads, whatever protocol they were spelled in.

Rule: a value stays the same, save a number too long for any opcode that is read, which becomes the text of its digits.
"""

from ptzip.allowlist.table import WEIGHTS_ONLY_OPCODES
from ptzip.pickling.new_nodes import LONGEST, atom, called, memoized, named, new_dict, new_list
from ptzip.pickling.nodes import Atom, Dict, Global, List, Node, Set, item_slots, pairs

MOST_BITS = 8 * LONGEST - 1
OTHER_PUTS = frozenset(("PUT", "MEMOIZE"))


def respelled(node: Node) -> Node:
    """A node that spells the same value; the node itself where it may stay."""
    if isinstance(node, Atom) and node.op not in WEIGHTS_ONLY_OPCODES:
        new = _atom(node.value)
        if node.steps and not new.steps:
            new.add(memoized())  # a long text that stands in many places is spelled once
        return new
    if isinstance(node, Global) and node.op != "GLOBAL":
        return named(node.module, node.name)
    if isinstance(node, Set):
        return new_set(_items(node))
    if isinstance(node, Dict) and node.op != "EMPTY_DICT":
        return new_dict([one for pair in pairs(node) for one in pair])
    if isinstance(node, List) and node.op != "EMPTY_LIST":
        return new_list(_items(node))
    if any(step.op in OTHER_PUTS for step in node.steps):
        steps = [memoized() if step.op in OTHER_PUTS else step for step in node.steps]
        if isinstance(node, Atom):
            return Atom(node.op, node.arg, steps=steps)
        if isinstance(node, Global):
            return named(node.module, node.name)
        node.steps = steps
    return node


def new_set(items: list[Node]) -> Node:
    """A set as protocol 2 spells it: a call on a list."""
    return called("builtins", "set", new_list(items))


def _items(node: Node) -> list[Node]:
    return [slot.node for slot in item_slots(node)]


def _atom(value: object) -> Node:
    """Bytes are a text and its encoding there."""
    if isinstance(value, bytes | bytearray):
        return called("_codecs", "encode", atom(bytes(value).decode("latin-1")), atom("latin1"))
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return atom(hex(value))
    return atom(value if isinstance(value, str | int | float | bool) else None)
