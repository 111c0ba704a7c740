"""Every name that CPython's unpickler resolves is among those that `scan` lists.

The streams are made of calls of harmless names, by every opcode that names or calls something; what CPython resolves is
observed by `find_class` of an unpickler that gives harmless classes for names of a list, and nothing else.
"""

import collections
import contextlib
import io
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptzip.scanning.scan import scan

pytestmark = pytest.mark.slow

SAFE: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "Counter"): collections.Counter,
    ("builtins", "set"): set,
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("builtins", "complex"): complex,
    ("models.yolo", "Net"): dict,
    ("models", "Outer.Inner"): dict,
}


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def name_by_global(name: tuple[str, str]) -> bytes:
    return f"c{name[0]}\n{name[1]}\n".encode()


def name_by_stack(name: tuple[str, str]) -> bytes:
    return text(name[0]) + text(name[1]) + b"\x93"


def name_by_memo(name: tuple[str, str]) -> bytes:
    return text(name[1]) + b"q\x07" + text(name[0]) + b"q\x08" + b"00h\x08h\x07\x93"


def name_by_strings(name: tuple[str, str]) -> bytes:
    return f"S'{name[0]}'\nS'{name[1]}'\n".encode() + b"\x93"


names = st.builds(
    lambda way, name: way(name),
    st.sampled_from((name_by_global, name_by_stack, name_by_memo, name_by_strings)),
    st.sampled_from(tuple(SAFE)),
)
inst = st.sampled_from(tuple(SAFE)).map(lambda name: b"(" + f"i{name[0]}\n{name[1]}\n".encode())
values = st.sampled_from((b"N", b"K\x01", b"}", b"]", b")", b"I0x10\n", b"L0x10L\n", "S'é'\n".encode(), b"2", b"0", b"(", b"1"))
calls = names.flatmap(
    lambda name: st.sampled_from((name + b")R", name + b")\x81", name + b")}\x92", b"(" + name + b"o", name, name + b"2q\x05"))
)
more = st.sampled_from((b"}b", b"a", b"s", b"h\x05", b"\x94", b"\x80\x02", b"\x80\x04", b"q\x01", b"0", b"\x85", b"R", b"\xff"))
streams = st.lists(st.one_of(calls, calls, inst, values, more), max_size=12).map(b"".join)


class Observer(pickle.Unpickler):
    """Notes every name that is resolved."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.seen = set[str]()

    def find_class(self, module: str, name: str) -> Any:
        self.seen.add(f"{module}.{name}")
        if (module, name) not in SAFE:
            raise pickle.UnpicklingError("not on the list")
        return SAFE[module, name]

    def persistent_load(self, _ident: Any) -> Any:
        return None


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from((b"", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), streams)
def test_every_name_that_python_resolves_is_listed(start: bytes, stream: bytes) -> None:
    data = start + stream + b"."
    observer = Observer(data)
    with contextlib.suppress(Exception):
        observer.load()
    if observer.seen:
        assert observer.seen <= set(scan(data).globals)
