"""Which tensors the bytes of a storage belong to, and which bytes of it belong to none."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from ptzip.errors import LimitError, PtzipError
from ptzip.formats.collection import Collection
from ptzip.formats.container import Container
from ptzip.formats.detect import open_container
from ptzip.io.payloads import CheckedPayload, InflatedPayload, Payload, SlicePayload, SourcePayload
from ptzip.io.sources import Source, Window
from ptzip.limits import Limits
from ptzip.mapping.claims import DEAD, STORAGE, Claim
from ptzip.tensors.dtypes import PACKED
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import element_range
from ptzip.tensors.tensor import Tensor
from ptzip.values.tensor_names import tensors_of
from ptzip.zip.reader import LatePayload


class Owner:
    """A storage of a file, and the tensors on it by their names."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.names = list[str]()
        self.spans = list[tuple[int, int]]()
        """The bytes that each tensor uses, from its first to its last."""

    def dead(self, size: int) -> Iterator[tuple[int, int]]:
        """The stretches of the `size` bytes of the storage that no tensor uses."""
        at = 0
        for first, last in sorted([*self.spans, (size, size)]):
            if min(first, size) > at:
                yield at, min(first, size)
            at = max(at, last)


Owners = dict[int, Owner]
"""Storages by the offset of their bytes in the file."""


class OpenedFile:
    """A file, which is opened by its format when that is first needed, and once for all who need it."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.limit: LimitError | None = None
        """Why it does not open, if it crosses a limit."""

    @cached_property
    def container(self) -> Container | None:
        """The file as its format describes it; None where it does not open."""
        try:
            return open_container(self.source, self.limits)
        except LimitError as error:
            self.limit = error
        except PtzipError:
            pass
        return None

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        return readable_tensors(self.container, self.limits)

    @cached_property
    def owners(self) -> Owners:
        """The storages of the file by the offset of their bytes, which may be deflated."""
        return owners_in(self.tensors, self.source)


def storage_claims(start: int, size: int, name: str, owners: Owners, is_inner: bool = False) -> Iterator[Claim]:
    """The claims to the `size` bytes of a storage from byte `start`, and to what no tensor uses of them."""
    owner = owners.get(start)
    if owner is None:
        yield Claim(start, start + size, STORAGE, name, "no tensor uses it" if owners else "", is_inner=is_inner)
        return
    yield Claim(start, start + size, STORAGE, name, users=tuple(owner.names), is_inner=is_inner)
    for first, last in owner.dead(size):
        yield Claim(start + first, start + last, DEAD, name, "no tensor uses them", is_inner=True)


def owners_of(container: Container | None, source: Source, limits: Limits) -> Owners:
    """The storages of a `source` that are at rest in it; none where its pickle is broken, or it holds whole files."""
    return owners_in(readable_tensors(container, limits), source)


def readable_tensors(container: Container | None, limits: Limits) -> Mapping[str, Tensor]:
    """The tensors of a file; none where its pickle is broken, or it holds whole files."""
    try:
        return {} if container is None or isinstance(container, Collection) else tensors_of(container, limits)
    except PtzipError:
        return {}


def owners_in(tensors: Mapping[str, Tensor], source: Source) -> Owners:
    """The storages of some tensors that are at rest in a `source`."""
    found, places = Owners(), dict[int, int | None]()
    for name, tensor in tensors.items():
        for part in tensor.with_components:
            if part.storage is not None:
                _note(name, part, source, found, places)
    return found


def _note(name: str, tensor: Tensor, source: Source, found: Owners, places: dict[int, int | None]) -> None:
    assert tensor.storage is not None
    root, start = tensor.storage.root
    if id(root) not in places:
        places[id(root)] = _place(root, source)
    at = places[id(root)]
    if at is None:
        return
    owner = found.setdefault(at, Owner(root))
    owner.names.append(name)
    owner.spans.append(_span(tensor, start, owner.storage.size))


def _span(tensor: Tensor, start: int, size: int) -> tuple[int, int]:
    """The bytes of the storage that a tensor uses; all where its elements do not say."""
    is_strided = tensor.layout == "strided" and len(tensor.shape) == len(tensor.stride) and tensor.dtype not in PACKED
    if not is_strided or not tensor.itemsize:
        return 0, size
    first, last = element_range(tensor.offset, tensor.shape, tensor.stride)
    return min(start + first * tensor.itemsize, size), min(start + last * tensor.itemsize, size)


def _place(storage: Storage, source: Source) -> int | None:
    """The offset of the bytes of a storage in the file; None where they are missing or not at rest."""
    try:
        return offset_of(storage.payload(), source)
    except PtzipError:
        return None


def offset_of(payload: Payload, whole: Source) -> int | None:
    """The offset of a payload in the file `whole`, of its deflated bytes if it is deflated; None for one in memory."""
    if isinstance(payload, CheckedPayload):
        return offset_of(payload.base, whole)
    if isinstance(payload, InflatedPayload):
        return offset_of(payload.stored, whole)
    if isinstance(payload, LatePayload):
        return offset_of(payload.located, whole)
    if isinstance(payload, SlicePayload):
        base = offset_of(payload.base, whole)
        return base if base is None or not payload.seekable else base + payload.start
    return payload.offset + start_of(payload.source, whole) if isinstance(payload, SourcePayload) else None


def start_of(source: Source, whole: Source) -> int:
    """Where the first byte of a window is in the file `whole`."""
    if source is whole or not isinstance(source, Window):
        return 0
    return source.offset + start_of(source.base, whole)
