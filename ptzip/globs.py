"""Selecting dotted names by globs, and replacing their prefixes.

A prefix is one or more whole parts of a name: `model` is a prefix of `model.0.weight`, but not of `model_ema.0.weight`.
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
        """The globs that nothing matched so far."""

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def match(self, path: str) -> bool:
        found = [pattern for pattern, whole in zip(self.patterns, self._whole, strict=True) if whole.match(path)]
        self.unused.difference_update(found)
        return bool(found)


class Rename(NamedTuple):
    """A new prefix for names: an `old` prefix "" matches every name, a `new` one "" removes the old."""

    old: str
    new: str


def renames(prefixes: Mapping[str, str]) -> tuple[Rename, ...]:
    """Old prefix -> new prefix, each with or without the dot behind it."""
    return tuple(Rename(old.removesuffix("."), new.removesuffix(".")) for old, new in prefixes.items())


def renamed(name: str, renames: Iterable[Rename]) -> str:
    """The name with its prefix replaced by the first of `renames` that matches; unchanged if none does."""
    for old, new in renames:
        if not old or name == old or name.startswith(f"{old}."):
            rest = name[len(old) :].removeprefix(".") if old else name
            return ".".join(part for part in (new, rest) if part)
    return name
