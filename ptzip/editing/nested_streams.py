"""The storages of a pickle that `pickle.dump` wrote: each is a legacy stream in the argument of a call (`torch/storage.py`,
`__reduce__`).

For an edit they become storages as those of `torch.save`; a bare pickle gets them back as streams.
"""

from ptzip.editing.edit import Edit, Finished
from ptzip.editing.storage_users import storage_ids
from ptzip.errors import FormatError
from ptzip.formats import legacy
from ptzip.formats.signatures import is_legacy
from ptzip.io.payloads import BytesPayload, Payload, SequentialFile, read_all
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import atom, bytes_node, called, memoized, named, new_tuple, replace_below
from ptzip.pickling.nodes import Atom, Call, Node, Persistent, Pickle, plain, text, walk_unordered
from ptzip.pickling.writer import write_pickle
from ptzip.tensors.references import StorageRef, storage_ref

MODULE, FUNCTION = "torch.storage", "_load_from_bytes"

Replacements = dict[int, tuple[Node, Node]]
"""Nodes to replace, by their identity, and what replaces them."""


def streams_to_storages(edit: Edit) -> None:
    """Replace every call that loads a storage by a persistent id; its payload is the part of the stream that holds it."""
    found = Replacements()
    for node in list(walk_unordered(edit.root)):
        if isinstance(node, Call) and node.path == f"{MODULE}.{FUNCTION}":
            new = _storage_id(edit, node, f"stream {len(found)}")
            if new is not None:
                found[id(node)] = (node, new)
    _replace(edit.root, found)


def _storage_id(edit: Edit, call: Call, key: str) -> Node | None:
    source = BytesSource(_argument(call), "a stream inside the pickle")
    if not is_legacy(source):
        return None
    inner = legacy.read(source, edit.part.pickle.limits).parts[0]
    reference = storage_ref(inner.root)
    if reference is None:
        return None
    payload = inner.stored(reference.key)
    if payload.length != reference.size:
        raise FormatError(f"a storage in the pickle is {payload.length} bytes long, expected {reference.size}", call.offset)
    edit.payloads[key], edit.account.sizes[key] = payload, payload.length
    kind = named("torch", reference.dtype.storage)
    items = (atom("storage"), kind, atom(key), atom(reference.location), atom(reference.numel))
    return Persistent("BINPERSID", None, [new_tuple(*items)], [memoized()])


def _argument(call: Call) -> bytes:
    """The bytes that a call is given, which protocols 0 to 2 store as text."""
    given = [plain(argument) for argument in call.arguments]
    if len(given) == 1 and isinstance(given[0], Call) and given[0].path == "_codecs.encode":
        return (text(plain(given[0].arguments[0])) or "").encode("latin1", "replace")
    value = given[0].value if len(given) == 1 and isinstance(given[0], Atom) else b""
    return bytes(value) if isinstance(value, bytes | bytearray) else b""


def bare_file(edit: Edit, finished: Finished) -> SequentialFile:
    """The pickle of a finished edit as a file of its own, in which storages are streams again; reads them."""
    calls, found = dict[str, Node](), Replacements()
    for reference in list(storage_ids(edit.root)):
        if reference.key not in calls:
            index = int(reference.key)
            stream = _stream(reference, finished.storages[index], finished.items[index])
            calls[reference.key] = called(MODULE, FUNCTION, bytes_node(stream, edit.pickle.protocol or 0))
        found[id(reference.node)] = (reference.node, calls[reference.key])
    _replace(edit.root, found)
    return SequentialFile([BytesPayload(write_pickle(edit.pickle))])


def _stream(reference: StorageRef, payload: Payload, item: int) -> bytes:
    """The legacy stream of one storage."""
    kind = named("torch", reference.dtype.storage)
    items = (atom("storage"), kind, atom("0"), atom(reference.location), atom(reference.numel), atom(None))
    pickle = write_pickle(Pickle(Persistent("BINPERSID", None, [new_tuple(*items)]), protocol=2))
    return b"".join(map(read_all, legacy.stream(pickle, [payload], [item]).payloads))


def _replace(root: Node, found: Replacements) -> None:
    if found:
        replace_below([root], lambda node: found.get(id(plain(node)), (None, None))[1])
