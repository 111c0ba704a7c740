"""Declarations of the headers of safetensors and numpy against the readers of `scan` and `convert`."""

import io
import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.formats import npy, safetensors_header
from ptzip.formats.signatures import is_safetensors
from ptzip.io.sources import BytesSource
from tests.corpus import needs_corpus
from tests.mapping.declared import both_ways, checked, corpus_contents, quick, read_or_none


@needs_corpus
def test_both_readers_agree_on_every_safetensors_header() -> None:
    sources = [source for data in corpus_contents() if is_safetensors(source := BytesSource(data))]
    assert sources
    for source in sources:
        if header := read_or_none(safetensors_header.read_header, source):
            check_safetensors(source, header)


def check_safetensors(source: BytesSource, header: safetensors_header.Header) -> None:
    found = checked("safetensors header", source.read(0, header.start))
    both_ways("safetensors header", source.read(0, header.start))
    names = [json.loads(bytes(one.raw)) for one in found if one.name == "name"]
    assert [name for name in names if name != safetensors_header.METADATA] == header.names


@quick
@given(
    st.dictionaries(st.text(max_size=9), st.lists(st.integers(0, 3), max_size=3), max_size=5), st.booleans(), st.integers(0, 3)
)
def test_the_entries_of_a_safetensors_header_are_found(shapes: dict[str, list[int]], is_ascii: bool, spaces: int) -> None:
    end, entries = 0, dict[str, Any]({"__metadata__": {'"{': '}\\"'}})
    for name, shape in shapes.items():
        start, end = end, end + int(np.prod(shape))
        entries[name] = {"dtype": "U8", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(entries, ensure_ascii=is_ascii).encode() + b" " * spaces
    source = BytesSource(struct.pack("<Q", len(text)) + text + bytes(end))
    check_safetensors(source, safetensors_header.read_header(source))


def arrays(data: bytes) -> Iterator[bytes]:
    """What follows each magic number of numpy, wherever it is in a file."""
    for found in re.finditer(re.escape(npy.MAGIC), data):
        yield data[found.start() : found.start() + (1 << 16)]


@needs_corpus
def test_both_readers_agree_on_every_header_of_an_array() -> None:
    found = [data for content in corpus_contents() for data in arrays(content)]
    assert found
    for data in found:
        if layout := read_or_none(npy.layout, BytesSource(data)):
            check_array(data, layout.start)


def check_array(data: bytes, start: int) -> None:
    found = both_ways("npy header", data[:start])
    assert found["length"].value == found["header"].length
    assert checked("npy header", data)[: len(found)] == [*found.values()]


@pytest.mark.parametrize("version", npy.VERSIONS)
def test_every_version_of_an_array_header_is_declared(version: tuple[int, int]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.zeros((2, 3)), version=version)
    check_array(file.getvalue(), npy.layout(BytesSource(file.getvalue())).start)
