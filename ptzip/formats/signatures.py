"""File signatures: one row for each kind of file, recognised by its content, never by its name.

`SIGNATURES` has the files that occur in place of a checkpoint, or inside one: name, first bytes, and what to do next. A format
of checkpoints has no magic number of its own, or more than one, so a function recognises each.
"""

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from ptzip.io.compression import compression_of
from ptzip.io.layouts import Layout
from ptzip.io.sources import Source
from ptzip.pickling.opcodes import BY_CODE, BY_NAME, HIGHEST_PROTOCOL
from ptzip.zip.find_archives import is_zip
from ptzip.zip.structs import END_SIGNATURE, LOCAL_SIGNATURE, LOCAL_SIZE, LocalHeader, lengths


class Kind(StrEnum):
    """What a loader may take bytes for."""

    PICKLE = "a pickle"
    COMPRESSED = "compressed data"
    OPAQUE = "a container of another kind"
    NATIVE = "native code"
    SCRIPT = "a script"
    ARRAY = "an array of numpy"
    TAR = "a tar"
    SAFETENSORS = "safetensors"
    ZIP = "a zip"
    OTHER = "another file"
    """No loader of checkpoints reads it."""


class Signature(NamedTuple):
    """A kind of file. `name` completes the sentence "this is ...", `advice` says how to get at a checkpoint."""

    name: str
    kind: Kind
    magics: tuple[bytes, ...]
    advice: str


_NO_CHECKPOINT = "not a checkpoint"

SIGNATURES = (
    Signature(
        "a git-lfs pointer",
        Kind.OTHER,
        (b"version https://git-lfs.github.com/",),
        "the checkpoint itself was not fetched (`git lfs pull`)",
    ),
    Signature("compressed by lz4", Kind.OPAQUE, (b"\x04\x22\x4d\x18",), "decompress it first (`lz4 -d`)"),
    Signature("a 7z archive", Kind.OPAQUE, (b"7z\xbc\xaf\x27\x1c",), "extract it first (`7z x`)"),
    Signature("a rar archive", Kind.OPAQUE, (b"Rar!",), "extract it first (`unrar x`)"),
    Signature("a numpy array", Kind.ARRAY, (b"\x93NUMPY",), "open it with numpy.load"),
    Signature("an HDF5 file", Kind.OPAQUE, (b"\x89HDF",), "open it with h5py"),
    Signature("a GGUF file", Kind.OTHER, (b"GGUF",), "open it with the gguf package"),
    Signature("native code", Kind.NATIVE, (b"\x7fELF", b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf"), _NO_CHECKPOINT),
    Signature("Java bytecode or native code", Kind.NATIVE, (b"\xca\xfe\xba\xbe",), _NO_CHECKPOINT),
    Signature("a script", Kind.SCRIPT, (b"#!",), _NO_CHECKPOINT),
    Signature("a web page or XML", Kind.OTHER, (b"<",), "the download may have failed"),
    Signature("JSON text", Kind.OTHER, (b"{",), "if it is the index of a sharded checkpoint, open its shards"),
    Signature(
        "a zip that is cut off",
        Kind.OTHER,
        (LOCAL_SIGNATURE,),
        "it has no end of central directory (`ptzip verify` says how much is missing, `ptzip repair` saves the rest)",
    ),
    Signature("an empty zip", Kind.OTHER, (END_SIGNATURE,), _NO_CHECKPOINT),
)
HEAD = max(len(magic) for row in SIGNATURES for magic in row.magics)
"""The length of the longest of these magic numbers."""


def signature_of(head: bytes, *kinds: Kind) -> Signature | None:
    """The row of a file that begins with these bytes, of the given kinds, or of any; None where there is none."""
    return next((row for row in SIGNATURES if head.startswith(row.magics) and (not kinds or row.kind in kinds)), None)


def described(source: Source) -> str:
    """What a file that is not opened as a checkpoint is, to follow "this is"."""
    if not source.size:
        return "an empty file"
    row = signature_of(source.read(0, min(HEAD, source.size)))
    if row is not None:
        return f"{row.name}: {row.advice}"
    if is_zip(source):
        return "a file that ends as a zip but does not begin as one, so torch does not read it as a zip"
    return "a file of no known format: it neither begins as a checkpoint does nor ends as a zip does"


def resembled(source: Source) -> str:
    """What a stretch of bytes looks like, to follow "like"; "" where its beginning has no signature."""
    head = source.read(0, min(CHECKPOINT_HEAD, source.size))
    if begins_pickle(head):
        return Kind.PICKLE
    row, compression = signature_of(head), compression_of(source)
    if row is None and compression is not None:
        return f"{compression.name} data"
    if is_tar(source):
        return Kind.TAR
    if row is None and _begins_safetensors(head, source.size):
        return Kind.SAFETENSORS
    return Kind.ZIP if is_whole_zip(source) else row.name if row is not None else ""


LEGACY_MAGICS = (bytes.fromhex("8a0a6cfc9c46f9206aa85019"), b"L119547037146038801333356L\n")
"""LONG1 and LONG of 0x1950A86A20F9469CFC6C, the first object of a stream (`torch/serialization.py`, MAGIC_NUMBER)."""

LEGACY_MAGIC_END = 32
"""The bytes within which that object ends, also after PROTO and FRAME."""

TAR_LAYOUT = Layout(
    "name:100s mode:8s uid:8s gid:8s size:12s mtime:12s checksum:8s type:1s link:100s magic:6s version:2s "
    "uname:32s gname:32s devmajor:8s devminor:8s prefix:155s padding:12s"
)
"""A header of POSIX, "ustar" (`tarfile.TarInfo.frombuf`). GNU tar uses the bytes after `devminor` in another way."""

TAR_BLOCK, TAR_CHECKSUM = TAR_LAYOUT.size, TAR_LAYOUT.span("checksum")
"""The size of a header, and its field for the sum of all bytes with spaces in this one (`tarfile.calc_chksums`)."""

SAFETENSORS_LENGTH = struct.Struct("<Q")

PROTO = BY_NAME["PROTO"].code
TEXT_BEGINNINGS = frozenset(b"(cILSVFN]})")
"""First opcodes of pickles of protocol 0 and 1: MARK, GLOBAL, a number, a text, NONE or an empty container."""


def is_whole_zip(source: Source) -> bool:
    """Whether a file begins and ends as a zip."""
    begins = source.size > len(LOCAL_SIGNATURE) and source.read(0, len(LOCAL_SIGNATURE)) == LOCAL_SIGNATURE
    return begins and is_zip(source)


def is_tar(source: Source) -> bool:
    """Whether the first block has the checksum of a header, as for `tarfile`: tars before POSIX have no magic."""
    if source.size < TAR_BLOCK:
        return False
    block = source.read(0, TAR_BLOCK)
    field, others = block[TAR_CHECKSUM], block[: TAR_CHECKSUM.start] + block[TAR_CHECKSUM.stop :]
    try:
        expected = tar_number(field)
    except ValueError:
        return False
    unsigned = sum(others) + len(field) * ord(" ")
    return expected in (unsigned, unsigned - 256 * sum(byte > 127 for byte in others))  # some programs add signed characters


def tar_number(field: bytes) -> int:
    """A number in a header, in octal or in GNU tar's base 256 (`tarfile.nti`). Raises ValueError."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def is_safetensors(source: Source) -> bool:
    """Whether a file begins with the length of a JSON text and its brace (safetensors' README, Format)."""
    return _begins_safetensors(source.read(0, min(SAFETENSORS_LENGTH.size + 1, source.size)), source.size)


def _begins_safetensors(head: bytes, size: int) -> bool:
    start = SAFETENSORS_LENGTH.size
    if len(head) <= start:
        return False
    (length,) = SAFETENSORS_LENGTH.unpack_from(head)
    return bool(2 <= length <= size - start and head[start : start + 1] == b"{")


CHECKPOINT_HEAD = 512
"""The bytes by which `begins_checkpoint` judges; names of archives in zips of torch.save are shorter."""


def begins_checkpoint(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes begins as torch.save (a zip, or the legacy stream) or safetensors begin theirs."""
    if head.startswith(LOCAL_SIGNATURE) and len(head) > LOCAL_SIZE:
        name = head[LOCAL_SIZE : LOCAL_SIZE + lengths(LocalHeader, head)[0]]
        return name == b"data.pkl" or name.endswith(b"/data.pkl")
    return has_legacy_magic(head[:LEGACY_MAGIC_END]) or _begins_safetensors(head, size)


def is_legacy(source: Source) -> bool:
    """Whether the first object is the magic number of the legacy stream."""
    return has_legacy_magic(source.read(0, min(LEGACY_MAGIC_END, source.size)))


def has_legacy_magic(head: bytes) -> bool:
    return any(magic in head for magic in LEGACY_MAGICS)


def kinds_of(source: Source) -> Iterator[Kind]:
    """Every kind of file that a loader may take these bytes for. A pickle needs no signature, so its first opcode counts."""
    head = source.read(0, min(source.size, HEAD))
    if len(head) > 1 and head[0] in BY_CODE and not head.startswith(LOCAL_SIGNATURE):  # PERSID, which fails without torch
        yield Kind.PICKLE
    if compression_of(source) is not None:
        yield Kind.COMPRESSED
    yield from dict.fromkeys(row.kind for row in SIGNATURES if row.kind is not Kind.OTHER and head.startswith(row.magics))
    for kind, matches in ((Kind.TAR, is_tar), (Kind.SAFETENSORS, is_safetensors), (Kind.ZIP, is_zip)):
        if matches(source):
            yield kind


def is_pickle(source: Source) -> bool:
    """Whether the first bytes are those of a pickle, of any protocol."""
    head = source.read(0, min(2, source.size))
    return begins_pickle(head) or (len(head) > 1 and head[0] in TEXT_BEGINNINGS)


def begins_pickle(head: bytes) -> bool:
    """Whether the first opcode is PROTO with a protocol that exists."""
    return len(head) > 1 and head[0] == PROTO and head[1] <= HIGHEST_PROTOCOL
