"""The account of an edit: its changes, and the bytes that each category of them saves."""

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from ptzip.editing.storage_users import storages_below
from ptzip.errors import beyond
from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import Atom, Node, text, walk_unordered
from ptzip.tree.paths import with_prefixes


class Category(StrEnum):
    """The headings of a report: the four steps of the original `strip_optimizer`, in its order, then the others."""

    RESULTS = "results"
    OPTIMIZER = "optimizer"
    EMA = "EMA or duplicate model"
    HALF = "half precision"
    DEAD = "dead bytes"
    SHARED = "identical storages"
    OTHER = "other"

    @property
    def key(self) -> str:
        """The name of the step in JSON."""
        return self.name.lower()


CATEGORY_OF = {
    "training_results": Category.RESULTS,
    "best_fitness": Category.RESULTS,
    "results": Category.RESULTS,
    "opt": Category.OPTIMIZER,
    "optimizer": Category.OPTIMIZER,
    "optimizer_state": Category.OPTIMIZER,
    "optimizer_states": Category.OPTIMIZER,
    "scaler": Category.OPTIMIZER,
    "trainer": Category.OPTIMIZER,
    "ema": Category.EMA,
    "ema_state_dict": Category.EMA,
    "state_dict_ema": Category.EMA,
    "updates": Category.EMA,
    "model": Category.EMA,
    "state_dict": Category.EMA,
}


def category_of(path: str) -> Category:
    """The category of a path, by its top-level key."""
    return CATEGORY_OF.get(path.partition(".")[0], Category.OTHER)


MOST_NOTED = 4
"""How many changed names a note lists."""


class Change(NamedTuple):
    """One change: at `path` ("" for the object itself), `what` in a few words.

    A change without `gain` is no reason to write a file: it is made only where another change has one. `is_of_tensors` is
    whether tensors were removed.
    """

    category: Category
    path: str
    what: str
    gain: bool = True
    is_of_tensors: bool = False


class Removal(NamedTuple):
    """Values that were removed from the tree: the keys of the storages below them, and the bytes of their text."""

    category: Category
    storages: set[str]
    text_bytes: int


class Account:
    """What an edit did; `sizes` are the bytes of every storage of the input, by key; an edit may look at `most` nodes
    below values, each as often as they share it."""

    def __init__(self, sizes: dict[str, int], most: int = DEFAULT_LIMITS.opcodes) -> None:
        self.sizes = sizes
        self.most = most
        self.nodes = 0
        """How many nodes were looked at."""
        self.changes: list[Change] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        """What was left as it is on purpose, a line each: no reason to worry, and good to know."""
        self.is_split = False
        """Whether a tensor that was cast moved away from a storage that others may use."""
        self.companions = 0
        """How many floats of quantised weights were not cast."""
        self.moved: dict[str, str] = {}
        """Paths of the output whose values were at another path of the input, and that path."""
        self.removed_paths: set[str] = set()
        """Paths of the input whose values are no longer there: removed, or moved."""
        self.removals: list[Removal] = []
        self.reductions: Counter[Category] = Counter()
        """The bytes by which storages shrank that are still used."""
        self.unread: Counter[Category] = Counter()
        """Bytes of the input that are outside the tree."""

    @property
    def has_gain(self) -> bool:
        return any(change.gain for change in self.changes)

    def change(self, category: Category, path: str, what: str, gain: bool = True) -> None:
        self.changes.append(Change(category, path, what, gain))

    def left_unread(self, category: Category, name: str, size: int, what: str) -> None:
        """Bytes of the input that are outside the tree, so that nothing of them is in the output."""
        self.unread[category] += size
        self.change(category, name, what)

    def respelled(self, names: list[str]) -> None:
        """The names and values in other words that a loader reads; the first are in a note."""
        for what in names:
            self.change(Category.OTHER, "names", what)
        if names:
            more = f" and {len(names) - MOST_NOTED:,} more" if len(names) > MOST_NOTED else ""
            self.notes.append(f"{', '.join(names[:MOST_NOTED])}{more}")

    def is_gone(self, path: str, below: str = "") -> bool:
        """Whether the value at a path of the input is no longer there, or one above it that is itself `below` another path."""
        return any(above in self.removed_paths for above in with_prefixes(path, below))

    def removed(
        self,
        category: Category,
        path: str,
        values: list[Node],
        what: str,
        gain: bool = False,
        paths: Iterable[str] = (),
    ) -> None:
        """One change at `path` that removed `values`, at that path or at `paths`.

        It is a gain if `gain` says so, if storages or text were removed, or any object outside the results.
        """
        self.removed_paths.update(paths or (path,))
        storages = set[str]().union(*(storages_below(value, self.counted) for value in values))
        text_bytes = sum(len((text(value) or "").encode("utf-8", "surrogatepass")) for value in values)
        self.removals.append(Removal(category, storages, text_bytes))
        has_objects = category is not Category.RESULTS and not all(isinstance(value, Atom) for value in values)
        has_gain = gain or has_objects or text_bytes > 0 or bool(storages)
        self.changes.append(Change(category, path, what, has_gain, bool(storages)))

    def counted(self, root: Node) -> Iterator[Node]:
        """Every node at or below another. Raises LimitError where values that are shared are walked very often."""
        for node in walk_unordered(root):
            self.nodes += 1
            if self.nodes > self.most:
                raise beyond("opcodes", self.most, "an edit looks at more values, as they are shared, than")
            yield node

    def saved(self, used: set[str], new_bytes: int) -> dict[Category, int]:
        """The bytes that each category saves, where the storages `used` remain and take `new_bytes` together.

        A storage counts for the first removal that it was part of; what no removal or reduction explains is the cast.
        """
        saved, freed = Counter(self.reductions), set[str]()
        for removal in self.removals:
            now_free = removal.storages - used - freed
            freed |= now_free
            # a view of a legacy file has a key of its own, and its bytes count for the storage it is a view of
            saved[removal.category] += removal.text_bytes + sum(self.sizes.get(key, 0) for key in now_free)
        remaining = sum(size for key, size in self.sizes.items() if key not in freed)
        saved[Category.HALF] = remaining - new_bytes - self.reductions.total()
        return {category: saved[category] + self.unread[category] for category in Category}
