"""A synthetic shop whose best possible ranking is known."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.records import Event, Item, Person, Record

DAYPARTS = ("night", "morning", "afternoon", "evening")
"""Quarters of the day, six hours each."""

_KINDS = (
  "lamp",
  "boots",
  "kettle",
  "scarf",
  "novel",
  "guitar",
  "bicycle",
  "tent",
  "puzzle",
  "camera",
  "rucksack",
  "teapot",
  "blanket",
  "watch",
  "chair",
  "skates",
  "easel",
  "vase",
  "radio",
  "apron",
)
_FIRST_DAY = 19_723  # 2024-01-01, in days since 1970
_CHUNK = 4096  # people drawn at a time, which bounds memory


@dataclasses.dataclass(frozen=True)
class Storefront:
  """People whose taste drifts buy products of one kind after another.

  A person has one of a few tastes, which nobody sees; before each event it is
  drawn anew with probability `drift`. The taste and the kind of the last
  product give probabilities for the next kind (a Markov chain). Within the kind
  the product is drawn by popularity, times `context` if it belongs to this part
  of the day, and never twice by one person. So the history tells of the taste,
  the hour of the product, and `best_scores` is Bayes' rule.

  Each product has two tags, its kind and its part of the day, a price around
  that of its kind, and a title.

  Attributes:
    people, items, events_per_person: how many.
    tags: kinds of product; with them come the four parts of the day.
    seed: of everything.
    tastes: how many there are.
    drift: probability, before each event, that the taste is drawn anew.
    context: how many times likelier a product of this part of the day is.

  Raises:
    UserError: if a kind has fewer products than a person has events, so that
      one person could exhaust it.
  """

  people: int = 2000
  items: int = 500
  tags: int = 20
  events_per_person: int = 20
  seed: int = 0
  tastes: int = 4
  drift: float = 0.05
  context: float = 8.0

  def __post_init__(self):
    if self.items // self.tags < self.events_per_person:
      raise UserError(
        "Storefront",
        f"{self.items} products of {self.tags} kinds",
        f"at least events_per_person = {self.events_per_person} of each kind",
        f"make {self.tags * self.events_per_person} products",
      )

  @classmethod
  def from_settings(cls, settings: DataSettings) -> Storefront:
    """The default shop: there is nothing to choose in a config."""
    del settings
    return cls()

  @property
  def name(self) -> str:
    return "storefront"

  def files(self) -> list[str]:
    """None: the data is made."""
    return []

  @functools.cached_property
  def item_ids(self) -> tuple[str, ...]:
    """Sorted, as in a vocabulary; product i is of kind i % tags."""
    width = len(str(self.items - 1))
    return tuple(f"item_{index:0{width}}" for index in range(self.items))

  @functools.cached_property
  def chain(self) -> Float[np.ndarray, "tastes kinds_and_start kinds"]:
    """P(next kind | taste, kind before); the last row is for the first event.

    Each row favours a few kinds.
    """
    generator = named_generator(self.seed, "chain")
    alpha = np.full(self.tags, 2.0 / self.tags)
    return generator.dirichlet(alpha, size=(self.tastes, self.tags + 1))

  @functools.cached_property
  def dayparts(self) -> Int[np.ndarray, " items"]:
    """The part of the day each product belongs to."""
    return np.arange(self.items) // self.tags % len(DAYPARTS)

  @functools.cached_property
  def popularity(self) -> Float[np.ndarray, " items"]:
    """Weights of products within their kind: the n-th weighs 1/n."""
    generator = named_generator(self.seed, "popularity")
    members = np.arange(self.items) // self.tags
    weights = 1.0 / (1.0 + members)
    for kind in range(self.tags):
      weights[kind :: self.tags] = generator.permutation(
        weights[kind :: self.tags]
      )
    return weights

  def weights(self, hour: int) -> Float[np.ndarray, " items"]:
    """How strongly each product of a kind is wanted at an hour."""
    now = self.dayparts == hour // 6
    return self.popularity * np.where(now, self.context, 1.0)

  def read(self) -> Iterator[Record]:
    """Products, people, then events, person after person in order of time."""
    ids = self.item_ids
    yield from self._products()
    width = len(str(self.people - 1))
    names = [f"person_{index:0{width}}" for index in range(self.people)]
    yield from map(Person, names)
    for start in range(0, self.people, _CHUNK):
      chunk = names[start : start + _CHUNK]
      items, times = self._draw(start, len(chunk))
      for person, bought, moments in zip(
        chunk, items.tolist(), times.tolist(), strict=True
      ):
        for item, time in zip(bought, moments, strict=True):
          yield Event(person, ids[item], time)

  def best_scores(
    self, history_item_ids: Sequence[str], hour: int
  ) -> Float[np.ndarray, " items"]:
    """The true probability of each product to be next; no ranking beats it.

    Args:
      history_item_ids: everything the person bought, in order; may be empty.
      hour: 0..23, UTC, of the moment asked.

    Returns:
      Probabilities in the order of `item_ids`, 0 for what was bought.
    """
    rows = {id: row for row, id in enumerate(self.item_ids)}
    history = np.array([rows[id] for id in history_item_ids], np.int64)
    # belief[z] = P(taste z | kinds so far), before and after each event.
    belief = np.full(self.tastes, 1.0 / self.tastes)
    before = self.tags
    for kind in history % self.tags:
      belief = self._drifted(belief) * self.chain[:, before, kind]
      belief /= belief.sum()
      before = kind
    kinds = self._drifted(belief) @ self.chain[:, before]
    weights = self.weights(hour)
    weights[history] = 0.0
    each_kind = np.arange(self.items) % self.tags
    within = weights / np.bincount(each_kind, weights)[each_kind]
    return kinds[each_kind] * within

  def _drifted(self, belief: np.ndarray) -> np.ndarray:
    return (1.0 - self.drift) * belief + self.drift / self.tastes

  def _products(self) -> Iterator[Item]:
    generator = named_generator(self.seed, "prices")
    typical = generator.uniform(5.0, 200.0, self.tags)
    prices = typical[np.arange(self.items) % self.tags]
    prices = prices * generator.lognormal(0.0, 0.2, self.items)
    for row, id in enumerate(self.item_ids):
      kind, daypart = row % self.tags, DAYPARTS[self.dayparts[row]]
      noun, series = _KINDS[kind % len(_KINDS)], kind // len(_KINDS)
      tag = f"{noun} {series + 1}" if series else noun
      yield Item(
        id=id,
        title=f"{daypart.capitalize()} {tag} no. {row // self.tags + 1}",
        tags=(tag, daypart),
        numbers={"price": round(float(prices[row]), 2)},
      )

  def _draw(
    self, chunk: int, people: int
  ) -> tuple[Int[np.ndarray, "P E"], Int[np.ndarray, "P E"]]:
    """Products and times of the events of some people, all at once."""
    generator = named_generator(self.seed, "events", chunk)
    shape = people, self.events_per_person
    everyone = np.arange(people)
    days = _FIRST_DAY + np.cumsum(generator.geometric(0.3, shape), axis=1)
    hours = generator.integers(24, size=shape)
    seconds = generator.integers(3600, size=shape)
    # A Gumbel maximum over log weights draws in proportion to the weights.
    log_weights = np.log([self.weights(hour) for hour in range(24)])
    chances = np.cumsum(self.chain, axis=-1)
    # Products of one kind side by side; shorter kinds end in a gap of -inf.
    members = np.arange(-(-self.items // self.tags))
    bought = np.zeros((people, len(members) * self.tags), bool)
    taste = generator.integers(self.tastes, size=people)
    kind = np.full(people, self.tags)
    items = np.empty(shape, np.int64)
    for step in range(self.events_per_person):
      drifts = generator.random(people) < self.drift
      taste = np.where(
        drifts, generator.integers(self.tastes, size=people), taste
      )
      draw = generator.random((people, 1))
      kind = (draw > chances[taste, kind, :-1]).sum(axis=1)
      choice = kind[:, None] + self.tags * members
      exists = choice < self.items
      choice = np.where(exists, choice, 0)
      free = exists & ~bought[everyone[:, None], choice]
      log_weight = log_weights[hours[:, step, None], choice]
      noise = generator.gumbel(size=choice.shape)
      best = np.where(free, log_weight + noise, -np.inf).argmax(axis=1)
      items[:, step] = choice[everyone, best]
      bought[everyone, items[:, step]] = True
    return items, days * 86_400 + hours * 3600 + seconds
