"""Many checkpoints as a whole: the sums of their storages, and what is in several of them."""

from pathlib import Path

from ptzip import open as open_checkpoint
from ptzip.inspecting.registry import SMALLEST, Entry, Registry, storage_sums
from tests.small_checkpoints import save, training_records


def test_storages_are_known_by_size_and_crc_without_reading_them(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", training_records(SMALLEST))
    whole = path.read_bytes()
    with open_checkpoint(path) as checkpoint:
        sums = storage_sums(checkpoint)
    assert sums
    assert all(size >= SMALLEST and crc.to_bytes(4, "little") in whole for size, crc in sums)


def test_a_storage_in_several_files_counts_beyond_its_first_copy() -> None:
    registry = Registry()
    for path, storages in (("a", [(5000, 1), (6000, 2)]), ("b", [(5000, 1)]), ("c", [(5000, 1), (6000, 3)])):
        registry.add(Entry(path, "clean", 20_000, 10_000, framework="yolov5"), storages)
    (shared,) = registry.shared()
    assert (shared.size, shared.crc, shared.files, shared.repeated, shared.paths) == (5000, 1, 3, 10_000, ("a", "b", "c"))


def test_files_are_grouped_by_what_they_are() -> None:
    registry = Registry()
    registry.add(Entry("a", "clean", 10, 5, framework="yolov5"), ())
    registry.add(Entry("b", "review", 30, 0), ())
    registry.add(Entry("c", "clean", 10, 5, framework="yolov5"), ())
    assert registry.groups("framework") == [("unknown", 1, 30, 0), ("yolov5", 2, 20, 10)]
    assert registry.groups("verdict") == [("review", 1, 30, 0), ("clean", 2, 20, 10)]
