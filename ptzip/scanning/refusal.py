"""Why `load` refuses a pickle, and what `slim` warns about: by the rules of `scan`, so that only clean pickles are loaded."""

from collections.abc import Iterator

from ptzip.formats.container import Part
from ptzip.pickling.nodes import Call, Pickle
from ptzip.scanning.harmful_states import built_names, special_methods
from ptzip.scanning.report import Severity
from ptzip.scanning.subjects import PickleStream
from ptzip.scanning.violations import Danger, violations


def refusal(part: Part) -> str:
    """Why the object of a pickle is not rebuilt, in one line; "" where all is allowed."""
    pickle = part.pickle
    for found in violations(pickle):
        does = "calls" if isinstance(found.node, Call) else "refers to"
        why = f" {found.why}" if found.danger is Danger.MISUSED else ", which is not known to be harmless"
        return f"the pickle {does} {found.what}{why} (at {part.position(found.node.offset)})"
    for name in built_names(pickle):
        return f"the pickle changes {name.path} itself (at {part.position(name.offset)})"
    for call, method in special_methods(pickle):
        replaced = f"{method} of an instance of {call.path or 'a computed class'}"
        return f"the pickle replaces {replaced} (at {part.position(call.offset)})"
    return ""


def malice(parts: tuple[Part, ...]) -> Iterator[str]:
    """What is malicious in the pickles of an open file, one line each."""
    suspects = [part for part in parts if _is_suspect(part.pickle)]
    if not suspects:
        return
    from ptzip.scanning.rules import RULES  # honest files do not need them, and slim should start fast

    for part in suspects:
        stream = PickleStream(part.name, part.pickle, part)
        for rule in RULES:
            if rule.of is PickleStream and rule.severity == Severity.MALICIOUS:
                for hit in rule.check(stream):
                    where = "" if hit.offset is None else f", {part.position(hit.offset)}"
                    yield f"{rule.id} {part.name}{where}: {hit.message}"


def _is_suspect(pickle: Pickle) -> bool:
    """Whether a pickle has anything that an honest one does not have, so that the rules are worth running."""
    is_odd = bool(pickle.anomalies) or any(built_names(pickle)) or any(special_methods(pickle))
    return is_odd or any(found.danger is Danger.HARMFUL for found in violations(pickle))
