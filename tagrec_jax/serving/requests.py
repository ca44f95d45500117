"""Questions from outside: who asks, what they took before, and when."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class Taken:
  """One event of a history that comes with a question.

  Attributes:
    item: id in the item vocabulary, or an id training never saw.
    time: seconds since 1970 UTC; None if not known.
    tags: that the person gave the product; read by the task 'tag_post'.
  """

  item: str
  time: int | None = None
  tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Request:
  """One question.

  Attributes:
    person: id of somebody in the data set, or '' for anybody else.
    history: what this person took, oldest first; None asks for the history
      that the data set has of `person`.
    time: the moment asked, seconds since 1970 UTC; None: not known.
    context: what else is known of the moment, such as {'device': 'phone'};
      'latitude' and 'longitude' tell the place, see data/places.py.
    item: id of the product whose tags are asked, in the task 'tag_post'.
  """

  person: str = ""
  history: tuple[Taken, ...] | None = None
  time: int | None = None
  context: Mapping[str, str] = dataclasses.field(default_factory=dict)
  item: str = ""


def check(requests: Sequence[Request], *, posts: bool) -> None:
  """Posts have a product that is asked about; nobody else has, nor tags.

  Raises:
    UserError: naming the first request for which it is otherwise.
  """
  for number, request in enumerate(requests, 1):
    where = f"request {number}"
    if posts and not request.item:
      raise UserError(
        where,
        "found no product",
        "the one that is tagged",
        "name it in 'item', or in --item",
      )
    tags = any(taken.tags for taken in request.history or ())
    if not posts and (request.item or tags):
      raise UserError(
        where,
        f"found {'a product' if request.item else 'tags in the history'}",
        "none, as the model was not trained for the task 'tag_post'",
        f"leave out '{'item' if request.item else 'tags'}'",
      )


class Titles:
  """Finds a product by its id or its title."""

  def __init__(self, dataset: Dataset):
    self._ids = dataset.all_items
    self._by_title = collections.defaultdict(list)
    for id, title in zip(dataset.all_items.ids, dataset.titles, strict=True):
      self._by_title[title.casefold()].append(id)

  def id_of(self, title: str, where: str) -> str:
    """The id of the one product with this title, in any case.

    Raises:
      UserError: no product has it, or several have.
    """
    ids = self._by_title.get(title.casefold(), [])
    if len(ids) == 1:
      return ids[0]
    if ids:
      raise UserError(
        where,
        f"found '{title}' {len(ids)} times",
        "one product",
        f"give the id instead: {', '.join(ids[:5])}",
      )
    near = difflib.get_close_matches(title.casefold(), self._by_title, n=3)
    raise UserError(
      where,
      f"no product is called '{title}'",
      "a title of the catalogue",
      f"did you mean {' or '.join(repr(t) for t in near)}?"
      if near
      else "give its id",
    )

  def item(self, value: Any, where: str) -> str:
    """The id of a product that is named by its id or else by its title.

    Raises:
      UserError: as `id_of`.
    """
    name = _text(value, where)
    return name if name in self._ids else self.id_of(name, where)

  def taken(self, value: Any, where: str) -> Taken:
    """Reads {"id": ...} or {"title": ...}, with optional "time" and "tags"."""
    fields = _object(value, {"id", "title", "time", "tags"}, where)
    if ("id" in fields) == ("title" in fields):
      raise UserError(
        where,
        f"found {sorted(fields)}",
        "either 'id' or 'title'",
        'write {"title": "Heat"} or {"id": "273"}',
      )
    time = _time(fields.get("time"), where)
    tags = _tags(fields.get("tags", []), f"{where} [tags]")
    if "title" in fields:
      title = _text(fields["title"], f"{where} [title]")
      return Taken(self.id_of(title, where), time, tags)
    return Taken(_text(fields["id"], f"{where} [id]"), time, tags)


def read_history(path: str, titles: Titles) -> tuple[Taken, ...]:
  """A history: a line for each event, oldest first; an empty file is nobody.

  Raises:
    UserError: naming the line that cannot be read.
  """
  return tuple(titles.taken(value, where) for where, value in _lines(path))


def read_requests(path: str, titles: Titles) -> list[Request]:
  """Many questions, one a line.

  {"person": "196"}, or {"history": [{"title": "Heat"}, {"id": "50"}]}, each
  with an optional "time" and "context", such as {"device": "phone"} or,
  where places are known, {"latitude": 52.5, "longitude": 13.4}; and with
  the "item", an id or a title, whose tags are asked.

  Raises:
    UserError: naming the line that cannot be read.
  """
  requests = []
  for where, value in _lines(path):
    known = {"person", "history", "time", "context", "item"}
    fields = _object(value, known, where)
    history = fields.get("history")
    if history is not None and not isinstance(history, Sequence):
      raise UserError(f"{where} [history]", f"found {history!r}", "a list")
    requests.append(
      Request(
        _text(fields.get("person", ""), f"{where} [person]"),
        None
        if history is None
        else tuple(titles.taken(v, f"{where} [history]") for v in history),
        _time(fields.get("time"), where),
        _context(fields.get("context", {}), f"{where} [context]"),
        titles.item(fields["item"], f"{where} [item]")
        if "item" in fields
        else "",
      )
    )
  return requests


def _lines(path: str) -> Iterator[tuple[str, Any]]:
  """('file:line', value) for each line of a JSONL file that is not blank."""
  try:
    with open(path, encoding="utf-8-sig") as file:
      for number, line in enumerate(file, 1):
        if not line.strip():
          continue
        where = f"{path}:{number}"
        try:
          yield where, json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
          raise UserError(
            where, str(error), "one JSON object a line", "correct the line"
          ) from error
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(path, str(error), "a UTF-8 JSONL file") from error


def _tags(value: Any, where: str) -> tuple[str, ...]:
  if isinstance(value, str) or not isinstance(value, Sequence):
    raise UserError(where, f"found {value!r}", "a list of tags")
  return tuple(_text(tag, where) for tag in value)


def _context(value: Any, where: str) -> dict[str, str]:
  if not isinstance(value, Mapping):
    raise UserError(where, f"found {value!r}", "a JSON object")
  return {
    name: str(known) if isinstance(known, float) else _text(known, where)
    for name, known in value.items()
  }


def _object(value: Any, known: set[str], where: str) -> Mapping[str, Any]:
  if not isinstance(value, Mapping):
    raise UserError(where, f"found {value!r}", "a JSON object")
  for name in value:
    if name not in known:
      raise UserError(
        where, f"unknown key '{name}'", f"only {', '.join(sorted(known))}"
      )
  return value


def _text(value: Any, where: str) -> str:
  """Ids written as whole numbers are read as their digits."""
  if isinstance(value, int) and not isinstance(value, bool):
    return str(value)
  if not isinstance(value, str):
    raise UserError(where, f"found {value!r}", "text")
  return value


def _time(value: Any, where: str) -> int | None:
  if value is None:
    return None
  good = isinstance(value, int) and not isinstance(value, bool)
  if not good or not 0 <= value < 2**33:
    raise UserError(
      f"{where} [time]", f"found {value!r}", "seconds since 1970 UTC"
    )
  return value
