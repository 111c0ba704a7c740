"""The records of the new file: those of the old one as far as they were found, in the order in which torch writes them.

Rule: what is not there is filled with what cannot be taken for weights, NaN wherever a dtype has it, and is never left out,
since torch refuses a file in which a storage is missing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.formats.torchzip import MOST_ALIGNMENT, PICKLE, SERIALIZATION_ID, STORAGES
from ptzip.io.payloads import BytesPayload, JoinedPayload, Payload, SlicePayload, read_all
from ptzip.io.sources import CHUNK
from ptzip.repairing.record_search import Found, State
from ptzip.repairing.report import Dropped
from ptzip.repairing.salvage import SHORT, Salvage
from ptzip.tensors.dtypes import DType
from ptzip.zip.writer import ALIGNMENT, Record

OURS = b"3\n"
"""The version of the format that torch 1.6 and later read."""

ORDERS = (b"little", b"big")

NAN, ZERO = 0xFF, 0x00
NAN_OF = {"float8_e4m3fnuz": 0x80, "float8_e5m2fnuz": 0x80, "float4_e2m1fn_x2": ZERO}
"""The byte of which NaN is made, where it is not the one with all bits set; a float4 has none."""


class Filled(NamedTuple):
    """A payload that is one byte many times."""

    byte: int
    length: int

    @property
    def seekable(self) -> bool:
        return True

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, CHUNK):
            yield bytes([self.byte]) * min(CHUNK, stop - at)


class Rebuilt(NamedTuple):
    """A new file: its records, to how many bytes they are aligned, what was dropped, and why its values are in doubt, or ""."""

    records: list[Record]
    alignment: int
    dropped: tuple[Dropped, ...]
    doubt: str


def filled(dtype: str, size: int) -> Filled:
    """Bytes in place of lost ones; `dtype` is that of the tensors on them, where they agree on one."""
    is_float = dtype.startswith(("float", "bfloat", "complex"))
    return Filled(NAN_OF.get(dtype, NAN) if is_float else ZERO, size)


def rebuilt(found: Salvage, dtypes: dict[str, str]) -> Rebuilt:
    """The records of the new file; `dtypes` are those of the tensors, by the key of their storage."""
    prefix, beside = found.prefix, {name: _text(record) for name, record in found.beside.items()}
    promises, alignment, broken = _promises(found, beside)
    order, doubt = _byteorder(found, beside)
    storages = found.part.storages.values()
    records = [Record(prefix + PICKLE, found.pickle.payload)]
    records += [Record(prefix + name, BytesPayload(data)) for name, data in (*promises, *order)]
    records += [Record(f"{prefix}{STORAGES}{one.key}", _bytes(found, one.key, one.size, one.dtype, dtypes)) for one in storages]
    version = beside.get("version", b"")
    records.append(Record(f"{prefix}version", BytesPayload(version if version.strip().isdigit() else OURS)))
    return Rebuilt(records, alignment, (*broken, *_dropped(found)), _doubt(found) or doubt)


def _text(record: Found) -> bytes:
    """What a short record says, or nothing where it is damaged."""
    is_readable = record.state is not State.DAMAGED and record.payload.length < SHORT
    return read_all(record.payload) if is_readable else b""


def _bytes(found: Salvage, key: str, size: int, dtype: DType, dtypes: dict[str, str]) -> Payload:
    """As many bytes as the pickle says, or torch would refuse the whole file."""
    payload = found.storages[key].payload if key in found.storages else BytesPayload(b"")
    rest = filled(dtypes.get(key, dtype.name), max(size - payload.length, 0))
    return payload if payload.length == size else SlicePayload(JoinedPayload((payload, rest)), 0, size)


Beside = tuple[tuple[str, bytes], ...]


def _promises(found: Salvage, beside: dict[str, bytes]) -> tuple[Beside, int, tuple[Dropped, ...]]:
    """The records by which torch computes offsets, the alignment, and those records where what they say does not hold.

    torch begins with key "0", and goes on in the order of first appearance (`torch/serialization.py`, `_get_offset`).
    """
    names = [name for name in (".format_version", ".storage_alignment") if name in beside]
    digits = beside.get(".storage_alignment", b"").strip()
    is_aligned = digits.isdigit() and 0 < int(digits) <= MOST_ALIGNMENT
    alignment = int(digits) if is_aligned else ALIGNMENT
    keys = list(found.part.storages)
    is_in_order = keys == [str(place) for place in range(len(keys))]
    fits = all(one.payload.length == found.part.storages[key].size for key, one in found.storages.items())
    if is_in_order and fits and (is_aligned or ".storage_alignment" not in beside) and beside.get(".format_version"):
        return tuple((name, beside[name]) for name in names), alignment, ()
    reason = "offsets could not be computed by it any more"
    return (), alignment, tuple(Dropped(found.prefix + name, reason) for name in names)


def _byteorder(found: Salvage, beside: dict[str, bytes]) -> tuple[Beside, str]:
    """The record that says the order of bytes, if there was one, and a doubt where it cannot be read."""
    if "byteorder" not in beside:
        is_missed = ".format_version" in beside
        return (), "the record byteorder is lost: bytes are taken to be little-endian" if is_missed else ""
    if beside["byteorder"].strip() in ORDERS:
        return (("byteorder", beside["byteorder"]),), ""
    return (("byteorder", ORDERS[0]),), "the record byteorder is damaged: bytes are taken to be little-endian"


def _doubt(found: Salvage) -> str:
    if found.pickle.state is State.WHOLE:
        return ""
    what = "does not have its CRC" if found.pickle.state is State.DAMAGED else "has no CRC that is known"
    return f"the pickle {what}: all that it tells is in doubt, names, shapes and values"


def _dropped(found: Salvage) -> Iterator[Dropped]:
    """The entries of the old file that are not in the new one; what is left of a lost storage is named as lost."""
    lost = {f"{found.prefix}{STORAGES}{key}".lower() for key in found.part.storages.keys() - found.storages.keys()}
    for name in found.others.values():
        if name.lower() not in lost:
            yield Dropped(name, _reason(name, found))


def _reason(name: str, found: Salvage) -> str:
    inner = name[len(found.prefix) :].lower()
    if not name.startswith(found.prefix):
        return f"it lies outside the folder {found.prefix}"
    if name.endswith("/"):
        return "it is a folder"
    if inner == SERIALIZATION_ID:
        return "torch computes it from all records"
    if inner in found.beside or inner == PICKLE or inner.removeprefix(STORAGES) in {key.lower() for key in found.part.storages}:
        return "it is a second record of this name"
    return "no pickle refers to it" if inner.startswith(STORAGES) else "torch does not read it"
