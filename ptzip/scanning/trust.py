"""What a user vouches for: names on top of the allow list, from the command line or a configuration file.

Rule: a name is trusted exactly as it is spelled; there are no patterns, and nothing of Python itself can be trusted, since it
is there to run whatever it is given.
"""

from collections.abc import Iterable

from ptzip.allowlist.table import Name, pair
from ptzip.errors import EditError
from ptzip.scanning import dangerous_names as harm
from ptzip.scanning.trust_presets import PRESETS


def trusted(names: Iterable[str]) -> frozenset[Name]:
    """Modules and names of presets, "module.Name" and "module:Outer.Inner". Raises EditError for what is none."""
    found = set[Name]()
    for name in names:
        if name in PRESETS:
            found |= PRESETS[name]
        else:
            found.add(_pair(name))
    return frozenset(found)


def _pair(name: str) -> Name:
    module, mark, inner = name.partition(":")
    found = (module, inner) if mark else pair(name)
    if not all(found) or "*" in name:
        raise EditError(f"{name!r} cannot be trusted: expected module.Name, or one of {', '.join(PRESETS)}")
    why = harm.of_name(*found)
    if why:
        raise EditError(f"{name!r} cannot be trusted: {why}")
    return found
