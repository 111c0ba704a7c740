"""Frames of protocols 4 and 5: recorded while reading, reproduced while writing."""

from ptzip.pickling.machine import Machine
from ptzip.pickling.opcodes import encode

FRAME_TARGET = 64 * 1024
"""Bytes after which a pickler closes a frame (`pickle._Framer._FRAME_SIZE_TARGET`)."""

FRAME_MINIMUM = 4
"""Fewer bytes are not framed (`pickle._Framer._FRAME_SIZE_MIN`)."""


def enter_frame(machine: Machine, done: int, length: int, available: int) -> None:
    """Record a frame of `length` bytes after `done` opcodes; the stream has `available` bytes left. Python's own unpickler
    reads those.
    """
    if length > available:
        machine.note("odd frame", f"a frame of {length} bytes extends past the end, {available} bytes further")
    frames = machine.pickle.frames
    frames.append((done - len(frames), length))


def leave_frame(machine: Machine, is_whole: bool) -> None:
    """Record an anomaly unless the frame ends between two opcodes."""
    if not is_whole:
        machine.note("odd frame", "a frame ends inside an opcode, behind the pickle or in another frame")


def framed(ops: list[bytes], frames: list[tuple[int, int]]) -> list[bytes]:
    """The opcodes in the frames that were read if each still ends between two opcodes, else in the frames of a pickler."""
    kept = _kept_frames(ops, frames)
    return kept if kept is not None else _new_frames(ops)


def _kept_frames(ops: list[bytes], frames: list[tuple[int, int]]) -> list[bytes] | None:
    out: list[bytes] = []
    done = 0
    for first, length in frames:
        if first < done or first > len(ops):
            return None
        out += ops[done:first]
        done, filled = first, 0
        while filled < length and done < len(ops):
            filled += len(ops[done])
            done += 1
        if filled != length:
            return None
        out += [encode("FRAME", length), *ops[first:done]]
    return out + ops[done:]


def _new_frames(ops: list[bytes]) -> list[bytes]:
    """PROTO comes before the first frame, long arguments between two frames (`pickle._Framer`)."""
    out, frame, size = [ops[0]], list[bytes](), 0
    for op in ops[1:]:
        if len(op) >= FRAME_TARGET or size >= FRAME_TARGET:
            out += _close(frame, size)
            frame, size = [], 0
        if len(op) >= FRAME_TARGET:
            out.append(op)
        else:
            frame.append(op)
            size += len(op)
    return out + _close(frame, size)


def _close(frame: list[bytes], size: int) -> list[bytes]:
    return [encode("FRAME", size), *frame] if size >= FRAME_MINIMUM else frame
