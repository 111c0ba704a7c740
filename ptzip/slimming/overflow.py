"""The policy on overflow: what `slim` does where values are beyond the range of the new dtype.

No plan can know that a cast overflows. Under "keep", tensors that did are planned again as they were, and the file is written
again before it gets its name: that costs nothing where nothing overflows, whereas a scan of all values beforehand would add
half the time of writing to every file (14 ms to 26 ms at 56 MB). "saturate" and "inf" are part of the cast itself
(`tensors.rounding`).
"""

from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError
from ptzip.slimming.details import TensorNames, overflowing_tensors
from ptzip.slimming.options import Options
from ptzip.slimming.plan import Plan, make_plan
from ptzip.slimming.report import CastTensor
from ptzip.tensors.cast import Stretch

NAMED = 3
"""How many tensors an error names."""


class NothingToGain(Exception):
    """Every tensor that a plan was to cast overflows, so the new file would be the input."""


class OverflowPolicy:
    """What was found about overflow in the plans of one file that were written so far."""

    def __init__(self, checkpoint: Checkpoint, options: Options) -> None:
        self.checkpoint = checkpoint
        self.options = options
        self.stretches = set[Stretch]()
        """Stretches of storages that keep their dtype."""
        self.kept = list[CastTensor]()
        """The tensors on them."""

    def found_in(self, plan: Plan) -> bool:
        """Whether values overflowed in a plan that was written, so that it is to be planned and written again.

        Raises EditError under "error".
        """
        found = {cast.origin for cast in plan.finished.casts if cast.origin is not None and cast.loss.overflowed}
        if not found or self.options.on_overflow in ("saturate", "inf"):
            return False
        self.kept += overflowing_tensors(TensorNames(self.checkpoint, plan.edit.cuts), plan.finished)
        if self.options.on_overflow == "error":
            raise EditError(self._refusal())
        self.stretches |= found  # a storage that a deduplicated one stood for may overflow only in the next round
        return True

    def next_plan(self) -> Plan:
        """The plan to write in place of the last one. Raises NothingToGain where it changes nothing."""
        plan = make_plan(self.checkpoint, self.options, self.stretches)
        if not plan.is_worthwhile:
            raise NothingToGain
        return plan

    def _refusal(self) -> str:
        count, names = sum(one.loss.overflowed for one in self.kept), [name for one in self.kept for name in one.names]
        more = f" and {len(names) - NAMED} more tensors" if len(names) > NAMED else ""
        return f"{count:,} values are beyond the range of {self.options.target}, in {', '.join(names[:NAMED])}{more}"
