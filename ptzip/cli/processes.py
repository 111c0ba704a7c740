"""Several processes for several files: they end with the one that started them, and leave no unfinished file."""

import contextlib
import os
from typing import TYPE_CHECKING

from ptzip.io.system import MOST_PROCESSES
from ptzip.io.unfinished import discard_unfinished
from ptzip.process import handle_signals, set_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.connection import Connection


@contextlib.contextmanager
def processes(count: int) -> "Iterator[ProcessPoolExecutor]":
    """A pool of at most `count` processes, which raises BrokenExecutor once one of them dies."""
    from concurrent.futures import ProcessPoolExecutor  # here and below, since a single file does not need them
    from multiprocessing import Pipe

    reader, writer = Pipe(duplex=False)
    count = min(count, MOST_PROCESSES)
    with reader, writer, ProcessPoolExecutor(count, initializer=_begin, initargs=(reader, writer)) as pool:
        yield pool


def _begin(reader: "Connection[None, None]", writer: "Connection[None, None]") -> None:
    """Begin a process, which has no settings of its parent's where processes are not forked. It ends when its parent does, even
    if that was killed: the pipe is closed then.
    """
    from threading import Thread  # as above

    def wait() -> None:
        try:
            with contextlib.suppress(OSError):  # as Windows reports the end of a pipe
                reader.poll(None)  # nothing is ever sent
            discard_unfinished()
        finally:
            os._exit(1)

    handle_signals(is_worker=True)
    set_up()
    writer.close()
    Thread(target=wait, daemon=True).start()
