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

from collections import Counter
from pathlib import PureWindowsPath

from ptzip.allowlist.needs import WINDOWS_PATHS, moved, needs
from ptzip.allowlist.table import pair
from ptzip.editing.account import MOST_NOTED
from ptzip.editing.array_tensor import BuildArray
from ptzip.editing.edit import Edit
from ptzip.editing.portable_numpy import NumpyForms
from ptzip.editing.portable_torch import TorchForms
from ptzip.editing.respelling import Respelling, with_puts
from ptzip.pickling.new_nodes import atom, bytes_node, new_tuple, replace_below
from ptzip.pickling.nodes import Atom, Call, Global, Node, Persistent, plain, text, walk_unordered

PYTHON_2_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")


def make_portable(edit: Edit, build_array: BuildArray) -> None:
    """Replace what only some loaders read in the tree of an edit."""
    nodes = list(walk_unordered(edit.root))
    portable, top = Portable(Respelling(edit, build_array), nodes), [edit.root]
    replace_below(top, portable)
    edit.pickle.root = top[0]
    if portable.numpy.has_shared_bits:
        edit.account.warnings.append("random generators that shared a bit generator got one each, in the same state")
    edit.account.respelled([f"{what}{f' ({times:,})' if times > 1 else ''}" for what, times in portable.shared.done.items()])


def note_needs(edit: Edit) -> None:
    """Note what loading the tree of an edit still needs that not every loader has."""
    calls = [node for node in walk_unordered(edit.root) if isinstance(node, Call | Global)]
    for one in needs(calls, (), edit.pickle.protocol):
        names = ", ".join(one.names[:MOST_NOTED]) + (", ..." if len(one.names) > MOST_NOTED else "")
        edit.account.notes.append(f"not portable: it needs {one.what} ({names})")


class Portable:
    """Returns the replacement of a node, None where it stays; changes the arguments of calls in place.

    `nodes` are those of the tree before it.
    """

    def __init__(self, shared: Respelling, nodes: list[Node]) -> None:
        self.shared = shared
        self.times = Counter(node.path for node in nodes if isinstance(node, Call))
        self.numpy, self.torch = NumpyForms(shared), TorchForms(shared, nodes)
        self.forms = self.numpy.forms | self.torch.forms | dict.fromkeys(WINDOWS_PATHS, self.windows_path)

    def __call__(self, node: Node) -> Node | None:
        if isinstance(node, Global):
            return self._renamed(node)
        if isinstance(node, Call):
            form = self.forms.get(node.path)
            return form(node) if form is not None else None
        if isinstance(node, Persistent):
            self.torch.typed(node)
        return self._decoded(node) if node.op in PYTHON_2_STRINGS else None

    def _renamed(self, node: Global) -> Node | None:
        found = moved(node.module, node.name, self.shared.protocol)
        if found is None or not found.new:
            return None
        self.shared.done[f"{node.path} became {found.new}"] += self.times[node.path] or 1
        module, name = pair(found.new)
        return Global("GLOBAL", (module, name), steps=node.steps, module=module, name=name)

    def _decoded(self, node: Node) -> Node | None:
        """An 8-bit string of Python 2 as text, or as bytes where it is no text; of ASCII alone it loads everywhere."""
        assert isinstance(node, Atom)
        value = node.value
        data = value.encode() if isinstance(value, str) else value
        if data.isascii():
            return None
        is_text = isinstance(value, str) and id(node) not in self.numpy.of_arrays
        self.shared.done[f"8-bit string became {'text' if is_text else 'bytes'}"] += 1
        return with_puts(atom(value) if is_text else bytes_node(data, self.shared.protocol), node)

    def windows_path(self, call: Call) -> None:
        parts = [value for part in call.arguments if (value := text(plain(part))) is not None]
        if len(parts) == len(call.arguments) and any("\\" in part for part in parts):
            call.parts[1] = new_tuple(atom(PureWindowsPath(*parts).as_posix()))
