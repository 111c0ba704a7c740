"""An open checkpoint shows its tree and its storages, is never changed, and reads only what is needed."""

import gc
import weakref
from pathlib import Path

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.io.sources import BytesSource, FileSource
from ptzip.limits import Limits
from ptzip.pickling.nodes import lookup
from tests.checkpoint_builder import CheckpointBuilder, archive_of, node, numbers
from tests.corpus import FIXTURES
from tests.torch_zips import torch_zip

FILES = [pytest.param(path, id=path.stem) for path in sorted(FIXTURES.glob("*.pt"))]

SOURCE = FIXTURES / "training.pt"

WEIGHT = "model.model.0.conv.weight"


def broken(pickle: bytes) -> Checkpoint:
    """A checkpoint with a given pickle."""
    return Checkpoint(BytesSource(archive_of("last", {"data.pkl": pickle, "version": b"3\n"})))


def test_the_keys_are_those_of_the_dict_that_was_saved() -> None:
    with ptzip.open(SOURCE) as checkpoint:
        assert checkpoint.top_level_keys == ["epoch", "best_fitness", "training_results", "model", "optimizer"]


def test_keys_that_are_no_texts_are_left_out() -> None:
    root = node({"a": 1})
    root.steps[-1].items += [node(7), node(2), node((1, 2)), node(3)]
    assert Checkpoint(BytesSource(CheckpointBuilder().data(root))).top_level_keys == ["a"]


@pytest.mark.parametrize("root", [[1, 2], "text", None, 7])
def test_what_is_no_dict_has_no_keys(root: object) -> None:
    assert Checkpoint(BytesSource(CheckpointBuilder().data(root))).top_level_keys == []


@pytest.mark.parametrize("path", FILES)
def test_every_storage_is_there_in_order_of_first_appearance(path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        checkpoint.main.check_storages()
        assert list(checkpoint.storages) == [str(number) for number in range(len(checkpoint.storages))]
        assert checkpoint.anomalies == []


def test_a_storage_without_a_record_is_found() -> None:
    builder = CheckpointBuilder()
    tensor = builder.tensor(numbers(4))
    builder.storages.clear()
    with pytest.raises(FormatError, match="record data/0 is missing, but the pickle refers to it"):
        Checkpoint(BytesSource(builder.data({"a": tensor}))).main.check_storages()


def test_a_record_of_the_wrong_size_is_found() -> None:
    builder = CheckpointBuilder()
    tensor = builder.tensor(numbers(4))
    builder.storages[0] = (numbers(5), "float32")
    with pytest.raises(FormatError, match="record last/data/0 is 20 bytes long, expected 16"):
        Checkpoint(BytesSource(builder.data({"a": tensor}))).main.check_storages()


@pytest.mark.parametrize("path", FILES)
def test_an_unedited_save_is_the_same_bytes(path: Path, tmp_path: Path) -> None:
    with ptzip.open(path) as checkpoint:
        checkpoint.save(tmp_path / "copy.pt")
    assert (tmp_path / "copy.pt").read_bytes() == path.read_bytes()


def test_a_file_larger_than_a_chunk_is_saved_whole(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "large.pt", {"a": builder.tensor(numbers(700_000))})
    with ptzip.open(path) as checkpoint:
        checkpoint.save(tmp_path / "copy.pt")
    assert (tmp_path / "copy.pt").read_bytes() == path.read_bytes()
    assert path.stat().st_size > 2 << 20


def test_a_checkpoint_can_be_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(SOURCE.read_bytes())
    with ptzip.open(path) as checkpoint:
        checkpoint.save(path)
    assert path.read_bytes() == SOURCE.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_bytes_is_like_one_of_a_file() -> None:
    with ptzip.open(SOURCE) as of_file:
        of_bytes = Checkpoint(BytesSource(SOURCE.read_bytes()))
        assert of_bytes.top_level_keys == of_file.top_level_keys
        assert list(of_bytes.storages) == list(of_file.storages)


class Counting(FileSource):
    """A file that counts the bytes read from it, and how often it was closed."""

    bytes_read = 0
    closed = 0

    def read(self, offset: int, length: int) -> bytes:
        self.bytes_read += length
        return super().read(offset, length)

    def close(self) -> None:
        self.closed += 1
        super().close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    """The files that are opened, which count."""
    opened: list[Counting] = []

    def opening(path: Path, masters: bool) -> Counting:
        opened.append(Counting(path))
        return opened[-1]

    monkeypatch.setattr("ptzip.checkpoint.open_any", opening)
    return opened


def test_opening_reads_the_directory_and_the_pickle_only(counted: list[Counting]) -> None:
    with ptzip.open(SOURCE) as checkpoint:
        assert lookup(checkpoint.root, "model") is not None
        assert len(checkpoint.storages) > 40
        directory = sum(len(entry.central.name) + 46 for entry in torch_zip(checkpoint).archive.entries)
        pickle = torch_zip(checkpoint).records["data.pkl"].size
    assert directory + pickle < counted[0].bytes_read < directory + pickle + 1000
    assert counted[0].closed == 1


def test_a_closed_checkpoint_lets_go_of_its_file() -> None:
    with ptzip.open(SOURCE) as checkpoint:
        pass
    with pytest.raises(PtzipError, match="is closed"):
        checkpoint.source.read(0, 1)


def test_a_file_that_is_refused_is_closed_again(tmp_path: Path, counted: list[Counting]) -> None:
    (tmp_path / "a.pt").write_bytes(b"no checkpoint at all, but long enough to be looked at")
    with pytest.raises(FormatError):
        ptzip.open(tmp_path / "a.pt")
    assert [each.closed for each in counted] == [1]


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ptzip.open(tmp_path / "none.pt")


def test_a_broken_pickle_is_opened_but_has_no_tree() -> None:
    checkpoint = broken(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01")
    assert [anomaly.kind for anomaly in checkpoint.anomalies] == ["cut"]
    with pytest.raises(FormatError, match=r"record data\.pkl is broken: the pickle ends without STOP"):
        _ = checkpoint.root


def test_bytes_behind_the_pickle_are_an_anomaly_with_their_place() -> None:
    checkpoint = broken(b"\x80\x02}.more")
    assert [(anomaly.kind, anomaly.offset) for anomaly in checkpoint.anomalies] == [("trailing", 64 + 4)]
    assert checkpoint.top_level_keys == []


def test_limits_are_kept_while_opening() -> None:
    with pytest.raises(LimitError, match="more opcodes than the limit of 50;"):
        ptzip.open(SOURCE, Limits(opcodes=50))
    with pytest.raises(LimitError, match="more opcodes than the limit of 50;"):
        ptzip.open(SOURCE, {"opcodes": 50})
    with pytest.raises(ValueError, match="there is no limit 'opcode', expected one of opcodes, marks"):
        ptzip.open(SOURCE, {"opcode": 50})


@pytest.mark.parametrize("path", FILES)
def test_a_checkpoint_that_is_let_go_is_freed_at_once(path: Path) -> None:
    """A pickle's tree can be hundreds of MB: it must not wait for the collector of reference cycles."""
    gc.collect()
    gc.disable()
    try:
        with ptzip.open(path) as checkpoint:
            assert len(checkpoint) > 0
            held = [weakref.ref(each) for each in (checkpoint, checkpoint.container, checkpoint.main)]
        del checkpoint
        assert [each() for each in held] == [None] * len(held)
    finally:
        gc.enable()


def test_a_closed_checkpoint_holds_no_tree() -> None:
    gc.disable()
    try:
        with ptzip.open(SOURCE) as checkpoint:
            assert len(checkpoint) > 0
            held = weakref.ref(checkpoint.main)
        assert held() is None
    finally:
        gc.enable()
