"""`inspect --at`: the way to a byte, against what zipfile, pickletools, numpy and torch say of it."""

import contextlib
import gzip
import io
import pickle
import random
import zipfile
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import ptzip
from ptzip.errors import EditError, FormatError
from ptzip.formats.container import Container
from ptzip.formats.detect import open_container
from ptzip.io.open_source import open_source
from ptzip.io.sources import BytesSource, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.mapping import owners
from ptzip.mapping.builds import Built
from ptzip.mapping.elements import index_at
from ptzip.mapping.locate import Location, locate
from ptzip.mapping.where import Where, where
from tests import torch_reference
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.corpus import parameters
from tests.pickling.pickletools_rows import Row, rows_of
from tests.small_checkpoints import archive, training_records

HONEST = ("real", "format", "yolo", "frameworks")


def located(data: bytes, *places: int | str) -> list[Location]:
    return locate(BytesSource(data), [where(str(place)) for place in places], DEFAULT_LIMITS)


class Record(NamedTuple):
    """A stored record of a zip by `zipfile`: its bytes in the file, from the first of its header."""

    name: str
    header: int
    start: int
    stop: int


def records_of(path: Path, file: io.BufferedReader) -> list[Record]:
    """The records of a zip in the order of their headers; none of a file that is no zip, or a damaged one."""
    found = list[Record]()
    with contextlib.suppress(zipfile.BadZipFile, ValueError, NotImplementedError), zipfile.ZipFile(path) as packed:
        for info in packed.infolist():
            file.seek(info.header_offset)
            head = file.read(30)
            start = info.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            found.append(Record(info.filename, info.header_offset, start, start + info.compress_size))
    return sorted(found, key=lambda record: record.header)


def offsets_of(path: Path, count: int) -> list[int]:
    """Offsets anywhere in a file, and as many where it has more than numbers: at its beginning and end."""
    size, generator = path.stat().st_size, random.Random(path.name)
    ends = [*range(min(size, 1 << 16)), *range(max(size - 4096, 0), size)]
    return [generator.randrange(size) if index % 2 else generator.choice(ends) for index in range(count)] if size else []


def check(path: Path, count: int) -> int:
    """Compare the locations of so many bytes with what other readers say; returns how many were compared in full."""
    offsets, compared = offsets_of(path, count), 0
    with path.open("rb") as file, contextlib.closing(open_source(path)) as source:
        records = records_of(path, file)
        found = locate(source, [Where(at) for at in offsets], DEFAULT_LIMITS)
        rows = dict[int, list[Row]]()
        for at, location in zip(offsets, found, strict=True):
            file.seek(at)
            assert (location.offset, location.byte) == (at, file.read(1)[0])
            assert location.parts[0].offset <= at < location.parts[0].end
            for field in location.fields:
                assert field.offset <= at < field.offset + field.length
            if location.element is not None:
                check_element(location, file)
                compared += 1
            index = bisect_right(records, at, key=lambda record: record.header) - 1
            if index >= 0 and at < records[index].stop:
                compared += check_record(records[index], location, file, rows)
    return compared


def check_record(record: Record, location: Location, file: io.BufferedReader, rows: dict[int, list[Row]]) -> bool:
    """Compare a byte of a record, as `zipfile` sees it, and of a pickle, as `pickletools` does."""
    part = next(one for one in location.parts if one.owner.endswith(record.name))
    if location.offset < record.start:
        assert (part.kind, part.offset, part.end) == ("local header", record.header, record.start)
    else:
        assert record.start <= part.offset
        assert part.end <= record.stop
    if location.built is None or part is not location.parts[-1]:
        return location.offset < record.start
    if record.start not in rows:
        file.seek(record.start)
        rows[record.start] = list(rows_of(file.read(record.stop - record.start)))
    at = location.offset - record.start
    row = rows[record.start][bisect_right(rows[record.start], at, key=lambda row: row.at) - 1]
    line = location.built.opcode
    assert (line.offset - record.start, line.op, line.before, line.after) == (row.at, row.name, row.before, row.after)
    assert location.built.byte == at - row.at
    return True


def check_element(location: Location, file: io.BufferedReader) -> None:
    """Compare the value of an element with the bytes of the file, as numpy reads them."""
    element = location.element
    assert element is not None
    for tensor in element.tensors:
        if tensor.dtype not in np.sctypeDict:
            continue
        file.seek(location.offset - tensor.byte)
        raw, dtype = file.read(tensor.size), np.dtype(tensor.dtype)
        either = [np.frombuffer(raw, kind)[0].item() for kind in (dtype.newbyteorder("<"), dtype.newbyteorder(">"))]
        assert tensor.value in (None, *either, *map(np.conj, either)) or np.isnan(either).any()


@pytest.mark.parametrize("path", parameters(*HONEST))
def test_ten_thousand_bytes_of_the_corpus_are_what_zipfile_pickletools_and_numpy_say(path: Path) -> None:
    check(path, 40)


@pytest.mark.torch
@pytest.mark.parametrize("path", parameters("yolo", "format/t213"))
def test_elements_are_those_that_torch_has_there(path: Path) -> None:
    """Not only the value of an element is the same, but also its position on the storage of torch."""
    if path.suffix not in (".pt", ".pth"):
        pytest.skip("is no file of torch.save")
    try:
        tensors = {dotted(name): one for name, one in torch_reference._tensors(torch_reference.load(path))}
    except Exception:
        pytest.skip("torch does not load it")
    with contextlib.closing(open_source(path)) as source:
        found = locate(source, [Where(at) for at in offsets_of(path, 60)], DEFAULT_LIMITS)
    for location in found:
        for claim in location.element.tensors if location.element else ():
            tensor = tensors.get(claim.name)
            if tensor is None or not torch_reference._is_dense(tensor):
                continue
            assert location.element is not None
            steps = sum(index * step for index, step in zip(claim.position, tensor.stride(), strict=True))
            at = (tensor.storage_offset() + steps) * tensor.element_size()
            assert location.element.element * location.element.size + location.element.byte == at + claim.byte
            if claim.value is not None and not tensor.is_quantized:
                expected = tensor[claim.position].item()
                assert claim.value == expected or expected != expected


def dotted(path: tuple[str, ...]) -> str:
    """The path of a tensor as in a state dict."""
    return ".".join(part for part in path if part not in ("_modules", "_parameters", "_buffers"))


@pytest.mark.parametrize("path", parameters("threats"))
def test_bytes_of_hostile_files_have_a_location_or_an_error_of_ptzip(path: Path) -> None:
    with contextlib.closing(open_source(path)) as source:
        for at in offsets_of(path, 8):
            (location,) = locate(source, [Where(at)], DEFAULT_LIMITS)
            assert location.parts[0].offset <= at < location.parts[0].end


@pytest.mark.parametrize("seed", range(40))
def test_bytes_of_mutated_files_have_a_location(seed: int) -> None:
    data, generator = bytearray(archive(training_records())), random.Random(seed)
    for _ in range(generator.randrange(1, 30)):
        data[generator.randrange(len(data))] = generator.randrange(256)
    del data[generator.randrange(len(data) // 2, len(data)) :]
    places = [generator.randrange(len(data)) for _ in range(20)]
    assert [one.offset for one in located(bytes(data), *places)] == places


def test_a_byte_of_a_header_has_its_field_in_the_fields_around_it() -> None:
    data = archive(training_records())
    (padding,) = located(data, data.index(b"FB") + 6)
    assert padding.parts[0].kind == "local header"
    assert [field.name for field in padding.fields] == ["extra", "extra field", "padding"]


def opcode_at(data: bytes, at: int) -> Built:
    (location,) = located(data, at)
    assert location.built is not None
    return location.built


def test_an_opcode_says_what_it_builds_and_where_that_ends_up() -> None:
    stream = pickle.dumps({"a": [1, {"b": (2.5, "x")}], "c": "x"}, 2)
    number = opcode_at(stream, stream.index(b"G@") + 3)
    assert (number.opcode.op, number.byte, number.value, number.path) == ("BINFLOAT", 3, "2.5", "a.1.b.0")
    key = opcode_at(stream, stream.index(b"X\x01\x00\x00\x00b"))
    assert (key.value, key.path, key.is_key) == ("'b'", "a.1.b", True)
    assert opcode_at(stream, stream.index(b"]")).path == "a"
    assert opcode_at(stream, 0).value == ""


def test_a_memo_fetch_ends_up_where_it_is_used() -> None:
    value = ("name", 2)
    stream = pickle.dumps({"a": value, "b": [value]}, 2)
    fetched = opcode_at(stream, stream.rindex(b"h"))
    assert (fetched.value, fetched.path) == ("a: tuple of 2", "b.0")


def test_a_mark_is_about_what_takes_it() -> None:
    stream = pickle.dumps([(1, 2, 3, 4)], 2)
    assert opcode_at(stream, stream.index(b"(")).value == "0: tuple of 4"


def test_what_is_discarded_is_in_no_object() -> None:
    found = opcode_at(b"\x80\x02K\x010K\x02.", 2)
    assert (found.value, found.path) == ("1", None)


def test_the_arguments_of_a_tensor_are_parts_of_it() -> None:
    data = archive(training_records())
    start = data.index(b"\x80\x02}")
    with ptzip.open(data) as checkpoint:
        (where_storage,) = [one.node.offset for one in checkpoint.storages["0"].references]
    found = opcode_at(data, start + where_storage)
    assert found.value == "storage 0: 64 x float32 on cpu"
    assert found.uses == ("tuple of 6", "model.conv.weight: float32 [4, 16]")
    assert found.path == "model.conv.weight"


def test_an_element_has_all_tensors_that_share_it() -> None:
    builder = CheckpointBuilder("cuda:0")
    storage = builder.storage(numbers(12))
    data = builder.data({"all": builder.view(storage, (12,)), "odd": builder.view(storage, (2, 3), (1, 4), 1)})
    at = data.index(numbers(12).tobytes()) + 4 * 5 + 1
    (location,) = located(data, at)
    assert location.element is not None
    assert location.element[:6] == ("0", "float32", "cuda:0", 5, 1, 4)
    assert [*map(tuple, location.element.tensors)] == [
        ("all", (5,), 6.0, "float32", 1, 4),
        ("odd", (0, 1), 6.0, "float32", 1, 4),
    ]


@pytest.mark.torch
def test_an_element_of_several_numbers_has_them_all(tmp_path: Path) -> None:
    import torch

    packed = torch.tensor([0x10, 0x32], dtype=torch.uint8)
    torch.save({"packed": packed.view(torch.float4_e2m1fn_x2)}, tmp_path / "packed.pt")
    data = (tmp_path / "packed.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "packed.pt") as records:
        header = records.getinfo("packed/data/0").header_offset
    (location,) = located(data, data.index(bytes(packed.tolist()), header))
    assert location.element is not None
    assert location.element.tensors[0].value == [0.0, 0.5]


@pytest.mark.parametrize("seed", range(30))
def test_positions_are_those_of_numpy(seed: int) -> None:
    generator = random.Random(seed)
    shape = tuple(generator.randrange(1, 5) for _ in range(generator.randrange(4)))
    stride = tuple(generator.randrange(7) for _ in shape)
    reached = {sum(i * step for i, step in zip(index, stride, strict=True)) for index in np.ndindex(*shape)}
    for element in range(max(reached) + 3):
        index = index_at(element, shape, stride)
        assert (index is not None) == (element in reached)
        assert index is None or sum(i * step for i, step in zip(index, stride, strict=True)) == element


def test_tensors_whose_strides_have_no_end_of_positions_are_given_up() -> None:
    assert index_at(2**40 + 1, (1 << 20,) * 60, tuple(range(2, 122, 2))) is None


def test_content_that_is_compressed_has_offsets_of_its_own() -> None:
    data = archive(training_records())
    packed = gzip.compress(data)
    assert located(packed, 40)[0].parts[0].kind == "compressed data"
    inner, outer = located(packed, "70 in the content of the gzip")[0], located(data, 70)[0]
    assert (inner.inside, inner.offset, inner.byte) == ("the content of the gzip", 70, outer.byte)
    assert inner.built is not None
    assert outer.built is not None
    assert inner.built[1:] == outer.built[1:]


def test_a_deflated_record_is_located_by_its_name() -> None:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, record in training_records().items():
                packed.writestr(f"a/{name}", record)
        data = file.getvalue()
    (element,) = located(data, "9 in a/data/0")
    assert element.element is not None
    assert element.element.tensors[0][:2] == ("model.conv.weight", (0, 2))
    (opcode,) = located(data, "2 in a/data.pkl")
    assert opcode.built is not None
    assert (opcode.built.opcode.op, opcode.built.opcode.offset) == ("EMPTY_DICT", 2)


def test_the_end_of_a_file_is_where_messages_about_missing_bytes_point() -> None:
    data = archive(training_records())[:-100]
    (problem, *_) = ptzip.verify(data).problems
    (end,) = located(data, str(problem.offset))
    assert (end.offset, end.byte, end.parts) == (len(data), None, ())


def test_what_is_not_there_is_an_error_that_says_so() -> None:
    data = archive(training_records())
    with pytest.raises(FormatError, match=f"there is no byte 9,999,999: the file has {len(data):,}"):
        located(data, 9_999_999)
    with pytest.raises(EditError, match="there is no compressed content 'nothing' in the file"):
        located(data, "3 in nothing")
    with pytest.raises(EditError, match="'model' is no offset"):
        located(data, "model")


def test_a_zip_is_opened_once_for_its_map_and_for_what_its_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[Source]()

    def opening(source: Source, limits: Limits) -> Container:
        opened.append(source)
        return open_container(source, limits)

    monkeypatch.setattr(owners, "open_container", opening)
    source = BytesSource(archive(training_records()))
    locations = locate(source, [where(str(at)) for at in range(0, source.size, 99)], DEFAULT_LIMITS)
    assert {part.kind for one in locations for part in one.parts} > {"pickle", "storage"}
    assert opened == [source]
