"""What the forms of `--portable` share: names that are used again, and what was respelled, in the words of a report."""

from collections import Counter
from collections.abc import Callable

from ptzip.allowlist.table import pair
from ptzip.editing.array_tensor import BuildArray
from ptzip.editing.edit import Edit
from ptzip.pickling.new_nodes import memoized, named
from ptzip.pickling.nodes import PUTS, Call, Global, Node

Form = Callable[[Call], Node | None]
"""What is done to a call: returns its replacement, None where it stays or was changed in place."""


class Respelling:
    """`done` counts what was respelled in an edit."""

    def __init__(self, edit: Edit, build_array: BuildArray) -> None:
        self.edit = edit
        self.build_array = build_array
        self.protocol = edit.pickle.protocol or 0
        self.done = Counter[str]()
        self._globals: dict[str, Global] = {}

    def named(self, path: str) -> Global:
        """A new global, the same one for every use."""
        return self._globals.setdefault(path, named(*pair(path)))


def with_puts(new: Node, old: Node) -> Node:
    """A new value, in the memo if the old one was."""
    if not new.steps and any(step.op in PUTS for step in old.steps):
        new.add(memoized())
    return new
