"""Fixed binary layouts, one line of text each, from which readers, writers and declarations are derived."""

import struct


class Layout:
    """Fields that follow one another, little-endian: `fields` has `name:width` for each, the width as `struct` spells it."""

    def __init__(self, fields: str) -> None:
        self.fields = fields
        self.widths = dict(field.split(":") for field in fields.split())
        self.names = [*self.widths]
        self.packer = struct.Struct("<" + "".join(self.widths.values()))
        self.size = self.packer.size

    def span(self, name: str) -> slice:
        """The bytes of a field."""
        widths = [*self.widths.values()]
        start = struct.calcsize("<" + "".join(widths[: self.names.index(name)]))
        return slice(start, start + struct.calcsize(self.widths[name]))
