"""What a comparison found: values, which `reports` puts into words."""

from typing import NamedTuple


class Form(NamedTuple):
    """What a tensor is; `size` are the bytes of its values."""

    dtype: str
    shape: tuple[int, ...]
    layout: str
    size: int


class Fact(NamedTuple):
    """Something that is told of two things, `requires_grad` or `device` of a tensor, and is not the same."""

    what: str
    old: str
    new: str


class Numbers(NamedTuple):
    """How far `numel` numbers of B are from those of A, all in float64.

    `differing` are not the same (NaN is the same as NaN, 0 as -0), `beyond` of these are further than the tolerance.
    `absolute` is the largest `|a - b|`, `relative` the largest `|a - b| / |a|` where a is not 0, both of numbers that are
    finite in both. `cosine` is that of the angle between the finite numbers of A and those of B as two vectors, None where one
    has no length. `lone` are finite in just one of the two.
    """

    numel: int = 0
    differing: int = 0
    beyond: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    cosine: float | None = None
    lone: int = 0


class TensorDiff(NamedTuple):
    """Two tensors that are matched by name, A's `old_name` and B's `name`, and not the same in everything.

    `numbers` is None where none were compared: the shapes are not the same, or the bytes have no numbers. `are_equal` says that
    the values are, bit by bit. `problem` is why the values could not be compared, or "".
    """

    old_name: str
    name: str
    old: Form
    new: Form
    facts: tuple[Fact, ...] = ()
    are_equal: bool = False
    numbers: Numbers | None = None
    problem: str = ""

    @property
    def is_cast(self) -> bool:
        return self.old.dtype != self.new.dtype and self.old.shape == self.new.shape and self.numbers is not None

    @property
    def are_near(self) -> bool:
        """Whether the values are the same within the tolerance."""
        return self.are_equal or (self.numbers is not None and not self.numbers.beyond)

    @property
    def is_same(self) -> bool:
        """Whether nothing but the values differs, and these are near."""
        return self.are_near and not self.facts and self.old == self.new


class Lone(NamedTuple):
    """A tensor that only one of the files has."""

    name: str
    form: Form


class Only(NamedTuple):
    """A part of the object that only one of the files has, with all that is below it: `tensors` of those that have no
    counterpart, of `size` bytes. `what` is its class, or its value."""

    name: str
    what: str
    tensors: int = 0
    size: int = 0


class Changed(NamedTuple):
    """A value, or the class of something, that is not the same; `tensors` are below it in one of the files and have no
    counterpart, `size` are their bytes."""

    name: str
    old: str
    new: str
    tensors: int = 0
    size: int = 0


class Moved(NamedTuple):
    """A tensor of A that B has under another name, by its shape, its dtype and the length and checksum of its storage."""

    old_name: str
    name: str
    form: Form


class DiffReport(NamedTuple):
    """Two files, A and B.

    `compared` is how many pairs of tensors there are; `tensors` are those that are not the same in everything, the `equal`
    others are. `only_a` and `only_b` are parts of the objects, `lone_a` and `lone_b` all tensors without a counterpart. `notes`
    say what one of the formats does not have.
    """

    a: str
    b: str
    rtol: float = 0.0
    atol: float = 0.0
    compared: int = 0
    tensors: tuple[TensorDiff, ...] = ()
    lone_a: tuple[Lone, ...] = ()
    lone_b: tuple[Lone, ...] = ()
    moved: tuple[Moved, ...] = ()
    only_a: tuple[Only, ...] = ()
    only_b: tuple[Only, ...] = ()
    changed: tuple[Changed, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> int:
        """How many pairs are the same in everything, bit by bit."""
        return self.compared - len(self.tensors)

    @property
    def differing(self) -> tuple[TensorDiff, ...]:
        """The pairs that are not the same within the tolerance."""
        return tuple(pair for pair in self.tensors if not pair.is_same)

    @property
    def unknown(self) -> tuple[TensorDiff, ...]:
        """The pairs whose values could not be compared."""
        return tuple(pair for pair in self.tensors if pair.problem)

    @property
    def differs(self) -> bool:
        """Whether anything is known to differ beyond the tolerance."""
        known = [pair for pair in self.differing if not pair.problem or pair.facts or pair.old != pair.new]
        return any((known, self.lone_a, self.lone_b, self.moved, self.only_a, self.only_b, self.changed))

    @property
    def is_same(self) -> bool:
        """Whether nothing differs beyond the tolerance, and every tensor could be compared."""
        return not self.differs and not self.unknown
