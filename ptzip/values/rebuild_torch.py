"""How torch rebuilds tensors, one function for each of its own (`torch/_utils.py`, `torch/_tensor.py`).

Each takes the positional arguments of torch's function, and ignores those without meaning here, such as backward hooks.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import replace

from ptzip.allowlist.argument_checks import TENSOR_FUNCTIONS
from ptzip.allowlist.table import allowed_row
from ptzip.errors import UnsupportedError
from ptzip.io.payloads import BytesPayload
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import contiguous
from ptzip.tensors.tensor import NOTHING, Tensor
from ptzip.tensors.torch_names import NESTED_TENSOR, PARAMETER, SPARSE_COMPONENTS, TENSOR
from ptzip.values.argument_types import Misfit, checked, count, counts, items, mapping, number, sizes, storage, tensor, texts
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import NumpyArray
from ptzip.values.torch_values import Device, Dtype, Layout, QScheme

SCRIPT_LAYOUTS = {1: "sparse_coo", 2: "sparse_csr"}
"""The layouts that TorchScript writes, by their numbers (`c10/core/Layout.h`)."""

PER_TENSOR, PER_CHANNEL, FLOAT_QPARAMS = "per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"


def _fill(found: Tensor, **changes: object) -> Tensor:
    """Complete a tensor whose pickle creates it first and describes it later: the only function that changes one."""
    for name, value in changes.items():
        object.__setattr__(found, name, value)
    return found


def strided_tensor(
    of: object, offset: object, size: object, stride: object, grad: object = False, _hooks: object = None, marks: object = None
) -> Tensor:
    """`_rebuild_tensor`, `_rebuild_tensor_v2`; `marks` is {'conj': True, 'neg': True}."""
    held = storage(of)
    return _strided(held, held.dtype.name, offset, size, stride, grad, marks)


def typed_tensor(
    of: object, offset: object, size: object, stride: object, grad: object, _hooks: object, dtype: object, marks: object = None
) -> Tensor:
    """`_rebuild_tensor_v3`: the storage is untyped, and the dtype an argument."""
    return _strided(storage(of), _dtype(dtype).name, offset, size, stride, grad, marks)


def _strided(held: Storage, dtype: str, offset: object, size: object, stride: object, grad: object, marks: object) -> Tensor:
    bits = mapping(marks) if marks is not None else NOTHING
    return Tensor(
        dtype=dtype,
        shape=sizes(size),
        stride=counts(stride),
        offset=count(offset),
        requires_grad=bool(grad),
        storage=held,
        device=held.location,
        is_conj=bool(bits.get("conj")),
        is_neg=bool(bits.get("neg")),
    )


_dtype = checked(Dtype, "a dtype")


def parameter(data: object, grad: object = True, _hooks: object = None) -> Tensor:
    """`_rebuild_parameter`; a subclass of tensor stays what it is."""
    held = tensor(data)
    return replace(held, requires_grad=bool(grad), class_path=PARAMETER if held.class_path == TENSOR else held.class_path)


def parameter_with_state(data: object, grad: object, hooks: object, state: object) -> Tensor:
    return _fill(parameter(data, grad, hooks), attributes=_attributes(state))


def _attributes(state: object) -> dict[str, object]:
    """What Python code attached to a tensor: None, a dict, or a pair of dicts, for `__slots__` (`_set_obj_state`)."""
    parts = state if isinstance(state, tuple) else (state,)
    return {name: value for part in parts if part is not None for name, value in texts(part).items()}


def sparse_tensor(layout: object, data: object, *more: object) -> Tensor:
    """`_rebuild_sparse_tensor`, and `_rebuild_sparse_csr_tensor` of torch 1.10 to 1.13.

    TorchScript gives a number, then size, requires_grad, components, hooks (`torch/csrc/jit/serialization/pickler.cpp`).
    """
    if isinstance(layout, int) and more:
        layout, data = Layout(SCRIPT_LAYOUTS.get(layout, "")), (*more[1:-1], data)
    name = layout.name if isinstance(layout, Layout) else ""
    if name not in SPARSE_COMPONENTS:
        raise Misfit(f"a tensor cannot be rebuilt with layout {name or 'unknown'}")
    names = SPARSE_COMPONENTS[name]
    given = items(data, len(names) + 1, len(names) + 2)
    parts = {part: tensor(value) for part, value in zip(names, given, strict=False)}
    coalesced = given[len(names) + 1] if len(given) > len(names) + 1 else None
    values = parts["values"]
    return Tensor(
        dtype=values.dtype,
        shape=sizes(given[len(names)]),
        layout=name,
        device=values.device,
        requires_grad=values.requires_grad,
        is_coalesced=None if coalesced is None else bool(coalesced),
        components=parts,
    )


def quantized_tensor(
    of: object, offset: object, size: object, stride: object, parameters: object, grad: object = False, hooks: object = None
) -> Tensor:
    """`_rebuild_qtensor`; float32 parameters carry the scheme of float64 ones, and only their dtype differs."""
    found = strided_tensor(of, offset, size, stride, grad, hooks)
    given = items(parameters, 3, 4)
    scheme = given[0].name if isinstance(given[0], QScheme) else ""
    if scheme == PER_TENSOR:
        return _fill(found, qscheme=scheme, scale=number(given[1]), zero_point=count(given[2]))
    if scheme in (PER_CHANNEL, FLOAT_QPARAMS) and len(given) == 4:
        is_double = scheme == PER_CHANNEL
        scales = _channel_parameters(given[1], "float64" if is_double else "float32")
        points = _channel_parameters(given[2], "int64" if is_double else "float32")
        scheme = FLOAT_QPARAMS if scales.dtype == "float32" else PER_CHANNEL
        parts = {"q_scales": scales, "q_zero_points": points}
        return _fill(found, qscheme=scheme, axis=count(given[3]), components=parts)
    raise Misfit(f"a tensor cannot be quantized by {scheme or 'an unknown scheme'}")


def _channel_parameters(value: object, dtype: str) -> Tensor:
    """Scales or zero points of a quantized tensor: a tensor, or a list of numbers, as torch 1.4 wrote them."""
    if not isinstance(value, list):
        return tensor(value)
    numbers = [number(item) if dtype.startswith("float") else count(item) for item in value]
    data = struct.pack(f"<{len(numbers)}{BY_NAME[dtype].struct}", *numbers)
    held = Storage("", BY_NAME[dtype], len(data), lambda: BytesPayload(data))
    return Tensor(dtype, (len(numbers),), (1,), storage=held)


def nested_tensor(buffer: object, sizes: object, strides: object, offsets: object) -> Tensor:
    """`_rebuild_nested_tensor`: tensors of different sizes, one after the other in a buffer."""
    held = tensor(buffer)
    parts = {"buffer": held, "sizes": tensor(sizes), "strides": tensor(strides), "offsets": tensor(offsets)}
    return Tensor(held.dtype, layout="nested", device=held.device, requires_grad=held.requires_grad, components=parts)


def jagged_tensor(state: object) -> Tensor:
    """`torch.nested._internal.nested_tensor._rebuild_njt`: the arguments of its class, as a dict."""
    given = texts(state)
    values = tensor(given.get("values"))
    parts = {name: part for name in ("values", "offsets", "lengths") if isinstance(part := given.get(name), Tensor)}
    grad = bool(given.get("requires_grad"))
    found = Tensor(values.dtype, layout="jagged", device=values.device, requires_grad=grad, components=parts)
    return _fill(found, axis=count(given.get("_ragged_idx", 1)), class_path=NESTED_TENSOR)


def meta_tensor(dtype: object, size: object, stride: object, grad: object) -> Tensor:
    """`_rebuild_meta_tensor_no_storage`: a tensor without values."""
    return Tensor(_dtype(dtype).name, sizes(size), counts(stride), requires_grad=bool(grad), device="meta")


def wrapper_tensor(
    cls: object, dtype: object, size: object, stride: object, offset: object, layout: object, device: object, grad: object
) -> Tensor:
    """`_rebuild_wrapper_subclass`: the tensors that it wraps are in its state."""
    return Tensor(
        dtype=_dtype(dtype).name,
        shape=sizes(size),
        stride=counts(stride),
        offset=count(offset) if offset is not None else 0,
        requires_grad=bool(grad),
        layout=layout.name if isinstance(layout, Layout) else "strided",
        device=str(device) if isinstance(device, Device) else "cpu",
        class_path=cls.path if isinstance(cls, Opaque) else TENSOR,
    )


def tensor_from_type(function: object, cls: object, arguments: object, state: object = None) -> Tensor:
    """`_rebuild_from_type_v2`: another rebuild function, then a class and a state for its result."""
    row = allowed_row(function.module, function.name) if isinstance(function, Opaque) and function.is_name else None
    if row is None or not isinstance(function, Opaque) or function.path not in TENSOR_FUNCTIONS:
        raise Misfit(f"a tensor cannot be rebuilt by {function!r}")
    found = TENSOR_REBUILDS[row.rebuild](*items(arguments))
    given = _attributes(state)
    path = cls.path if isinstance(cls, Opaque) else found.class_path
    _fill(found, class_path=path if path != TENSOR else found.class_path, attributes=given)
    if found.storage is None and not found.components:
        _fill(found, components={name: part for name, part in given.items() if isinstance(part, Tensor)})
    if found.layout != "strided":  # its components are in its state a second time
        own = set(map(id, found.components.values()))
        _fill(found, attributes={name: value for name, value in given.items() if id(value) not in own})
    return found


_array = checked(NumpyArray, "an array")


def tensor_from_array(data: object, dtype: object, device: object, grad: object) -> Tensor:
    """`_rebuild_device_tensor_from_numpy`: the values are in the pickle, and may be of another dtype."""
    return _converted(_array(data), _dtype(dtype).name, str(device), bool(grad))


def tensor_from_cpu(data: object, dtype: object, device: object, grad: object) -> Tensor:
    """`_rebuild_device_tensor_from_cpu_tensor`: the tensor that was moved to the CPU to be saved."""
    held, name = tensor(data), _dtype(dtype).name
    if name == held.dtype:
        return replace(held, device=str(device), requires_grad=bool(grad))
    return _converted(held, name, str(device), bool(grad))


def _converted(data: Tensor | NumpyArray, dtype: str, device: str, grad: bool) -> Tensor:
    """A contiguous tensor on a storage of its own, whose bytes are converted when they are read."""
    if dtype not in BY_NAME:
        raise UnsupportedError(f"tensors cannot be converted to dtype {dtype}")

    def payload() -> BytesPayload:
        from ptzip.tensors.to_numpy import cast  # numpy takes 60 ms to load, and few files need it
        from ptzip.values.numpy_objects import to_array  # as above

        return BytesPayload(cast(data.numpy() if isinstance(data, Tensor) else to_array(data), dtype))

    held = Storage("", BY_NAME[dtype], math.prod(data.shape) * BY_NAME[dtype].size, payload, device)
    return Tensor(dtype, data.shape, contiguous(data.shape), requires_grad=grad, storage=held, device=device)


def uninitialized_tensor(cls: str, grad: object = False, *_: object) -> Tensor:
    """A parameter or buffer that has no shape yet."""
    return Tensor(requires_grad=bool(grad), layout="uninitialized", class_path=cls)


def tensor_object(dtype: str, cls: str, *arguments: object) -> Tensor:
    """An instance of a tensor class: torch 0.x creates it empty and sets its state; a parameter may wrap a tensor."""
    return parameter(*arguments) if arguments else Tensor(dtype, (0,), (1,), class_path=cls)


def set_tensor(found: Tensor, state: object) -> None:
    """What BUILD sets on a tensor, by its length (`Tensor.__setstate__`), or a dict of attributes."""
    if isinstance(state, dict):
        _fill(found, attributes={**found.attributes, **texts(state)})
        return
    given = items(state, 3, 4, 5)
    if len(given) == 3:
        _fill(found, requires_grad=bool(given[0]))
        return
    held = strided_tensor(*given) if len(given) == 4 else tensor(given[0])
    _fill(found, dtype=held.dtype, shape=held.shape, stride=held.stride, offset=held.offset, storage=held.storage)
    _fill(found, layout=held.layout, device=held.device, components=held.components)
    if len(given) == 5:
        _fill(found, requires_grad=bool(given[3]))


TENSOR_REBUILDS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function
    for function in (
        *(strided_tensor, typed_tensor, parameter, parameter_with_state, sparse_tensor, quantized_tensor, nested_tensor),
        *(jagged_tensor, meta_tensor, wrapper_tensor, tensor_from_type, tensor_from_array, tensor_from_cpu),
        *(tensor_object, uninitialized_tensor),
    )
}

FUNCTIONS: tuple[Callable[..., object], ...] = (*TENSOR_REBUILDS.values(), set_tensor)
"""What the allow list names."""
