"""What a file is when no format recognises it: a few words for the error, by content, never by name."""

from ptzip.io.sources import Source
from ptzip.zip.ends import is_zip

HEAD = 64

BEGINNINGS = (
    (
        b"version https://git-lfs.github.com/",
        "a git-lfs pointer: the checkpoint itself was not fetched (`git lfs pull`)",
    ),
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
    for beginning, what in BEGINNINGS:
        if head.startswith(beginning):
            return what
    if is_zip(source):
        return "a file that ends as a zip but does not begin as one, so torch takes it for something else"
    return "not a zip: it has no end of central directory, and nothing else about it is known"
