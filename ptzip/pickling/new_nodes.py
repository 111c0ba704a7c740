"""New nodes, and changes to a tree: keys set and taken out.

Rule: new nodes are spelled in opcodes that every loader since protocol 2 knows, torch's `weights_only` too, and containers and
names are kept in the memo, so that a value that stands in several places is spelled once.
"""

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
    pair_slots,
    slot_of,
    text,
)

LONGEST = 0xFF
"""Bytes of a number that LONG1 has a place for."""


def atom(value: str | int | float | bool | None) -> Atom:
    """A plain value; integers of more than `LONGEST` bytes alone need an opcode that `weights_only` does not know."""
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
    """A memo put into a slot that is still free when the stream is written."""
    return Step("MEMOIZE")


def new_tuple(*items: Node) -> Tuple:
    return Tuple("TUPLE", None, list(items))


def new_list(items: list[Node]) -> List:
    return List("EMPTY_LIST", None, [], [memoized(), *([Step("APPENDS", items=items)] if items else [])])


def new_dict(items: list[Node]) -> Dict:
    """A dict of keys and values in turn."""
    return Dict("EMPTY_DICT", None, [], [memoized(), *([filled(items)] if items else [])])


def filled(items: list[Node]) -> Step:
    """The step that gives a dict its items, keys and values in turn."""
    return Step("SETITEMS", items=items)


def called(module: str, name: str, *arguments: Node) -> Call:
    """What a loader would call."""
    return Call("REDUCE", None, [named(module, name), new_tuple(*arguments)], [memoized()])


def ordered(entries: list[tuple[str, Node]]) -> Call:
    """An OrderedDict."""
    made = Call("REDUCE", None, [named("collections", "OrderedDict"), Tuple("EMPTY_TUPLE")], [memoized()])
    if entries:
        made.add(filled([one for name, value in entries for one in (atom(name), value)]))
    return made


def assign(node: Node, key: str, value: Node) -> None:
    """Set `key` of a dict, at its place or behind the last item."""
    slot = slot_of(node, key)
    if slot:
        slot.put(value)
        return
    last = max((i for i, step in enumerate(node.steps) if step.op in PAIRED or step.op in PUTS), default=-1)
    node.steps = [*node.steps[: last + 1], Step("SETITEM", items=[atom(key), value]), *node.steps[last + 1 :]]


def discard(node: Node, key: str) -> None:
    """Take `key` out of a dict."""
    for found, slot in reversed(list(pair_slots(node))):
        if text(found) == key:
            take_out(node, slot)


def take_out(node: Node, slot: Slot) -> None:
    """Take the key whose value stands in `slot` out of a dict; of several slots the last first, as each shifts those behind."""
    del slot.holder[slot.index - 1 : slot.index + 1]
    if not slot.holder:
        node.steps = [step for step in node.steps if step.op not in PAIRED or step.items]
