"""Calls in a few words, as they would stand in a program."""

from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Set, Tuple, plain
from ptzip.text import has_decimal

LONGEST = 60
MOST_ITEMS = 4
MOST_DEEP = 2


def spelled_call(call: Call, what: str) -> str:
    """A call with its arguments, those that are long cut."""
    given = [spelled(argument) for argument in call.arguments[:MOST_ITEMS]]
    more = ", ..." if len(call.arguments) > MOST_ITEMS else ""
    return f"{what}({', '.join(given)}{more})"


def spelled(node: Node, depth: int = 0) -> str:
    """A value as Python spells it, roughly."""
    found = plain(node)
    if isinstance(found, Atom):
        return _cut(found)
    if isinstance(found, Global):
        return found.path
    if isinstance(found, Call):
        return f"{found.path or '?'}(...)"
    if isinstance(found, Tuple) and depth < MOST_DEEP:
        inner = ", ".join(spelled(part, depth + 1) for part in found.parts[:MOST_ITEMS])
        return f"({inner}, ...)" if len(found.parts) > MOST_ITEMS else f"({inner})"
    return {Tuple: "(...)", List: "[...]", Dict: "{...}", Set: "{...}"}.get(type(found), "...")


def _cut(node: Atom) -> str:
    value = node.value
    if isinstance(value, str | bytes | bytearray):
        return repr(value) if len(value) <= LONGEST else f"{value[:LONGEST]!r}..."
    return str(value) if has_decimal(value) else "a huge number"
