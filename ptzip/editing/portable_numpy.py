"""The forms of numpy's arrays, dtypes and random generators that `--portable` writes (`portable`)."""

import itertools
import math
import operator

from ptzip.allowlist.needs import (
    BIT_GENERATOR,
    BIT_GENERATORS,
    DTYPE,
    FLAGS,
    FROM_BUFFER,
    RANDOM,
    RECONSTRUCT,
    unsigned_flags,
)
from ptzip.editing.array_tensor import PickledArray
from ptzip.editing.respelling import Form, Respelling
from ptzip.pickling.new_nodes import atom, bytes_node, memoized, new_tuple
from ptzip.pickling.nodes import Call, Dict, Global, Node, Step, Tuple, plain, state, text
from ptzip.tensors.strides import contiguous

GENERATORS = (f"{RANDOM}.__generator_ctor", f"{RANDOM}.__randomstate_ctor")
SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
ARRAYS = (RECONSTRUCT, "numpy._core.multiarray._reconstruct")


class NumpyForms:
    """`forms` has what is done to the calls of a name."""

    def __init__(self, shared: Respelling) -> None:
        self.shared = shared
        self.of_arrays = set[int]()
        """The identities of nodes that are the bytes of arrays."""
        self.has_shared_bits = False
        self._bits: dict[int, Call] = {}
        """The bit generators so far, by identity; those inside generators too, which numpy before 1.24 cannot share."""
        self._buffers: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Node] = {}
        """The bytes of arrays, by the identity of their buffer, their shape and their strides."""
        self.forms: dict[str, Form] = {
            **dict.fromkeys((*SCALARS, *ARRAYS), self.numpy_data),
            **dict.fromkeys(FROM_BUFFER, self.from_buffer),
            **dict.fromkeys(GENERATORS, self.generator),
            BIT_GENERATOR: self.bit_generator,
            DTYPE: self.dtype,
        }

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
            self.shared.done["aligned dtypes became those of numpy 1"] += 1

    def from_buffer(self, call: Call) -> Node | None:
        """`_frombuffer(buffer, dtype, shape, order)` as an empty array that BUILD fills (`numpy/_core/numeric.py`)."""
        array = self.shared.build_array(call)
        if array is None or isinstance(array.data, list):
            return None
        shape, protocol = new_tuple(*map(atom, array.shape)), self.shared.protocol
        is_fortran = len(array.shape) > 1 and array.stride == contiguous(array.shape[::-1])[::-1]
        data = self._buffer(plain(call.arguments[0]), array, is_fortran)
        built = new_tuple(atom(1), shape, call.arguments[1], atom(is_fortran), data)
        empty = new_tuple(self.shared.named("numpy.ndarray"), new_tuple(atom(0)), bytes_node(b"b", protocol))
        self.shared.done[f"{call.path} became {RECONSTRUCT}"] += 1
        return Call("REDUCE", None, [self.shared.named(RECONSTRUCT), empty], [*call.steps, Step("BUILD", items=[built])])

    def _buffer(self, node: Node, array: PickledArray, is_fortran: bool) -> Node:
        """The bytes of an array, one node for all arrays that have them from one buffer."""
        form = id(node), tuple(array.shape), tuple(array.stride)
        if form not in self._buffers:
            assert not isinstance(array.data, list), "a buffer has bytes"
            data = bytes(array.data) if is_fortran else _row_major(array.data, array.shape, array.stride)
            self._buffers[form] = bytes_node(data, self.shared.protocol)
        elif not self._buffers[form].steps:
            self._buffers[form].add(memoized())
        return self._buffers[form]

    def bit_generator(self, call: Call) -> None:
        """`__bit_generator_ctor(class)` and its state `(dict, seed sequence)` by name, with the dict alone."""
        self._note_bits(call)
        kind = plain(call.arguments[0]) if call.arguments else None
        if isinstance(kind, Global) and kind.path in BIT_GENERATORS:
            call.parts[1] = new_tuple(atom(BIT_GENERATORS[kind.path]))
            self.shared.done["random generators became those of numpy before 1.24"] += 1
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
        self.shared.done["random generators became those of numpy before 1.24"] += 1

    def _note_bits(self, call: Call) -> None:
        self.has_shared_bits = self.has_shared_bits or id(call) in self._bits
        self._bits[id(call)] = call


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
