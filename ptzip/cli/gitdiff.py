"""`ptzip diff --git …`: what git shows of a checkpoint that changed, as the command of a diff driver (gitattributes(5)).

Rule: it always ends well, since git gives up where its driver fails; what cannot be compared is one line.
"""

import os
from collections.abc import Callable
from dataclasses import replace

import ptzip
from ptzip.cli.printing import message, show
from ptzip.render.escape import printable

OLD, NEW, NEW_PATH = 1, 4, 7
"""Where the files stand among PATH OLD HEX MODE NEW HEX MODE [NEW-PATH WHAT]; of a path with conflicts there is PATH alone."""


Compare = Callable[[str, str], "ptzip.DiffReport"]
Spell = Callable[["ptzip.DiffReport"], str]


def show_change(words: list[str], compare: Compare, spell: Spell) -> int:
    """Print what differs between two versions of a file. 2 where these are not the words that git gives."""
    if len(words) == 1:
        show(f"{printable(words[0])}: not merged")
        return 0
    if len(words) <= NEW:
        show("ptzip diff --git is for git: PATH OLD HEX MODE NEW HEX MODE")
        return 2
    path, old, new = words[0], words[OLD], words[NEW]
    new_path = words[NEW_PATH] if len(words) > NEW_PATH else path
    try:
        if os.devnull in (old, new):
            show(_alone(path, old, new))
        else:
            show(spell(replace(compare(old, new), a=f"a/{path}", b=f"b/{new_path}")))
    except (ptzip.PtzipError, OSError, ValueError) as error:
        show(f"{printable(path)}: not compared: {printable(message(error, path))}")
    return 0


def _alone(path: str, old: str, new: str) -> str:
    """A checkpoint that is new or was deleted, in a few words."""
    what, file = ("new", new) if old == os.devnull else ("deleted", old)
    with ptzip.open(file) as checkpoint:
        count, size = len(checkpoint.tensors()), checkpoint.source.size
        return f"{printable(path)}: {what}, {checkpoint.format}, {count:,} tensors, {size:,} bytes"
