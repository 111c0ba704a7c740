"""The classes of torch that checkpoints contain besides those of state dicts."""


def suffix_of(module: str, name: str) -> str | None:
    """What may be done with a name; None where it is unknown."""
    return None
