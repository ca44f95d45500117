"""A step time modelled from counts and peak rates: no measurement."""

from __future__ import annotations

import dataclasses

from tagrec_jax.run.aot.chips import Chip

ASSUMPTIONS = (
  "every chip reaches its peak rates: a real step takes longer",
  "matrix products run at the bfloat16 rate, whatever their type",
  (
    "operations: the larger of what the compiler counts (a loop's body once)"
    " and the matrix products of the traced program (loops by their turns)"
    " shared evenly among devices"
  ),
  (
    "memory: each operation of the compiled program reads its operands and"
    " writes its results, filled up to tiles, where they do not lie in the"
    " chip's fast memory; loops by their turns; of a table that is looked into"
    " or changed in places, only these"
  ),
  (
    "exchanges run as rings along one axis of the torus, in both directions,"
    " one after another; between slices they would be slower"
  ),
  "from: all three overlap perfectly; to: none does",
  "the host's input, and starting the program, take no time",
)


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Seconds that one device needs for each, at peak rates.

  Attributes:
    compute, memory, exchange: operations, bytes from and to memory, bytes to
      other devices.
  """

  compute: float
  memory: float
  exchange: float

  @classmethod
  def of(cls, chip: Chip, flops: float, moved: float, sent: float) -> Roofline:
    """Counts of one device divided by the rates of its chip."""
    return cls(flops / chip.flops, moved / chip.hbm_rate, sent / chip.ici_rate)

  @property
  def bound(self) -> str:
    """What takes longest: 'compute', 'memory' or 'exchange'."""
    parts = dataclasses.asdict(self)
    return max(parts, key=lambda name: parts[name])

  @property
  def least(self) -> float:
    """Seconds of a step if everything overlaps."""
    return max(self.compute, self.memory, self.exchange)

  @property
  def most(self) -> float:
    """Seconds of a step if nothing overlaps."""
    return self.compute + self.memory + self.exchange
