"""`slim --check`: the written file read back and compared with the input, tensor by tensor.

The written file is opened like any other, and tensors are matched by name; of the edit only the removed and moved names are
used. One tensor of each file is in memory at a time.
"""

from collections.abc import Iterator, Mapping

from ptzip.checkpoint import Checkpoint
from ptzip.editing.edit import Edit
from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.slimming.report import Check
from ptzip.tensors.cast_error import CastError, cast_error
from ptzip.tensors.tensor import Tensor


def check(before: Checkpoint, after: Checkpoint, edit: Edit, saturate: bool = False, is_plain: bool = False) -> Check:
    """Compare all tensors of two checkpoints. Raises FormatError where one is not what it was, nor a rounding of that."""
    old, new = before.tensors(), after.tensors()
    count = equal = unread = 0
    worst, seen = CastError(), set[str]()
    for name, tensor in new.items():
        source = old_name(name, edit.moved)
        if source not in old and is_plain:
            continue
        seen.add(source)
        for one, other in _pairs(name, old.get(source), tensor):
            try:
                found = _compared(name, one, other, saturate)
            except (LimitError, UnsupportedError):
                unread += 1
                continue
            count, equal = count + 1, equal + found.is_equal
            worst = worst.joined(found)
    lost = [name for name in old if name not in seen and not _is_gone(name, edit)]
    if lost and not is_plain:
        raise FormatError(f"{lost[0]} is not in the written file, and was not to go")
    return Check(count, equal, worst, len(lost), unread)


def old_name(name: str, moved: Mapping[str, str]) -> str:
    """The name that a tensor of the output has in the input."""
    if name in moved:
        return moved[name]
    above = name
    while "." in above:
        above = above.rpartition(".")[0]
        if above in moved:
            return moved[above] + name[len(above) :]
    return name


def _is_gone(name: str, edit: Edit) -> bool:
    """Whether a tensor of the input was taken out, or stands elsewhere now."""
    above = name
    while above:
        if above in edit.gone:
            return True
        above = above.rpartition(".")[0]
    return False


def _pairs(name: str, old: Tensor | None, new: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A tensor beside that of the input; of one that is made of others, these."""
    if old is None:
        raise FormatError(f"{name} is in the written file, and was not in the input")
    if (old.shape, old.layout, old.components.keys()) != (new.shape, new.layout, new.components.keys()):
        raise FormatError(f"{name} is {list(new.shape)} in the written file, and was {list(old.shape)}")
    if new.storage is not None:
        yield old, new
    for part, inner in new.components.items():
        yield from _pairs(f"{name}.{part}", old.components[part], inner)


def _compared(name: str, old: Tensor, new: Tensor, saturate: bool) -> CastError:
    found = cast_error(old, new, saturate)
    if not found.is_rounded:
        raise FormatError(f"{name} is not in the written file what the {new.dtype} of its {old.dtype} would be")
    return found
