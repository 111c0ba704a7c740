"""safetensors by whatever name: weights only, no pickle. The safetensors library reads its header.

Rule: the file is told by its content, a length of 8 bytes and that much JSON (the format's README); torch goes by the name.
"""

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Member, Part, ReadOnly
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.io.sources import FileSource, Source
from ptzip.limits import Limits


class SafeTensors(ReadOnly):
    """One such file, whose tensors are told by `tensors.safe` through the library; their bytes begin at byte `start`."""

    def __init__(self, source: FileSource, start: int) -> None:
        self.source = source
        self.start = start

    name = "safetensors"
    refusal = "this is a safetensors file, which holds weights only: there is nothing to strip"
    parts: tuple[Part, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        return Member("header", 0, self.start), Member("tensors", self.start, self.source.size - self.start)


def read(source: Source, limits: Limits) -> SafeTensors:
    """Open the file. Raises FormatError where the header is longer than what is read into memory at once."""
    (length,) = SAFETENSORS_LENGTH.unpack(source.read(0, SAFETENSORS_LENGTH.size))
    if length > limits.pickle_bytes:
        raise FormatError(f"the safetensors header takes {length} bytes, more than {limits.pickle_bytes}")
    if not isinstance(source, FileSource):
        raise UnsupportedError("safetensors are opened from a file only")
    return SafeTensors(source, SAFETENSORS_LENGTH.size + length)
