"""numpy's arrays, scalars and dtypes as a pickle tells them: inert until numpy is asked for.

Rule: numpy is not loaded here; `arrays` makes numpy's own objects of these.
"""

from dataclasses import dataclass, field

KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
"""The letters of numpy's type codes that have a name with a number of bits."""


@dataclass(slots=True, eq=False)
class ArrayType:
    """A numpy dtype: its code as in "f4", and what BUILD tells (`numpy/_core/src/multiarray/descriptor.c`)."""

    code: str
    order: str = "="
    subtype: "tuple[ArrayType, tuple[int, ...]] | None" = None
    names: tuple[str, ...] | None = None
    fields: "dict[str, tuple[ArrayType, int]]" = field(default_factory=dict)
    size: int = -1
    unit: tuple[object, ...] | None = None

    def __str__(self) -> str:
        kind, digits = self.code[:1], self.code[1:]
        if kind == "b":
            return "bool"
        if kind in KINDS and digits.isdecimal():
            return f"{KINDS[kind]}{8 * int(digits)}"
        return "object" if kind == "O" else self.code


@dataclass(slots=True, eq=False)
class Array:
    """A numpy array, or with `is_scalar` a numpy scalar; `data` are its bytes, or its objects where it holds such."""

    dtype: ArrayType = field(default_factory=lambda: ArrayType("u1"))
    shape: tuple[int, ...] = (0,)
    fortran: bool = False
    data: bytes | bytearray | list[object] = b""
    is_scalar: bool = False

    def __repr__(self) -> str:
        return f"<numpy {'scalar' if self.is_scalar else 'array'} {self.dtype} {list(self.shape)}>"


@dataclass(slots=True, eq=False)
class RandomState:
    """A random number generator of numpy: the names of its class and of its bit generator, and the state of that."""

    kind: str
    bits: str
    state: object = None


@dataclass(frozen=True, slots=True)
class NumpyName:
    """A class of numpy by its name, as in "float32" or "ndarray"."""

    name: str
