"""Named rules of ranking: without its protocol a number means nothing."""

from __future__ import annotations

import dataclasses

from tagrec_jax.core.registry import Registry

_TIES = (
  "equal scores are ranked by smaller catalogue index; a NaN or -inf score is "
  "never a hit"
)


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How one target is ranked against a catalogue.

  Attributes:
    name: what configs and tables call it.
    seen_score: written over the scores of a person's seen items before
      ranking; -inf takes them out, None leaves every score as it is.
    seen_rule: the same as a sentence.
  """

  name: str
  seen_score: float | None
  seen_rule: str

  def passport(self) -> dict[str, str]:
    """The sentences that belong beside every number."""
    return {
      "protocol": self.name,
      "candidates": "the whole catalogue of training items, none sampled",
      "seen items": self.seen_rule,
      "ties": _TIES,
      "dropped people": "none; a target unknown in training is a miss",
    }


STRICT = Protocol(
  "strict",
  -float("inf"),
  "scored -inf, so they are no candidates; a repeated target cannot be hit "
  "and is counted under 'repeats'",
)
AS_S3REC = Protocol(
  "as_s3rec",
  0.0,
  "scored 0 as in the code of S3-Rec, ICSRec and BSARec, so they outrank "
  "whatever scores below 0; a repeated target is ranked with score 0",
)
UNMASKED = Protocol(
  "unmasked", None, "ranked like all others, for data where people repeat"
)

WITH_NEW = {
  "candidates": "the whole catalogue, also what came after training, none "
  "sampled"
}
"""Instead of `Protocol.passport`, where new products compete."""

TAG_PASSPORT = {
  "protocol": "tags",
  "candidates": "the whole tag vocabulary",
  "relevant": "all tags of the item taken next",
  "ties": _TIES,
  "dropped people": "those whose next item is unknown or has no tags",
}
"""The rules of tag evaluation where a person takes an item."""

PRODUCT_PASSPORT = TAG_PASSPORT | {
  "relevant": "all tags of the product",
  "dropped people": "products without tags",
}
"""Those where a product is asked about itself."""

POST_PASSPORT = TAG_PASSPORT | {
  "protocol": "posts",
  "relevant": "the tags that this person gave this product",
  "dropped people": "none; a tag unknown in training is a miss",
}
"""Those where a person is asked for the tags of a post."""

SEVERAL_POSTS = {
  "average": "over people, of each the mean over their posts; slices and "
  "coverage over posts"
}
"""Besides, where a person is asked about several posts."""

PROTOCOLS = Registry(
  "config.evaluation.protocol",
  {
    "strict": "tagrec_jax.evaluation.protocols:STRICT",
    "as_s3rec": "tagrec_jax.evaluation.protocols:AS_S3REC",
    "unmasked": "tagrec_jax.evaluation.protocols:UNMASKED",
  },
)
