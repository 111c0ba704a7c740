"""Code in an archive: programs, sources and TorchScript, recognised by content or by a name that only code has.

What code does is not analysed, except that TorchScript which saves or loads files is reported.
"""

import re
from collections.abc import Iterator

from ptzip.formats.signatures import NATIVE, SCRIPT, signature_of
from ptzip.io.sources import Source
from ptzip.scanning.report import Hit
from ptzip.scanning.subjects import Note, NoteKind

NATIVE_NAMES = (".so", ".dll", ".dylib", ".pyd", ".exe", ".o", ".cubin")
SOURCE_NAMES = (".py", ".pyc", ".sh", ".bat", ".ps1", ".cpp", ".cu", ".js")
FILES = re.compile(rb"\b(?:ops\.aten\.|aten::|torch\.)(?:save|from_file|load)\b")

MOST_CODE = 1 << 22
"""Bytes of TorchScript source that are searched."""


def code_notes(source: Source, name: str, location: str) -> Iterator[Note]:
    """What code an archive entry holds, if any."""
    lower = name.lower()
    head = source.read(0, min(source.size, 8))
    if signature_of(head, NATIVE) or lower.endswith(NATIVE_NAMES):
        yield Note(location, NoteKind.CODE, "this is native code")
    elif "/code/" in lower and lower.endswith(".py"):
        yield Note(location, NoteKind.TORCHSCRIPT, "this is TorchScript code, which loading may run")
        found = FILES.search(source.read(0, min(source.size, MOST_CODE)))
        if found:
            yield Note(location, NoteKind.FILES_CODE, f"TorchScript code calls {found.group().decode('ascii')}", found.start())
    elif lower.endswith(SOURCE_NAMES) or signature_of(head, SCRIPT):
        yield Note(location, NoteKind.CODE, "this is source code")


def noted(note: Note, kind: NoteKind) -> Iterator[Hit]:
    """A note of one kind, as a hit."""
    if note.kind is kind:
        yield Hit(note.message, note.offset)


def code(note: Note) -> Iterator[Hit]:
    """Code is not part of a checkpoint. Loading may run, import or link it."""
    yield from noted(note, NoteKind.CODE)


def torchscript(note: Note) -> Iterator[Hit]:
    """A TorchScript archive contains a program; torch.load and torch.jit.load both accept it, and running the model runs it."""
    yield from noted(note, NoteKind.TORCHSCRIPT)


def torchscript_with_files(note: Note) -> Iterator[Hit]:
    """The program in the archive reads or writes files."""
    yield from noted(note, NoteKind.FILES_CODE)
