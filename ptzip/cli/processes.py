"""Several processes for several files: they end with the one that started them, and leave no unfinished file."""

import contextlib
import os
from typing import TYPE_CHECKING

from ptzip.io.unfinished import discard_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.connection import Connection


@contextlib.contextmanager
def processes(count: int) -> "Iterator[ProcessPoolExecutor]":
    """A pool of `count` processes, which raises BrokenExecutor once one of them dies."""
    from concurrent.futures import ProcessPoolExecutor  # here and below, since a single file does not need them
    from multiprocessing import Pipe

    reader, writer = Pipe(duplex=False)
    with reader, writer, ProcessPoolExecutor(count, initializer=_end_with_parent, initargs=(reader, writer)) as pool:
        yield pool


def _end_with_parent(reader: "Connection[None, None]", writer: "Connection[None, None]") -> None:
    """Let this process end when the one that started it does, even if that was killed: the pipe is closed then."""
    from threading import Thread  # as above

    def wait() -> None:
        try:
            reader.poll(None)  # nothing is ever sent
            discard_unfinished()
        finally:
            os._exit(1)

    writer.close()
    Thread(target=wait, daemon=True).start()
