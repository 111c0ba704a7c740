"""How values of Python's own types are rebuilt: containers, texts, numbers, dates, paths, attribute bags.

Arguments are checked before they are used, so that no value takes more memory or time than its text is long, and none of them
can touch anything outside itself.
"""

import argparse
import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from ptzip.allowlist.argument_checks import DECIMAL, ENCODINGS, FRACTION
from ptzip.values.argument_types import Misfit, checked, counts, integer, mapping, misfit, number, text, texts
from ptzip.values.opaque import Opaque

TYPES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, int, float, complex, bool, str, bytes, bytearray)},
    **{"slice": slice, "range": range, "object": object, "unicode": str, "long": int, "xrange": range},
    **{"Ellipsis": Ellipsis, "NotImplemented": NotImplemented, "OrderedDict": OrderedDict},
    **{kind.__name__: kind for kind in (datetime.date, datetime.datetime, datetime.time)},
    **{kind.__name__: kind for kind in (argparse.Namespace, types.SimpleNamespace)},
}


def python_type(name: str) -> object:
    """A type or constant of Python by its name, those of Python 2 included."""
    return TYPES[name]


def concrete(value: object) -> list[object] | tuple[object, ...]:
    """The items of a container that exists, unlike a range or a count, which may mean any number of items."""
    if isinstance(value, dict | set | frozenset | deque):
        return list(value)
    if isinstance(value, list | tuple):
        return value
    raise misfit("items", value)


def container(kind: str, items: object = ()) -> object:
    """A list, a tuple, a set or a frozenset."""
    return TYPES[kind](concrete(items))


def as_bytes(given: object = b"", encoding: object = "latin1", *_: object) -> bytes:
    """`bytes()`, `bytes([1, 2])`, `bytes('text', 'latin1')`; never `bytes(number)`, which asks for memory."""
    if isinstance(given, str):
        return encode_text(given, encoding)
    return bytes(given) if isinstance(given, bytes | bytearray) else bytes(counts(given))


def as_bytearray(*given: object) -> bytearray:
    return bytearray(as_bytes(*given))


def encode_text(given: object, encoding: object = "utf-8", *_: object) -> bytes:
    """`_codecs.encode`, by which protocols 0 to 2 store bytes."""
    if text(encoding).lower() not in ENCODINGS:
        raise Misfit(f"{encoding} is not an encoding that picklers use")
    return text(given).encode(text(encoding))


def as_text(given: object = "") -> str:
    return text(given)


def pairs_of(given: object) -> list[tuple[object, object]]:
    """The pairs of a dict, or of a list of pairs, as Python 2 writes an OrderedDict."""
    if isinstance(given, dict):
        return list(given.items())
    pairs = [concrete(pair) for pair in concrete(given)]
    if any(len(pair) != 2 for pair in pairs):
        raise Misfit("expected pairs, found items of another length")
    return [(pair[0], pair[1]) for pair in pairs]


def paired(kind: str, given: object = ()) -> object:
    """A dict or an OrderedDict."""
    return TYPES[kind](pairs_of(given))


def as_counter(given: object = ()) -> Counter[object]:
    counter: Counter[object] = Counter()
    for key, count in pairs_of(given):
        counter[key] = count  # type: ignore[assignment]  # a pickle can put anything there
    return counter


FACTORIES: tuple[object, ...] = (None, dict, list, set, int, float, str, bool, tuple, OrderedDict)


def as_defaultdict(factory: object = None, given: object = ()) -> defaultdict[object, object]:
    """Only with a factory that is a plain type: a defaultdict calls it."""
    if isinstance(factory, Opaque) or factory not in FACTORIES:
        raise Misfit(f"{factory!r} cannot be a factory")
    found: defaultdict[object, object] = defaultdict(factory)  # type: ignore[call-overload]
    found.update(pairs_of(given))
    return found


def as_deque(given: object = (), most: object = None) -> deque[object]:
    return deque(concrete(given), None if most is None else integer(most))


def as_slice(*bounds: object) -> slice:
    return slice(*(None if bound is None else integer(bound) for bound in bounds))


def as_range(*bounds: object) -> range:
    return range(*map(integer, bounds))


def as_int(given: object = 0) -> int:
    return int(number(given)) if isinstance(given, float) else integer(given)


def as_float(given: object = 0.0) -> float:
    return number(given)


def as_bool(given: object = False) -> bool:
    return bool(number(given))


def as_complex(real: object = 0.0, imaginary: object = 0.0) -> complex:
    return complex(number(real), number(imaginary))


def moment(kind: str, first: object = b"", *others: object) -> object:
    """A date, time or datetime, which checks its own arguments. Python 2 pickled packed bytes as text, which is latin-1."""
    return TYPES[kind](first.encode("latin1") if isinstance(first, str) else first, *others)


timedelta = checked(datetime.timedelta, "a timedelta")


def as_timezone(offset: object, name: object = None) -> datetime.timezone:
    return datetime.timezone(timedelta(offset), *([] if name is None else [text(name)]))


def as_timedelta(*given: object) -> datetime.timedelta:
    return datetime.timedelta(*(number(value) if isinstance(value, float) else integer(value) for value in given))


def as_decimal(given: object) -> decimal.Decimal:
    if not re.fullmatch(DECIMAL, text(given)):
        raise Misfit("expected a decimal number, found other text")
    return decimal.Decimal(text(given))


def as_fraction(over: object, under: object = 1) -> fractions.Fraction:
    if isinstance(over, str) and re.fullmatch(FRACTION, over):
        return fractions.Fraction(over)
    return fractions.Fraction(integer(over), integer(under))


def zero_uuid() -> uuid.UUID:
    return uuid.UUID(int=0)


def set_uuid(value: uuid.UUID, state: object) -> None:
    """The number of a UUID, which is immutable for everyone else."""
    found = integer(mapping(state).get("int"))
    if not 0 <= found < 1 << 128:
        raise Misfit("expected a number of 128 bits, found a larger one")
    object.__setattr__(value, "int", found)


def posix_path(*parts: object) -> pathlib.PurePosixPath:
    """A pure path, which never touches a disk."""
    return pathlib.PurePosixPath(*map(text, parts))


def windows_path(*parts: object) -> pathlib.PureWindowsPath:
    return pathlib.PureWindowsPath(*map(text, parts))


def attribute_bag(kind: str) -> object:
    """An empty `Namespace` or `SimpleNamespace`."""
    return TYPES[kind]()


def set_attributes(value: object, state: object) -> None:
    """What BUILD sets on an object with a `__dict__`."""
    found = texts(state)
    attributes = getattr(value, "__dict__", None)
    if attributes is None:
        raise Misfit(f"an object of {type(value).__name__} takes no state")
    attributes.update(found)


FUNCTIONS: tuple[Callable[..., object], ...] = (
    *(python_type, container, paired, as_counter, as_defaultdict, as_deque, as_bytes, as_bytearray, encode_text, as_text),
    *(as_slice, as_range, as_int, as_float, as_bool, as_complex, moment, as_timezone, as_timedelta, as_decimal, as_fraction),
    *(zero_uuid, set_uuid, posix_path, windows_path, attribute_bag, set_attributes),
)
"""What the allow list names."""
