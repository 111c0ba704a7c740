"""What is to be written into a zip, before anybody knows where it will lie."""

from typing import NamedTuple

from ptzip.io.payloads import Payload
from ptzip.zip.reader import STORED

ALIGNMENT = 64
"""Every payload begins at a multiple of this (torch's default; `.storage_alignment` records another)."""


class Record(NamedTuple):
    """What is to be written under a name: `payload` as it will lie in the file.

    `size` is the inflated size where `method` says deflated. `crc` is written in place of the payload's own, which a
    deflated record needs to be copied as it is.
    """

    name: str
    payload: Payload
    method: int = STORED
    size: int | None = None
    crc: int | None = None

    @property
    def full_size(self) -> int:
        return self.payload.length if self.size is None else self.size
