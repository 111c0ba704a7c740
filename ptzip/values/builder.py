"""Nodes to Python values: what a loader would build, of what is known to be harmless.

Rule: values are made in the order of the stream, iteratively, so that nesting has no limit; tensors and arrays stay lazy, see
`settled`.
"""

from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.formats import legacy
from ptzip.formats import signatures as marks
from ptzip.formats.container import Part
from ptzip.io.sources import BytesSource
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.nodes import PUTS, Atom, Node, Step
from ptzip.values.build_state import MISTAKES, Building, called
from ptzip.values.from_nodes import FILLS, MAKERS, atom_value
from ptzip.values.torch_values import Nested
from ptzip.values.value_children import refuse_names

UNKNOWN = ("error", "keep")

MOST_STREAMS_DEEP = 4
"""How many streams may lie inside one another as bytes."""

Pending = Node | tuple[Node, Step | None]
"""What is still to be done: a node, a node whose parts are there, a step of it whose items are there."""


def build(part: Part, *, unknown: str = "error", limits: Limits = DEFAULT_LIMITS) -> object:
    """The value of a pickle; tensors and arrays are lazy.

    What is not known to be harmless is an UnsupportedError that names it, or with unknown="keep" an `Opaque`. Raises
    FormatError where the pickle is broken or does what no pickler does.
    """
    if unknown not in UNKNOWN:
        raise ValueError(f"unknown is {unknown!r}, expected one of {', '.join(UNKNOWN)}")
    return _built(Building(part, unknown == "keep", limits))


def _built(building: Building) -> object:
    root = building.part.root
    _make_all(building, root)
    value = building.value(root)
    if building.has_names and not building.keep:
        refuse_names(value)
    return value


def _make_all(building: Building, root: Node) -> None:
    """Make the values of a node and of all below it."""
    pending: list[Pending] = [root]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if isinstance(item, Node):
            if id(item) not in seen:
                seen.add(id(item))
                pending.append((item, None))
                _want(building, item.parts, pending)
            continue
        node, step = item
        if step is not None:
            _apply(building, node, step)
            continue
        value = MAKERS[type(node)](building, node)
        building.values[id(node)] = _nested(building, value) if isinstance(value, Nested) else value
        for done in reversed(node.steps):
            if done.op not in PUTS:
                pending.append((node, done))
                _want(building, done.items, pending)


def _want(building: Building, nodes: list[Node], pending: list[Pending]) -> None:
    """Have some nodes made next, the first of them first; most are atoms, which need nobody else."""
    for node in reversed(nodes):
        if type(node) is not Atom or any(step.op not in PUTS for step in node.steps):
            pending.append(node)
        elif id(node) not in building.values:
            building.values[id(node)] = atom_value(building, node)


def _apply(building: Building, node: Node, step: Step) -> None:
    """Do to a value what one opcode does: append, set, build."""
    value, items = building.value(node), [building.value(item) for item in step.items]
    fill = FILLS.get(step.op)
    if fill is None:
        return
    try:
        fill(building, value, items)
    except MISTAKES as error:
        raise FormatError(f"{step.op} does not fit {called(value)}: {error}", node.offset) from error


def _nested(building: Building, data: Nested) -> object:
    """The object of a legacy stream that is a value of this one."""
    if building.depth >= MOST_STREAMS_DEEP:
        raise LimitError(f"more than {MOST_STREAMS_DEEP} streams lie inside one another")
    source = BytesSource(bytes(data), f"a stream inside {building.part.name}")
    if not marks.is_legacy(source):
        raise UnsupportedError(f"{source.name} is not of the legacy format")
    inner = legacy.read(source, building.limits).parts[0]
    return _built(Building(inner, building.keep, building.limits, building.depth + 1))
