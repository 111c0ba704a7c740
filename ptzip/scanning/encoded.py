"""Files and pickles that a text holds in base64, base85 or hexadecimal digits.

stable_baselines3 stores what JSON cannot represent as base64 of a pickle (`common/save_util.py`, `data_to_json`), and
`json_to_data` unpickles it. A run of letters counts only if it decodes to bytes that begin as a file or a pickle does.
"""

import binascii
import contextlib
import re
from collections.abc import Callable, Iterator

from ptzip.formats.signatures import Kind, begins_pickle, kinds_of
from ptzip.io.sources import BytesSource, Source
from ptzip.zip.structs import LOCAL_SIGNATURE

SHORTEST = 24
"""Characters; the shortest pickle that calls something takes more in each of the encodings."""

BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{24,}(?:(?:\\r)?(?:\\n|\r?\n)[A-Za-z0-9+/_-]+)*={0,2}")
"""One text in base64, of either alphabet; its lines may end as in JSON."""

BASE85_RUN = re.compile(rb"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{24,}")
"""One text in base85 with the alphabet of `base64.b85encode`."""

BASE85_HEAD = 640
LINE_ENDS = re.compile(rb"\\r|\\n|\s+")
URL_SAFE = bytes.maketrans(b"-_", b"+/")

TEXT_HEAD = 4096
CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\f\x1b") + b"\x7f"
"""Bytes that no text contains."""


def is_text(source: Source) -> bool:
    """Whether the first bytes are those of a text, in ASCII or an encoding that includes it."""
    head = source.read(0, min(source.size, TEXT_HEAD))
    return len(head) >= SHORTEST and head.translate(None, CONTROLS) == head


def decoded(text: bytes, reserve: Callable[[int], None]) -> Iterator[tuple[str, int, bytes]]:
    """The name of the encoding, the offset in the text, and the bytes of each encoded file. `reserve` is called with the number
    of bytes before they are decoded.
    """
    for run in BASE64_RUN.finditer(text):
        reserve(run.end() - run.start())
        letters = LINE_ENDS.sub(b"", run[0]).rstrip(b"=").translate(URL_SAFE)
        with contextlib.suppress(ValueError):  # it has other letters
            yield from _if_file("hexadecimal text", run.start(), bytes.fromhex(letters.decode("ascii")))
        whole = letters[: len(letters) - (len(letters) % 4 == 1)]
        yield from _if_file("base64 text", run.start(), binascii.a2b_base64(whole + b"=" * (-len(whole) % 4)))
    for run in BASE85_RUN.finditer(text):
        from base64 import b85decode  # few texts have such a run

        with contextlib.suppress(ValueError):  # four bytes would be larger than 32 bits
            head = b85decode(run[0][:BASE85_HEAD])  # decoding takes a hundred times the memory
            if head.startswith(LOCAL_SIGNATURE) or any(_if_file("", 0, head)):
                reserve(run.end() - run.start())
                yield "base85 text", run.start(), b85decode(run[0])


def _if_file(name: str, at: int, data: bytes) -> Iterator[tuple[str, int, bytes]]:
    """The bytes if a loader may read them. Without PROTO, a pickle that imports something has a line end or STACK_GLOBAL."""
    kinds = [*kinds_of(BytesSource(data))]
    is_pickle = begins_pickle(data) or (Kind.PICKLE in kinds and (b"\n" in data or b"\x93" in data))
    if is_pickle or kinds not in ([], [Kind.PICKLE]) or is_text(BytesSource(data)):
        yield name, at, data
