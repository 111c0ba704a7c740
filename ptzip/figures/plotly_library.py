"""The only module that imports plotly, which the extra `ptzip[html]` installs."""

from typing import Any

from ptzip.errors import UnsupportedError
from ptzip.figures.words import Spec


def figure(spec: Spec) -> Any:
    """A figure as plotly's own `Figure`. Raises UnsupportedError where plotly is not installed."""
    _check_installed()
    import plotly.graph_objects as graphs  # here and below: few programs show figures, and plotly is optional

    return graphs.Figure(spec)


def script() -> str:
    """plotly.js as the installed plotly carries it. Raises UnsupportedError where plotly is not installed."""
    _check_installed()
    from plotly.offline import get_plotlyjs  # as above

    found: str = get_plotlyjs()
    return found


def _check_installed() -> None:
    try:
        import plotly  # noqa: F401 (as above)
    except ImportError as error:
        raise UnsupportedError("figures need plotly: pip install 'ptzip[html]'") from error
