"""Tensors: what a loader would put together wrongly is found from the pickle and the lengths of the records alone."""

import pytest

from tests.scanning.raw_pickles import call, in_zip, name, pickled, rules, text, verdict
from tests.small_checkpoints import archive, training_records

STORAGE = b"(" + text("storage") + name("torch.FloatStorage") + text("0") + text("cpu") + b"K\x06tQ"
HOOKS = name("collections.OrderedDict") + b")R"


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def tensor(storage: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...], after: bytes = b"") -> bytes:
    """A checkpoint with one tensor on a storage of six floats."""
    shape, steps = (b"(" + b"".join(map(number, numbers)) + b"t" for numbers in (size, stride))
    made = call("torch._utils._rebuild_tensor_v2", storage, number(offset), shape, steps, b"\x89", HOOKS)
    records = {"data.pkl": pickled(b"}" + text("w") + made + after + b"s"), "data/0": bytes(24), "version": b"3\n"}
    return archive(records)


def test_a_tensor_that_fits_is_clean() -> None:
    assert verdict(tensor(STORAGE, 0, (2, 3), (3, 1))) == "clean"
    assert verdict(tensor(STORAGE, 5, (1,), (1,))) == "clean"


def pid(kind: bytes, key: str, count: int = 6) -> bytes:
    return b"(" + text("storage") + kind + text(key) + text("cpu") + b"K" + bytes([count]) + b"tQ"


FLOATS = name("torch.FloatStorage")

FOUND = {
    "a view past its storage": ("PTZ401", tensor(STORAGE, 1, (2, 3), (3, 1))),
    "a negative stride": ("PTZ402", tensor(STORAGE, 0, (2,), (-1,))),
    "a negative offset": ("PTZ402", tensor(STORAGE, -1, (2,), (1,))),
    "more elements than any memory": ("PTZ402", tensor(STORAGE, 0, (1 << 30, 1 << 30), (0, 0))),
    "a record of another length": ("PTZ403", tensor(pid(FLOATS, "0", 7), 0, (2,), (1,))),
    "a missing record": ("PTZ403", tensor(pid(FLOATS, "7"), 0, (2,), (1,))),
    "a key that leads elsewhere": ("PTZ404", tensor(pid(FLOATS, "../../x"), 0, (2,), (1,))),
    "a class that is no storage": ("PTZ404", tensor(pid(name("models.X"), "0"), 0, (2,), (1,))),
    "an unknown id": ("PTZ404", in_zip(pickled(b"(" + text("module") + b"K\x01tQ"))),
    "items set on a tensor": ("PTZ406", tensor(STORAGE, 0, (2,), (1,), b"K\x00K\x01s")),
}


@pytest.mark.parametrize(("rule", "data"), FOUND.values(), ids=FOUND)
def test_an_inconsistent_tensor_is_for_review(rule: str, data: bytes) -> None:
    assert rule in rules(data)
    assert verdict(data) == "review"


def test_a_call_in_a_persistent_id_is_malicious() -> None:
    data = tensor(pid(call("collections.OrderedDict"), "0"), 0, (2,), (1,))
    assert "PTZ405" in rules(data)
    assert verdict(data) == "malicious"


def test_a_record_that_was_cut_is_found() -> None:
    records = training_records()
    assert "PTZ403" in rules(archive(records | {"data/0": records["data/0"][:-4]}))
