"""Files and pickles that a text holds in base64, base85 or hexadecimal digits.

stable_baselines3 stores what JSON cannot represent as base64 of a pickle (`common/save_util.py`, `data_to_json`), and
`json_to_data` unpickles it. `base64.b64decode` ignores characters outside its alphabet, so a text is decoded as a whole, by its
quoted strings, and by long runs of letters. It counts if it decodes to bytes that begin as a file or a pickle does.
"""

import binascii
import contextlib
import re
from collections.abc import Iterator

from ptzip.formats.signatures import SIGNATURES, Kind, begins_pickle, kinds_of
from ptzip.io.compression import COMPRESSIONS
from ptzip.io.sources import BytesSource, Source
from ptzip.pickling.opcodes import BY_CODE
from ptzip.zip.structs import LOCAL_SIGNATURE

QUOTED = rb'(?s)"((?:[^"\\]++|\\.)*+)(?:"|\Z)'
"""A string of JSON. One without an end is taken too, since the search would begin anew at each of its characters."""

SHORTEST_UNIT = 8
"""Characters; a pickle that imports something takes six bytes."""

BASE64_RUN = rb"[A-Za-z0-9+/_-]{24,}(?:\r?\n[A-Za-z0-9+/_-]+)*={0,2}"
BASE85_RUN = rb"[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{24,}"
"""The alphabet of `base64.b85encode`."""

LETTERS = bytes(code for code in range(128) if chr(code).isalnum() or code in b"_-")
BASE85_HEAD = 640
URL_SAFE = bytes.maketrans(b"-_", b"+/")

HEX_DIGITS = b"0123456789abcdefABCDEF \t\n\r\f\v"
"""What `bytes.fromhex` takes."""

IMPORT = rb"[ci][A-Za-z_][\w.]*\n"
"""GLOBAL or INST with the name of a module."""

MAGICS = (*(row.magics for row in SIGNATURES), *(row.magics for row in COMPRESSIONS))
FIRST_BYTES = frozenset(magic[:1] for magics in MAGICS for magic in magics)
SHORTEST_ZIP = 100
"""Bytes; zips, tars and safetensors may begin with any byte, and take more."""

NOT_LOADED = (Kind.PICKLE, Kind.NATIVE, Kind.SCRIPT)
"""Kinds that chance decodes to, or that nothing runs from a text."""

SHORTEST_TEXT = 24
"""Bytes; chance decodes to shorter texts."""

TEXT_HEAD = 4096
CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\f\x1b")
"""Bytes that no text contains."""


def is_text(source: Source) -> bool:
    """Whether the first bytes are those of a text, in ASCII or an encoding that includes it."""
    head = source.read(0, min(source.size, TEXT_HEAD))
    return bool(head) and head.translate(None, CONTROLS) == head


def decoded(text: bytes) -> Iterator[tuple[str, int, bytes]]:
    """The name of the encoding, the offset in the text, and the bytes of each encoded file."""
    seen = set[bytes]()
    for at, unit in _units(text):
        for name, data in _decodings(unit):
            if _is_file(data) and data not in seen:
                seen.add(data)
                yield name, at, data
    for run in re.finditer(BASE85_RUN, text) if len(text) >= SHORTEST_TEXT else ():
        if not run[0].translate(None, LETTERS):  # as good as none in base85, but many names
            continue
        from base64 import b85decode  # few texts have such a run

        with contextlib.suppress(ValueError):  # four bytes would be larger than 32 bits
            head = b85decode(run[0][:BASE85_HEAD])  # decoding takes a hundred times the memory
            if begins_pickle(head) or head.startswith(LOCAL_SIGNATURE) or re.search(IMPORT, head):
                yield "base85 text", run.start(), b85decode(run[0])


def _units(text: bytes) -> Iterator[tuple[int, bytes]]:
    """What may be encoded as a whole, and its offset."""
    yield 0, text
    for quoted in re.finditer(QUOTED, text) if b'"' in text else ():
        string = quoted[1]
        if len(string) < SHORTEST_UNIT:
            continue  # an escape is longer than its character
        if b"\\" in string:
            import json  # few texts have escapes

            with contextlib.suppress(ValueError):
                string = json.loads(b'"%b"' % string, strict=False).encode("utf-8", "surrogatepass")
        if len(string) >= SHORTEST_UNIT:
            yield quoted.start(), string
    for run in re.finditer(BASE64_RUN, text) if len(text) >= SHORTEST_TEXT else ():
        yield run.start(), run[0]


def _decodings(unit: bytes) -> Iterator[tuple[str, bytes]]:
    for letters in (unit, unit.translate(URL_SAFE)) if b"-" in unit or b"_" in unit else (unit,):
        for whole in (letters, letters + b"==", letters[:-1]):
            try:
                data = binascii.a2b_base64(whole)
            except binascii.Error:
                continue
            yield "base64 text", data
            break
    if not unit.translate(None, HEX_DIGITS):
        with contextlib.suppress(ValueError):  # a byte is split
            yield "hexadecimal text", bytes.fromhex(unit.decode("ascii"))


def _is_file(data: bytes) -> bool:
    """Whether a loader may read it. Without PROTO, a pickle that imports something has a line end or STACK_GLOBAL."""
    if data and data[0] in BY_CODE and (begins_pickle(data) or b"\n" in data or b"\x93" in data):
        return True
    source = BytesSource(data)
    is_file = len(data) >= SHORTEST_ZIP or data[:1] in FIRST_BYTES
    is_file = is_file and any(kind not in NOT_LOADED for kind in kinds_of(source))
    return is_file or (len(data) >= SHORTEST_TEXT and is_text(source))
