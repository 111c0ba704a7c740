"""Names that a user trusts in addition to the allow list, given by `--trust` or in a configuration file, and presets of them.

A name is trusted exactly as it is written; there are no patterns, and nothing of Python itself can be trusted, since much of it
runs whatever it is given. To trust a name is to trust the code of its package, which loading imports, but not whatever the file
may have its constructor do: a pickler makes an instance without calling that. A call is trusted only where the name ends in
"()".
"""

from collections.abc import Iterable

from ptzip.allowlist.table import ROW_OF_SUFFIX, TRUSTED, TRUSTED_CALL, AllowedName, Name, Trust, pair
from ptzip.scanning import dangerous_names
from ptzip.scanning.presets import PRESETS
from ptzip.text import did_you_mean

_ROWS = {**ROW_OF_SUFFIX, "": TRUSTED, "()": TRUSTED_CALL}


def trusted(names: Iterable[str]) -> Trust:
    """What is trusted by "module.Name" and "module:Outer.Inner", either with "()" where calls are trusted too, and by presets.

    Raises ValueError for a name that cannot be trusted.
    """
    found: dict[Name, AllowedName] = {}
    for name in names:
        found |= preset(name) if name in PRESETS else _checked(name)
    return found


def preset(name: str) -> Trust:
    """The names of a preset, each with what pickles may do with it."""
    entries = ((module, *_kind(entry)) for module, names in PRESETS[name].items() for entry in names.split())
    return {(module, entry): row for module, entry, row in entries}


def _kind(entry: str) -> tuple[str, AllowedName]:
    """A name without what follows it, and its row."""
    name = entry.rstrip("=()&")
    return name, _ROWS[entry[len(name) :]]


def _checked(text: str) -> Trust:
    path = text.removesuffix("()")
    module, colon, inner = path.partition(":")
    found = (module, inner) if colon else pair(path)
    if not all(found) or "*" in text:
        known = f"expected module.Name, or one of {', '.join(PRESETS)}{did_you_mean(text, PRESETS)}"
        raise ValueError(f"{text!r} cannot be trusted: {known}")
    if why := dangerous_names.of_trusted(*found):
        raise ValueError(f"{text!r} cannot be trusted: {why}")
    return {found: _ROWS[text[len(path) :]]}
