"""`ptzip diff --git …`: what git shows of a checkpoint that changed, as the command of a diff driver (gitattributes(5)).

Rule: it always ends well, since git gives up where its driver fails; what cannot be compared is one line.
"""

import argparse
import os

import ptzip
from ptzip.cli.diff import compared, spelled
from ptzip.cli.printing import message, show
from ptzip.reports.line import printable

OLD, NEW = 1, 4
"""Where the files stand among PATH OLD HEX MODE NEW HEX MODE [NEW-PATH WHAT]; of a path with conflicts there is PATH alone."""


def show_change(words: list[str], arguments: argparse.Namespace) -> int:
    """Print what differs between two versions of a file. 2 where these are not the words that git gives."""
    if len(words) == 1:
        show(f"{printable(words[0])}: not merged")
        return 0
    if len(words) <= NEW:
        show("ptzip diff --git is for git: PATH OLD HEX MODE NEW HEX MODE")
        return 2
    path, old, new = words[0], words[OLD], words[NEW]
    try:
        show(_change(path, old, new, arguments))
    except (ptzip.PtzipError, OSError) as error:
        show(f"{printable(path)}: not compared: {printable(message(error, path))}")
    return 0


def _change(path: str, old: str, new: str, arguments: argparse.Namespace) -> str:
    if os.devnull in (old, new):
        return f"{printable(path)}: {'new' if old == os.devnull else 'deleted'}, {_told(new if old == os.devnull else old)}"
    report = compared(old, new, arguments)
    return spelled(report._replace(a=f"a/{path}", b=f"b/{path}"), arguments)


def _told(file: str) -> str:
    """A checkpoint in a few words."""
    with ptzip.open(file) as checkpoint:
        return f"{checkpoint.format}, {len(checkpoint.tensors()):,} tensors, {checkpoint.source.size:,} bytes"
