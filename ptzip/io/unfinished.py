"""What has to be undone if the process ends at once, as on a signal: newest last.

A library cannot know when that is, so nothing here is called but by the program that ends.
"""

import contextlib
from collections.abc import Callable, Iterator

UNFINISHED: list[Callable[[], None]] = []
"""Each may be called at any moment, and more than once."""


WRITTEN: list[str] = []
"""The outputs that have their names, so that an interrupted program can say whether it wrote anything."""


def discard_unfinished() -> None:
    """Undo everything that is unfinished."""
    for undo in reversed(UNFINISHED.copy()):
        undo()


@contextlib.contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder that is removed at the end of the block, or when the process ends at once."""
    import shutil  # few commands need one
    import tempfile

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        UNFINISHED.append(discard := lambda: shutil.rmtree(folder, ignore_errors=True))
        undo.callback(UNFINISHED.remove, discard)
        yield folder
