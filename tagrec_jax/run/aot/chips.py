"""What one chip of each TPU generation offers, for modelled step times."""

from __future__ import annotations

import dataclasses

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
  """Peak rates; nothing real reaches them.

  Attributes:
    name: of the generation, as topologies call it.
    hbm_bytes: of memory; programs get a little less.
    flops: bfloat16 operations a second.
    hbm_rate: bytes a second from and to memory.
    ici_rate: bytes a second that one chip sends along one axis of its torus,
      both ways together.
    source: of the numbers.
  """

  name: str
  hbm_bytes: int
  flops: float
  hbm_rate: float
  ici_rate: float
  source: str


# All numbers are those of Google's pages on system architecture, read in
# November 2026; of the two ways some are written there (819 GB or 800 GiB a
# second for v5e, 2765 GB or 2575 GiB for v5p) the first. A chip of v5e and v6e
# has 4 links (2 axes), one of v4 and v5p has 6 (3 axes). Over all links, both
# ways together, they carry 400 (v5e), 800 (v6e), 600 (v4) and 1200 (v5p) GB a
# second; an axis has two of a chip's links, so the chip sends half of `all /
# axes` along it.
_PAGES = "https://docs.cloud.google.com/tpu/docs/"
CHIPS = {
  chip.name: chip
  for chip in (
    Chip("v4", 32 * GIB, 275e12, 1200e9, 100e9, _PAGES + "v4"),
    Chip("v5e", 16 * GIB, 197e12, 819e9, 100e9, _PAGES + "v5e"),
    Chip("v5p", 95 * GIB, 459e12, 2765e9, 200e9, _PAGES + "v5p"),
    Chip("v6e", 32 * GIB, 918e12, 1638e9, 200e9, _PAGES + "v6e"),
  )
}

# A run on fake devices of the CPU takes the same way; its numbers say nothing.
CPU = Chip("cpu", 16 * GIB, 1e12, 100e9, 10e9, "none: round numbers")


def chip_of(topology: str) -> Chip:
  """The chip of a topology such as 'v5e:4x4' or 'cpu:8'.

  Raises:
    UserError: for a generation that is not in the table.
  """
  name, _, shape = topology.partition(":")
  known = CHIPS | {"cpu": CPU}
  if name not in known or not shape.replace("x", "").isdecimal():
    raise UserError(
      "--topology",
      f"found '{topology}'",
      f"GENERATION:SHAPE with one of {', '.join(known)}",
      nearest(name, list(known)) + ", such as v5e:4x4, v5p:4x4x4 or cpu:8",
    )
  return known[name]
