"""The names that a loader would import, and which of them are on the allow list.

Rule: a name is told by module and name, as the pickle has them; what is not allowed comes first, Python's own before others.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ptzip.allowlist.table import is_allowed
from ptzip.formats.container import Part
from ptzip.pickling.nodes import Call, Global
from ptzip.scanning.dangerous_names import LANGUAGE


class Imported(NamedTuple):
    """One name: how often the pickles import it, and whether anything of it is called."""

    path: str
    times: int
    is_called: bool
    is_harmless: bool

    @property
    def is_of_python(self) -> bool:
        """Whether it is of Python itself, which is where most of what does harm comes from."""
        return self.path.partition(".")[0] in LANGUAGE


def imported(parts: Iterable[Part]) -> tuple[Imported, ...]:
    """All names of some pickles, those to be looked at first."""
    calls = [call for part in parts for call in part.pickle.calls]
    counts = Counter((call.module, call.name) for call in calls if isinstance(call, Global))
    called = {call.path for call in calls if isinstance(call, Call)}
    found = [
        Imported(path, count, path in called, is_allowed(module, name))
        for (module, name), count in counts.items()
        if (path := f"{module}.{name}")
    ]
    return tuple(sorted(found, key=lambda name: (name.is_harmless, not name.is_of_python, name.path)))
