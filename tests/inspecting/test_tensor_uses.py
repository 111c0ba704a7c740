"""Which bytes of the file each tensor uses."""

import pytest

import ptzip
from ptzip.inspecting.tensor_uses import TensorUses, tensor_uses
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.corpus import files, needs_corpus


def uses(built: CheckpointBuilder, **values: object) -> TensorUses:
    with ptzip.open(built.data(values)) as checkpoint:
        return tensor_uses(checkpoint.tensors())


def test_bytes_that_two_tensors_use_count_for_the_first() -> None:
    built = CheckpointBuilder()
    at = built.storage(numbers(10))
    found = uses(built, a=built.view(at, (6,)), b=built.view(at, (6,), offset=4))
    assert [(use.name, use.own, use.shared) for use in found.tensors] == [("a", 24, ""), ("b", 16, "a")]
    assert found.unused == ()


def test_bytes_that_no_tensor_uses_are_named() -> None:
    built = CheckpointBuilder()
    at = built.storage(numbers(10))
    found = uses(built, a=built.view(at, (2,), offset=1), b=built.view(at, (2,), offset=6))
    assert [(one.name, one.storage, one.size) for one in found.unused] == [("a", "0", 24)]


def test_equal_storages_are_recognised_by_length_dtype_and_crc() -> None:
    built = CheckpointBuilder()
    first, second, other = built.storage(numbers(4)), built.storage(numbers(4)), built.storage(numbers(4, first=2))
    found = uses(built, a=built.view(first, (4,)), b=built.view(second, (4,)), c=built.view(other, (4,)))
    assert [use.duplicate for use in found.tensors] == ["", "a", ""]


@needs_corpus
@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in files("yolo")])
def test_every_byte_of_a_storage_counts_once(path: str) -> None:
    with ptzip.open(path) as checkpoint:
        found = tensor_uses(checkpoint.tensors())
        total = sum(checkpoint.main.stored(key).length for key in checkpoint.storages)
    assert sum(use.own for use in found.tensors) + sum(one.size for one in found.unused) == total
    assert sum(one.size for one in found.unused) == ptzip.inspect(path).dead.size
    assert sum(bool(use.duplicate) for use in found.tensors) <= ptzip.inspect(path).duplicates.storages
