"""What the records of a zip of torch are for, by their names within the archive.

Sources: `torch/serialization.py` (`_save`), `caffe2/serialize/inline_container.cc`, `torch/csrc/jit/serialization/export.cpp`,
`torch/package/package_exporter.py`.
"""

PURPOSES = {
    "data.pkl": "the object",
    "version": "version of the archive's format",
    "byteorder": "byte order of the storages",
    ".format_version": "version of the layout",
    ".storage_alignment": "alignment of the storages",
    ".data/serialization_id": "hash of all other records",
    ".data/version": "version of the archive's format",
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
