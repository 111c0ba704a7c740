"""What loading a file needs, in words: what stays, and what `slim --portable` removes."""

from collections.abc import Iterable

from ptzip.allowlist.needs import CLASSES_OF, STORAGE, Need
from ptzip.render.words import count, cut

HINT = ", which slim --portable lifts"


def lasting(needs: Iterable[Need]) -> list[str]:
    """What only another checkpoint would not need, a few words each."""
    return [_words(one) for one in needs if not one.is_portable]


def pinned(needs: Iterable[Need]) -> list[str]:
    """What `slim --portable` removes, with this hint behind the last."""
    words = [_words(one) for one in needs if one.is_portable]
    return [*words[:-1], *(f"{word}{HINT}" for word in words[-1:])]


def _words(need: Need) -> str:
    if need.what.startswith(CLASSES_OF):
        return cut(need.what)
    name, *others = dict.fromkeys(name.rpartition(".")[2] for name in need.names)
    used = count(need.times, name) if name == STORAGE else f"{need.times:,} {'names' if others else cut(name)}"
    return f"{cut(need.what)} ({used})"
