"""The table of dtypes is torch's own."""

import ml_dtypes  # noqa: F401 (numpy then knows bfloat16)
import numpy as np
import pytest

from ptzip.tensors.dtypes import BY_NAME, DTYPES, NAME_ONLY, DType

ROWS = [pytest.param(dtype, id=dtype.name) for dtype in DTYPES]
TYPED = [dtype for dtype in DTYPES if dtype.storage]
"""The dtypes that have a storage class of their own."""


@pytest.mark.parametrize("dtype", ROWS)
def test_the_numpy_type_has_the_size_of_an_element(dtype: DType) -> None:
    assert not dtype.numpy or np.dtype(dtype.numpy).itemsize == dtype.size


def test_names_and_storage_classes_stand_once() -> None:
    assert len(BY_NAME) == len(DTYPES)
    assert len({dtype.storage for dtype in TYPED}) == len(TYPED)


@pytest.mark.torch
def test_the_table_holds_every_storage_class_of_torch() -> None:
    import torch

    classes = {str(dtype).removeprefix("torch."): name for dtype, name in torch.storage._dtype_to_storage_type_map().items()}
    assert {dtype.name: dtype.storage for dtype in TYPED} == classes


@pytest.mark.torch
def test_the_table_holds_every_dtype_that_torch_can_save() -> None:
    import torch

    every = {name for name, value in vars(torch).items() if isinstance(value, torch.dtype) and str(value) == f"torch.{name}"}
    assert set(BY_NAME) == every - set(NAME_ONLY)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ROWS)
def test_an_element_has_the_size_that_torch_gives_it(dtype: DType) -> None:
    import torch

    assert getattr(torch, dtype.name).itemsize == dtype.size
