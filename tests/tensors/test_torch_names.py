"""The table of torch's own names: what each is for, and that torch has it."""

import pytest

from ptzip.tensors.dtypes import BYTES, DTYPES, DType
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, STORAGE_CLASSES, TORCH_NAMES, makes_tensor, may_hide_storages

TYPED = [dtype for dtype in DTYPES if dtype.storage]


def test_no_class_is_known_by_an_empty_name() -> None:
    assert [path for path in (*STORAGE_CLASSES, *OLD_TENSOR_CLASSES) if path.endswith(".")] == []


@pytest.mark.parametrize("dtype", [pytest.param(dtype, id=dtype.name) for dtype in TYPED])
def test_a_storage_class_is_found_by_its_name_also_in_torch_cuda(dtype: DType) -> None:
    assert STORAGE_CLASSES[f"torch.{dtype.storage}"] is STORAGE_CLASSES[f"torch.cuda.{dtype.storage}"] is dtype


def test_untyped_storages_count_bytes() -> None:
    assert STORAGE_CLASSES["torch.storage.UntypedStorage"] is STORAGE_CLASSES["torch.storage._UntypedStorage"] is BYTES
    assert BYTES.size == 1


@pytest.mark.torch
def test_an_untyped_storage_is_named_as_torch_names_it() -> None:
    import torch

    cls = torch.UntypedStorage
    assert f"{cls.__module__}.{cls.__qualname__}" in STORAGE_CLASSES


@pytest.mark.parametrize("path", ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"])
def test_a_view_and_a_parameter_hide_no_storage(path: str) -> None:
    assert makes_tensor(path)
    assert not may_hide_storages(path)


@pytest.mark.parametrize(
    "path", ["torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_of_2030", "torch.FloatTensor", "torch.Tensor"]
)
def test_every_other_tensor_may_hide_some_also_of_a_later_torch(path: str) -> None:
    assert makes_tensor(path)
    assert may_hide_storages(path)


def test_a_nested_stream_is_no_tensor_and_hides_storages() -> None:
    assert not makes_tensor("torch.storage._load_from_bytes")
    assert may_hide_storages("torch.storage._load_from_bytes")


@pytest.mark.parametrize("path", ["torch.Size", "torch.FloatStorage", "collections.OrderedDict", ""])
def test_nothing_else_is_a_tensor(path: str) -> None:
    assert not makes_tensor(path)
    assert not may_hide_storages(path)


@pytest.mark.torch
def test_every_rebuild_function_of_torch_has_a_row() -> None:
    import torch

    public = {f"torch._utils.{name}" for name in vars(torch._utils) if name.startswith("_rebuild_")}
    assert {path for path in public if path not in TORCH_NAMES} == set()
