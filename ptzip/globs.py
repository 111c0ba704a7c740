"""Dotted names as a user chooses and changes them: globs, and other beginnings.

Rule: a beginning is one or more whole parts of a name: `model` is one of `model.0.weight`, and none of `model_ema.0.weight`.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Patterns:
    """Globs for dotted paths as in a shell, but `*` matches dots too."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        self._whole = [re.compile(fnmatch.translate(pattern)) for pattern in self.patterns]
        self.unused = set(self.patterns)
        """Those that nothing matched so far."""

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, path: str) -> bool:
        found = [pattern for pattern, whole in zip(self.patterns, self._whole, strict=True) if whole.match(path)]
        self.unused.difference_update(found)
        return bool(found)


class Rename(NamedTuple):
    """A new prefix for names: the `old` prefix "" is one of every name, a `new` one of "" removes the old."""

    old: str
    new: str


def renames(prefixes: Mapping[str, str]) -> tuple[Rename, ...]:
    """Old prefix -> new prefix, each with or without the dot behind it."""
    return tuple(Rename(old.removesuffix("."), new.removesuffix(".")) for old, new in prefixes.items())


def renamed(name: str, renames: Iterable[Rename]) -> str:
    """The name with another beginning, by the first of `renames` that fits; the same where none does."""
    for old, new in renames:
        if not old or name == old or name.startswith(f"{old}."):
            rest = name[len(old) :].removeprefix(".") if old else name
            return ".".join(part for part in (new, rest) if part)
    return name
