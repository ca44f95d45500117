"""Several interests of one person."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import packed_causal_mask
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.positions import pick


class Interests(nnx.Module):
  """I learned questions, each of which attends to other events of a history.

  interest i at t = state(t) + W_i Σ_s softmax_s(q_i · tanh(V state(s)))
  state(s), over the events s up to t.

  Source: self-attentive extraction of ComiRec, Cen et al. 2020, eq. 7 and 8,
  with the newest state added, without which order would be forgotten.
  """

  def __init__(self, settings: ModelSettings, rngs: nnx.Rngs):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.count = settings.interests
    self.keys = Linear(width, width, ("embed", "hidden"), rngs, dtype=dtype)
    self.questions = Linear(
      width, self.count, ("hidden", None), rngs, dtype=dtype, bias=False
    )
    self.out = nnx.List(
      [
        Linear(width, width, ("embed", None), rngs, dtype=dtype)
        for _ in range(self.count)
      ]
    )
    self.norm = param.layer_norm(width, rngs, dtype=dtype)

  def __call__(
    self,
    states_BSD: Float[Array, "B S D"],
    segments_BS: Int[Array, "B S"],
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B R D"]:
    """R = T · I rows; those of one position follow one another."""
    mask_BTS = pick(packed_causal_mask(segments_BS), asked_BT)
    logits_BSI = self.questions(jnp.tanh(self.keys(states_BSD)))
    logits_BITS = logits_BSI.astype(jnp.float32).swapaxes(1, 2)[:, :, None]
    logits_BITS = jnp.where(mask_BTS[:, None], logits_BITS, -1e30)
    weights_BITS = jax.nn.softmax(logits_BITS).astype(states_BSD.dtype)
    found_BITD = jnp.einsum("BITS,BSD->BITD", weights_BITS, states_BSD)
    newest_BTD = pick(states_BSD, asked_BT)
    interests = [
      self.norm(newest_BTD + out(found_BITD[:, i]))
      for i, out in enumerate(self.out)
    ]
    interests_BTID = jnp.stack(interests, axis=2)
    return interests_BTID.reshape(len(states_BSD), -1, states_BSD.shape[2])


def asked_of_each(
  asked_BT: Int[Array, "B T"] | None, segments_BS: Int[Array, "B S"], count: int
) -> Int[Array, "B R"]:
  """The positions that the rows of several interests are of."""
  if asked_BT is None:
    size, length = segments_BS.shape
    asked_BT = jnp.broadcast_to(jnp.arange(length)[None], (size, length))
  return jnp.repeat(asked_BT, count, axis=1)
