"""A progress bar on a terminal, for files that take a moment."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ptzip.render.words import printable


@contextlib.contextmanager
def bar(path: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for a file on stderr until the block ends; yields a function of the bytes done and the bytes in all."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(printable(Path(path).name), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
