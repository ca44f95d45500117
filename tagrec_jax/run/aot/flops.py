"""Operations of a traced program, loops counted by their turns.

The compiler's own count takes the body of a loop once, which for tiles over a
catalogue is most of the work. What nothing is made of does not count: the
compiler leaves it out too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jax.interpreters import partial_eval


def matmul_flops(jaxpr: Any) -> float:
  """Multiplications and additions of all matrix products and convolutions.

  Of all devices together. A loop whose turns are not known while tracing counts
  once; of branches, the dearest.

  Args:
    jaxpr: such as `jax.jit(f).trace(...).jaxpr`.
  """
  jaxpr = getattr(jaxpr, "jaxpr", jaxpr)  # without its constants
  needed, _ = partial_eval.dce_jaxpr(jaxpr, True)
  return _all(needed)


def _all(jaxpr: Any) -> float:
  jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
  return sum((_of(equation) for equation in jaxpr.eqns), start=0.0)


def _of(equation: Any) -> float:
  name, params = equation.primitive.name, equation.params
  if name == "dot_general":
    (contracted, _), _ = params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    inner = math.prod(shape[n] for n in contracted)
    return 2.0 * inner * math.prod(equation.outvars[0].aval.shape)
  if name == "conv_general_dilated":
    kernel = equation.invars[1].aval.shape
    outputs = kernel[params["dimension_numbers"].rhs_spec[0]]
    taps = math.prod(kernel) / outputs
    return 2.0 * taps * math.prod(equation.outvars[0].aval.shape)
  parts = [_all(part) for part in _inner(params)]
  if name == "cond":
    return max(parts, default=0.0)
  if name == "scan":
    return params["length"] * sum(parts, start=0.0)
  if name == "pallas_call":  # its body is what one point of a grid does
    grid = params["grid_mapping"].grid
    return math.prod(grid) * sum(parts, start=0.0)
  if name == "shard_map":  # its body is what one device does
    sizes = dict(params["mesh"].shape)
    return math.prod(sizes[a] for a in params["newly_manual_axes"]) * sum(
      parts, start=0.0
    )
  return sum(parts, start=0.0)


def _inner(params: Any) -> Iterator[Any]:
  """The programs inside an equation; not the rules of its derivative."""
  for value in params.values():
    for part in value if isinstance(value, tuple | list) else (value,):
      if hasattr(getattr(part, "jaxpr", part), "eqns"):
        yield part
