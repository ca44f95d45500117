"""Linear recurrences, all positions at once."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float


def linear_scan(
  keep_BSD: Float[Array, "B S D"], add_BSD: Float[Array, "B S D"]
) -> Float[Array, "B S D"]:
  """Every h of h = keep ∘ h + add, from h = 0.

  The work grows with S, the number of dependent steps with log S: two steps of
  a linear recurrence are one step of another. A keep of 0 begins anew.

  Source: Blelloch 1990, Prefix sums and their applications, section 1.4.
  """

  def both(
    first: tuple[Array, Array], then: tuple[Array, Array]
  ) -> tuple[Array, Array]:
    return first[0] * then[0], then[0] * first[1] + then[1]

  return jax.lax.associative_scan(both, (keep_BSD, add_BSD), axis=1)[1]
