"""What the records of a zip of torch are for, by their names within the archive.

Sources: `torch/serialization.py` (`_save`), `caffe2/serialize/inline_container.cc`, `torch/csrc/jit/serialization/export.cpp`,
`torch/package/package_exporter.py`.
"""

PURPOSES = {
    "data.pkl": "the object",
    "version": "archive version",
    "byteorder": "byte order",
    ".format_version": "layout version",
    ".storage_alignment": "alignment",
    ".data/serialization_id": "checksum",
    ".data/version": "archive version",
    ".data/python_version": "Python that wrote the package",
    ".data/extern_modules": "modules that the package imports",
    "constants.pkl": "constants of the program",
    "attributes.pkl": "attributes of the program",
    "bytecode.pkl": "the program for the lite interpreter",
}
FOLDERS = {"code/": "the program", "extra/": "a file that was saved with it"}


def purpose(record: str) -> tuple[str, ...]:
    """What a record is for, by its name in lower case; () where the name does not say."""
    folder = next((words for start, words in FOLDERS.items() if record.startswith(start)), None)
    words = PURPOSES.get(record, folder)
    return () if words is None else (words,)
