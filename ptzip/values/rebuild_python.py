"""How values of Python's own types are rebuilt: containers, texts, numbers, dates, paths.

Rule: an argument is looked at before it is used, so that no value asks for more memory or time than its text is long, and
none of them can touch anything outside itself.
"""

import datetime
import decimal
import fractions
import re
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable

from ptzip.values.argument_types import Misfit, integer, mapping, number, places, text, texts
from ptzip.values.opaque import Opaque

Constructor = Callable[..., object]

ENCODINGS = frozenset({"latin1", "latin-1", "iso-8859-1", "utf-8", "utf8", "ascii", "raw_unicode_escape"})
FRACTION = re.compile(r"-?\d{1,4000}(/\d{1,4000})?")
DECIMAL = re.compile(r"-?(\d{1,4000}(\.\d{1,4000})?(E[+-]\d{1,9})?|Infinity|s?NaN\d{0,100})")
"""Numbers as text that do not take long to read."""


def concrete(value: object) -> list[object] | tuple[object, ...]:
    """The items of a container that is there, unlike a range or a count, which may stand for any number of items."""
    if isinstance(value, dict | set | frozenset | deque):
        return list(value)
    if isinstance(value, list | tuple):
        return value
    raise Misfit(f"an object of {type(value).__name__} stands where items are expected")


def of_items(make: Callable[[list[object] | tuple[object, ...]], object]) -> Constructor:
    """A constructor that takes nothing, or a container."""
    return lambda given=(): make(concrete(given))


def as_bytes(given: object = b"", encoding: object = "latin1", *_: object) -> bytes:
    """`bytes()`, `bytes([1, 2])`, `bytes('text', 'latin1')`; never `bytes(number)`, which asks for memory."""
    if isinstance(given, str):
        return encoded(given, encoding)
    return bytes(given) if isinstance(given, bytes | bytearray) else bytes(places(given))


def as_bytearray(*given: object) -> bytearray:
    return bytearray(as_bytes(*given))


def encoded(given: object, encoding: object = "utf-8", *_: object) -> bytes:
    """`_codecs.encode`, by which protocol 2 spells bytes."""
    if text(encoding).lower() not in ENCODINGS:
        raise Misfit(f"text is not encoded as {encoding}")
    return text(given).encode(text(encoding))


def as_text(given: object = "") -> str:
    return text(given)


def pairs_of(given: object) -> list[tuple[object, object]]:
    """The pairs of a dict, or of a list of pairs, as Python 2 spells an OrderedDict."""
    if isinstance(given, dict):
        return list(given.items())
    pairs = [concrete(pair) for pair in concrete(given)]
    if any(len(pair) != 2 for pair in pairs):
        raise Misfit("something other than pairs stands where pairs are expected")
    return [(pair[0], pair[1]) for pair in pairs]


def as_dict(given: object = ()) -> dict[object, object]:
    return dict(pairs_of(given))


def as_counter(given: object = ()) -> Counter[object]:
    made: Counter[object] = Counter()
    for key, count in pairs_of(given):
        made[key] = count  # type: ignore[assignment]  # it holds whatever it is given
    return made


FACTORIES: tuple[object, ...] = (None, dict, list, set, int, float, str, bool, tuple, OrderedDict)


def as_defaultdict(factory: object = None, given: object = ()) -> defaultdict[object, object]:
    """With one of the factories that are plain types; another one cannot be called, so it is no part of a defaultdict."""
    if isinstance(factory, Opaque) or factory not in FACTORIES:
        raise Misfit(f"{factory!r} cannot be a factory")
    made: defaultdict[object, object] = defaultdict(factory)  # type: ignore[call-overload]
    made.update(pairs_of(given))
    return made


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


def time_of(kind: Callable[..., object]) -> Constructor:
    """A class of datetime: it checks its own arguments, and none of them can be large."""

    def make(*given: object) -> object:
        plain = [
            value.encode("latin1") if isinstance(value, str) and place == 0 else value for place, value in enumerate(given)
        ]
        return kind(*plain)

    return make


def as_timezone(offset: object, name: object = None) -> datetime.timezone:
    if not isinstance(offset, datetime.timedelta):
        raise Misfit("a timezone needs a timedelta")
    return datetime.timezone(offset) if name is None else datetime.timezone(offset, text(name))


def as_timedelta(*given: object) -> datetime.timedelta:
    return datetime.timedelta(*(number(value) if isinstance(value, float) else integer(value) for value in given))


def as_decimal(given: object) -> decimal.Decimal:
    if not DECIMAL.fullmatch(text(given)):
        raise Misfit("text stands where a decimal number is expected")
    return decimal.Decimal(text(given))


def as_fraction(over: object, under: object = 1) -> fractions.Fraction:
    if isinstance(over, str) and FRACTION.fullmatch(over):
        return fractions.Fraction(over)
    return fractions.Fraction(integer(over), integer(under))


def as_uuid() -> uuid.UUID:
    return uuid.UUID(int=0)


def set_uuid(made: uuid.UUID, state: object) -> None:
    value = integer(mapping(state).get("int"))
    if not 0 <= value < 1 << 128:
        raise Misfit("a number is too large for a UUID")
    object.__setattr__(made, "int", value)


def path_of(kind: Callable[..., object]) -> Constructor:
    """A path that is never looked for on any disk."""
    return lambda *parts: kind(*map(text, parts))


def set_dict(made: object, state: object) -> None:
    """What BUILD does to an object with a `__dict__`, that of a known class."""
    told = texts(state)
    attributes = getattr(made, "__dict__", None)
    if attributes is None:
        raise Misfit(f"an object of {type(made).__name__} takes no state")
    attributes.update(told)
