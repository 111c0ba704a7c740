"""The search for states of training looks at each value a few times, however values are nested and shared."""

import time

import pytest

from ptzip.editing.edit import Edit
from ptzip.errors import LimitError
from ptzip.formats.container import Part, nothing_stored
from ptzip.limits import limits_from
from ptzip.pickling.reader import read_pickle
from ptzip.recipes.find_training import find_training
from ptzip.recipes.kept import leftovers
from ptzip.recipes.weights import find_weights
from tests.bench.shapes import tensor, text

STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x08tQ"
WEIGHT = tensor(STORAGE)
LONG = b"}(" + text("z") + b"](" + b"K\x01K\x02\x86" * 3000 + b"eq\0"
SCHEDULER = b"}(" + text("last_epoch") + b"K\x01" + text("_step_count") + b"K\x01" + text("x")


def nested(key: str, bottom: bytes) -> bytes:
    return (b"}" + text(key)) * 3000 + bottom + b"s" * 3000


SHAPES = {
    "one long list under many keys": LONG + b"".join(text(f"a{n}") + b"h\0" for n in range(3000)) + b"u",
    "a long list in many values": LONG + b"".join(text("memory_" + "abcde"[n % 5]) + b"](h\0e" for n in range(3000)) + b"u",
    "nested buffers": nested("memory", b"N"),
    "nested buffers with a tensor": nested("memory", STORAGE),
    "nested buffers with weights": nested("memory", b"}" + text("weight") + WEIGHT + b"s"),
    "nested buffers with a list of weights": nested("memory", b"}" + text("params") + b"](" + WEIGHT + b"es"),
    "nested optimizers with a tensor": nested("optimizer", STORAGE),
    "nested callbacks": nested("callbacks", b"K\x01"),
    "nested schedulers": SCHEDULER * 3000 + STORAGE + b"u" * 3000,
    "nested objects": b"cm\nC\nq\0)\x81" + (b"}" + text("optimizer") + b"h\0)\x81") * 3000 + b"}" + b"bs" * 3000 + b"b",
}


SHARED_OFTEN = limits_from({"opcodes": 10**9})
"""The default limit refuses a list of 3,000 pairs that is fetched 3,000 times."""


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_nested_and_shared_is_looked_at_once(shape: str) -> None:
    """3,000 levels took more than 10 s."""
    part = Part("a pickle", read_pickle(b"\x80\x02" + SHAPES[shape] + b".", 0, SHARED_OFTEN), nothing_stored)
    start = time.process_time()
    leftovers(Edit(part), find_training(part.root))
    list(find_weights(part.root))
    assert time.process_time() - start < 5


def test_very_long_paths_are_refused() -> None:
    root = read_pickle(b"\x80\x02" + nested("memory", STORAGE) + b".").root
    assert root is not None
    with pytest.raises(
        LimitError, match=r"paths of 128,.* characters, above the limit of 1,000; raise it with `--limit paths=N`"
    ):
        list(find_training(root, most=1000))


def test_what_holds_weights_and_looks_like_training_is_not_named() -> None:
    weights, listed = b"}" + text("weight") + WEIGHT + b"s", b"}" + text("params") + b"](" + WEIGHT + b"es"
    entries = {"memory": weights, "buffer": listed, "loops": STORAGE, "rng_type": weights}
    data = b"\x80\x02}(" + b"".join(text(key) + b"}" + text("x") + value + b"s" for key, value in entries.items()) + b"u."
    part = Part("a pickle", read_pickle(data), nothing_stored)
    assert leftovers(Edit(part), find_training(part.root)) == ["loops", "rng_type"]
