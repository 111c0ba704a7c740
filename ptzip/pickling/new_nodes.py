"""New nodes, and changes to dicts: keys set and removed.

New nodes use opcodes that every loader since protocol 2 accepts, torch's `weights_only` included. Containers and globals are
put into the memo, so that a shared value is written once.
"""

from collections.abc import Callable

from ptzip.pickling.nodes import (
    PAIRED,
    PUTS,
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Slot,
    Step,
    Tuple,
    slot_of,
)

LONGEST = 0xFF
"""The largest number of bytes in a LONG1."""


def atom(value: str | int | float | bool | None) -> Atom:
    """A plain value. Only integers of more than `LONGEST` bytes need an opcode that `weights_only` rejects."""
    if value is None or isinstance(value, bool):
        return Atom({None: "NONE", True: "NEWTRUE", False: "NEWFALSE"}[value])
    if isinstance(value, str):
        return Atom("BINUNICODE", value)
    if isinstance(value, float):
        return Atom("BINFLOAT", value)
    for op, low, high in (("BININT1", 0, 0xFF), ("BININT2", 0, 0xFFFF), ("BININT", -0x80000000, 0x7FFFFFFF)):
        if low <= value <= high:
            return Atom(op, value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return Atom("LONG1" if len(data) <= LONGEST else "LONG4", data)


def named(module: str, name: str) -> Global:
    """An importable name."""
    return Global("GLOBAL", (module, name), steps=[memoized()], module=module, name=name)


def memoized() -> Step:
    """A memo put into any slot that is free when the stream is written."""
    return Step("MEMOIZE")


def new_tuple(*items: Node) -> Tuple:
    return Tuple("TUPLE", None, list(items))


def new_list(items: list[Node]) -> List:
    return List("EMPTY_LIST", None, [], [memoized(), *([Step("APPENDS", items=items)] if items else [])])


def new_dict(items: list[Node]) -> Dict:
    """A dict of alternating keys and values."""
    return Dict("EMPTY_DICT", None, [], [memoized(), *([filled(items)] if items else [])])


def literal(value: object) -> Node:
    """A value of JSON: a list, a dict by strings, or a plain value. Raises TypeError for anything else."""
    if isinstance(value, list):
        return new_list([literal(item) for item in value])
    if isinstance(value, dict):
        return new_dict([literal(one) for pair in value.items() for one in pair])
    if value is None or isinstance(value, str | int | float | bool):
        return atom(value)
    raise TypeError(f"{type(value).__name__} has no literal")


def filled(items: list[Node]) -> Step:
    """The step that fills a dict with alternating keys and values."""
    return Step("SETITEMS", items=items)


def called(module: str, name: str, *arguments: Node) -> Call:
    """A call of a global."""
    return Call("REDUCE", None, [named(module, name), new_tuple(*arguments)], [memoized()])


def bytes_node(data: bytes, protocol: int) -> Node:
    """Bytes, which protocols 0 to 2 have as text and its encoding."""
    if protocol < 3:
        return called("_codecs", "encode", atom(data.decode("latin1")), atom("latin1"))
    return Atom("BINBYTES" if len(data) < 1 << 32 else "BINBYTES8", data)


def ordered(entries: list[tuple[str, Node]]) -> Call:
    """An OrderedDict."""
    made = Call("REDUCE", None, [named("collections", "OrderedDict"), Tuple("EMPTY_TUPLE")], [memoized()])
    if entries:
        made.add(filled([one for name, value in entries for one in (atom(name), value)]))
    return made


def assign(node: Node, key: str, value: Node) -> None:
    """Set `key` of a dict, in its slot or after the last item."""
    slot = slot_of(node, key)
    if slot:
        slot.put(value)
        return
    last = max((i for i, step in enumerate(node.steps) if step.op in PAIRED or step.op in PUTS), default=-1)
    node.steps = [*node.steps[: last + 1], Step("SETITEM", items=[atom(key), value]), *node.steps[last + 1 :]]


def take_out(node: Node, slot: Slot) -> None:
    """Remove the key whose value is in `slot`. Of several slots remove the last first, since removal shifts those after it."""
    del slot.holder[slot.index - 1 : slot.index + 1]
    if not slot.holder:
        node.steps = [step for step in node.steps if step.op not in PAIRED or step.items]


def take_out_all(node: Node, slots: list[Slot]) -> None:
    """Remove the keys whose values are in any of some slots, at once, since removing them one by one takes quadratic time."""
    holders = {id(slot.holder): slot.holder for slot in slots}
    gone = {(id(slot.holder), slot.index // 2) for slot in slots}
    for holder in holders.values():
        holder[:] = [item for index, item in enumerate(holder) if (id(holder), index // 2) not in gone]
    if not all(holders.values()):
        node.steps = [step for step in node.steps if step.op not in PAIRED or step.items]


def replace_below(top: list[Node], replacement: Callable[[Node], Node | None]) -> None:
    """Replace the nodes in a list, and all below them, by what `replacement` returns; where that is None the node stays.

    A node is asked for once, before what is below it; of a new node, what is below it is asked for too.
    """
    done: dict[int, Node] = {}
    replaced: list[Node] = []  # kept alive, since `done` knows nodes by their identity
    pending = [top]
    while pending:
        holder = pending.pop()
        for index, node in enumerate(holder):
            new = done.get(id(node))
            if new is None:
                new = replacement(node) or node
                done[id(node)] = done[id(new)] = new
                replaced.append(node)
                pending += [below for below in (new.parts, *(step.items for step in new.steps)) if below]
            if new is not node:
                holder[index] = new


def copy_tree(root: Node) -> Node:
    """Copy everything below a node; a node in several positions, or inside itself, is one node in the copy too.

    Atoms and globals, half of all nodes, are shared with the original: an edit replaces them and never changes them.
    Iterative, since nesting has no limit.
    """
    copies: dict[int, Node] = {}
    pending: list[Node] = []
    new = object.__new__

    def copied(nodes: list[Node]) -> list[Node]:
        found = []
        for node in nodes:
            kind = type(node)
            if kind is Atom or kind is Global:
                found.append(node)
                continue
            copy = copies.get(id(node))
            if copy is None:
                copies[id(node)] = copy = new(kind)
                copy.op, copy.arg, copy.offset, copy.parts, copy.steps = node.op, node.arg, node.offset, node.parts, node.steps
                pending.append(copy)
            found.append(copy)
        return found

    (top,) = copied([root])
    while pending:
        node = pending.pop()
        if node.parts:
            node.parts = copied(node.parts)
        if node.steps:
            node.steps = [Step(step.op, step.arg, copied(step.items)) if step.items else step for step in node.steps]
    return top
