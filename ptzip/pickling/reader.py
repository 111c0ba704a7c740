"""Opcodes to nodes: the pickle machine's loop, which runs nothing.

It accepts what CPython's C unpickler accepts, and nesting has no limit but the configured ones. Rule: a stream that breaks
half-way has already run its first half in a loader, so what was seen is returned, with an anomaly.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from ptzip.errors import Anomaly, CutError, FormatError, LimitError
from ptzip.io.sources import Stream
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.pickling.machine import Machine
from ptzip.pickling.nodes import Node, Pickle
from ptzip.pickling.opcode_effects import EFFECTS, Effect
from ptzip.pickling.opcodes import NOTHING, OPCODES

Skip = Callable[[Node, Stream, int], int]
Reader = Callable[[Stream, int], tuple[Any, int]]

_DISPATCH: list[tuple[str, Reader | None, Effect | None] | None] = [None] * 256
for _row in OPCODES:
    _reader = None if _row.argument is NOTHING else _row.argument.read
    _DISPATCH[_row.code] = _row.name, _reader, EFFECTS.get(_row.name)


def read_pickle(data: Stream, start: int = 0, limits: Limits = DEFAULT_LIMITS, skip: Skip | None = None) -> Pickle:
    """Read the stream that begins at byte `start`; its `end` is the byte after STOP.

    `skip` tells how many bytes belong to an object that BUILD has just described, where something else stands between the
    opcodes. Raises LimitError. Every fault of the stream itself is an anomaly on the result, whose root is then None.
    """
    pickle = read_seen(data, start, limits, skip)
    raise_limit(pickle)
    return pickle


def raise_limit(pickle: Pickle) -> None:
    """Raise LimitError where a pickle was not read on for one."""
    if pickle.root is None and pickle.anomalies[-1].kind == LIMIT:
        raise LimitError(pickle.anomalies[-1].message)


def read_seen(data: Stream, start: int = 0, limits: Limits = DEFAULT_LIMITS, skip: Skip | None = None) -> Pickle:
    """The same, but a limit that is crossed is an anomaly too: what stands before it is kept."""
    machine = Machine(limits)
    machine.pickle.start = machine.at = start
    try:
        with without_collections():
            _run(machine, data, start, skip)
    except FormatError as error:
        _give_up(machine, Anomaly(CUT if isinstance(error, CutError) else BROKEN, error.message, error.offset))
    except LimitError as error:
        _give_up(machine, Anomaly(LIMIT, str(error)))
    machine.pickle.memo_end = max(machine.memo, default=-1) + 1
    return machine.pickle


BROKEN, CUT, LIMIT = "broken", "cut", "limit"
"""The kinds of the anomaly of a stream that was not read to its end: it is wrong, it ends too early, a limit was crossed."""


def _give_up(machine: Machine, anomaly: Anomaly) -> None:
    machine.pickle.anomalies.append(anomaly)
    machine.pickle.end = machine.at
    machine.pickle.root = None


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """A tree is many small objects that all stay; looking for garbage among them took three quarters of the time.

    Freezing and unfreezing moves them to the oldest generation, or else the first collection would look at them all at once.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if not gc.get_freeze_count():  # what somebody else froze has to stay frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _run(machine: Machine, data: Stream, at: int, skip: Skip | None) -> None:
    size, limit, done = len(data), machine.limits.opcodes, 0
    frame_end = no_frame = size + 1
    try:
        for done in range(limit):
            machine.at = at
            if at >= frame_end:
                _leave_frame(machine, at == frame_end)
                frame_end = no_frame
            if at >= size:
                raise CutError("the pickle ends without STOP", at)
            row = _DISPATCH[data[at]]
            if row is None:
                raise FormatError(f"byte 0x{data[at]:02x} is no pickle opcode", at)
            name, read, effect = row
            arg: Any = None
            at += 1
            if read:
                arg, at = read(data, at)
            if effect:
                effect(machine, name, arg)
                if skip is not None and name == "BUILD" and (skipped := skip(machine.top(), data, at)):
                    at, frame_end = at + skipped, no_frame  # what is skipped is in no frame
            elif name == "STOP":
                _leave_frame(machine, frame_end in (at, no_frame))
                return _stop(machine, at)
            else:
                _leave_frame(machine, frame_end == no_frame)
                _frame(machine, done, arg, size - at)
                frame_end = at + arg
        raise LimitError(f"the pickle has more than {limit} opcodes")
    finally:
        machine.pickle.opcodes = done


def _frame(machine: Machine, done: int, length: int, left: int) -> None:
    if length > left:
        raise CutError(f"a frame of {length} bytes reaches past the pickle's end", machine.at)
    frames = machine.pickle.frames
    frames.append((done - len(frames), length))


def _leave_frame(machine: Machine, is_whole: bool) -> None:
    if not is_whole:
        machine.note("odd frame", "a frame ends inside an opcode, behind the pickle or in another frame")


def _stop(machine: Machine, end: int) -> None:
    pickle = machine.pickle
    pickle.root = machine.pop()
    pickle.end = end
    if machine.stack or machine.marks:
        machine.note("left over", "values are left on the stack")
    if machine.pops_left:
        machine.note("popped", "values are made and thrown away")
