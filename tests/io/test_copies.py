"""Copies as sources: the same bytes in memory and in a temporary file."""

import pytest

from ptzip.io.copies import copied
from ptzip.io.sources import BytesSource, DescriptorSource, Position


@pytest.mark.parametrize("pieces", [[], [b""], [b"12345"], [b"12", b"345"], [b"1234", b"", b"5"]])
def test_few_bytes_are_in_memory_and_more_in_a_temporary_file(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    for in_memory in range(7):
        source = copied(pieces, "x.pt", Position(0, "x"), in_memory)
        assert isinstance(source, BytesSource if len(whole) <= in_memory else DescriptorSource)
        assert (source.read(0, source.size), source.name, source.origin) == (whole, "x.pt", Position(0, "x"))
        source.close()
