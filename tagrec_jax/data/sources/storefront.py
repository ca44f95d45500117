"""A synthetic shop whose best possible ranking is known."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.records import Event, Item, Person, Record
from tagrec_jax.data.sources.storefront_posts import Habits

DAYPARTS = ("night", "morning", "afternoon", "evening")
"""Quarters of the day, six hours each."""

DEVICES = ("phone", "tablet", "desktop")

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
_FOLLOWERS = 16  # kinds that may follow another without a whim
_CELLS = 2**20  # of the arrays of people drawn at a time: bounds memory


@dataclasses.dataclass(frozen=True)
class Storefront:
  """People whose taste drifts buy products of one kind after another.

  A person has one of a few tastes, which nobody sees; before each event it is
  drawn anew with probability `drift`. The taste and the kind of the last
  product give probabilities for the next kind (a Markov chain); now and then,
  with probability `whim`, any kind is next. A kind of which the person has
  everything is out of the question. Within the kind the product is drawn by
  popularity, times `context` if it belongs to this part of the day, and never
  twice by one person. So the history tells of the taste, the hour of the
  product, and `best_scores` is Bayes' rule.

  Each product has two tags, its kind and its part of the day, a price around
  that of its kind, and a title.

  With `posts`, people use devices, products of this device are wanted `context`
  times as much too, and every event is a post, see `Habits`.

  Time and memory grow with people · events, products and kinds, not with their
  products: a million products of a hundred thousand kinds are possible.

  Attributes:
    people, items, events_per_person: how many.
    tags: kinds of product; with them come the four parts of the day.
    seed: of everything.
    tastes: how many there are.
    drift: probability, before each event, that the taste is drawn anew.
    whim: probability that the next kind is any one, whatever the taste.
    context: how many times likelier a product of this part of the day is.
    posts: whether people tag what they buy, on a device that is known.

  Raises:
    UserError: if there are kinds without a product, or people who could buy
      more than half of the shop.
  """

  people: int = 2000
  items: int = 500
  tags: int = 20
  events_per_person: int = 20
  seed: int = 0
  tastes: int = 4
  drift: float = 0.05
  whim: float = 0.02
  context: float = 8.0
  posts: bool = False

  def __post_init__(self):
    least = max(self.tags, 2 * self.events_per_person)
    if self.items < least:
      raise UserError(
        "config.data.shop_items",
        f"found {self.items}",
        f"one of each of the {self.tags} kinds and twice the"
        f" {self.events_per_person} events of a person",
        f"use {least}",
      )

  @classmethod
  def from_settings(cls, settings: DataSettings) -> Storefront:
    return cls(
      people=settings.shop_people,
      items=settings.shop_items,
      tags=settings.shop_tags,
      events_per_person=settings.shop_events,
      posts=settings.shop_posts,
    )

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
  def kinds(self) -> Int[np.ndarray, " items"]:
    """The kind of each product."""
    return np.arange(self.items) % self.tags

  @functools.cached_property
  def kind_sizes(self) -> Int[np.ndarray, " tags"]:
    """How many products there are of each kind."""
    return np.bincount(self.kinds, minlength=self.tags)

  @functools.cached_property
  def followers(self) -> Int[np.ndarray, "tastes kinds_and_start F"]:
    """The kinds that may come next; one that stands here twice counts twice.

    The last row is for the first event.
    """
    generator = named_generator(self.seed, "followers")
    shape = self.tastes, self.tags + 1, _FOLLOWERS
    return generator.integers(self.tags, size=shape)

  @functools.cached_property
  def chain(self) -> Float[np.ndarray, "tastes kinds_and_start F"]:
    """P(follower | taste, kind before), where there is no whim.

    Each row favours a few.
    """
    generator = named_generator(self.seed, "chain")
    alpha = np.full(_FOLLOWERS, 2.0 / _FOLLOWERS)
    return generator.dirichlet(alpha, size=(self.tastes, self.tags + 1))

  @functools.cached_property
  def dayparts(self) -> Int[np.ndarray, " items"]:
    """The part of the day each product belongs to."""
    return np.arange(self.items) // self.tags % len(DAYPARTS)

  @functools.cached_property
  def devices(self) -> Int[np.ndarray, " items"]:
    """The device each product belongs to, where it matters."""
    return np.arange(self.items) // (self.tags * len(DAYPARTS)) % len(DEVICES)

  @functools.cached_property
  def habits(self) -> Habits:
    """How people tag, with `posts`."""
    return Habits(self.seed, tuple(map(self._tags, range(self.items))))

  @functools.cached_property
  def popularity(self) -> Float[np.ndarray, " items"]:
    """Weights of products within their kind: the n-th weighs 1/n."""
    generator = named_generator(self.seed, "popularity")
    order = np.lexsort((generator.random(self.items), self.kinds))
    first = np.cumsum(self.kind_sizes) - self.kind_sizes
    weights = np.empty(self.items)
    weights[order] = 1.0 / (
      1 + np.arange(self.items) - first[self.kinds[order]]
    )
    return weights

  def weights(self, hour: int, device: str = "") -> Float[np.ndarray, " items"]:
    """How strongly each product of a kind is wanted at an hour."""
    now = self.dayparts == hour // 6
    weights = self.popularity * np.where(now, self.context, 1.0)
    if device:
      here = self.devices == DEVICES.index(device)
      weights *= np.where(here, self.context, 1.0)
    return weights

  def read(self) -> Iterator[Record]:
    """Products, people, then events, person after person in order of time."""
    ids = self.item_ids
    yield from self._products()
    width = len(str(self.people - 1))
    names = [f"person_{index:0{width}}" for index in range(self.people)]
    yield from map(Person, names)
    widest = max(self.events_per_person, int(self.kind_sizes.max()))
    if self.posts:
      widest = max(widest, len(self.habits.names))
    size = max(1, _CELLS // widest)
    for start in range(0, self.people, size):
      chunk = names[start : start + size]
      devices = self._draw_devices(start, len(chunk))
      items, times = self._draw(start, len(chunk), devices)
      told: Iterator[dict[str, Any]] = itertools.repeat({})
      if devices is not None:
        told = self._told(start, items, devices)
      for person, bought, moments in zip(
        chunk, items.tolist(), times.tolist(), strict=True
      ):
        for item, time in zip(bought, moments, strict=True):
          yield Event(person, ids[item], time, **next(told))

  def best_scores(
    self, history_item_ids: Sequence[str], hour: int, device: str = ""
  ) -> Float[np.ndarray, " items"]:
    """The true probability of each product to be next; no ranking beats it.

    Args:
      history_item_ids: everything the person bought, in order; may be empty.
      hour: 0..23, UTC, of the moment asked.
      device: of the moment asked, with `posts`.

    Returns:
      Probabilities in the order of `item_ids`, 0 for what was bought.
    """
    rows = self._rows
    history = np.array([rows[id] for id in history_item_ids], np.int64)
    # belief[z] = P(taste z | kinds so far), before and after each event.
    belief = np.full(self.tastes, 1.0 / self.tastes)
    before, left = self.tags, self.kind_sizes.copy()
    for kind in self.kinds[history].tolist():
      belief = self._drawing(belief, before, left)
      belief *= self._chances(before, kind)
      belief /= belief.sum()
      before = kind
      left[kind] -= 1
    drawing = self._drawing(belief, before, left)
    likely = drawing[:, None] * self.chain[:, before]
    kinds = (1.0 - self.whim) * np.bincount(
      self.followers[:, before].ravel(), likely.ravel(), minlength=self.tags
    ) + self.whim / self.tags * drawing.sum()
    weights = self.weights(hour, device)
    weights[history] = 0.0
    wanted = np.bincount(self.kinds, weights)
    share = np.divide(kinds, wanted, np.zeros_like(kinds), where=left > 0)
    return share[self.kinds] * weights

  @functools.cached_property
  def _rows(self) -> dict[str, int]:
    return {id: row for row, id in enumerate(self.item_ids)}

  def _drawing(
    self, belief: np.ndarray, before: int, left: np.ndarray
  ) -> np.ndarray:
    """The drifted belief, each taste over the chance of what it may draw.

    Kinds of which nothing is left are drawn by no taste, so the chances of the
    others grow, more for a taste that would have liked those.
    """
    drifted = (1.0 - self.drift) * belief + self.drift / self.tastes
    gone = np.flatnonzero(left == 0).tolist()
    return drifted / (1.0 - sum(self._chances(before, kind) for kind in gone))

  def _chances(self, before: int, kind: int) -> np.ndarray:
    """P(kind | taste, kind before) for each taste, while all kinds are left."""
    followed = self.chain[:, before] * (self.followers[:, before] == kind)
    return (1.0 - self.whim) * followed.sum(axis=1) + self.whim / self.tags

  def _products(self) -> Iterator[Item]:
    generator = named_generator(self.seed, "prices")
    typical = generator.uniform(5.0, 200.0, self.tags)
    prices = typical[self.kinds]
    prices = prices * generator.lognormal(0.0, 0.2, self.items)
    for row, id in enumerate(self.item_ids):
      tag, daypart = self._tags(row)
      yield Item(
        id=id,
        title=f"{daypart.capitalize()} {tag} no. {row // self.tags + 1}",
        tags=(tag, daypart),
        numbers={"price": round(float(prices[row]), 2)},
      )

  def _tags(self, row: int) -> tuple[str, str]:
    kind = row % self.tags
    noun, series = _KINDS[kind % len(_KINDS)], kind // len(_KINDS)
    tag = f"{noun} {series + 1}" if series else noun
    return tag, DAYPARTS[self.dayparts[row]]

  def _draw_devices(
    self, chunk: int, people: int
  ) -> Int[np.ndarray, "P E"] | None:
    if not self.posts:
      return None
    generator = named_generator(self.seed, "devices", chunk)
    shape = people, self.events_per_person
    return generator.integers(len(DEVICES), size=shape)

  def _told(
    self, chunk: int, items: np.ndarray, devices: np.ndarray
  ) -> Iterator[dict[str, Any]]:
    """Tags and device of each event."""
    names = self.habits.names
    posts = self.habits.draw(chunk, items).reshape(items.size, -1).tolist()
    for tags, device in zip(posts, devices.ravel().tolist(), strict=True):
      yield {
        "tags": tuple(names[tag] for tag in tags if tag >= 0),
        "categories": {"device": DEVICES[device]},
      }

  def _draw(
    self, chunk: int, people: int, devices: Int[np.ndarray, "P E"] | None
  ) -> tuple[Int[np.ndarray, "P E"], Int[np.ndarray, "P E"]]:
    """Products and times of the events of some people, all at once."""
    generator = named_generator(self.seed, "events", chunk)
    shape = people, self.events_per_person
    everyone = np.arange(people)
    days = _FIRST_DAY + np.cumsum(generator.geometric(0.3, shape), axis=1)
    hours = generator.integers(24, size=shape)
    seconds = generator.integers(3600, size=shape)
    # Products of one kind side by side; shorter kinds end in a gap.
    members = np.arange(self.kind_sizes.max())
    taste = generator.integers(self.tastes, size=people)
    kind = np.full(people, self.tags)
    items = np.empty(shape, np.int64)
    for step in range(self.events_per_person):
      drifts = generator.random(people) < self.drift
      anew = generator.integers(self.tastes, size=people)
      taste = np.where(drifts, anew, taste)
      bought = items[:, :step]
      kind = self._draw_kinds(generator, taste, kind, self.kinds[bought])
      choice = kind[:, None] + self.tags * members
      free = choice < self.items
      choice = np.where(free, choice, 0)
      mine = np.where(
        self.kinds[bought] == kind[:, None], bought // self.tags, -1
      )
      person, event = np.nonzero(mine >= 0)
      free[person, mine[person, event]] = False
      now = self.dayparts[choice] == hours[:, step, None] // 6
      weights = self.popularity[choice] * np.where(now, self.context, 1.0)
      if devices is not None:
        here = self.devices[choice] == devices[:, step, None]
        weights *= np.where(here, self.context, 1.0)
      # A Gumbel maximum over log weights draws in proportion to the weights.
      noisy = np.log(weights) + generator.gumbel(size=choice.shape)
      best = np.where(free, noisy, -np.inf).argmax(axis=1)
      items[:, step] = choice[everyone, best]
    return items, days * 86_400 + hours * 3600 + seconds

  def _draw_kinds(
    self,
    generator: np.random.Generator,
    taste: Int[np.ndarray, " P"],
    before: Int[np.ndarray, " P"],
    bought: Int[np.ndarray, "P E"],
  ) -> Int[np.ndarray, " P"]:
    """The next kind of each person, drawn again while nothing of it is left.

    Args:
      bought: the kinds of all earlier events.
    """
    kind = np.empty(len(taste), np.int64)
    asked = np.arange(len(taste))
    while len(asked):
      at = taste[asked], before[asked]
      draw = generator.random((len(asked), 1))
      place = (draw > np.cumsum(self.chain[at], axis=1)[:, :-1]).sum(axis=1)
      whims = generator.random(len(asked)) < self.whim
      any_kind = generator.integers(self.tags, size=len(asked))
      kind[asked] = np.where(whims, any_kind, self.followers[(*at, place)])
      owned = (bought[asked] == kind[asked, None]).sum(axis=1)
      asked = asked[owned >= self.kind_sizes[kind[asked]]]
    return kind
