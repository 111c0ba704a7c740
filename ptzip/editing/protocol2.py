"""Values in the opcodes of protocol 2 that `torch.load(weights_only=True)` reads, whatever protocol the stream has."""

from ptzip.allowlist.table import WEIGHTS_ONLY_OPCODES
from ptzip.pickling.new_nodes import LONGEST, atom, bytes_node, called, memoized, named, new_dict, new_list
from ptzip.pickling.nodes import Atom, Dict, Global, List, Node, Set, item_slots, pairs

MOST_BITS = 8 * LONGEST - 1
"""The bits of the longest number that LONG1 holds; a longer one becomes the text of its digits."""

OTHER_PUTS = frozenset(("PUT", "MEMOIZE"))


def respelled(node: Node) -> Node:
    """A node of the same value in those opcodes: the node itself where it may stay, else a new one on the same children."""
    if isinstance(node, Atom) and node.op not in WEIGHTS_ONLY_OPCODES:
        new = _respelled_value(node.value)
        if node.steps and not new.steps:
            new.add(memoized())  # a long text that is used often is written once
        return new
    if isinstance(node, Global) and (node.op != "GLOBAL" or _has_other_puts(node)):
        return named(node.module, node.name)
    if isinstance(node, Set):
        return called("builtins", "set", new_list([slot.node for slot in item_slots(node)]))
    if isinstance(node, Dict) and node.op != "EMPTY_DICT":
        return new_dict([one for pair in pairs(node) for one in pair])
    if isinstance(node, List) and node.op != "EMPTY_LIST":
        return new_list([slot.node for slot in item_slots(node)])
    if _has_other_puts(node):
        steps = [memoized() if step.op in OTHER_PUTS else step for step in node.steps]
        if isinstance(node, Atom):
            return Atom(node.op, node.arg, steps=steps)  # atoms are shared with the tree of the open checkpoint
        node.steps = steps
    return node


def _has_other_puts(node: Node) -> bool:
    return any(step.op in OTHER_PUTS for step in node.steps)


def _respelled_value(value: object) -> Node:
    """A plain value; bytes are a text and its encoding in protocol 2."""
    if isinstance(value, bytes | bytearray):
        return bytes_node(bytes(value), protocol=2)
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return atom(hex(value))
    return atom(value if isinstance(value, str | int | float | bool) else None)
