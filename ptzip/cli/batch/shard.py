"""One part of many files, the same on every machine: for arrays of jobs that know nothing of each other."""

import re
from hashlib import sha256
from typing import NamedTuple


class Shard(NamedTuple):
    """Part `number` of `parts`, the first of which is 1."""

    number: int
    parts: int

    def has(self, path: str) -> bool:
        """Whether a path is in this part: the first 8 bytes of the SHA-256 of its UTF-8 text, as a big-endian number modulo the
        parts, are the number of its part. The path counts as it was given, with `/` between folders on every system."""
        data = path.replace("\\", "/").encode(errors="surrogateescape")
        return int.from_bytes(sha256(data).digest()[:8], "big") % self.parts == self.number - 1


def shard(text: str) -> Shard:
    """The part that "I/N" names. Raises ValueError where there is none."""
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if found and 1 <= int(found[1]) <= int(found[2]):
        return Shard(int(found[1]), int(found[2]))
    raise ValueError(f"invalid shard {text!r}: expected I/N, from 1/N to N/N")
