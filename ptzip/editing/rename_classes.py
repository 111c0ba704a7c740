"""`--rename-class`: other names for classes and functions in a pickle, as after a package moved them.

A name is its module and its own name, joined by a dot. `*` in the old name matches anything, dots too; in the new name
it is what that matched: `models.*` -> `yolov5.models.*`.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.pickling.new_nodes import replace_below
from ptzip.pickling.nodes import Call, Global, Node, walk
from ptzip.tensors.torch_names import STORAGE_CLASSES
from ptzip.text import did_you_mean

ANY = "*"

WhyHarmful = Callable[[str, str], str]
"""Why the name in a module must not be imported by a checkpoint; "" where that is up to the user."""


class ClassRename(NamedTuple):
    """The new name for the names that match `old`; `why_harmful` judges each that is another."""

    old: str
    new: str
    why_harmful: WhyHarmful

    def renamed(self, module: str, name: str) -> tuple[str, str] | None:
        """The new module and name, None for a name that does not match. Raises EditError for one that cannot be."""
        pattern = "(.*)".join(map(re.escape, self.old.split(ANY)))
        found = re.fullmatch(pattern, f"{module}.{name}")
        if found is None:
            return None
        literals = self.new.split(ANY)
        words = [literals[0], *(word for pair in zip(found.groups(), literals[1:], strict=True) for word in pair)]
        parts = "".join(words).rsplit(".", 1 + name.count("."))
        new = parts[0], ".".join(parts[1:])
        if new != (module, name):
            self._check(f"{module}.{name}", new)
        return new

    def _check(self, path: str, new: tuple[str, str]) -> None:
        rename = f"--rename-class {self.old}={self.new} makes {path}"
        if why := self.why_harmful(*new):
            raise EditError(f"{rename} a name that scan refuses: {why}")
        if path in STORAGE_CLASSES and ".".join(new) not in STORAGE_CLASSES:
            raise EditError(f"{rename} {'.'.join(new)}, which is no storage class of torch: no tensor of it would load")


def class_renames(names: Mapping[str, str], why_harmful: WhyHarmful) -> tuple[ClassRename, ...]:
    """Old name or glob -> new one. Raises ValueError for one that cannot be a name."""
    for old, new in names.items():
        if old.count(ANY) != new.count(ANY):
            raise ValueError(f"invalid rename of classes {old!r} to {new!r}: expected as many * in both")
        for word in (old, new):
            has_parts = "." in word or (word == old and ANY in old)
            if not has_parts or any(not part.replace(ANY, "_").isidentifier() for part in word.split(".")):
                raise ValueError(f"invalid rename of classes {old!r} to {new!r}: {word!r} is not MODULE.NAME")
    return tuple(ClassRename(old, new, why_harmful) for old, new in names.items())


def rename_classes(edit: Edit, renames: tuple[ClassRename, ...]) -> None:
    """Rename what matches in the tree of an edit, by the first of `renames` that does; an unused one is a warning."""
    if not renames:
        return
    known, done = _names(edit.root), dict[tuple[str, str], tuple[str, str]]()
    unused = dict.fromkeys(renames)
    for module, name in known:
        for rename in renames:
            if (new := rename.renamed(module, name)) is not None:
                unused.pop(rename, None)
                done[module, name] = new
                break
    new_names = {pair: new for pair, new in done.items() if new != pair}
    top = [edit.root]
    replace_below(top, lambda node: _renamed(node, new_names))
    edit.pickle.root = top[0]
    edit.account.respelled([f"{'.'.join(old)} became {'.'.join(new)}" for old, new in new_names.items()])
    paths = [".".join(pair) for pair in known]
    edit.account.warnings += [
        f"--rename-class {one.old}={one.new} matches no name{did_you_mean(one.old, paths)}" for one in unused
    ]


def _names(root: Node) -> dict[tuple[str, str], None]:
    """The names in a tree, as modules and names."""
    found = dict[tuple[str, str], None]()
    for node in walk(root):
        if isinstance(node, Global):
            found[node.module, node.name] = None
        elif isinstance(node, Call) and node.op == "INST":
            found[node.arg] = None
    return found


def _renamed(node: Node, names: Mapping[tuple[str, str], tuple[str, str]]) -> Node | None:
    if isinstance(node, Global) and (new := names.get((node.module, node.name))) is not None:
        return Global("GLOBAL", new, steps=node.steps, module=new[0], name=new[1])
    if isinstance(node, Call) and node.op == "INST":
        node.arg = names.get(node.arg, node.arg)
    return None
