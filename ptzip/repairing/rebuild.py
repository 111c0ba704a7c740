"""The records of the repaired file: those of the old one as far as they were found, in the order in which torch writes them.

torch refuses a file that lacks a storage, so missing bytes are filled, and with values that cannot be mistaken for weights: NaN
where the dtype has it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.formats.torchzip import BYTEORDER, FORMAT_VERSION, PICKLE, SERIALIZATION_ID, STORAGE_ALIGNMENT, STORAGES, VERSION
from ptzip.formats.torchzip_layout import valid_alignment
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import BytesPayload, JoinedPayload, Payload, SlicePayload, read_all
from ptzip.io.sources import CHUNK
from ptzip.repairing.record_search import FoundRecord, RecordState
from ptzip.repairing.report import DroppedEntry
from ptzip.repairing.salvage import Salvage
from ptzip.zip.writer import ALIGNMENT, Record

OUR_VERSION = b"3\n"
"""The version of the format that torch 1.6 and later read."""

BYTE_ORDERS = (b"little", b"big")

MOST_TEXT = 16
"""The small records that torch reads are shorter, in bytes."""

NAN, ZERO = 0xFF, 0x00
NAN_OF = {"float8_e4m3fnuz": 0x80, "float8_e5m2fnuz": 0x80, "float4_e2m1fn_x2": ZERO}
"""The byte that NaN is made of, in dtypes where it is not `NAN`; float4 has no NaN."""


class RepeatedByte(NamedTuple):
    """A payload that repeats one byte."""

    byte: int
    length: int

    @property
    def seekable(self) -> bool:
        return True

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        for at in range(start, stop, CHUNK):
            yield bytes([self.byte]) * min(CHUNK, stop - at)


class Rebuilt(NamedTuple):
    """A new file: its records, their alignment in bytes, the dropped entries, why its values are in doubt, or "", and how many
    bytes are `filled`."""

    records: list[Record]
    alignment: int
    dropped: tuple[DroppedEntry, ...]
    doubt: str
    filled: int


def rebuilt(found: Salvage, dtypes: dict[str, str]) -> Rebuilt:
    """The records of the new file; `dtypes` are those of the tensors, by the key of their storage."""
    prefix, texts = found.prefix, {name: _text(record) for name, record in found.small.items()}
    kept, alignment = _layout_records(found, texts)
    dropped = [
        DroppedEntry(prefix + name, "offsets can no longer be computed from it")
        for name in (FORMAT_VERSION, STORAGE_ALIGNMENT)
        if name in texts and name not in kept
    ]
    order, doubt = _byte_order(texts)
    records = [Record(prefix + PICKLE, found.pickle.payload)]
    records += [Record(prefix + name, BytesPayload(text)) for name, text in (kept | order).items()]
    records += [Record(f"{prefix}{STORAGES}{key}", _storage(found, key, dtypes)) for key in found.part.storages]
    version = texts.get(VERSION, b"")
    records.append(Record(f"{prefix}{VERSION}", BytesPayload(version if version.strip().isdigit() else OUR_VERSION)))
    filled = sum(max(storage.size - _found_size(found, key), 0) for key, storage in found.part.storages.items())
    return Rebuilt(records, alignment, (*dropped, *_dropped(found)), _doubt(found) or doubt, filled)


def _text(record: FoundRecord) -> bytes:
    """The bytes of a small record, or none where it is damaged."""
    is_readable = record.state is not RecordState.DAMAGED and record.payload.length < MOST_TEXT
    return read_all(record.payload) if is_readable else b""


def _found_size(found: Salvage, key: str) -> int:
    return found.storages[key].payload.length if key in found.storages else 0


def _storage(found: Salvage, key: str, dtypes: dict[str, str]) -> Payload:
    """As many bytes as the pickle says, missing ones filled."""
    storage = found.part.storages[key]
    payload = found.storages[key].payload if key in found.storages else BytesPayload(b"")
    if payload.length == storage.size:
        return payload
    missing = filler(dtypes.get(key, storage.dtype.name), max(storage.size - payload.length, 0))
    return SlicePayload(JoinedPayload((payload, missing)), 0, storage.size)


def filler(dtype: str, length: int) -> RepeatedByte:
    """Bytes in place of lost numbers: NaN, or 0 in dtypes that have none."""
    return RepeatedByte(NAN_OF.get(dtype, NAN) if dtype.startswith(("float", "bfloat", "complex")) else ZERO, length)


def _layout_records(found: Salvage, texts: dict[str, bytes]) -> tuple[dict[str, bytes], int]:
    """The records from which torch computes offsets, if their promise still holds, and the alignment.

    torch begins with key "0" and continues in the order of first appearance (`torch/serialization.py`, `_get_offset`).
    """
    alignment = valid_alignment(texts.get(STORAGE_ALIGNMENT, b""))
    keys = list(found.part.storages)
    is_in_order = keys == [str(index) for index in range(len(keys))]
    have_lengths = all(record.payload.length == found.part.storages[key].size for key, record in found.storages.items())
    is_aligned = alignment is not None or STORAGE_ALIGNMENT not in texts
    if not (is_in_order and have_lengths and is_aligned and texts.get(FORMAT_VERSION)):
        return {}, alignment or ALIGNMENT
    return {name: texts[name] for name in (FORMAT_VERSION, STORAGE_ALIGNMENT) if name in texts}, alignment or ALIGNMENT


def _byte_order(texts: dict[str, bytes]) -> tuple[dict[str, bytes], str]:
    """The record of the byte order, if there was one, and a doubt where it is lost or damaged."""
    if BYTEORDER not in texts:
        is_lost = FORMAT_VERSION in texts
        return {}, "the record byteorder is lost: little-endian is assumed" if is_lost else ""
    if texts[BYTEORDER].strip() in BYTE_ORDERS:
        return {BYTEORDER: texts[BYTEORDER]}, ""
    return {BYTEORDER: BYTE_ORDERS[0]}, "the record byteorder is damaged: little-endian is assumed"


def _doubt(found: Salvage) -> str:
    if found.pickle.state is RecordState.WHOLE:
        return ""
    what = "does not match its CRC" if found.pickle.state is RecordState.DAMAGED else "has no CRC that is known"
    return f"the pickle {what}: all names, shapes and values are in doubt"


def _dropped(found: Salvage) -> Iterator[DroppedEntry]:
    """The entries of the old file that are not in the new one; remains of a lost storage are not listed, since that is."""
    known = {PICKLE, *found.small, *(f"{STORAGES}{key}".lower() for key in found.part.storages)}
    lost = {f"{found.prefix}{STORAGES}{key}".lower() for key in found.part.storages.keys() - found.storages.keys()}
    for name in found.others:
        if name.lower() not in lost:
            yield DroppedEntry(name, _reason(name, found.prefix, known))


def _reason(name: str, prefix: str, known: set[str]) -> str:
    """Why an entry is not in the new file, whose records are `known` by their names below the prefix, in lower case."""
    inner = name[len(prefix) :].lower()
    if not name.startswith(prefix):
        return f"it is outside the folder {prefix}"
    if name.endswith("/"):
        return "it is a folder"
    if inner == SERIALIZATION_ID:
        return "torch computes it from all records"
    if inner in known:
        return "it is a second record of this name"
    return "no pickle refers to it" if inner.startswith(STORAGES) else "torch does not read it"
