"""Literals in headers of numpy: what is read is what Python reads, and what numpy would not write is refused."""

import ast
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.formats.literals import parsed

PLAIN = st.text("abz019_ <>|", max_size=6)
ATOMS = PLAIN | st.integers(0, 10**12) | st.booleans() | st.none()
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(PLAIN, inner)
)


@given(VALUES)
def test_literals_are_read_as_python_reads_them(value: object) -> None:
    assert parsed(repr(value)) == value


@given(st.text("[](){},: '\"1LTrue\\x", max_size=24))
def test_what_is_read_at_all_is_what_python_reads(text: str) -> None:
    with contextlib.suppress(ValueError, TypeError):
        value = parsed(text)
        assert value == ast.literal_eval(text.strip().replace("1L", "1"))


@pytest.mark.parametrize(
    "text", [r"'\x4f'", "'a' 'b'", "('a')", "1+1", "-1", "b'a'", "[1", "[1)", "1,", "{1}", "{'a': 1 2}", "a"]
)
def test_what_numpy_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(text)


def test_deep_literals_are_refused() -> None:
    with pytest.raises(ValueError, match="no literal"):
        parsed("[" * 1000 + "]" * 1000)
