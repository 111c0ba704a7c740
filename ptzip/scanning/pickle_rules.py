"""Rules about pickles: what they would have a loader import, call and describe, and how their streams are made.

Rule: each is a function of one stream, and yields what it finds in the order of the stream.
"""

from collections.abc import Iterator

from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Set, Tuple, plain
from ptzip.pickling.reader import BROKEN, CUT, LIMIT
from ptzip.scanning import joblib_arrays
from ptzip.scanning.dangerous_names import CODE_PICKLERS
from ptzip.scanning.report import Hit
from ptzip.scanning.subjects import NUMBERS, PickleStream
from ptzip.scanning.violations import Danger, built_names, special_methods, thrown_away
from ptzip.text import has_decimal

TOLD_APART = frozenset(("popped", "trailing", "computed name", BROKEN, CUT, LIMIT))
"""The kinds of anomalies that have rules of their own."""

MOST_DEEP = 1500
"""Nodes inside one another: Python's own pickler gives up at a thousand."""

MOST_WALKED = 1 << 20
MOST_REPEATS = 64
"""Containers that few bytes of the memo stand for, when all are walked, and how many times the references that spell them."""

MOST_BITS = 1 << 15
"""Bits of a number; more take Python seconds to print."""


def harmful_calls(stream: PickleStream) -> Iterator[Hit]:
    """A pickle is a program: REDUCE, INST, OBJ and NEWOBJ call what it names. This one calls something that is known to run
    code, open files, start processes, found the network, or reach any of these. Loading the file does it, before anything is
    returned; torch refuses it with weights_only=True.
    """
    for found in stream.violations:
        if isinstance(found.node, Call) and found.danger is Danger.HARMFUL:
            yield Hit(f"loading calls {call_text(found.node, found.what)}: {found.why}", found.node.offset)


def unknown_calls(stream: PickleStream) -> Iterator[Hit]:
    """Loading imports the module of this class or function and calls it. What it does is written in that module, not in the
    file: fine if you know and trust the package (see --trust), anything at all if you do not. Whole pickled models have
    such names; a state dict has none.
    """
    for found in stream.violations:
        if isinstance(found.node, Call) and found.danger is Danger.UNKNOWN:
            does = "makes an object of" if found.node.op.startswith("NEWOBJ") else "calls"
            yield Hit(f"loading imports and {does} {found.what}, whose code is not known", found.node.offset)


def harmful_names(stream: PickleStream) -> Iterator[Hit]:
    """Loading imports this name without calling it. Importing runs the module's code, and a function that is parked in an
    object is called by whoever uses the object.
    """
    for found in stream.violations:
        if isinstance(found.node, Global) and found.danger is Danger.HARMFUL:
            yield Hit(f"loading imports {found.what}: {found.why}", found.node.offset)


def unknown_names(stream: PickleStream) -> Iterator[Hit]:
    """Loading imports the module of this name, which runs the module's code. Nothing is known of it (see --trust)."""
    for found in stream.violations:
        if isinstance(found.node, Global) and found.danger is Danger.UNKNOWN:
            yield Hit(f"loading imports {found.what}, whose code is not known", found.node.offset)


def misused(stream: PickleStream) -> Iterator[Hit]:
    """The name is on the allow list, but honest pickles call it with other arguments: these ask for memory, hide what is
    called, or are computed on the way.
    """
    for found in stream.violations:
        if found.danger is Danger.MISUSED and isinstance(found.node, Call):
            yield Hit(f"loading calls {found.what} {found.why}", found.node.offset)


def thrown(stream: PickleStream) -> Iterator[Hit]:
    """The pickle calls something, throws the result away, and goes on to make an innocent object. No pickler writes that; a
    call for its effects does.
    """
    gone = thrown_away(stream.pickle)
    for found in stream.violations if gone else ():
        root, _, name = found.what.partition(".")
        is_code = root in CODE_PICKLERS and name.rpartition(".")[2].startswith("_")
        if id(found.node) in gone and found.danger is Danger.UNKNOWN and isinstance(found.node, Call) and not is_code:
            yield Hit(
                f"loading calls {found.what} and throws the result away, so it is called for what it does", found.node.offset
            )


def described_names(stream: PickleStream) -> Iterator[Hit]:
    """BUILD gives an object its attributes. Here the object is a class, a function or a module itself, so that loading changes
    it for the whole process: the next harmless call may run something else.
    """
    for node in built_names(stream.pickle):
        yield Hit(f"loading changes {node.path} itself, for everybody who uses it", node.offset)


def special_states(stream: PickleStream) -> Iterator[Hit]:
    """An attribute with the name of a special method makes Python call it later: a second BUILD calls __setstate__, the end of
    the object __del__, and so on.
    """
    for call, name in special_methods(stream.pickle):
        yield Hit(f"loading puts something else in the place of {name} of an object of {call.path or '?'}", call.offset)


def extensions(stream: PickleStream) -> Iterator[Hit]:
    """The copyreg module can give numbers to names, and EXT opcodes import by number. Nothing in the file says what is
    imported. No checkpoint needs them.
    """
    for node in stream.pickle.calls:
        if isinstance(node, Global) and node.op in ("EXT1", "EXT2", "EXT4"):
            yield Hit(f"loading imports what is registered under extension code {node.arg}, which no name tells", node.offset)


def odd_streams(stream: PickleStream) -> Iterator[Hit]:
    """The stream says in an odd way what every pickler says plainly: values left over, doubled or changed after they were
    fetched, frames that lie. Tools that read pickles differently come to different results.
    """
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind not in TOLD_APART:
            yield Hit(f"no pickler writes this: {anomaly.message}", anomaly.offset)


def popped(stream: PickleStream) -> Iterator[Hit]:
    """Values were made and popped. All that made them is on the allow list, so nothing happens; picklers do not do it."""
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind == "popped":
            yield Hit("values are made and thrown away", anomaly.offset)


def computed_names(stream: PickleStream) -> Iterator[Hit]:
    """STACK_GLOBAL imports what stands on the stack, and here that is no text of the file but something that is made while
    loading. Nobody can tell what is imported, and nobody honest needs that.
    """
    for anomaly in stream.pickle.anomalies if not joblib_arrays.has_arrays(stream.pickle) else ():
        if anomaly.kind == "computed name":
            yield Hit("loading imports a name that is made while loading", anomaly.offset)


def broken(stream: PickleStream) -> Iterator[Hit]:
    """The stream ends or breaks before STOP. A loader has done everything that stands before, then fails: an attacker does not
    mind the error.
    """
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind in (BROKEN, CUT):
            yield Hit(f"the pickle breaks off, after a loader did all that stands before: {anomaly.message}", anomaly.offset)


def limited(stream: PickleStream) -> Iterator[Hit]:
    """Reading on would take more memory or time than any honest file; what was read until there was judged."""
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind == LIMIT:
            yield Hit(anomaly.message)


def trailing(stream: PickleStream) -> Iterator[Hit]:
    """torch reads one pickle and stops. What follows is read by nobody, or by somebody else."""
    if stream.trailing:
        yield Hit(f"{stream.trailing:,} bytes follow the pickle, which no loader reads", stream.pickle.end)


def hidden(stream: PickleStream) -> Iterator[Hit]:
    """A pickle in a storage, or in a record that torch does not read. It does nothing unless somebody is brought to load it."""
    if stream.is_hidden:
        yield Hit("a pickle lies where no loader of this kind of file looks for one", stream.pickle.start)


def huge_numbers(stream: PickleStream) -> Iterator[Hit]:
    """Python needs quadratic time to print such a number."""
    for node in stream.extent.atoms:
        bits = node.value.bit_length() if node.op in NUMBERS else 0
        if bits > MOST_BITS:
            yield Hit(f"a number has {bits:,} bits", node.offset)


def deep_containers(stream: PickleStream) -> Iterator[Hit]:
    """Python's own pickler cannot write this, and programs that walk the object may crash."""
    if stream.extent.depth > MOST_DEEP:
        yield Hit(f"containers lie {stream.extent.depth:,} deep inside one another")


def repeated_containers(stream: PickleStream) -> Iterator[Hit]:
    """A few bytes that refer to one another again and again, like the billion laughs of XML. Loading is cheap; showing,
    copying or comparing the object takes all memory.
    """
    extent = stream.extent
    if extent.walked > max(MOST_WALKED, MOST_REPEATS * extent.references):
        yield Hit("a few containers hold one another so often that they stand for more than a million")


_LONGEST_TEXT = 60
_MOST_ITEMS = 4
_DEEPEST_TEXT = 2


def call_text(call: Call, what: str) -> str:
    """A call with its arguments, those that are long cut."""
    given = [value_text(argument) for argument in call.arguments[:_MOST_ITEMS]]
    more = ", ..." if len(call.arguments) > _MOST_ITEMS else ""
    return f"{what}({', '.join(given)}{more})"


def value_text(node: Node, depth: int = 0) -> str:
    """A value as Python spells it, roughly."""
    found = plain(node)
    if isinstance(found, Atom):
        return _cut(found)
    if isinstance(found, Global):
        return found.path
    if isinstance(found, Call):
        return f"{found.path or '?'}(...)"
    if isinstance(found, Tuple) and depth < _DEEPEST_TEXT:
        inner = ", ".join(value_text(part, depth + 1) for part in found.parts[:_MOST_ITEMS])
        return f"({inner}, ...)" if len(found.parts) > _MOST_ITEMS else f"({inner})"
    return {Tuple: "(...)", List: "[...]", Dict: "{...}", Set: "{...}"}.get(type(found), "...")


def _cut(node: Atom) -> str:
    value = node.value
    if isinstance(value, str | bytes | bytearray):
        return repr(value) if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]!r}..."
    return str(value) if has_decimal(value) else "a huge number"
