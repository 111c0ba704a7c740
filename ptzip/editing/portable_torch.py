"""The forms of torch's tensors, storages and devices that `--portable` writes (`portable`)."""

from collections.abc import Sequence

from ptzip.allowlist.needs import (
    DEVICE,
    FORMER_UNTYPED,
    FROM_CPU,
    GENERATOR,
    TORCH_VERSION,
    TYPED_VIEW,
    UNTYPED,
    WITH_STATE,
    named_device,
)
from ptzip.editing.array_tensor import array_tensor
from ptzip.editing.respelling import Form, Respelling, with_puts
from ptzip.pickling.new_nodes import atom, new_tuple
from ptzip.pickling.nodes import Atom, Call, Global, Node, Persistent, plain, text
from ptzip.tensors.references import CLASS, STRIDE, storage_ref, tensor_ref

GRADIENT = STRIDE + 1
"""The index of `requires_grad` in the arguments of `_rebuild_tensor_v2`."""

FROM_ARRAY = ("torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_xla_tensor")


class TorchForms:
    """As `NumpyForms`; `nodes` are those of the tree before it."""

    def __init__(self, shared: Respelling, nodes: Sequence[Node]) -> None:
        self.shared = shared
        self._has_typed_views = any(isinstance(node, Global) and node.path == TYPED_VIEW for node in nodes)
        self._of_generators = {
            id(plain(part)) for node in nodes if isinstance(node, Call) and node.path == GENERATOR for part in node.arguments
        }
        """The identities of the devices of random generators, whose states are of that device."""
        self.forms: dict[str, Form] = {
            **dict.fromkeys(FROM_ARRAY, self.from_array),
            DEVICE: self.device,
            TORCH_VERSION: self.torch_version,
            WITH_STATE: self.parameter_with_state,
            FROM_CPU: self.from_cpu,
        }

    def typed(self, node: Persistent) -> None:
        """Count the elements of an untyped storage, which are bytes, as those of a `ByteStorage`."""
        reference = None if self._has_typed_views else storage_ref(node)
        kind = plain(reference.id_parts[CLASS]) if reference is not None else None
        if reference is not None and isinstance(kind, Global) and kind.path in (UNTYPED, FORMER_UNTYPED):
            self.shared.done[f"{kind.path} became torch.ByteStorage"] += 1
            reference.id_parts[CLASS] = self.shared.named("torch.ByteStorage")

    def device(self, call: Call) -> None:
        kind = named_device(call)
        if kind is not None and id(call) not in self._of_generators:
            self.shared.done[f"device {kind} became cpu"] += 1
            call.parts[1] = new_tuple(atom("cpu"))

    def torch_version(self, call: Call) -> Node | None:
        version = text(plain(call.arguments[0])) if len(call.arguments) == 1 else None
        if version is None:
            return None
        self.shared.done[f"{TORCH_VERSION} became a text"] += 1
        return with_puts(atom(version), call)

    def parameter_with_state(self, call: Call) -> Node | None:
        """`_rebuild_parameter_with_state(tensor, requires_grad, hooks, state)` as `_rebuild_from_type_v2`, since torch 1.9."""
        if len(call.arguments) != 4:
            return None
        *inner, attributes = call.arguments
        rebuild, kind = self.shared.named("torch._utils._rebuild_parameter"), self.shared.named("torch.nn.parameter.Parameter")
        self.shared.done[f"{WITH_STATE} became torch._tensor._rebuild_from_type_v2"] += 1
        given = new_tuple(rebuild, kind, new_tuple(*inner), attributes)
        return Call("REDUCE", None, [self.shared.named("torch._tensor._rebuild_from_type_v2"), given], call.steps)

    def from_array(self, call: Call) -> Node | None:
        """A tensor of a device that was saved as an array (`torch/_tensor.py`, `_reduce_ex_internal`)."""
        given = [plain(part) for part in call.arguments]
        array = self.shared.build_array(given[0]) if len(given) == 4 and isinstance(given[0], Call) else None
        if array is None or not isinstance(given[1], Global) or given[1].path != f"torch.{array.dtype}":
            return None
        return self._on_cpu(call, array_tensor(self.shared.edit, array, isinstance(given[3], Atom) and bool(given[3].value)))

    def from_cpu(self, call: Call) -> Node | None:
        """A tensor of a device that was saved as one of the CPU, of the same dtype."""
        given = [plain(part) for part in call.arguments]
        tensor = tensor_ref(given[0]) if len(given) == 4 else None
        if tensor is None or not isinstance(given[1], Global) or given[1].path != f"torch.{tensor.storage.dtype.name}":
            return None
        arguments = list(tensor.arguments)
        if tensor.arguments is not tensor.node.arguments or len(arguments) <= GRADIENT:
            return None
        arguments[GRADIENT] = given[3]
        return self._on_cpu(call, Call("REDUCE", None, [tensor.node.parts[0], new_tuple(*arguments)]))

    def _on_cpu(self, call: Call, tensor: Call | None) -> Node | None:
        if tensor is not None:
            self.shared.done[f"{call.path} became a tensor of the cpu"] += 1
            tensor.steps = call.steps
        return tensor
