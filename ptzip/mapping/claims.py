"""Claims: what the structures of a format say about stretches of a file. They may overlap, leave gaps, or pass its end."""

from typing import NamedTuple


class Claim(NamedTuple):
    """The bytes from `start` to `stop` are a `kind` of `owner`; `structure` names the declaration of their fields, if any.

    `users` are the tensors on a storage, or what a record is for. `is_inner`: it is a part of what another claim says, as the
    dead bytes of a storage are; otherwise two claims to the same bytes contradict each other.
    """

    start: int
    stop: int
    kind: str
    owner: str = ""
    remark: str = ""
    structure: str = ""
    users: tuple[str, ...] = ()
    is_inner: bool = False

    def moved(self, by: int) -> "Claim":
        """The same claim of a window that begins at byte `by` of the file."""
        return self._replace(start=self.start + by, stop=self.stop + by) if by else self


PICKLE, STORAGE, DEAD, ARRAY, TENSOR = "pickle", "storage", "dead bytes", "array", "tensor"
RECORD, FILE, PADDING, COMPRESSED, TRAILING = "record", "file", "padding", "compressed data", "trailing bytes"
"""Kinds of parts that have no declaration; that of a structure is its name."""

LOCAL, DESCRIPTOR, CENTRAL = "local header", "data descriptor", "central directory entry"
DESCRIPTORS = {
    12: f"{DESCRIPTOR} without signature",
    16: DESCRIPTOR,
    20: f"zip64 {DESCRIPTOR} without signature",
    24: f"zip64 {DESCRIPTOR}",
}
"""A descriptor by its length, which tells its form (APPNOTE 4.3.9)."""

END64, LOCATOR64 = "zip64 end of central directory record", "zip64 locator"
END = "end of central directory record"
COUNT, TAR_HEADER, PAX_RECORDS, LONG_NAME = "legacy storage count", "tar header", "pax records", "GNU long name"
GZIP_HEADER, GZIP_TRAILER, ZSTD_HEADER = "gzip header", "gzip trailer", "zstd frame header"
SAFETENSORS_HEADER, NPY_HEADER = "safetensors header", "npy header"


def structured(start: int, stop: int, structure: str, owner: str = "", remark: str = "", is_inner: bool = False) -> Claim:
    """A claim for a structure that has a declaration."""
    return Claim(start, stop, structure, owner, remark, structure, is_inner=is_inner)
