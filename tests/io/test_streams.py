"""A stream that is read page by page is the same as the bytes in memory, whatever the order of access."""

from hypothesis import given
from hypothesis import strategies as st

from ptzip.io.streams import PagedStream

DATA = bytes(range(7)) * 40


def paged(data: bytes, page: int) -> PagedStream:
    return PagedStream(lambda at, length: data[at : at + length], len(data), page)


@given(st.integers(1, 300), st.lists(st.integers(0, len(DATA) - 1), max_size=20))
def test_every_byte_is_that_of_the_data(page: int, offsets: list[int]) -> None:
    stream = paged(DATA, page)
    assert len(stream) == len(DATA)
    assert [stream[at] for at in offsets] == [DATA[at] for at in offsets]


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20))
def test_every_slice_is_that_of_the_data(page: int, slices: list[tuple[int, int]]) -> None:
    stream = paged(DATA, page)
    assert [stream[start:stop] for start, stop in slices] == [DATA[start:stop] for start, stop in slices]


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=4), st.integers(4, 20), st.lists(st.integers(0, 70), max_size=9))
def test_bytes_are_found_where_the_data_have_them(data: bytes, wanted: bytes, page: int, starts: list[int]) -> None:
    stream = paged(data + wanted + data, page)
    whole = data + wanted + data
    for start in starts:
        assert stream.find(wanted, start) == whole.find(wanted, start)
        assert stream.rfind(wanted, start) == whole.rfind(wanted, start)


def test_no_more_than_a_page_is_read_at_once() -> None:
    lengths = list[int]()

    def read(at: int, length: int) -> bytes:
        lengths.append(length)
        return DATA[at : at + length]

    stream = PagedStream(read, len(DATA), 16)
    assert stream.find(b"no", 0) == -1
    assert max(lengths) == 16
