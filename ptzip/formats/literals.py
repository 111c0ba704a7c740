"""Python literals as numpy writes them into headers: texts, whole numbers, True, False, None, tuples, lists and dicts.

Nothing is compiled; what else Python would accept, such as escapes, sums or texts side by side, is refused.
"""

import re
from typing import Any

TOKEN = re.compile(r"""'[^'\\\n]*'|"[^"\\\n]*"|True|False|None|\d{1,19}L?|[\[\](){},:]|\s+""")
"""Python 2 ended long numbers with an L."""

CONSTANTS = {"True": True, "False": False, "None": None}
CLOSES = {"(": ")", "[": "]", "{": "}"}

MOST_DEEP = 32


class _Group:
    """A tuple, list or dict that is still open, and the commas and colons in it; the header itself has no bracket."""

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.values = list[Any]()
        self.separators = ""

    def add(self, value: Any) -> None:
        if len(self.values) > len(self.separators):
            raise ValueError("a separator is missing")
        self.values.append(value)

    def separate(self, separator: str) -> None:
        if len(self.values) <= len(self.separators) or not self.bracket:
            raise ValueError("a separator follows no value")
        self.separators += separator

    def closed(self) -> Any:
        count = len(self.values)
        if self.bracket == "{":
            if count % 2 or self.separators.rstrip(",") != (":," * (count // 2)).rstrip(","):
                raise ValueError("this is no dict")
            return dict(zip(self.values[::2], self.values[1::2], strict=True))
        if ":" in self.separators or (self.bracket == "(" and count == 1 and not self.separators):
            raise ValueError("this is neither a tuple nor a list")
        return tuple(self.values) if self.bracket == "(" else self.values


def parsed(text: str) -> Any:
    """The value of a text. Raises ValueError or TypeError where numpy would not have written it."""
    groups = [_Group("")]
    at = 0
    for match in TOKEN.finditer(text):
        if match.start() != at or len(groups) > MOST_DEEP:
            break
        at, token = match.end(), match[0]
        if token in CLOSES:
            groups.append(_Group(token))
        elif token in CLOSES.values():
            group = groups.pop()
            if CLOSES.get(group.bracket) != token:
                raise ValueError("brackets do not match")
            groups[-1].add(group.closed())
        elif token in (",", ":"):
            groups[-1].separate(token)
        elif not token.isspace():
            groups[-1].add(_atom(token))
    if at != len(text) or len(groups) != 1 or len(groups[0].values) != 1:
        raise ValueError("this is no literal of numpy")
    return groups[0].values[0]


def _atom(token: str) -> Any:
    if token in CONSTANTS:
        return CONSTANTS[token]
    return token[1:-1] if token[0] in "'\"" else int(token.rstrip("L"))
