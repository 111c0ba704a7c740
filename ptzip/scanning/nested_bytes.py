"""Bytes and texts inside a pickle that may be pickles or files themselves.

Rule: bytes are those of an opcode, or of a text that `_codecs.encode` makes bytes of; whether a loader opens them is told
by the call that they are given to.
"""

from collections.abc import Iterator

from ptzip.pickling.nodes import Atom, Call, plain
from ptzip.scanning.regions import Stream

LOADERS = frozenset(("torch.storage._load_from_bytes", "pickle.loads", "_pickle.loads", "cPickle.loads", "dill.loads"))


def nested(stream: Stream) -> Iterator[tuple[bytes, int, bool]]:
    """Each such stretch: its bytes, where it stands, and whether it is given to something that loads it."""
    loaded = {id(argument) for argument in _loaded(stream)}
    for node in stream.extent.atoms:
        data = _data(node, id(node) in loaded)
        if data is not None:
            yield data, node.offset, id(node) in loaded


def _loaded(stream: Stream) -> Iterator[Atom]:
    for call in stream.pickle.calls:
        if isinstance(call, Call) and call.path in LOADERS:
            for argument in call.arguments:
                inner = plain(argument)
                inner = plain(inner.arguments[0]) if isinstance(inner, Call) and inner.arguments else inner
                if isinstance(inner, Atom):
                    yield inner


def _data(node: Atom, is_loaded: bool) -> bytes | None:
    """The bytes that an atom is. Of texts only those that are loaded, or hold what every import of a pickle needs."""
    value = node.value
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str) or not (is_loaded or "\n" in value or "\x93" in value):
        return None
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return None
