"""What a file is when it is no zip that torch wrote: one sentence for the error, by content, never by name."""

import struct

from ptzip.source import Source

LEGACY_MAGICS = (bytes.fromhex("8a0a6cfc9c46f9206aa85019"), b"L119547037146038801333356L\n")
"""LONG1 and LONG of 0x1950A86A20F9469CFC6C, the first object of a legacy stream (`torch/serialization.py`, MAGIC_NUMBER)."""

LEGACY_END = 32
"""Where that object ends at the latest: PROTO and FRAME may stand before it."""

TAR_MAGIC_OFFSET = 257
HEAD = 512

BEGINNINGS = (
    (
        b"version https://git-lfs.github.com/",
        "a git-lfs pointer: the checkpoint itself was not fetched (`git lfs pull`)",
    ),
    (b"\x1f\x8b", "compressed by gzip: decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: decompress it first"),
    (b"BZh", "compressed by bzip2: decompress it first"),
    (b"\xfd7zXZ\x00", "compressed by xz: decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, not a checkpoint"),
    (b"\x93NUMPY", "a numpy array, not a checkpoint"),
    (b"\x89HDF\r\n", "an HDF5 file, not a torch checkpoint"),
    (b"GGUF", "a GGUF file, not a torch checkpoint"),
    (b"\x7fELF", "native code, not a checkpoint"),
    (b"<", "a web page or XML, not a checkpoint: the download may have failed"),
    (b"{", "JSON text, not a checkpoint"),
    (b"PK\x03\x04", "a zip that is cut off: it has no end of central directory (an interrupted download or save)"),
    (b"PK\x05\x06", "an empty zip"),
)


def described(source: Source) -> str:
    """What the file seems to be, to follow "this is"."""
    if not source.size:
        return "an empty file"
    head = source.read(0, min(HEAD, source.size))
    if any(magic in head[:LEGACY_END] for magic in LEGACY_MAGICS):
        return "a checkpoint of the legacy format (before torch 1.6), which this version does not open yet"
    if head[TAR_MAGIC_OFFSET:].startswith(b"ustar"):
        return "a tar file, as torch 0.1 wrote checkpoints, which this version does not open yet"
    if _is_safetensors(head, source.size):
        return "a safetensors file, which holds weights only: there is nothing to strip"
    for beginning, what in BEGINNINGS:
        if head.startswith(beginning):
            return what
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return "a bare pickle, which this version does not open yet"
    return "not a zip: it has no end of central directory, and nothing else about it is known"


def _is_safetensors(head: bytes, size: int) -> bool:
    """A length of 8 bytes, then that much JSON."""
    if len(head) < 9:
        return False
    (length,) = struct.unpack_from("<Q", head)
    return 2 <= length <= size - 8 and head[8:9] == b"{"
