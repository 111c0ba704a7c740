"""Memory that is used again: taking it from the system for every piece of a file costs more than reading the piece."""

BLOCK = 1 << 19
"""Bytes of a piece in reused memory: few enough that reading, casting, the checksum and writing meet in the second-level cache,
and enough that the calls in between do not count (256 KiB take an eighth longer, 1 MiB as long)."""


class Buffers:
    """The memory of one worker: one buffer for each use, taken from the system when it is first needed."""

    def __init__(self) -> None:
        self._held = dict[str, memoryview]()
        self._others = dict[str, Buffers]()

    def get(self, use: str, size: int) -> memoryview:
        """`size` bytes for a use; what they hold is lost when the same use asks again."""
        held = self._held.get(use)
        if held is None or len(held) < size:
            import mmap  # opening a file does without

            # page-aligned, since some processors copy to other addresses at half the speed
            held = self._held[use] = memoryview(mmap.mmap(-1, max(size, BLOCK)))
        return held[:size]

    def other(self, use: str) -> "Buffers":
        """More memory of the same worker, for a second stream that is read at the same time."""
        return self._others.setdefault(use, Buffers())
