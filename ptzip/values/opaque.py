"""The inert record of a name or an object that is not rebuilt, with everything the pickle says about it."""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False, repr=False)
class Opaque:
    """An object of a class that is not rebuilt, or with `args` None the name itself: a class, a function.

    `args` and `kwargs` are what it is called with, `state` what BUILD gives it, `items` what is appended to it (or added, where
    it is a set), `pairs` the keys and values that are set in it. Two are equal only if they are the same object.
    """

    module: str
    name: str
    args: tuple[object, ...] | None = None
    state: object = None
    kwargs: dict[str, object] = field(default_factory=dict)
    items: list[object] = field(default_factory=list)
    pairs: list[tuple[object, object]] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The full name of the class or function."""
        return f"{self.module}.{self.name}" if self.module else self.name

    @property
    def is_name(self) -> bool:
        """Whether this is the name itself, not an object that it returned."""
        return self.args is None

    @property
    def attributes(self) -> dict[object, object]:
        """What the state says of attributes: a dict, or with `__slots__` a pair of dicts, either of which may be None."""
        is_pair = isinstance(self.state, tuple) and len(self.state) == 2
        parts = self.state if isinstance(self.state, tuple) and is_pair else (self.state,)
        if is_pair and not all(part is None or isinstance(part, dict) for part in parts):
            return {}
        return {name: value for part in parts if isinstance(part, dict) for name, value in part.items()}

    def __repr__(self) -> str:
        return f"<name {self.path}>" if self.is_name else f"<object of {self.path}>"
