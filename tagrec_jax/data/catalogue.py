"""Which products and tags train, and which are new to a trained model."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Set

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.cold import ColdItems, cold_tags
from tagrec_jax.data.records import Item
from tagrec_jax.data.vocab import Vocabulary

Posted = Set[tuple[str, str]]
"""Products, each with a tag that a person gave it."""


@dataclasses.dataclass(frozen=True)
class Catalogue:
  """Products and tags, in the order of their rows.

  Attributes:
    items: of training; they have no tags but `tags`.
    new_items: the others of which something is known; they have no tags but
      `tags` and `new_tags`.
    tags, new_tags: each in the order of code points.
    counts: reason → what was left out or set aside.
  """

  items: tuple[Item, ...]
  new_items: tuple[Item, ...]
  tags: Vocabulary
  new_tags: Vocabulary
  counts: dict[str, int]

  @property
  def all_items(self) -> tuple[Item, ...]:
    """In the order of rows."""
    return self.items + self.new_items


def choose(
  described: Mapping[str, Item],
  *,
  trained: Collection[str],
  taken: Collection[str],
  cold: ColdItems,
  settings: DataSettings,
  posted: Posted = frozenset(),
  held_out: Posted = frozenset(),
) -> Catalogue:
  """Chooses the rows of a data set.

  Args:
    described: all products, by id.
    trained: ids met in training events.
    taken: ids met in any event.
    cold: the products that training must not see.
    posted: what people gave in training events.
    held_out: and in others.
  """
  ids = set(trained)
  new_ids = {id for id in taken if id not in ids}
  if settings.catalogue == "described":
    ids |= {id for id, i in described.items() if i.tags and id not in cold}
    new_ids |= {id for id in described if id in cold}
    new_ids -= ids
  items = [described.get(id, Item(id)) for id in sorted(ids)]
  new_items = [
    described[id]
    for id in sorted(new_ids & described.keys())
    if _says_something(described[id])
  ]
  tags, new_tags, counts = _tags(
    _tag_counts(items, posted), _tag_counts(new_items, held_out), settings
  )
  kept = [_with_tags(item, tags) for item in items]
  kept = [item for item in kept if item.tags or item.id in trained]
  if len(kept) < len(items):
    counts["products left without a tag"] = len(items) - len(kept)
  return Catalogue(
    tuple(kept),
    tuple(_with_tags(item, tags | new_tags) for item in new_items),
    Vocabulary.sorted(tags),
    Vocabulary.sorted(new_tags),
    counts,
  )


def _tags(
  known: Mapping[str, int],
  among_new: Mapping[str, int],
  settings: DataSettings,
) -> tuple[set[str], set[str], dict[str, int]]:
  """Tags of training, new ones, and counts of those set aside.

  Args:
    known: tag → products of training that have it or were given it.
    among_new: the same of what training does not see.
  """
  least = settings.min_tag_items
  frequent = {tag for tag, count in known.items() if count >= least}
  cold = cold_tags(frequent, settings.cold_tags)
  tags = frequent - cold
  never_trained = among_new.keys() - known.keys()
  unseen = {tag for tag in never_trained if among_new[tag] >= least}
  counts = {
    "tags kept out of training": len(cold),
    f"tags of fewer than {least} products": len(known.keys() - frequent)
    + len(never_trained - unseen),
  }
  # Where no tag trains there is no model to ask for new ones.
  new = unseen | cold if tags else set()
  return tags, new, {reason: n for reason, n in counts.items() if n}


def _tag_counts(items: Iterable[Item], posted: Posted) -> dict[str, int]:
  """tag → how many products have it, or were given it."""
  pairs = {(item.id, tag) for item in items for tag in item.tags}
  return collections.Counter(tag for _, tag in pairs | posted)


def _with_tags(item: Item, kept: Collection[str]) -> Item:
  tags = tuple(tag for tag in item.tags if tag in kept)
  return item if tags == item.tags else dataclasses.replace(item, tags=tags)


def _says_something(item: Item) -> bool:
  """Whether more is known of a product than that it exists."""
  return item != Item(item.id, group=item.group)
