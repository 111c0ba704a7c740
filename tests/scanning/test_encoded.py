"""Files that a text holds in an encoding, wherever the text is: JSON in a zip, a text file, or a text in a pickle."""

import base64
import json
import time
import zlib

import pytest

from tests.scanning.raw_pickles import PAYLOAD, pickled, text, valued, verdict, zipped

HARMFUL = pickled(PAYLOAD)
CODES = {
    "base64": base64.b64encode(HARMFUL),
    "base64 of protocol 0": base64.b64encode(b"cposix\nsystem\n(S'true'\ntR."),
    "base64 of protocol 4": base64.b64encode(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."),
    "URL-safe base64": base64.urlsafe_b64encode(pickled(b"U\x03>>>0" + PAYLOAD)),
    "base64 without padding": base64.b64encode(HARMFUL).rstrip(b"="),
    "base64 in lines": base64.encodebytes(pickled(text("x" * 200) + b"0" + PAYLOAD)),
    "base64 of zlib": base64.b64encode(zlib.compress(HARMFUL)),
    "base64 of a zip": base64.b64encode(zipped({"data.pkl": HARMFUL})),
    "base64 twice": base64.b64encode(base64.b64encode(HARMFUL)),
    "hexadecimal": HARMFUL.hex().encode(),
    "base85": base64.b85encode(HARMFUL),
}


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_encoded_pickles_are_judged_wherever_a_text_may_be(code: bytes) -> None:
    as_json = json.dumps({"policy": {":serialized:": code.decode("ascii")}}).encode()
    assert verdict(zipped({"data": as_json})) == "malicious"
    assert verdict(zipped({"config.yaml": b"seed: 1\nstate: " + code + b"\n"})) == "malicious"
    assert verdict(as_json) == "malicious"
    assert verdict(valued(text(code.decode("ascii")))) == "malicious"
    assert verdict(valued(text(f"serialized {code.decode('ascii')}, \u20ac"))) == "malicious"


STRINGS = {
    "other characters": "*" + base64.b64encode(HARMFUL).decode()[:9] + "!" + base64.b64encode(HARMFUL).decode()[9:],
    "lines": base64.encodebytes(pickled(text("x" * 200) + b"0" + PAYLOAD)).decode(),
    "a short pickle": base64.b64encode(b"cos\na\n)R.").decode(),
}


@pytest.mark.parametrize("string", STRINGS.values(), ids=STRINGS)
def test_a_string_is_decoded_as_b64decode_does(string: str) -> None:
    assert verdict(zipped({"data": json.dumps({"policy": {":serialized:": string}}).encode()})) == "malicious"
    spaced = json.dumps({"a": 1, "policy": {":serialized:": string}}, separators=(",", ":          "))
    assert verdict(zipped({"data": spaced.encode() + b'"\x7f"'})) == "malicious"
    assert verdict(valued(text(string))) == "malicious"


HONEST = {
    "words": b"the quick brown fox jumps over the lazy dog\n" * 100,
    "identifiers": json.dumps({f"encoder_layers_attention_self_query_weight_{n}": n for n in range(500)}).encode(),
    "a picture": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4),
    "a hash": b"sha256:" + b"0123456789abcdef" * 4,
    "hashes that begin like pickles": b"80026e2e" * 8 + b" " + b"4e2e0000" * 8,
    "an encoded harmless pickle": base64.b64encode(pickled(b"}")),
    "words that look like imports": b"cast\nconv\nrelu\n",
    "functions that look like imports": b"cos\nsin\ntan\n",
}


@pytest.mark.parametrize("content", HONEST.values(), ids=HONEST)
def test_honest_texts_are_clean(content: bytes) -> None:
    assert verdict(zipped({"notes.txt": content})) == "clean"
    assert verdict(valued(text(content.decode("ascii")))) == "clean"


@pytest.mark.parametrize(
    "run",
    [
        b"A" * (1 << 22),
        b"a\\n" * (1 << 20),
        b"gASV" * (1 << 18),
        b"~" * (1 << 22),
        b"00" * (1 << 21),
        b'"' + b'\\"' * (1 << 21),
    ],
)
def test_long_texts_are_searched_in_linear_time(run: bytes) -> None:
    data, started = zipped({"notes.txt": run}), time.process_time()
    verdict(data)
    assert time.process_time() - started < 2
