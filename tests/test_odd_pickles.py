"""Pickles that no pickler writes: every verb answers with an error of ptzip, or with a report."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

import ptzip
from tests.checkpoint_builder import CheckpointBuilder, called, numbers
from tests.small_checkpoints import archive

LONE_SURROGATE = b"\xed\xa0\x80"


def storage(key: bytes, numel: bytes) -> bytes:
    """The pickle of a dict of one tensor, with protocol 2, from opcodes."""
    text = b"X%c\0\0\0%b"
    identity = b"(%bctorch\nFloatStorage\n%b%b%btQ" % (
        *(text % (7, b"storage"), text % (len(key), key)),
        *(text % (3, b"cpu"), numel),
    )
    return b"\x80\x02}%bctorch._utils\n_rebuild_tensor_v2\n(%bK\0%b\x85K\1\x85\x89}tRs." % (text % (1, b"w"), identity, numel)


def wrapped(path: Path, count: int) -> Path:
    """A call of `_rebuild_from_type_v2` with too few arguments."""
    builder = CheckpointBuilder()
    given = (builder.tensor(numbers(4)), builder.tensor(numbers(4)))[:count]
    return builder.save(path, {"w": called("torch._tensor", "_rebuild_from_type_v2", *given)})


FILES: dict[str, Callable[[Path], Path]] = {
    "a tensor with attributes of one argument": lambda path: wrapped(path, 1),
    "a tensor with attributes of two arguments": lambda path: wrapped(path, 2),
    "a key that UTF-8 cannot represent": lambda path: written(path, storage(LONE_SURROGATE, b"K\4")),
    "a storage beyond 63 bits": lambda path: written(path, storage(b"0", b"\x8a\x09" + b"\xff" * 8 + b"\0")),
}


def written(path: Path, pickle: bytes) -> Path:
    path.write_bytes(archive({"data.pkl": pickle, "version": b"3\n", "data/0": bytes(16)}))
    return path


VERBS: dict[str, Callable[[Path], object]] = {
    "slim": lambda path: ptzip.slim(path, path.with_name("slim.pt")),
    "slim --plain": lambda path: ptzip.slim(path, path.with_name("plain.pt"), plain=True),
    "inspect": ptzip.inspect,
    "scan": ptzip.scan,
    "verify": ptzip.verify,
    "repair": lambda path: ptzip.repair(path, path.with_name("repaired.pt")),
    "convert": lambda path: ptzip.convert(path, path.with_name("x.safetensors")),
    "diff": lambda path: ptzip.diff(path, path),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("file", FILES)
def test_only_errors_of_ptzip_leave_a_verb(file: str, verb: str, tmp_path: Path) -> None:
    path = FILES[file](tmp_path / "odd.pt")
    with contextlib.suppress(ptzip.PtzipError):
        VERBS[verb](path)


@pytest.mark.parametrize("file", FILES)
def test_a_scan_of_them_is_not_clean(file: str, tmp_path: Path) -> None:
    assert ptzip.scan(FILES[file](tmp_path / "odd.pt")).verdict != "clean"
