"""The map of a file: every byte is in one part, whatever the file, and the parts are where other readers find them."""

import gzip
import io
import pickle
import pickletools
import random
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import joblib
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import ptzip
from ptzip.errors import FormatError, PtzipError
from ptzip.io.open_source import open_source
from ptzip.io.sources import BytesSource, Source
from ptzip.limits import Limits
from ptzip.mapping.parts import UNREFERENCED, FilePart, file_parts, part_at
from ptzip.zip import structs
from tests import corpus
from tests.corpus import FIXTURES
from tests.files_of_checkpoints import nemo_files, sb3_files, tarred, zipped
from tests.mutations import KINDS
from tests.small_checkpoints import archive, training_records
from tests.structured_mutations import STRUCTURED

EVERY = ("format", "real", "frameworks", "threats", "yolo")
MUTATIONS = KINDS | STRUCTURED


def mapped(source: Source) -> list[FilePart]:
    """The map of a source, which has each of its bytes once."""
    found, at = list(file_parts(source)), 0
    for part in found:
        assert part.offset == at, f"{part} does not begin where the part before it ends"
        assert part.length > 0
        at = part.end
    assert at == source.size
    return found


def parts_of(data: bytes) -> list[FilePart]:
    return mapped(BytesSource(data))


def kinds(found: list[FilePart]) -> list[str]:
    return [part.kind for part in found]


def remark_on(found: list[FilePart], kind: str) -> str:
    """The remark on the first part of a kind."""
    return next(part.remark for part in found if part.kind == kind)


@pytest.mark.parametrize("path", corpus.parameters(*EVERY))
def test_every_byte_of_a_file_of_the_corpus_is_in_one_part(path: Path) -> None:
    mapped(BytesSource(path.read_bytes()))


@pytest.mark.parametrize("path", corpus.parameters("format", "real", "frameworks", "yolo"))
def test_every_byte_of_a_checkpoint_has_a_purpose(path: Path) -> None:
    try:
        ptzip.open(path).close()
    except PtzipError:
        pytest.skip("does not open")
    odd = [part for part in mapped(BytesSource(path.read_bytes())) if part.kind == UNREFERENCED or "overlaps" in part.remark]
    assert [part.remark for part in odd] == (["zeros"] if path.name == "trailing_zeros.pt" else [])


@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_byte_of_a_mutated_file_is_in_one_part(kind: str) -> None:
    for index in range(20):
        parts_of(MUTATIONS[kind](random.Random(index)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_byte_of_many_mutated_files_is_in_one_part(kind: str) -> None:
    for index in range(20, 220):
        parts_of(MUTATIONS[kind](random.Random(index)))


@given(st.binary(max_size=600))
def test_any_bytes_have_a_map(data: bytes) -> None:
    parts_of(data)


@given(
    st.sampled_from((b"\x80\x02", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x93NUMPY\x01\x00")),
    st.binary(max_size=300),
)
def test_any_bytes_behind_a_signature_have_a_map(signature: bytes, data: bytes) -> None:
    parts_of(signature + data)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.pt")), ids=lambda path: path.stem)
def test_the_parts_of_a_zip_are_where_zipfile_finds_them(path: Path) -> None:
    data = path.read_bytes()
    parts = parts_of(data)
    by_start = {(part.offset, part.kind): part for part in parts}
    with zipfile.ZipFile(path) as packed:
        for info in packed.infolist():
            lengths = structs.lengths(structs.LocalHeader, data, info.header_offset)
            start = info.header_offset + structs.LOCAL_SIZE + sum(lengths)
            assert by_start[info.header_offset, "local header"].owner == info.filename
            own = [part for part in parts if part.owner == info.filename and start <= part.offset < start + info.file_size]
            assert b"".join(data[part.offset : part.end] for part in own) == packed.read(info)
            if info.file_size:  # miniz writes no descriptor behind an empty record
                assert by_start[start + info.file_size, "data descriptor"].owner == info.filename
        assert next(part for part in parts if part.kind == "central directory entry").offset == packed.start_dir
    assert sum(part.kind == "central directory entry" for part in parts) == len(packed.infolist())


@pytest.mark.parametrize("path", corpus.parameters("format"))
def test_the_pickles_of_a_checkpoint_are_where_pickletools_finds_them(path: Path) -> None:
    data = path.read_bytes()
    for part in mapped(BytesSource(data)):
        if part.kind == "pickle" and not part.remark:
            stream = io.BytesIO(data[part.offset :])
            for _ in pickletools.genops(stream):
                pass
            assert stream.tell() == part.length


def test_a_storage_lists_the_tensors_on_it() -> None:
    parts = parts_of((FIXTURES / "sharing.pt").read_bytes())
    users = next(part.users for part in parts if part.owner == "sharing/data/0" and part.kind == "storage")
    assert users == ("model.model.0.lower", "model.model.0.upper")


def test_the_bytes_of_a_storage_that_no_tensor_uses_are_parts_of_their_own() -> None:
    parts = parts_of((FIXTURES / "sharing.pt").read_bytes())
    (dead,) = [part for part in parts if part.kind == "dead bytes"]
    assert dead.owner == "sharing/data/6"
    assert dead.length == ptzip.inspect(FIXTURES / "sharing.pt").dead.size


def test_a_storage_that_nothing_uses_says_so() -> None:
    parts = parts_of(archive(training_records() | {"data/99": b"1234"}))
    assert [part.owner for part in parts if part.remark == "no tensor uses it"] == ["last/data/99"]


def test_padding_that_torch_does_not_write_is_remarked() -> None:
    data = archive(training_records())
    assert remark_on(parts_of(data), "local header") == ""
    assert "its padding is not Z, but 5a 51" in remark_on(parts_of(data.replace(b"ZZ", b"ZQ", 1)), "local header")


def test_a_header_and_a_descriptor_that_disagree_with_the_directory_say_where() -> None:
    data = archive(training_records()).replace(b"last/data.pkl", b"evil/data.pkl", 1)
    assert remark_on(parts_of(data), "local header") == ("name is evil/data.pkl, but last/data.pkl in the central directory")
    at = data.index(structs.DESCRIPTOR_SIGNATURE) + 4
    damaged = data[:at] + bytes(4) + data[at + 4 :]
    assert remark_on(parts_of(damaged), "data descriptor").startswith("crc is 0, but ")


def test_data_that_are_encrypted_say_so() -> None:
    data = bytearray(archive(training_records()))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(signature) + flags] |= structs.ENCRYPTED
    assert remark_on(parts_of(bytes(data)), "pickle") == "encrypted"


def test_bytes_between_records_are_unreferenced_and_described() -> None:
    data = archive(training_records()) + pickle.dumps({"hidden": 1}, protocol=4)
    assert parts_of(data)[-1].remark == "begins 80 04 95 0f 00 00 00 00, like a pickle"
    assert parts_of(archive(training_records()) + bytes(9))[-1].remark == "zeros"


def test_parts_that_overlap_say_with_what() -> None:
    data = bytearray(archive(training_records()))
    at = data.index(structs.CENTRAL_SIGNATURE)
    entry = structs.parse(structs.CentralEntry, bytes(data), at)
    larger = structs.build(entry._replace(compressed_size=entry.compressed_size + 300))
    data[at : at + len(larger)] = larger
    overlaps = [part for part in parts_of(bytes(data)) if "overlaps" in part.remark]
    assert overlaps[0].remark == "overlaps the pickle of last/data.pkl"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_zip_that_is_cut_off_is_mapped_by_the_headers_that_are_left(share: float) -> None:
    data = archive(training_records())
    whole, parts = parts_of(data), parts_of(data[: int(len(data) * share)])
    known = {(part.offset, part.length, part.kind, part.owner) for part in whole}
    assert UNREFERENCED not in kinds(parts)
    assert {(part.offset, part.length, part.kind, part.owner) for part in parts[:-1]} <= known


def test_an_entry_that_the_directory_does_not_list_is_found() -> None:
    records = training_records()
    data = archive(records)
    start = data.index(structs.CENTRAL_SIGNATURE)
    first = structs.parse(structs.CentralEntry, data, start)
    without = data[:start] + data[start + structs.length_of(first) :]
    parts = parts_of(without)
    assert (parts[0].kind, parts[0].owner) == ("local header", "last/data.pkl")


def test_zips_in_a_row_are_told_apart() -> None:
    one = archive(training_records())
    parts = parts_of(one + one)
    second = [part for part in parts if part.offset >= len(one)]
    assert {part.owner.partition(":")[0] for part in second if part.owner} == {"zip 2"}
    assert [(part.offset - len(one), part.length, part.kind) for part in second] == [
        (part.offset, part.length, part.kind) for part in parts_of(one)
    ]


@pytest.mark.parametrize("kind", [structs.Descriptor, structs.Descriptor64])
def test_a_descriptor_without_a_signature_is_one(kind: type[structs.Descriptor]) -> None:
    numbers = zlib.crc32(b"N."), 2, 2
    fields = 20, structs.HAS_DESCRIPTOR, 0, 0, 0
    local = structs.build(structs.LocalHeader(*fields, 0, 0, 0, b"a/data.pkl", b""))
    records = local + b"N." + structs.build(kind(*numbers))[4:]
    central = structs.build(structs.CentralEntry(20, *fields, *numbers, 0, 0, 0, 0, b"a/data.pkl", b"", b""))
    end = structs.build(structs.End(0, 0, 1, 1, len(central), len(records), b""))
    parts = parts_of(records + central + end)
    assert kinds(parts)[:3] == ["local header", "pickle", "data descriptor"]
    assert parts[2].structure.endswith("data descriptor without signature")


def legacy() -> bytes:
    (path,) = [path for path in corpus.files("format") if path.name == "t14py27_state_dict_legacy.pt"]
    return path.read_bytes()


@corpus.needs_corpus
def test_the_legacy_stream_is_five_pickles_then_counts_and_storages() -> None:
    found = kinds(parts_of(legacy()))
    assert found[:5] == ["pickle"] * 5
    assert set(found[5::2]) == {"legacy storage count"}
    assert set(found[6::2]) == {"storage"}


@corpus.needs_corpus
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_legacy_stream_that_is_cut_off_says_where_it_stops_making_sense(share: float) -> None:
    data = legacy()
    parts = parts_of(data[: int(len(data) * share)])
    assert any("breaks off" in part.remark or "cut off" in part.remark for part in parts)


def test_a_tar_has_headers_files_and_padding() -> None:
    data = tarred(nemo_files())
    parts = parts_of(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        for info in packed:
            if info.isreg():
                file = part_at(parts, info.offset_data)
                assert (file.offset, file.length, file.kind) == (info.offset_data, info.size, "file")
    assert parts[-1].kind == "end of tar"
    assert "a checkpoint, mapped as FILE::NAME" in [part.remark for part in parts]


def test_extended_headers_of_a_tar_are_parts() -> None:
    long = f"{'folder/' * 40}last.pt"
    assert "pax records" in kinds(parts_of(tarred({long: b"N."}, tarfile.PAX_FORMAT)))
    assert "GNU long name" in kinds(parts_of(tarred({long: b"N."}, tarfile.GNU_FORMAT)))


def test_files_in_a_zip_of_checkpoints_say_how_they_are_mapped() -> None:
    parts = parts_of(zipped(sb3_files()))
    assert "a checkpoint, mapped as FILE::NAME" in [part.remark for part in parts]


def test_safetensors_have_a_header_and_tensors(tmp_path: Path) -> None:
    ptzip.convert(FIXTURES / "training.pt", tmp_path / "a.safetensors", select="model.*")
    parts = parts_of((tmp_path / "a.safetensors").read_bytes())
    assert parts[0].kind == "safetensors header"
    with ptzip.open(tmp_path / "a.safetensors") as checkpoint:
        assert {part.owner for part in parts[1:]} <= set(checkpoint)  # some have further names


def test_arrays_have_headers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    assert kinds(parts_of((tmp_path / "a.npy").read_bytes())) == ["npy header", "array"]
    np.savez(tmp_path / "a.npz", a=np.arange(5), b=np.arange(3))
    found = [(part.kind, part.owner) for part in parts_of((tmp_path / "a.npz").read_bytes())]
    assert found[:3] == [("local header", "a.npy"), ("npy header", "a.npy"), ("array", "a.npy")]


def test_the_arrays_of_joblib_are_between_opcodes(tmp_path: Path) -> None:
    values = np.arange(100.0)
    joblib.dump([1, values, 2], tmp_path / "a.joblib")
    data = (tmp_path / "a.joblib").read_bytes()
    parts = parts_of(data)
    assert kinds(parts) == ["pickle", "array", "pickle"]
    assert data[parts[1].offset : parts[1].end].endswith(values.tobytes())


def test_pickles_in_a_row_are_parts() -> None:
    one = pickle.dumps([1])
    assert [(part.offset, part.kind) for part in parts_of(one * 3)] == [(len(one) * index, "pickle") for index in range(3)]


def test_a_zip_behind_a_pickle_is_mapped() -> None:
    one, other = pickle.dumps([1]), archive(training_records())
    expected = [(part.offset + len(one), part.length, part.kind, part.owner) for part in parts_of(other)]
    assert [(part.offset, part.length, part.kind, part.owner) for part in parts_of(one + other)[1:]] == expected


def test_a_compressed_file_says_how_to_map_what_it_holds() -> None:
    data = archive(training_records())
    for packed in (gzip.compress(data), zstandard.compress(data)):
        parts = parts_of(packed)
        assert "header" in parts[0].kind
        assert remark_on(parts, "compressed data").startswith("unpack the ")


@pytest.mark.parametrize("size", [0, 100, 1 << 20], ids=["empty", "small", "large"])
def test_the_frames_of_zstd_are_walked_block_by_block(size: int) -> None:
    data = random.Random(size).randbytes(size)
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    parts = parts_of(packed + b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello" + packed)
    one = ["zstd frame header", "compressed data", "zstd checksum"]
    assert kinds(parts) == [*one, "zstd skippable frame", *one]


def test_the_part_of_a_byte_is_found() -> None:
    parts = parts_of(archive(training_records()))
    for part in parts:
        assert part_at(parts, part.offset) is part
        assert part_at(parts, part.end - 1) is part
    for offset in (-1, parts[-1].end):
        with pytest.raises(FormatError, match="there is no byte"):
            part_at(parts, offset)


def test_a_limit_that_is_crossed_is_named_and_the_rest_is_mapped() -> None:
    data = archive(training_records())
    parts = list(file_parts(BytesSource(data), Limits(opcodes=10)))
    assert [(part.offset, part.kind, part.owner) for part in parts] == [
        (part.offset, part.kind, part.owner) for part in parts_of(data)
    ]
    assert "raise it with `--limit opcodes=N`" in parts[-1].remark


class CountingSource(BytesSource):
    """Bytes in memory that count how many of them are read."""

    count = 0

    def read(self, offset: int, length: int) -> bytes:
        self.count += length
        return super().read(offset, length)


def test_of_a_large_file_only_headers_and_pickles_are_read() -> None:
    data = archive(training_records(4_000_000))
    source = CountingSource(data)
    mapped(source)
    assert len(data) > 32_000_000
    assert source.count < 200_000


def test_memory_grows_with_the_parts_and_not_with_the_tensors(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    path.write_bytes(archive(training_records(4_000_000)))
    assert path.stat().st_size > 32_000_000
    tracemalloc.start()
    source = open_source(path)
    mapped(source)
    source.close()
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()
