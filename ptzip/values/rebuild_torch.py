"""How torch rebuilds tensors, one function for each of its own (`torch/_utils.py`, `torch/_tensor.py`).

Rule: each takes what torch's takes, by position; what torch gives to a class it does not matter here is left out.
"""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace

from ptzip.errors import UnsupportedError
from ptzip.io.payloads import BytesPayload
from ptzip.tensors.dtypes import BY_NAME, DType
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import contiguous
from ptzip.tensors.tensor import NOTHING, Tensor
from ptzip.tensors.torch_names import OLD_TENSOR_CLASSES, SPARSE_COMPONENTS
from ptzip.values.argument_types import Misfit, items, mapping, number, place, places, sizes, storage, tensor, text, texts
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import Array
from ptzip.values.torch_values import Device, Dtype, Layout, QScheme

TENSOR, PARAMETER, BUFFER = "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"
JAGGED = "torch.nested._internal.nested_tensor.NestedTensor"

KNOWN_CLASSES = frozenset(
    (
        *(TENSOR, PARAMETER, BUFFER, JAGGED, "torch.nn.Parameter", "torch.nn.Buffer", "torch.autograd.variable.Variable"),
        *("torch.nn.parameter.UninitializedParameter", "torch.nn.parameter.UninitializedBuffer"),
    )
)
"""The classes of tensors that are torch's own and no more than a tensor."""

PER_TENSOR, PER_CHANNEL, FLOAT_QPARAMS = "per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams"


def fill(made: Tensor, changes: Mapping[str, object]) -> None:
    """Complete a tensor that the pickle makes first and describes later: the one place where a tensor changes."""
    for name, value in changes.items():
        object.__setattr__(made, name, value)


def strided(
    of: object, offset: object, size: object, stride: object, grad: object = False, _hooks: object = None, marks: object = None
) -> Tensor:
    """`_rebuild_tensor`, `_rebuild_tensor_v2`; `marks` is {'conj': True, 'neg': True}."""
    held = storage(of)
    return _strided(held, held.dtype.name, offset, size, stride, grad, marks)


def typed(
    of: object,
    offset: object,
    size: object,
    stride: object,
    grad: object,
    _hooks: object,
    dtype: object,
    marks: object = None,
) -> Tensor:
    """`_rebuild_tensor_v3`: the storage is untyped, and the dtype is told."""
    return _strided(storage(of), dtype_name(dtype), offset, size, stride, grad, marks)


def _strided(held: Storage, dtype: str, offset: object, size: object, stride: object, grad: object, marks: object) -> Tensor:
    told = mapping(marks) if marks is not None else NOTHING
    return Tensor(
        dtype=dtype,
        shape=sizes(size),
        stride=places(stride),
        offset=place(offset),
        requires_grad=bool(grad),
        storage=held,
        device=held.location,
        is_conj=bool(told.get("conj")),
        is_neg=bool(told.get("neg")),
    )


def dtype_name(value: object) -> str:
    if not isinstance(value, Dtype):
        raise Misfit("something else stands where a dtype is expected")
    return value.name


def parameter(data: object, grad: object = True, _hooks: object = None) -> Tensor:
    """`_rebuild_parameter`; a subclass of tensor stays what it is."""
    held = tensor(data)
    return replace(held, requires_grad=bool(grad), class_path=PARAMETER if held.class_path == TENSOR else held.class_path)


def parameter_with_state(data: object, grad: object, hooks: object, state: object) -> Tensor:
    made = parameter(data, grad, hooks)
    fill(made, {"attributes": attributes(state)})
    return made


def attributes(state: object) -> dict[str, object]:
    """What Python code attached to a tensor: None, a dict, or a dict and one of slots (`_set_obj_state`)."""
    parts = state if isinstance(state, tuple) else (state,)
    return {name: value for part in parts if part is not None for name, value in texts(part).items()}


def sparse(layout: object, data: object) -> Tensor:
    """`_rebuild_sparse_tensor`, and `_rebuild_sparse_csr_tensor` of torch 1.10 to 1.13."""
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


def quantized(
    of: object, offset: object, size: object, stride: object, parameters: object, grad: object = False, hooks: object = None
) -> Tensor:
    """`_rebuild_qtensor`; torch tags parameters of float32 as any others, and tells them by their dtype."""
    made = strided(of, offset, size, stride, grad, hooks)
    given = items(parameters, 3, 4)
    scheme = given[0].name if isinstance(given[0], QScheme) else ""
    if scheme == PER_TENSOR:
        fill(made, {"qscheme": scheme, "scale": number(given[1]), "zero_point": place(given[2])})
    elif scheme in (PER_CHANNEL, FLOAT_QPARAMS) and len(given) == 4:
        is_double = scheme == PER_CHANNEL
        scales = listed(given[1], "float64" if is_double else "float32")
        points = listed(given[2], "int64" if is_double else "float32")
        scheme = FLOAT_QPARAMS if scales.dtype == "float32" else PER_CHANNEL
        parts = {"q_scales": scales, "q_zero_points": points}
        fill(made, {"qscheme": scheme, "axis": place(given[3]), "components": parts})
    else:
        raise Misfit(f"a tensor cannot be quantized by {scheme or 'an unknown scheme'}")
    return made


def listed(value: object, dtype: str) -> Tensor:
    """The parameters of a quantized tensor: a tensor, or as torch 1.4 wrote them a list of numbers."""
    if not isinstance(value, list):
        return tensor(value)
    numbers = [number(item) if dtype.startswith("float") else place(item) for item in value]
    data = struct.pack(f"<{len(numbers)}{PACKED_AS[dtype]}", *numbers)
    held = Storage("", BY_NAME[dtype], len(data), lambda: BytesPayload(data))
    return Tensor(dtype, (len(numbers),), (1,), storage=held)


PACKED_AS = {"float64": "d", "float32": "f", "int64": "q"}


def nested(buffer: object, sizes: object, strides: object, offsets: object) -> Tensor:
    """`_rebuild_nested_tensor`: tensors of different sizes, one after the other in a buffer."""
    held = tensor(buffer)
    parts = {"buffer": held, "sizes": tensor(sizes), "strides": tensor(strides), "offsets": tensor(offsets)}
    return Tensor(held.dtype, layout="nested", device=held.device, requires_grad=held.requires_grad, components=parts)


def jagged(state: object) -> Tensor:
    """`torch.nested._internal.nested_tensor._rebuild_njt`: the arguments of its class, as a dict."""
    told = texts(state)
    values = tensor(told.get("values"))
    parts = {name: part for name in ("values", "offsets", "lengths") if isinstance(part := told.get(name), Tensor)}
    grad = bool(told.get("requires_grad"))
    return Tensor(values.dtype, layout="jagged", device=values.device, requires_grad=grad, components=parts, class_path=JAGGED)


def meta(dtype: object, size: object, stride: object, grad: object) -> Tensor:
    """`_rebuild_meta_tensor_no_storage`: a tensor without values."""
    return Tensor(dtype_name(dtype), sizes(size), places(stride), requires_grad=bool(grad), device="meta")


def wrapper(
    cls: object,
    dtype: object,
    size: object,
    stride: object,
    offset: object,
    layout: object,
    device: object,
    grad: object,
) -> Tensor:
    """`_rebuild_wrapper_subclass`: the tensors it wraps come with its state."""
    return Tensor(
        dtype=dtype_name(dtype),
        shape=sizes(size),
        stride=places(stride),
        offset=place(offset) if offset is not None else 0,
        requires_grad=bool(grad),
        layout=layout.name if isinstance(layout, Layout) else "strided",
        device=str(device) if isinstance(device, Device) else "cpu",
        class_path=cls.path if isinstance(cls, Opaque) else TENSOR,
    )


def from_type(function: object, cls: object, arguments: object, state: object = None) -> Tensor:
    """`_rebuild_from_type_v2`: another rebuild function, then a class and a state for what it made."""
    rebuild = REBUILDS.get(function.path) if isinstance(function, Opaque) and function.is_name else None
    if rebuild is None or rebuild is from_type:
        raise Misfit(f"a tensor cannot be rebuilt by {function!r}")
    made = rebuild(*items(arguments))
    told = attributes(state)
    path = cls.path if isinstance(cls, Opaque) else made.class_path
    changes: dict[str, object] = {"class_path": path if path != TENSOR else made.class_path, "attributes": told}
    if made.storage is None and not made.components:
        changes["components"] = {name: part for name, part in told.items() if isinstance(part, Tensor)}
    if made.layout != "strided":  # its own tensors stand in its state once more
        own = set(map(id, made.components.values()))
        changes["attributes"] = {name: value for name, value in told.items() if id(value) not in own}
    fill(made, changes)
    return made


def from_array(data: object, dtype: object, device: object, grad: object) -> Tensor:
    """`_rebuild_device_tensor_from_numpy`: the values are in the pickle, and may be of another dtype."""
    if not isinstance(data, Array):
        raise Misfit("something else stands where an array is expected")
    return _remade(lambda name: _cast_array(data, name), data.shape, dtype, device, grad)


def from_cpu(data: object, dtype: object, device: object, grad: object) -> Tensor:
    """`_rebuild_device_tensor_from_cpu_tensor`: the tensor that was moved to the CPU to be saved."""
    held = tensor(data)
    if dtype_name(dtype) == held.dtype:
        return replace(held, device=text(device) if isinstance(device, str) else str(device), requires_grad=bool(grad))
    return _remade(lambda name: _cast_tensor(held, name), held.shape, dtype, device, grad)


def _cast_array(data: Array, dtype: str) -> bytes:
    from ptzip.tensors.to_numpy import cast
    from ptzip.values.numpy_objects import made  # only where the values are read: numpy takes time to load

    return cast(made(data), dtype)


def _cast_tensor(data: Tensor, dtype: str) -> bytes:
    from ptzip.tensors.to_numpy import cast  # as above

    return cast(data.numpy(), dtype)


def _remade(values: Callable[[str], bytes], shape: tuple[int, ...], dtype: object, device: object, grad: object) -> Tensor:
    """A contiguous tensor on a storage of its own, whose bytes are made when they are read."""
    name = dtype_name(dtype)
    if name not in BY_NAME:
        raise UnsupportedError(f"tensors of dtype {name} cannot be made of others")
    held = Storage("", BY_NAME[name], math.prod(shape) * BY_NAME[name].size, lambda: BytesPayload(values(name)), str(device))
    return Tensor(name, shape, contiguous(shape), requires_grad=bool(grad), storage=held, device=str(device))


def uninitialized(cls: str) -> Callable[..., Tensor]:
    """The rebuild function of a parameter or buffer that has no shape yet."""

    def rebuild(grad: object = False, *_: object) -> Tensor:
        return Tensor(requires_grad=bool(grad), layout="uninitialized", class_path=cls)

    return rebuild


def empty(dtype: DType | None = None, cls: str = TENSOR) -> Callable[..., Tensor]:
    """The class of a tensor, called without arguments, as torch 0.x does: what it holds comes with BUILD."""

    def rebuild(*arguments: object) -> Tensor:
        if not arguments:
            return Tensor(dtype.name if dtype else "float32", (0,), (1,), class_path=cls)
        return parameter(*arguments)

    return rebuild


def set_state(made: Tensor, state: object) -> None:
    """What BUILD gives to a tensor, told by its length (`Tensor.__setstate__`), or a dict of attributes."""
    if isinstance(state, dict):
        fill(made, {"attributes": {**made.attributes, **texts(state)}})
        return
    given = items(state, 3, 4, 5)
    if len(given) == 3:
        fill(made, {"requires_grad": bool(given[0])})
        return
    held = strided(*given) if len(given) == 4 else tensor(given[0])
    fill(made, {"dtype": held.dtype, "shape": held.shape, "stride": held.stride, "offset": held.offset})
    fill(made, {"storage": held.storage, "layout": held.layout, "device": held.device, "components": held.components})
    if len(given) == 5:
        fill(made, {"requires_grad": bool(given[3])})


REBUILDS: dict[str, Callable[..., Tensor]] = {
    "torch._utils._rebuild_tensor": strided,
    "torch._utils._rebuild_tensor_v2": strided,
    "torch._utils._rebuild_tensor_v3": typed,
    "torch._utils._rebuild_parameter": parameter,
    "torch._utils._rebuild_parameter_with_state": parameter_with_state,
    "torch._utils._rebuild_sparse_tensor": sparse,
    "torch._utils._rebuild_sparse_csr_tensor": sparse,
    "torch._utils._rebuild_qtensor": quantized,
    "torch._utils._rebuild_nested_tensor": nested,
    "torch.nested._internal.nested_tensor._rebuild_njt": jagged,
    "torch._utils._rebuild_meta_tensor_no_storage": meta,
    "torch._utils._rebuild_wrapper_subclass": wrapper,
    "torch._utils._rebuild_device_tensor_from_numpy": from_array,
    "torch._utils._rebuild_xla_tensor": from_array,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": from_cpu,
    **{
        f"torch.{module}.{name}": from_type
        for module in ("_tensor", "tensor")
        for name in ("_rebuild_from_type", "_rebuild_from_type_v2")
    },
    **{
        f"torch.nn.parameter.{name}": uninitialized(f"torch.nn.parameter.{name}")
        for name in ("UninitializedParameter", "UninitializedBuffer")
    },
    **{path: empty(dtype) for path, dtype in OLD_TENSOR_CLASSES.items()},
    "torch.Tensor": empty(),
    "torch._tensor.Tensor": empty(),
    "torch.tensor.Tensor": empty(),
    "torch.nn.parameter.Parameter": empty(cls=PARAMETER),
    "torch.nn.parameter.Buffer": empty(cls=BUFFER),
    "torch.autograd.variable.Variable": empty(),
}
"""Every function and class that makes a tensor, by its full name."""
