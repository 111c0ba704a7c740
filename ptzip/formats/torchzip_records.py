"""The records of a zip of torch, and how they are found.

Rule: records are looked up as torch looks them up: the archive's name is that of the first entry up to its first slash,
and case does not matter (`PyTorchStreamReader`, `caffe2/serialize/inline_container.cc`).
"""

from collections.abc import Callable

from ptzip.errors import FormatError
from ptzip.io.payloads import CheckedPayload, read_all
from ptzip.zip.reader import Archive, Entry

PICKLE, STORAGES = "data.pkl", "data/"

VERSION = "version"
"""The record that torch writes in every archive of its own."""

SHORT = 8
"""More bytes than this `byteorder` and `.storage_alignment` never take."""


def records(archive: Archive, prefix: str) -> dict[str, Entry]:
    """The entries by record name, in lower case, the first where a name stands twice."""
    return {entry.name[len(prefix) :].lower(): entry for entry in reversed(archive.entries) if entry.name.startswith(prefix)}


def finder(places: tuple[str, ...], found: dict[str, Entry]) -> Callable[[str], CheckedPayload]:
    """`Part.stored` of a zip: the bytes of the first record that is there of those at `places`, patterns of the key."""

    def find(key: str) -> CheckedPayload:
        names = [place.format(key) for place in places]
        entry = next((found[name.lower()] for name in names if name.lower() in found), None)
        if entry is None:
            raise FormatError(f"record {names[0]} is missing, but the pickle refers to it")
        return checked(entry)

    return find


def checked(entry: Entry) -> CheckedPayload:
    """The bytes of a record, whose CRC is noted while they pass."""
    return CheckedPayload(entry.payload, entry.name, entry.crc)


def is_big_endian(found: dict[str, Entry]) -> bool:
    """What the record `byteorder` says; files without it are little-endian."""
    entry = found.get("byteorder")
    return entry is not None and entry.size <= SHORT and read_all(entry.payload).strip() == b"big"


def places(name: str) -> tuple[str, ...]:
    """Where the storages of a pickle record may be: in the folder of its name, or where the kind of archive keeps all."""
    stem = name.removesuffix(".pkl")
    return (f"{stem}/{{}}", f"{stem}/{{}}.storage", "constants/{}", "constants/{}.storage", "data/{}", ".data/{}.storage")


def crc_lines(records: list[CheckedPayload]) -> tuple[str, ...]:
    """One line for each record whose bytes do not have its CRC, and one for all that have none (0, as some savers write)."""
    wrong = [record for record in records if record.is_wrong()]
    missing = [record.name for record in wrong if not record.expected]
    lines = [f"the CRC of record {record.name} is wrong: its bytes may be damaged" for record in wrong if record.expected]
    if missing:
        lines.append(f"{len(missing)} records were saved without a CRC and could not be checked, {missing[0]} the first")
    return tuple(lines)
