"""Two views of one history are alike, and unlike the histories of others."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.layers.unit import unit
from tagrec_jax.objectives.scores import dot


@dataclasses.dataclass(frozen=True)
class Contrast:
  """-log(e^s(t,t) / (e^s(t,t) + Σ_u e^s(t,u))), s a cosine by a temperature.

  Position t of the first view should find itself in the second among the
  positions u of other people in the same row; those that ask for the same
  target as t are left out. As no row reads another, any number of devices gives
  the same sum, without talking.

  Source: InfoNCE (van den Oord et al. 2018, eq. 4) between two views of a
  history, as in CL4SRec (Xie et al. 2020) and, where the views differ in
  dropout alone, DuoRec (Qiu et al. 2022); their negatives are those of the
  whole batch.

  Attributes:
    temperature: what cosines are divided by.
  """

  temperature: float

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> Contrast:
    return cls(settings.contrast_temperature)

  def __call__(
    self,
    first_BTD: Float[Array, "B T D"],
    second_BTD: Float[Array, "B T D"],
    segments_BT: Int[Array, "B T"],
    targets_BT: Int[Array, "B T"],
  ) -> Sum:
    """Adds up the loss of all positions that ask, in both directions.

    Args:
      segments_BT: people of a row; 0 where one of the views has nothing.
      targets_BT: negative where nothing is asked.
    """
    first_BTD, second_BTD = unit(first_BTD), unit(second_BTD)
    scores_BTU = dot("BTD,BUD->BTU", first_BTD, second_BTD) / self.temperature
    asks_BT = (segments_BT > 0) & (targets_BT >= 0)
    others_BTU = segments_BT[:, :, None] != segments_BT[:, None]
    others_BTU &= targets_BT[:, :, None] != targets_BT[:, None]
    others_BTU &= asks_BT[:, None]
    own_BTU = jnp.eye(segments_BT.shape[1], dtype=bool)[None]
    forth_BTU = jnp.where(own_BTU | others_BTU, scores_BTU, -jnp.inf)
    back_BTU = jnp.where(
      own_BTU | others_BTU, scores_BTU.swapaxes(1, 2), -jnp.inf
    )
    right_BT = jnp.diagonal(scores_BTU, axis1=1, axis2=2)
    loss_BT = (
      jax.nn.logsumexp(forth_BTU, axis=2) + jax.nn.logsumexp(back_BTU, axis=2)
    ) / 2 - right_BT
    weight_BT = asks_BT.astype(jnp.float32)
    return Sum(jnp.sum(loss_BT * weight_BT), jnp.sum(weight_BT))
