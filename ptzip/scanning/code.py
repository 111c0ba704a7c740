"""Code in an archive: programs, sources, and the code of TorchScript.

Rule: code is told by its content, or by a name that only code has; what it does is not followed, save that TorchScript which
saves or loads files is named.
"""

import re
from collections.abc import Iterator

from ptzip.io.sources import Source
from ptzip.scanning.regions import CODE, FILES_CODE, TORCHSCRIPT, Note

NATIVE = (b"\x7fELF", b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe")
"""How programs of Linux, Windows, macOS and Java begin."""

NATIVE_NAMES = (".so", ".dll", ".dylib", ".pyd", ".exe", ".o", ".cubin")
SOURCE_NAMES = (".py", ".pyc", ".sh", ".bat", ".ps1", ".cpp", ".cu", ".js")
FILES = re.compile(rb"\b(?:ops\.aten\.|aten::|torch\.)(?:save|from_file|load)\b")

MOST_CODE = 1 << 22
"""Bytes of a source that are looked into."""


def notes(source: Source, name: str, where: str) -> Iterator[Note]:
    """What code an entry is, if it is any."""
    lower = name.lower()
    head = source.read(0, min(source.size, 8))
    if head.startswith(NATIVE) or lower.endswith(NATIVE_NAMES):
        yield Note(where, CODE, "this is native code")
    elif "/code/" in lower and lower.endswith(".py"):
        yield Note(where, TORCHSCRIPT, "this is code of TorchScript, which loading may run")
        found = FILES.search(source.read(0, min(source.size, MOST_CODE)))
        if found:
            yield Note(where, FILES_CODE, f"code of TorchScript calls {found.group().decode('ascii')}", found.start())
    elif lower.endswith(SOURCE_NAMES) or head.startswith(b"#!"):
        yield Note(where, CODE, "this is source code")
