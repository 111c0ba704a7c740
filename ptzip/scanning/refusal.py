"""The first thing in a pickle that is not allowed, for whoever would rebuild its object; and what of it is malicious.

Rule: both are what `scan` finds of that pickle by the same rules, so that nothing loads that is not clean.
"""

from collections.abc import Iterator

from ptzip.formats.container import Part
from ptzip.pickling.nodes import Call, Pickle
from ptzip.scanning.report import Severity
from ptzip.scanning.subjects import PickleStream
from ptzip.scanning.violations import Danger, built_names, special_methods, violations


def refusal(pickle: Pickle) -> str:
    """Why an object is not rebuilt, in one line; "" where all is allowed."""
    for found in violations(pickle):
        does = "calls" if isinstance(found.node, Call) else "holds"
        why = found.why if found.danger is Danger.MISUSED else "which is not known to be harmless"
        comma = "" if found.danger is Danger.MISUSED else ","
        return f"the pickle {does} {found.what}{comma} {why} (at byte {found.node.offset})"
    for name in built_names(pickle):
        return f"the pickle changes {name.path} itself (at byte {name.offset})"
    for call, method in special_methods(pickle):
        return f"the pickle replaces {method} of an object of {call.path or '?'} (at byte {call.offset})"
    return ""


def malice(parts: tuple[Part, ...]) -> Iterator[str]:
    """What is malicious in the pickles of an open file, a line for each."""
    suspects = [part for part in parts if _is_suspect(part.pickle)]
    if not suspects:
        return
    from ptzip.scanning.rules import RULES  # here, since honest files do not need them, and slimming is to start at once

    for part in suspects:
        stream = PickleStream(part.name, part.pickle, part)
        for rule in RULES:
            if rule.of is PickleStream and rule.severity == Severity.MALICIOUS:
                yield from (f"{rule.id} {part.name}, byte {hit.offset}: {hit.message}" for hit in rule.check(stream))


def _is_suspect(pickle: Pickle) -> bool:
    """Whether the rules are worth asking: something is called or spelled that no honest pickle calls or spells."""
    is_odd = bool(pickle.anomalies) or any(built_names(pickle)) or any(special_methods(pickle))
    return is_odd or any(found.danger is Danger.HARMFUL for found in violations(pickle))
