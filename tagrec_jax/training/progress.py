"""What a person sees of a running training."""

from __future__ import annotations

from tagrec_jax.core.progress import Bar


class ProgressBar(Bar):
  """The steps of a training, their loss and rate."""

  def __init__(self, first: int, last: int):
    super().__init__("training", first, last)

  def show(self, step: int, loss: float | None, rate: float | None) -> None:
    """Args: rate: steps a second since the last call."""
    facts = "" if loss is None else f"loss {loss:.4f}"
    line = facts
    if rate:
      facts = f"{facts}  {rate:.1f} steps/s"
      line = f"{facts}  {(self._last - step) / rate:.0f} s left"
    self.tell(step, facts, f"step {step}/{self._last}  {line}")
