"""Rules about pickles: what unpickling imports, calls and changes, and how the stream is written.

Each rule is a function of one stream that yields its hits in the order of the stream.
"""

from collections import Counter
from collections.abc import Iterator

from ptzip.formats.joblib import has_arrays
from ptzip.pickling.machine import BROKEN, CUT, LIMIT
from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Set, Tuple, plain
from ptzip.scanning.advice import quoted
from ptzip.scanning.dangerous_names import CODE_PICKLERS, of_trusted
from ptzip.scanning.harmful_states import built_names, special_methods
from ptzip.scanning.report import Hit
from ptzip.scanning.subjects import NUMBERS, PickleStream
from ptzip.scanning.violations import Danger, Violation, thrown_away
from ptzip.text import has_decimal
from ptzip.tree.calls import resolve

WITH_OWN_RULE = frozenset(("popped", "trailing", "computed name", BROKEN, CUT, LIMIT))
"""The kinds of anomalies that other rules than `odd_streams` report."""

MOST_NESTED = 1500
"""Nodes inside one another: Python's own pickler gives up at a thousand."""

MOST_WALKED = 1 << 20
MOST_REPEATS = 64
"""A memo bomb has more containers than the first, counted wherever they occur, and so many times more than references."""

HASHED = NUMBERS | {"LONG1"}
LONGEST_HASHED = 4096
MOST_COLLISIONS = 1000
"""Large integers of one hash; those of the file may be keys, or make keys."""

MOST_BITS = 1 << 15
"""Bits of a number; more take Python seconds to print."""


def harmful_calls(stream: PickleStream) -> Iterator[Hit]:
    """A pickle is a program: REDUCE, INST, OBJ and NEWOBJ call what it names. This one calls something that runs code, opens
    files, starts processes, uses the network, or gives access to any of these. The call is made during loading, before anything
    is returned; torch refuses it with weights_only=True.
    """
    for found in stream.violations:
        if isinstance(found.node, Call) and found.danger is Danger.HARMFUL:
            given = _items_text(found.node.arguments)
            yield Hit(f"unpickling calls {found.what}({given}): {found.why}", found.node.offset)


def unknown_calls(stream: PickleStream) -> Iterator[Hit]:
    """Unpickling imports the module of this class or function and calls it. What that does depends on the module, not on the
    file: it is fine if you know and trust the package (see --trust), and could be anything if you do not. Whole pickled models
    have such names; a state dict has none.
    """
    for found in stream.violations:
        if isinstance(found.node, Call) and found.danger is Danger.UNKNOWN:
            does = "instantiates" if found.node.op.startswith("NEWOBJ") else "calls"
            yield _unknown(does, found)


def harmful_names(stream: PickleStream) -> Iterator[Hit]:
    """The import runs the module's code; a function that is stored in an object is called later, by code that uses it."""
    for found in stream.violations:
        if isinstance(found.node, Global) and found.danger is Danger.HARMFUL:
            yield Hit(f"unpickling imports {found.what}: {found.why}", found.node.offset)


def unknown_names(stream: PickleStream) -> Iterator[Hit]:
    """Unpickling imports the module of this name, which runs its code. The name is not on the allow list (see --trust)."""
    for found in stream.violations:
        if isinstance(found.node, Global) and found.danger is Danger.UNKNOWN:
            yield _unknown("imports", found)


def _unknown(does: str, found: Violation) -> Hit:
    """A name that is not on the allow list, and what a user can do about it; names of Python itself cannot be trusted."""
    name = _trustable(found)
    advice = f"(not allow-listed; add `--trust {quoted(name)}` if you trust it)" if name else "(not allow-listed)"
    return Hit(f"unpickling {does} {found.what} {advice}", found.node.offset, name)


def _trustable(found: Violation) -> str:
    """How `--trust` names what was found, with "()" where calls with any arguments are meant; "" where it cannot."""
    module, name = found.name or ("", "")
    if not all(part.isidentifier() for part in f"{module}.{name}".split(".")) or of_trusted(module, name):
        return ""
    path = f"{module}{':' if '.' in name else '.'}{name}"
    call = resolve(found.node)
    is_instance = call is None or call.kind in ("reconstruct", "getattr") or (call.kind == "new" and not call.arguments)
    return path if is_instance else f"{path}()"


def misused(stream: PickleStream) -> Iterator[Hit]:
    """Honest pickles call this name with other arguments: these reserve memory, hide what is called, or are computed."""
    for found in stream.violations:
        if found.danger is Danger.MISUSED and isinstance(found.node, Call):
            advice = f" (add `--trust {quoted(name)}` if it may be called with anything)" if (name := _trustable(found)) else ""
            yield Hit(f"unpickling calls {found.what} {found.why}{advice}", found.node.offset)


def thrown(stream: PickleStream) -> Iterator[Hit]:
    """The pickle discards the result of a call and builds an innocent object: the call is made for its side effects."""
    unknown = [found for found in stream.violations if found.danger is Danger.UNKNOWN and isinstance(found.node, Call)]
    gone = thrown_away(stream.pickle) if unknown else ()
    for found in unknown if gone else ():
        root, _, name = found.what.partition(".")
        is_code = root in CODE_PICKLERS and name.rpartition(".")[2].startswith("_")
        if id(found.node) in gone and not is_code:
            yield Hit(
                f"unpickling calls {found.what} and discards the result, so only the side effects matter", found.node.offset
            )


def described_names(stream: PickleStream) -> Iterator[Hit]:
    """BUILD sets the attributes of an object. Here the object is itself a class, a function or a module, so loading changes it
    for the whole process: the next harmless call may run something else.
    """
    for node in built_names(stream.pickle):
        yield Hit(f"unpickling changes {node.path} itself, for the whole process", node.offset)


def special_states(stream: PickleStream) -> Iterator[Hit]:
    """Python calls an attribute named like a special method: __setstate__ at the next BUILD, __del__ on deletion."""
    for call, name in special_methods(stream.pickle):
        yield Hit(f"unpickling replaces {name} of an instance of {call.path or 'a computed class'}", call.offset)


def extensions(stream: PickleStream) -> Iterator[Hit]:
    """EXT opcodes import by a number that copyreg registered: nothing in the file says what. No checkpoint needs them."""
    for node in stream.pickle.calls:
        if isinstance(node, Global) and node.op in ("EXT1", "EXT2", "EXT4"):
            yield Hit(f"unpickling imports the object that is registered under extension code {node.arg}", node.offset)


def odd_streams(stream: PickleStream) -> Iterator[Hit]:
    """The stream is written in a way that no pickler writes: values that are unused, duplicated or changed after they were
    fetched from the memo, or frames of a wrong length. Tools that parse pickles differently see different objects.
    """
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind not in WITH_OWN_RULE:
            yield Hit(f"no pickler writes this: {anomaly.message}", anomaly.offset)


def popped(stream: PickleStream) -> Iterator[Hit]:
    """Values were built and popped, which picklers do not do. All that built them is on the allow list, so it has no effect."""
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind == "popped":
            yield Hit("values are built and discarded", anomaly.offset)


def computed_names(stream: PickleStream) -> Iterator[Hit]:
    """STACK_GLOBAL imports a name that is computed during loading, so it is unknown what. No honest pickle needs that."""
    for anomaly in stream.pickle.anomalies if not has_arrays(stream.pickle) else ():
        if anomaly.kind == "computed name":
            yield Hit("unpickling imports a name that is computed during loading", anomaly.offset)


def broken(stream: PickleStream) -> Iterator[Hit]:
    """The stream breaks before STOP. A loader executes everything up to there and then fails, which is enough for an attack."""
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind in (BROKEN, CUT):
            yield Hit(f"the pickle breaks off; a loader executes everything before that: {anomaly.message}", anomaly.offset)


def limited(stream: PickleStream) -> Iterator[Hit]:
    """To read on would take more memory or time than any honest file does; the part that was read was judged."""
    for anomaly in stream.pickle.anomalies:
        if anomaly.kind == LIMIT:
            yield Hit(anomaly.message)


def trailing(stream: PickleStream) -> Iterator[Hit]:
    """torch reads one pickle and stops. What follows is ignored, or read by another program."""
    if stream.trailing:
        yield Hit(f"{stream.trailing:,} bytes follow the pickle, which no loader reads", stream.pickle.end)


def hidden(stream: PickleStream) -> Iterator[Hit]:
    """A pickle in a storage, or in a record that torch does not read. It has no effect unless something else loads it."""
    if stream.is_hidden:
        yield Hit("this is a pickle where no loader of this kind of file reads one", stream.pickle.start)


def huge_numbers(stream: PickleStream) -> Iterator[Hit]:
    """Python takes quadratic time to print such a number."""
    for node in stream.size.atoms:
        bits = node.value.bit_length() if node.op in NUMBERS else 0
        if bits > MOST_BITS:
            yield Hit(f"a number has {bits:,} bits", node.offset)


def colliding_numbers(stream: PickleStream) -> Iterator[Hit]:
    """Python's hash of an integer is its remainder by 2**61 - 1. A dict or set of many that share it takes quadratic time."""
    distinct = {node.arg: node for node in stream.size.atoms if node.op in HASHED and len(node.arg) <= LONGEST_HASHED}
    hashes = Counter(hash(node.value) for node in distinct.values())
    if (most := max(hashes.values(), default=0)) > MOST_COLLISIONS:
        yield Hit(f"{most:,} large integers have the same hash")


def deep_containers(stream: PickleStream) -> Iterator[Hit]:
    """Python's own pickler cannot write this, and programs that walk the object recursively crash."""
    if stream.size.depth > MOST_NESTED:
        yield Hit(f"containers are nested {stream.size.depth:,} deep")


def repeated_containers(stream: PickleStream) -> Iterator[Hit]:
    """Containers refer to one another again and again: loading is cheap, but printing or copying them takes all memory."""
    size = stream.size
    if size.walked > max(MOST_WALKED, MOST_REPEATS * size.references):
        yield Hit("a few containers hold one another so often that they expand to more than a million")


_LONGEST_TEXT = 60
_MOST_ITEMS = 4
_DEEPEST_TUPLE = 2


def _items_text(nodes: list[Node], depth: int = 0) -> str:
    """Values as Python source, shortened."""
    given = ", ".join(_value_text(node, depth) for node in nodes[:_MOST_ITEMS])
    return f"{given}, ..." if len(nodes) > _MOST_ITEMS else given


def _value_text(node: Node, depth: int = 0) -> str:
    found = plain(node)
    if isinstance(found, Atom):
        value = found.value
        if isinstance(value, str | bytes | bytearray):
            return repr(value) if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]!r}..."
        return str(value) if has_decimal(value) else "a huge number"
    if isinstance(found, Global):
        return found.path
    if isinstance(found, Call):
        return f"{found.path or '?'}(...)"
    if isinstance(found, Tuple) and depth < _DEEPEST_TUPLE:
        return f"({_items_text(found.parts, depth + 1)})"
    return {Tuple: "(...)", List: "[...]", Dict: "{...}", Set: "{...}"}.get(type(found), "...")
