"""How each format begins, by which a file is told: one function for each, which looks at the first bytes only.

Rule: what a file is called says nothing. What reads a format is loaded when a file has its mark.
"""

import struct

from ptzip.io.sources import Source
from ptzip.pickling.opcodes import BY_NAME, HIGHEST_PROTOCOL
from ptzip.zip.ends import is_zip
from ptzip.zip.structs import LOCAL_SIGNATURE

TAR_MAGIC, TAR_MAGIC_OFFSET = b"ustar", 257

LEGACY_MAGICS = (bytes.fromhex("8a0a6cfc9c46f9206aa85019"), b"L119547037146038801333356L\n")
"""LONG1 and LONG of 0x1950A86A20F9469CFC6C, the first object of a stream (`torch/serialization.py`, MAGIC_NUMBER)."""

LEGACY_MAGIC_END = 32
"""Where that object ends at the latest: PROTO and FRAME may stand before it."""

SAFETENSORS_LENGTH = struct.Struct("<Q")

PROTO = BY_NAME["PROTO"].code
TEXT_BEGINNINGS = frozenset(b"(cILSVFN]})")
"""How pickles of protocol 0 and 1 begin: a mark, a name, a number, a text, None or something empty."""


def is_whole_zip(source: Source) -> bool:
    """Whether the file begins as a zip and has its end."""
    begins = source.size > len(LOCAL_SIGNATURE) and source.read(0, len(LOCAL_SIGNATURE)) == LOCAL_SIGNATURE
    return begins and is_zip(source)


def is_tar(source: Source) -> bool:
    end = TAR_MAGIC_OFFSET + len(TAR_MAGIC)
    return source.size > end and source.read(TAR_MAGIC_OFFSET, len(TAR_MAGIC)) == TAR_MAGIC


def is_safetensors(source: Source) -> bool:
    """Whether the file begins with the length of a JSON text and its brace."""
    size = SAFETENSORS_LENGTH.size
    if source.size <= size:
        return False
    head = source.read(0, size + 1)
    (length,) = SAFETENSORS_LENGTH.unpack_from(head)
    return bool(2 <= length <= source.size - size and head[size:] == b"{")


def is_legacy(source: Source) -> bool:
    """Whether the first object is the magic number."""
    return has_legacy_magic(source.read(0, min(LEGACY_MAGIC_END, source.size)))


def has_legacy_magic(head: bytes) -> bool:
    return any(magic in head for magic in LEGACY_MAGICS)


def is_pickle(source: Source) -> bool:
    """Whether the first bytes are those of a pickle."""
    head = source.read(0, min(2, source.size))
    return begins_pickle(head) or (len(head) > 1 and head[0] in TEXT_BEGINNINGS)


def begins_pickle(head: bytes) -> bool:
    """Whether the first byte is PROTO with a protocol that there is."""
    return len(head) > 1 and head[0] == PROTO and head[1] <= HIGHEST_PROTOCOL
