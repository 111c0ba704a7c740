"""The table of dtypes is torch's own."""

import ml_dtypes  # noqa: F401 (numpy then knows bfloat16)
import numpy as np
import pytest

from ptzip.tensors.dtypes import BY_NAME, BY_STORAGE, BY_TENSOR, BYTES, DTYPES, DType

ROWS = [pytest.param(dtype, id=dtype.name) for dtype in DTYPES]
TYPED = [dtype for dtype in DTYPES if dtype.storage]
"""The dtypes that have a storage class of their own."""


@pytest.mark.parametrize("dtype", ROWS)
def test_the_numpy_type_has_the_size_of_an_element(dtype: DType) -> None:
    assert not dtype.numpy or np.dtype(dtype.numpy).itemsize == dtype.size


def test_names_and_storage_classes_stand_once() -> None:
    assert len(BY_NAME) == len(DTYPES)
    assert len({dtype.storage for dtype in TYPED}) == len(TYPED)


def test_no_class_is_known_by_an_empty_name() -> None:
    assert [path for path in (*BY_STORAGE, *BY_TENSOR) if path.endswith(".")] == []


@pytest.mark.parametrize("dtype", [pytest.param(dtype, id=dtype.name) for dtype in TYPED])
def test_a_storage_class_is_found_by_its_name_also_in_torch_cuda(dtype: DType) -> None:
    assert BY_STORAGE[f"torch.{dtype.storage}"] is BY_STORAGE[f"torch.cuda.{dtype.storage}"] is dtype


def test_untyped_storages_count_bytes() -> None:
    assert BY_STORAGE["torch.storage.UntypedStorage"] is BY_STORAGE["torch.storage._UntypedStorage"] is BYTES
    assert BYTES.size == 1


@pytest.mark.torch
def test_the_table_holds_every_storage_class_of_torch() -> None:
    import torch

    classes = {str(dtype).removeprefix("torch."): name for dtype, name in torch.storage._dtype_to_storage_type_map().items()}
    assert {dtype.name: dtype.storage for dtype in TYPED} == classes


@pytest.mark.torch
def test_the_table_holds_every_dtype_that_torch_can_save() -> None:
    import torch

    every = {name for name, value in vars(torch).items() if isinstance(value, torch.dtype) and str(value) == f"torch.{name}"}
    only_named = {f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)}
    assert set(BY_NAME) == every - only_named


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ROWS)
def test_an_element_has_the_size_that_torch_gives_it(dtype: DType) -> None:
    import torch

    assert getattr(torch, dtype.name).itemsize == dtype.size


@pytest.mark.torch
def test_an_untyped_storage_is_named_as_torch_names_it() -> None:
    import torch

    cls = torch.UntypedStorage
    assert f"{cls.__module__}.{cls.__qualname__}" in BY_STORAGE
