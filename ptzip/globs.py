"""Dotted names as a user chooses and changes them: globs, and other beginnings.

Rule: a beginning is one or more whole parts of a name: `model` is one of `model.0.weight`, and none of `model_ema.0.weight`.
"""

import fnmatch
import re
from collections.abc import Iterable
from typing import NamedTuple

from ptzip.errors import EditError


def strings(given: str | Iterable[str]) -> tuple[str, ...]:
    """An argument that takes several strings; a bare string is one."""
    return (given,) if isinstance(given, str) else tuple(given)


class Patterns:
    """Globs for dotted paths, as the shell knows them: `*` stands for anything, dots too."""

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
    """Another beginning for names: `old` "" is the beginning of every name, `new` "" takes the beginning off."""

    old: str
    new: str


def rename(text: str) -> Rename:
    """`OLD=NEW`, as it is given. Raises EditError without a "="."""
    old, is_there, new = text.partition("=")
    if not is_there:
        raise EditError(f"{text} is no OLD=NEW")
    return Rename(old.removesuffix("."), new.removesuffix("."))


def renamed(name: str, renames: Iterable[Rename]) -> str:
    """The name with another beginning, by the first of `renames` that fits; the same where none does."""
    for old, new in renames:
        if not old or name == old or name.startswith(f"{old}."):
            rest = name[len(old) :].removeprefix(".") if old else name
            return ".".join(part for part in (new, rest) if part)
    return name
