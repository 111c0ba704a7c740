"""`load` and `scan` agree: what `load` rebuilds is not flagged, and what `scan` accepts is rebuilt or refused for a reason.

Both judge names and calls by the rows of the allow list; these tests hold them to it, over every row, over pickles put together
at random from allowed and other names, and over the files of the corpus that may be loaded.
"""

import random
from pathlib import Path

import pytest

import ptzip
from ptzip.allowlist.table import ALLOWED
from ptzip.errors import FormatError, LimitError, PtzipError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.reader import read_pickle
from ptzip.scanning.harmful_states import built_names
from ptzip.scanning.violations import violations
from ptzip.values.builder import build
from tests.corpus import parameters
from tests.scanning.raw_pickles import raw, text
from tests.values.pickle_parts import name, part, stored, tensor

STORAGES = {"0": bytes(24)}

VALUES = {
    "None": b"N",
    "a number": b"K\x02",
    "a large number": b"\x8a\x06\0\0\0\0\0\x01",
    "text": text("cpu"),
    "a code": text("f4"),
    "bytes": raw(b"abcd"),
    "a tuple": b"K\x02K\x03\x86",
    "a list of pairs": b"](" + text("a") + b"K\x01\x86e",
    "a dict": b"}" + text("a") + b"K\x01s",
    "a range": name("builtins", "range") + b"K\x09\x85R",
    "a dtype": name("torch", "float32"),
    "a layout": name("torch", "sparse_coo"),
    "an array class": name("numpy", "ndarray"),
    "a function": name("torch._utils", "_rebuild_tensor_v2"),
    "a loader": name("torch.storage", "_load_from_bytes"),
    "another name": name("os", "getcwd"),
    "a storage": stored("0", 6),
    "a tensor": tensor("0", 6, (2, 3), (3, 1)),
    "an object": name("models", "Net") + b")\x81",
    "an attribute": name("builtins", "getattr") + name("collections", "OrderedDict") + text("fromkeys") + b"\x86R",
}

STATES = (b"", b"}b", b"}" + text("a") + b"K\x01sb", b"K\x01b", b"](K\x01K\x02e\x85b")

CALLS = {
    "REDUCE": b"%s(%stR",
    "NEWOBJ": b"%s(%st\x81",
    "NEWOBJ_EX": b"%s(%st}\x92",
    "OBJ": b"(%s%so",
    "__newobj__": b"ccopyreg\n__newobj__\n(%s%stR",
    "_reconstructor": b"ccopy_reg\n_reconstructor\n(%sc__builtin__\nobject\nN%stR",
}


def is_flagged(pickle: Pickle) -> bool:
    return any(True for _ in violations(pickle)) or any(True for _ in built_names(pickle))


def refusal(of: Part) -> str:
    """Why `load` does not rebuild a pickle, or ""."""
    try:
        build(of)
    except (UnsupportedError, FormatError, LimitError) as error:
        return str(error)
    return ""


def check(stream: bytes) -> tuple[bool, bool]:
    """Hold one stream to the promise; whether it is flagged, and whether it is rebuilt."""
    data = b"\x80\x04" + stream + b"."
    flagged, reason = is_flagged(read_pickle(data)), refusal(part(data, STORAGES))
    assert not (flagged and not reason), f"rebuilt though flagged: {data!r}"
    assert flagged or "not allow-listed" not in reason or "tensor class" in reason, f"usual, but {reason}: {data!r}"
    return flagged, not reason


DIFFERENT = list({row: pair for pair, row in ALLOWED.items()}.values())
"""One name for each row that says something else."""


@pytest.mark.parametrize(("module", "name_"), DIFFERENT, ids=[".".join(pair) for pair in DIFFERENT])
def test_a_row_is_judged_and_rebuilt_alike(module: str, name_: str) -> None:
    """The name itself, and calls of it by every opcode and helper with no, one and some pairs of arguments, then a state."""
    allowed = name(module, name_)
    check(allowed)
    arguments = [b"", *VALUES.values(), *(VALUES["a number"] + value for value in VALUES.values())]
    for pattern in CALLS.values():
        for given in arguments:
            check(pattern % (allowed, given))
    for state in STATES:
        check(CALLS["REDUCE"] % (allowed, b"") + state)


@pytest.mark.parametrize("row", ["os.system", "builtins.getattr", "models.Net", "torch.hub.load", "copyreg.__newobj_ex__"])
def test_no_other_name_is_rebuilt(row: str) -> None:
    module, _, last = row.rpartition(".")
    for pattern in CALLS.values():
        for given in [b"", *VALUES.values()]:
            assert check(pattern % (name(module, last), given)) == (True, False)
    assert check(name(module, last)) == (True, False)


def random_value(chance: random.Random, depth: int) -> bytes:
    """A value put together from calls of allowed names, mostly, and containers."""
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(list(VALUES.values()))
    parts = b"".join(random_value(chance, depth - 1) for _ in range(chance.randrange(4)))
    if chance.random() < 0.3:
        return chance.choice((b"](%se", b"(%st", b"\x8f(%s\x90")) % parts
    called = name(*chance.choice(list(ALLOWED))) if chance.random() < 0.95 else random_value(chance, depth - 1)
    return chance.choice(list(CALLS.values())) % (called, parts) + chance.choice((b"", b"", b"", *STATES))


@pytest.mark.parametrize("seed", range(50))
def test_pickles_put_together_at_random_are_judged_alike(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        check(random_value(chance, 3))


@pytest.mark.parametrize("path", parameters("format", "yolo", "real", "frameworks"))
def test_a_file_that_is_loaded_is_not_flagged_and_the_reverse(path: Path) -> None:
    try:
        opened = ptzip.open(path)
    except PtzipError:
        pytest.skip("holds no pickle")
    with opened as checkpoint:
        for one in checkpoint.parts[:1]:
            flagged, reason = is_flagged(one.pickle), refusal(one)
            assert not (flagged and not reason)
            assert flagged or "not allow-listed" not in reason, reason
