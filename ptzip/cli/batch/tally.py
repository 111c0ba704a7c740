"""The line that ends a run of many files."""

from collections import Counter
from collections.abc import Mapping

from ptzip.cli.batch.task import Result
from ptzip.cli.printing import show
from ptzip.text import size


class Tally:
    """What the files of a run were: how many had which outcome, their bytes, and those that `slim` saves."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        """`names` are words for outcomes, in their order."""
        self._names, self._counts = names or {}, Counter[str]()
        self._size = self._saved = 0

    def add(self, found: Result) -> None:
        self._counts[found.outcome] += 1
        self._size += found.size
        self._saved += found.saved

    @property
    def files(self) -> int:
        return self._counts.total()

    def show(self, fewest: int) -> None:
        """Print a line about so many files and more."""
        if self.files < fewest:
            return
        order = [*filter(self._counts.__contains__, self._names), *sorted(self._counts.keys() - self._names.keys())]
        counts = ", ".join(f"{self._counts[outcome]:,} {self._names.get(outcome, outcome)}" for outcome in order)
        saved = f", of which slim saves {size(self._saved)}" if self._saved else ""
        show(f"{self.files:,} files: {counts}; {size(self._size)}{saved}")
