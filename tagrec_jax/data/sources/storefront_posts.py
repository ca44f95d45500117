"""How people of the synthetic shop tag what they buy."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.rng import named_generator

_WORDS = (
  "airy",
  "bold",
  "bright",
  "calm",
  "cheap",
  "classic",
  "cosy",
  "cute",
  "daily",
  "elegant",
  "gift",
  "handy",
  "light",
  "loud",
  "modern",
  "odd",
  "plain",
  "quiet",
  "retro",
  "rough",
  "rustic",
  "smart",
  "soft",
  "sturdy",
)
_STYLES = 6
_MOST_TAGS = 3
_FEW = 0.15  # concentration: a style has a few words that it likes
_ANY = 0.02  # of a style, evenly on all words, so that none is impossible


@dataclasses.dataclass(frozen=True)
class Habits:
  """Words that a person likes, repeats, or takes from the product.

  A person has one of a few styles, which nobody sees. A post has one to three
  tags, drawn one after another, none twice. Each is, with probability `repeat`,
  a tag of an earlier post of the person, every post weighing `decay` of the one
  after it; with probability `own`, one of the product's own; otherwise, and
  where there is nothing to repeat, a word of the style. So a person's posts
  tell of the style, and `best_scores` is Bayes' rule.

  Attributes:
    seed: of everything.
    own_tags: of each product, as many of each.
    repeat, own, decay: see above.
  """

  seed: int
  own_tags: tuple[tuple[str, ...], ...]
  repeat: float = 0.4
  own: float = 0.2
  decay: float = 0.8

  @functools.cached_property
  def names(self) -> tuple[str, ...]:
    """Every tag that can be given."""
    own = {tag for tags in self.own_tags for tag in tags}
    return (*_WORDS, *sorted(own - {*_WORDS}))

  @functools.cached_property
  def styles(self) -> Float[np.ndarray, "styles V"]:
    """P(name | style), 0 for what is no word."""
    generator = named_generator(self.seed, "styles")
    liked = generator.dirichlet(np.full(len(_WORDS), _FEW), size=_STYLES)
    words = (1 - _ANY) * liked + _ANY / len(_WORDS)
    return np.pad(words, ((0, 0), (0, len(self.names) - len(_WORDS))))

  @functools.cached_property
  def _rows(self) -> dict[str, int]:
    return {name: row for row, name in enumerate(self.names)}

  @functools.cached_property
  def _own(self) -> Int[np.ndarray, "items own"]:
    rows = self._rows
    return np.array([[rows[tag] for tag in tags] for tags in self.own_tags])

  def draw(
    self, chunk: int, items: Int[np.ndarray, "P E"]
  ) -> Int[np.ndarray, "P E most"]:
    """Tags of the posts of some people, in order, padded by UNKNOWN.

    Args:
      chunk: names these people.
      items: rows of what they buy, in order.
    """
    generator = named_generator(self.seed, "posts", chunk)
    people, events = items.shape
    style = generator.integers(_STYLES, size=people)
    given = np.full((people, events, _MOST_TAGS), UNKNOWN)
    earlier = np.zeros((people, len(self.names)))
    for event in range(events):
      chances = self._chances(self.styles[style], items[:, event], earlier)
      # The largest of log chances with Gumbel noise are draws without repeats.
      with np.errstate(divide="ignore"):
        noisy = np.log(chances) + generator.gumbel(size=chances.shape)
      tags = np.argsort(-noisy, axis=1)[:, :_MOST_TAGS]
      count = generator.integers(1, _MOST_TAGS + 1, size=(people, 1))
      kept = np.arange(_MOST_TAGS) < count
      given[:, event] = np.where(kept, tags, UNKNOWN)
      earlier *= self.decay
      person, place = np.nonzero(kept)
      earlier[person, tags[person, place]] += 1
    return given

  def best_scores(
    self, posts: Sequence[tuple[int, Sequence[str]]], item: int
  ) -> Float[np.ndarray, " V"]:
    """The true probability of each of `names` to be the first tag given.

    Args:
      posts: rows of products and the tags the person gave them, in order.
      item: row of the product that is tagged next.
    """
    belief = np.full(_STYLES, 1.0 / _STYLES)
    earlier = np.zeros(len(self.names))
    for row, tags in posts:
      chances = self._chances(self.styles, np.array(row), earlier)
      left = np.ones(_STYLES)
      earlier = earlier * self.decay
      for tag in (self._rows[name] for name in tags):
        belief *= chances[:, tag] / left
        left = left - chances[:, tag]
        earlier[tag] += 1
      belief /= belief.sum()
    return belief @ self._chances(self.styles, np.array(item), earlier)

  def _chances(
    self,
    words: Float[np.ndarray, "N V"],
    items: Int[np.ndarray, "..."],
    earlier: Float[np.ndarray, "... V"],
  ) -> Float[np.ndarray, "N V"]:
    """P(name) of the first tag of each of N posts.

    Args:
      words: of each one's style.
      items: rows of products, one for all or one for each, as is `earlier`.
      earlier: how often each name was given, decayed.
    """
    total = earlier.sum(axis=-1, keepdims=True)
    repeat = np.where(total > 0, self.repeat, 0.0)
    own = self._own[items]
    names = np.arange(len(self.names))
    is_own = (own[..., None] == names).sum(axis=-2) / own.shape[-1]
    return (
      repeat * earlier / np.maximum(total, 1e-300)
      + self.own * is_own
      + (1 - repeat - self.own) * words
    )
