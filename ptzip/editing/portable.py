"""`slim --portable`: the same objects, spelled as every system and every version of Python, numpy and torch loads them.

    a path                     `pathlib.Path`: a path of the system that loads it. A text would load too, but code that saved a
                               path calls its methods; PurePosixPath has no `exists` or `open`. Backslashes become slashes,
                               which Windows takes too
    a numpy array or number    `numpy.core.multiarray`, which numpy 2 keeps for old pickles; a buffer of protocol 5 becomes such
                               an array, which numpy loads in the byte order of the machine
    an aligned dtype           with the flags of numpy 1, which numpy 2 loads as those of an equal dtype that is not aligned
    a random generator         named by its bit generator, as up to numpy 1.23. The seed sequence, which only `spawn` needs, and
                               which pins a version by a checksum, is left out
    names of Python 2          those of Python 3, where the protocol does not have them translated
    a tensor of a device       a tensor in the memory of the CPU; `torch.device` becomes that of the CPU
    an untyped storage         a `ByteStorage`, which torch had before 1.11, unless tensors of a dtype without a storage class
                               are in the file
    attributes of a parameter  those of a tensor of any class, which torch could set before 2.0
    the version of torch       a text

Everything else keeps its bytes, modules and their classes included.
"""

import itertools
import math
import operator
from collections import Counter
from collections.abc import Callable
from pathlib import PureWindowsPath

from ptzip.allowlist.needs import (
    BIT_GENERATOR,
    BIT_GENERATORS,
    DEVICE,
    DTYPE,
    FLAGS,
    FORMER_UNTYPED,
    FROM_BUFFER,
    FROM_CPU,
    GENERATOR,
    RANDOM,
    RECONSTRUCT,
    TORCH_VERSION,
    TYPED_VIEW,
    UNTYPED,
    WINDOWS_PATHS,
    WITH_STATE,
    moved,
    named_device,
    needs,
    unsigned_flags,
)
from ptzip.allowlist.table import pair
from ptzip.editing.account import MOST_NOTED
from ptzip.editing.array_tensor import BuildArray, PickledArray, array_tensor
from ptzip.editing.edit import Edit
from ptzip.pickling.new_nodes import atom, bytes_node, memoized, named, new_tuple, replace_below
from ptzip.pickling.nodes import (
    PUTS,
    Atom,
    Call,
    Dict,
    Global,
    Node,
    Persistent,
    Step,
    Tuple,
    plain,
    state,
    text,
    walk_unordered,
)
from ptzip.tensors.references import CLASS, STRIDE, storage_ref, tensor_ref
from ptzip.tensors.strides import contiguous

GRADIENT = STRIDE + 1
"""The index of `requires_grad` in the arguments of `_rebuild_tensor_v2`."""

GENERATORS = (f"{RANDOM}.__generator_ctor", f"{RANDOM}.__randomstate_ctor")
FROM_ARRAY = ("torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_xla_tensor")
SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
ARRAYS = (RECONSTRUCT, "numpy._core.multiarray._reconstruct")
PYTHON_2_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")


def make_portable(edit: Edit, build_array: BuildArray) -> None:
    """Replace what only some loaders read in the tree of an edit."""
    nodes = list(walk_unordered(edit.root))
    portable, top = Portable(edit, build_array, nodes), [edit.root]
    replace_below(top, portable)
    edit.pickle.root = top[0]
    if portable.has_shared_bits:
        edit.account.warnings.append("random generators that shared a bit generator got one each, in the same state")
    edit.account.respelled([f"{what}{f' ({times:,})' if times > 1 else ''}" for what, times in portable.done.items()])


def note_needs(edit: Edit) -> None:
    """Note what loading the tree of an edit still needs that not every loader has."""
    calls = [node for node in walk_unordered(edit.root) if isinstance(node, Call | Global)]
    for one in needs(calls, (), edit.pickle.protocol):
        names = ", ".join(one.names[:MOST_NOTED]) + (", ..." if len(one.names) > MOST_NOTED else "")
        edit.account.notes.append(f"not portable: it needs {one.what} ({names})")


class Portable:
    """Returns the replacement of a node, None where it stays; changes the arguments of calls in place.

    `done` counts what was respelled, in the words of a report. `nodes` are those of the tree before it.
    """

    def __init__(self, edit: Edit, build_array: BuildArray, nodes: list[Node]) -> None:
        self.edit = edit
        self.build_array = build_array
        self.protocol = edit.pickle.protocol
        self.times = Counter(node.path for node in nodes if isinstance(node, Call))
        self.has_typed_views = any(isinstance(node, Global) and node.path == TYPED_VIEW for node in nodes)
        self.of_generators = {
            id(plain(part)) for node in nodes if isinstance(node, Call) and node.path == GENERATOR for part in node.arguments
        }
        """The identities of the devices of random generators, whose states are of that device."""
        self.done = Counter[str]()
        self.of_arrays = set[int]()
        """The identities of nodes that are the bytes of arrays."""
        self.bits: dict[int, Call] = {}
        """The bit generators so far, by identity; those inside generators too, which numpy before 1.24 cannot share."""
        self.has_shared_bits = False
        self.globals: dict[str, Global] = {}
        self.buffers: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Node] = {}
        """The bytes of arrays, by the identity of their buffer, their shape and their strides."""

    def __call__(self, node: Node) -> Node | None:
        if isinstance(node, Global):
            return self._renamed(node)
        if isinstance(node, Call):
            form = FORMS.get(node.path)
            return form(self, node) if form is not None else None
        if isinstance(node, Persistent):
            self._typed(node)
        return self._decoded(node) if node.op in PYTHON_2_STRINGS else None

    def named(self, path: str) -> Global:
        """A new global, the same one for every use."""
        return self.globals.setdefault(path, named(*pair(path)))

    def _renamed(self, node: Global) -> Node | None:
        found = moved(node.module, node.name, self.protocol)
        if found is None or not found.new:
            return None
        self.done[f"{node.path} became {found.new}"] += self.times[node.path] or 1
        module, name = pair(found.new)
        return Global("GLOBAL", (module, name), steps=node.steps, module=module, name=name)

    def _typed(self, node: Persistent) -> None:
        """Count the elements of an untyped storage, which are bytes, as those of a `ByteStorage`."""
        reference = None if self.has_typed_views else storage_ref(node)
        kind = plain(reference.id_parts[CLASS]) if reference is not None else None
        if reference is not None and isinstance(kind, Global) and kind.path in (UNTYPED, FORMER_UNTYPED):
            self.done[f"{kind.path} became torch.ByteStorage"] += 1
            reference.id_parts[CLASS] = self.named("torch.ByteStorage")

    def _decoded(self, node: Node) -> Node | None:
        """An 8-bit string of Python 2 as text, or as bytes where it is no text; of ASCII alone it loads everywhere."""
        assert isinstance(node, Atom)
        value = node.value
        data = value.encode() if isinstance(value, str) else value
        if data.isascii():
            return None
        is_text = isinstance(value, str) and id(node) not in self.of_arrays
        self.done[f"8-bit string became {'text' if is_text else 'bytes'}"] += 1
        return self._with_puts(atom(value) if is_text else bytes_node(data, self.protocol or 0), node)

    @staticmethod
    def _with_puts(new: Node, old: Node) -> Node:
        """A new value, in the memo if the old one was."""
        if not new.steps and any(step.op in PUTS for step in old.steps):
            new.add(memoized())
        return new

    # The forms of calls

    def windows_path(self, call: Call) -> None:
        parts = [value for part in call.arguments if (value := text(plain(part))) is not None]
        if len(parts) == len(call.arguments) and any("\\" in part for part in parts):
            call.parts[1] = new_tuple(atom(PureWindowsPath(*parts).as_posix()))

    def numpy_data(self, call: Call) -> None:
        """Remember what the bytes of an array or a scalar are."""
        built = state(call)
        given = call.arguments[1:2] if call.path in SCALARS else built.parts[-1:] if isinstance(built, Tuple) else []
        self.of_arrays.update(id(plain(node)) for node in given)

    def dtype(self, call: Call) -> None:
        """Flags as numpy 1 writes them: a signed byte."""
        flags, built = unsigned_flags(call), state(call)
        if flags is not None and built is not None:
            built.parts[FLAGS] = atom(flags - 256)
            self.done["aligned dtypes became those of numpy 1"] += 1

    def from_buffer(self, call: Call) -> Node | None:
        """`_frombuffer(buffer, dtype, shape, order)` as an empty array that BUILD fills (`numpy/_core/numeric.py`)."""
        array = self.build_array(call)
        if array is None or isinstance(array.data, list):
            return None
        shape, protocol = new_tuple(*map(atom, array.shape)), self.protocol or 0
        is_fortran = len(array.shape) > 1 and array.stride == contiguous(array.shape[::-1])[::-1]
        data = self._buffer(plain(call.arguments[0]), array, is_fortran)
        built = new_tuple(atom(1), shape, call.arguments[1], atom(is_fortran), data)
        empty = new_tuple(self.named("numpy.ndarray"), new_tuple(atom(0)), bytes_node(b"b", protocol))
        self.done[f"{call.path} became {RECONSTRUCT}"] += 1
        return Call("REDUCE", None, [self.named(RECONSTRUCT), empty], [*call.steps, Step("BUILD", items=[built])])

    def _buffer(self, node: Node, array: PickledArray, is_fortran: bool) -> Node:
        """The bytes of an array, one node for all arrays that have them from one buffer."""
        form = id(node), tuple(array.shape), tuple(array.stride)
        if form not in self.buffers:
            assert not isinstance(array.data, list), "a buffer has bytes"
            data = bytes(array.data) if is_fortran else _row_major(array.data, array.shape, array.stride)
            self.buffers[form] = bytes_node(data, self.protocol or 0)
        elif not self.buffers[form].steps:
            self.buffers[form].add(memoized())
        return self.buffers[form]

    def bit_generator(self, call: Call) -> None:
        """`__bit_generator_ctor(class)` and its state `(dict, seed sequence)` by name, with the dict alone."""
        self._note_bits(call)
        kind = plain(call.arguments[0]) if call.arguments else None
        if isinstance(kind, Global) and kind.path in BIT_GENERATORS:
            call.parts[1] = new_tuple(atom(BIT_GENERATORS[kind.path]))
            self.done["random generators became those of numpy before 1.24"] += 1
        inner = _state_dict(call)
        if inner is not None:
            for step in (step for step in call.steps if step.op == "BUILD"):
                step.items[0] = inner

    def generator(self, call: Call) -> None:
        """A generator that is given a bit generator, or a name and the function for it: the name alone and the state."""
        first = plain(call.arguments[0]) if call.arguments else None
        if isinstance(first, Call) and first.path == BIT_GENERATOR and first.arguments:
            kind, inner = plain(first.arguments[0]), _state_dict(first)
            name = BIT_GENERATORS.get(kind.path) if isinstance(kind, Global) else text(kind)
            if name is None or inner is None:
                return
            self._note_bits(first)
            call.parts[1] = new_tuple(atom(name))
            if state(call) is None:
                call.add(Step("BUILD", items=[inner]))
        elif text(first) is not None and len(call.arguments) == 2:
            call.parts[1] = new_tuple(call.arguments[0])
        else:
            return
        self.done["random generators became those of numpy before 1.24"] += 1

    def _note_bits(self, call: Call) -> None:
        self.has_shared_bits = self.has_shared_bits or id(call) in self.bits
        self.bits[id(call)] = call

    def device(self, call: Call) -> None:
        kind = named_device(call)
        if kind is not None and id(call) not in self.of_generators:
            self.done[f"device {kind} became cpu"] += 1
            call.parts[1] = new_tuple(atom("cpu"))

    def torch_version(self, call: Call) -> Node | None:
        version = text(plain(call.arguments[0])) if len(call.arguments) == 1 else None
        if version is None:
            return None
        self.done[f"{TORCH_VERSION} became a text"] += 1
        return self._with_puts(atom(version), call)

    def parameter_with_state(self, call: Call) -> Node | None:
        """`_rebuild_parameter_with_state(tensor, requires_grad, hooks, state)` as `_rebuild_from_type_v2`, since torch 1.9."""
        if len(call.arguments) != 4:
            return None
        *inner, attributes = call.arguments
        rebuild, kind = self.named("torch._utils._rebuild_parameter"), self.named("torch.nn.parameter.Parameter")
        self.done[f"{WITH_STATE} became torch._tensor._rebuild_from_type_v2"] += 1
        given = new_tuple(rebuild, kind, new_tuple(*inner), attributes)
        return Call("REDUCE", None, [self.named("torch._tensor._rebuild_from_type_v2"), given], call.steps)

    def from_array(self, call: Call) -> Node | None:
        """A tensor of a device that was saved as an array (`torch/_tensor.py`, `_reduce_ex_internal`)."""
        given = [plain(part) for part in call.arguments]
        array = self.build_array(given[0]) if len(given) == 4 and isinstance(given[0], Call) else None
        if array is None or not isinstance(given[1], Global) or given[1].path != f"torch.{array.dtype}":
            return None
        return self._on_cpu(call, array_tensor(self.edit, array, isinstance(given[3], Atom) and bool(given[3].value)))

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
            self.done[f"{call.path} became a tensor of the cpu"] += 1
            tensor.steps = call.steps
        return tensor


def _row_major(data: bytes | bytearray, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The elements of an array in the order of C."""
    if stride == contiguous(shape):
        return bytes(data)
    item, found = len(data) // max(math.prod(shape), 1), bytearray()
    for index in itertools.product(*map(range, shape)):
        at = item * sum(map(operator.mul, index, stride))
        found += data[at : at + item]
    return bytes(found)


def _state_dict(call: Call) -> Node | None:
    """The dict in the state of a bit generator, alone or before the seed sequence."""
    built = state(call)
    if isinstance(built, Tuple) and built.parts:
        built = plain(built.parts[0])
    return built if isinstance(built, Dict) else None


FORMS: dict[str, Callable[[Portable, Call], Node | None]] = {
    **dict.fromkeys(WINDOWS_PATHS, Portable.windows_path),
    **dict.fromkeys((*SCALARS, *ARRAYS), Portable.numpy_data),
    **dict.fromkeys(FROM_BUFFER, Portable.from_buffer),
    **dict.fromkeys(GENERATORS, Portable.generator),
    **dict.fromkeys(FROM_ARRAY, Portable.from_array),
    BIT_GENERATOR: Portable.bit_generator,
    DTYPE: Portable.dtype,
    DEVICE: Portable.device,
    TORCH_VERSION: Portable.torch_version,
    WITH_STATE: Portable.parameter_with_state,
    FROM_CPU: Portable.from_cpu,
}
"""What is done to the calls of a name."""
