"""Reads opcodes into nodes: the loop of the pickle machine, which runs no code.

It accepts what CPython's C unpickler accepts; only the configured limits bound nesting. A loader has already run the first
half of a stream that breaks half-way, so what was read is returned, with an anomaly.
"""

from collections.abc import Callable, Iterator
from sys import getsizeof
from typing import Any, NamedTuple

from ptzip.errors import Anomaly, CutError, FormatError, LimitError, beyond
from ptzip.io.streams import Stream
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.frames import enter_frame, leave_frame
from ptzip.pickling.machine import BROKEN, CUT, LIMIT, Machine, value_of
from ptzip.pickling.nodes import Node, Pickle
from ptzip.pickling.opcode_effects import EFFECTS, Effect
from ptzip.pickling.opcodes import LINE, NOTHING, OPCODES

Skip = Callable[[Node, Stream, int], int]
Reader = Callable[[Stream, int], tuple[Any, int]]

LONG = 1 << 16
"""Bytes from which on an opcode is long enough to ask what its argument takes in memory: a text may take four times as much."""

LARGE = 1 << 26
"""Bytes of a stream from which on the length of a text is looked at before it is decoded: smaller ones fit in memory anyway."""

LENGTH_BYTES = {"BINUNICODE": 4, "BINUNICODE8": 8}
"""The bytes of the length of a text that may be long."""

MOST_PER_BYTE = 5
"""Bytes of memory that a byte of text takes while it is decoded: itself, and four for its character."""

LINE_COST, EMPTY_COST, TUPLE_COST, CALL_COST, NAME_COST = 2, 2, 3, 3, 90
COSTS = {
    **{row.name: LINE_COST for row in OPCODES if row.argument is LINE},
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_SET"), EMPTY_COST),
    **dict.fromkeys(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LIST", "DICT", "FROZENSET"), TUPLE_COST),
    **dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "PERSID", "BINPERSID"), CALL_COST),
    **dict.fromkeys(("GLOBAL", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"), NAME_COST),
    "INST": 2 * NAME_COST,
}
"""As how many opcodes one counts that takes more time and memory than others, here or later; picklers fetch names from the
memo, so a file has few.
"""

_DISPATCH: list[tuple[str, Reader | None, Effect | None, int] | None] = [None] * 256
for _row in OPCODES:
    _reader = None if _row.argument is NOTHING else _row.argument.read
    _DISPATCH[_row.code] = _row.name, _reader, EFFECTS.get(_row.name), COSTS.get(_row.name, 1)


def read_pickle(data: Stream, start: int = 0, limits: Limits = DEFAULT_LIMITS, skip: Skip | None = None) -> Pickle:
    """Read the stream that begins at byte `start`; the `end` of the result is the byte after STOP.

    `skip` returns the number of raw bytes that follow a BUILD and belong to the object it completed, as in legacy tar files.
    Raises LimitError. Every other fault of the stream is an anomaly of the result, whose root is then None.
    """
    pickle = read_seen(data, start, limits, skip)
    raise_limit(pickle)
    return pickle


def raise_limit(pickle: Pickle) -> None:
    """Raise LimitError if a pickle crosses a limit."""
    for anomaly in pickle.anomalies:
        if anomaly.kind == LIMIT:
            raise LimitError(anomaly.message, anomaly.offset)


def read_seen(
    data: Stream, start: int = 0, limits: Limits = DEFAULT_LIMITS, skip: Skip | None = None, spent: int = 0
) -> Pickle:
    """Like `read_pickle`, but a crossed limit is an anomaly too, and what was read before it is kept. `spent` of the opcodes
    that are allowed were used before.
    """
    machine = Machine(limits, spent)
    for _ in _guarded(machine, data, start, skip, is_traced=False):
        pass
    return machine.pickle


class Executed(NamedTuple):
    """An opcode from byte `start` to `end` that the machine executed."""

    name: str
    argument: Any
    start: int
    end: int


def traced(machine: Machine, data: Stream, start: int = 0, skip: Skip | None = None) -> Iterator[Executed]:
    """Read a stream like `read_seen`, and yield every opcode once a new machine has executed it. The last is STOP, or the one
    before that at which the stream breaks.
    """
    return _guarded(machine, data, start, skip, is_traced=True)


def _guarded(machine: Machine, data: Stream, start: int, skip: Skip | None, is_traced: bool) -> Iterator[Executed]:
    """Run to the end; what ends the run early is an anomaly."""
    machine.pickle.start = machine.at = start
    try:
        yield from _run(machine, data, start, skip, is_traced)
    except FormatError as error:
        _give_up(machine, Anomaly(CUT if isinstance(error, CutError) else BROKEN, error.message, error.offset))
    except LimitError as error:
        _give_up(machine, Anomaly(LIMIT, error.message, error.offset))
    machine.pickle.memo_end = max(machine.memo, default=-1) + 1


def _give_up(machine: Machine, anomaly: Anomaly) -> None:
    machine.pickle.anomalies.append(anomaly)
    machine.pickle.end = machine.at
    machine.pickle.root = None


def _run(machine: Machine, data: Stream, at: int, skip: Skip | None, is_traced: bool) -> Iterator[Executed]:
    """The loop; it yields nothing unless it is traced, since that takes a tenth of its time."""
    size, done, left = len(data), 0, machine.limits.opcodes - machine.spent
    most_end = at + machine.limits.pickle_bytes
    total, is_large = left, size - at > LARGE
    frame_end = no_frame = size + 1
    try:
        while True:
            machine.at = at
            if at >= frame_end:
                leave_frame(machine, at == frame_end)
                frame_end = no_frame
            if at >= size:
                raise CutError("the pickle ends without STOP", at)
            row = _DISPATCH[data[at]]
            if row is None:
                raise FormatError(f"byte 0x{data[at]:02x} is not a pickle opcode", at)
            name, read, effect, cost = row
            if (left := left - cost) < 0:
                raise beyond("opcodes", machine.limits.opcodes, "there are more opcodes than")
            arg: Any = None
            at += 1
            if read:
                if is_large and name in LENGTH_BYTES and MOST_PER_BYTE * _length(data, at, name) > most_end - at:
                    raise beyond(
                        "pickle_bytes", machine.limits.pickle_bytes, "the pickle's text may take more than", machine.at
                    )
                arg, at = read(data, at)
                if at - machine.at > LONG:
                    most_end -= max(0, getsizeof(arg) - (at - machine.at))
                if at > most_end:
                    raise beyond("pickle_bytes", machine.limits.pickle_bytes, "the pickle has more bytes than", machine.at)
            if effect:
                effect(machine, name, arg)
            elif name == "STOP":
                leave_frame(machine, frame_end in (at, no_frame))
                _stop(machine, at)
                if is_traced:
                    yield Executed(name, arg, machine.at, at)
                return
            else:
                leave_frame(machine, frame_end == no_frame)
                enter_frame(machine, done, arg, size - at)
                frame_end = at + arg
            done += 1
            if is_traced:
                yield Executed(name, arg, machine.at, at)
            if skip is not None and name == "BUILD" and (skipped := skip(machine.top(), data, at)):
                leave_frame(machine, frame_end in (at, no_frame))
                at, most_end, frame_end = at + skipped, most_end + skipped, no_frame  # skipped bytes are in no frame
    finally:
        machine.pickle.opcodes, machine.pickle.cost = done, total - max(left, 0) + machine.shared


def _length(data: Stream, at: int, name: str) -> int:
    return int.from_bytes(data[at : at + LENGTH_BYTES[name]], "little")


def _stop(machine: Machine, end: int) -> None:
    pickle = machine.pickle
    pickle.root = machine.pop()
    pickle.end = end
    machine.discard([value_of(item) for item in machine.stack])
    if machine.stack or machine.marks:
        machine.note("left over", "values are left on the stack")
    if machine.pops_left:
        machine.note("popped", "values are created and discarded")
