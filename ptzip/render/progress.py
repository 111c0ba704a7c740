"""A progress bar on a terminal, for files that take a moment."""

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from ptzip.render.words import printable

COLUMNS = (
    TextColumn("{task.description}", markup=False),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    TimeRemainingColumn(compact=True),
)


class MovingBar:
    """A bar on stderr over `total` bytes, with the speed and the time that is left; it can be hidden and shown again."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(*COLUMNS, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._task = self._progress.add_task("", total=total)

    def show(self, label: str = "", done: int | None = None) -> None:
        """Show the bar, for another file if there is a `label`."""
        if label:
            self._progress.update(self._task, description=printable(label), completed=done)
        self._progress.start()

    def hide(self) -> None:
        """Take the bar off the terminal."""
        self._progress.stop()

    def move(self, done: int) -> None:
        self._progress.update(self._task, completed=done)
