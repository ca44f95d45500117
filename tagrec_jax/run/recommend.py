"""Answer questions with a trained model, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.sources.folder import read_items
from tagrec_jax.data.sources.rows import good
from tagrec_jax.decoding.constraints import Constraints
from tagrec_jax.run import trained
from tagrec_jax.run.calibration import calibrated
from tagrec_jax.run.measure import Asker
from tagrec_jax.run.trained import Trained
from tagrec_jax.serving.answers import Recommender
from tagrec_jax.serving.posts import PostTagger
from tagrec_jax.serving.products import ProductTagger
from tagrec_jax.serving.requests import (
  Request,
  Titles,
  read_history,
  read_requests,
)
from tagrec_jax.sharding.answering import answering
from tagrec_jax.tasks.write_tags import WriteTags

_NAME = {
  "--products": "name a table in --products",
  "--item": "name a product in --item, or many in a file for --requests",
}


def recommend(
  workdir: str,
  *,
  person: str = "",
  history: str = "",
  requests: str = "",
  products: str = "",
  item: str = "",
  time: int | None = None,
  context: Sequence[str] = (),
  top_k: str = "10",
  targets: Sequence[str] = (),
  exclude_seen: bool = True,
  allowed: Sequence[str] = ("*",),
  exclusive: Sequence[str] = (),
  checkpoint: str = "best",
) -> None:
  """Prints one answer a line; see experiments/recommend.py for the arguments.

  Raises:
    UserError: a person, product or target the run does not know.
  """
  k = 0 if products and top_k == "auto" else _length(top_k)
  run = trained.load(workdir, checkpoint)
  task = run.settings.task
  _check_task(task, products, item, requests)
  check_targets(targets, run.settings)
  if products:
    answers = _tag(run, products, k, allowed, exclusive)
  else:
    if task != "tag_post":
      _check_rules(allowed, exclusive)
    asked = _requests(
      run.dataset, person, history, requests, item, time, context
    )
    answers = (
      PostTagger(
        run.scores,
        run.dataset,
        run.settings,
        allowed=allowed,
        exclusive=exclusive,
      ).answer(asked, k=k)
      if task == "tag_post"
      else Recommender(run.scores, run.dataset, run.settings).answer(
        asked, targets=targets or ("items",), k=k, exclude_seen=exclude_seen
      )
    )
  for answer in answers:
    print(json.dumps(answer, ensure_ascii=False))


def _tag(
  run: Trained,
  products: str,
  k: int,
  allowed: Sequence[str],
  exclusive: Sequence[str],
) -> Iterator[dict[str, Any]]:
  """Answers for the products of a table; a row that is refused is told.

  Args:
    k: the length of each; 0 for as many as suits the products of valid best.
  """
  place_km = run.settings.data.place_km
  items = list(good(read_items(products, place_km)))
  rule = None if k else calibrated(run.settings, run.dataset, run.scores)
  scores = run.scores
  if isinstance(run.model, WriteTags):
    tags = run.dataset.all_tags.ids
    rules = Constraints.of(tags, allowed=allowed, exclusive=exclusive)
    scores = Asker(
      run.model.under(rules), answering(run.settings.sharding)[0]
    ).of(run.params)
  tagger = ProductTagger(
    scores,
    run.dataset,
    run.settings,
    allowed=allowed,
    exclusive=exclusive,
    chosen=rule.chosen if rule else None,
  )
  return tagger.answer(items, k=k or len(tagger.tags))


def _length(top_k: str) -> int:
  if not top_k.isdecimal() or int(top_k) < 1:
    raise UserError(
      "--top_k",
      f"found '{top_k}'",
      "a length of at least 1, or 'auto' with --products",
      "use 10",
    )
  return int(top_k)


def _check_task(task: str, products: str, item: str, requests: str) -> None:
  """Products are asked for their tags by one task, posts by another."""
  for flag, value, owner in (
    ("--products", products, "tag_item"),
    # Requests name the product themselves.
    ("--item", item or requests if task == "tag_post" else item, "tag_post"),
  ):
    if bool(value) != (task == owner):
      raise UserError(
        "flags",
        f"found {'' if value else 'no '}{flag}, and a run of the task '{task}'",
        f"{flag} with '{owner}', and with it alone",
        "leave it out" if value else _NAME[flag],
      )


def _check_rules(allowed: Sequence[str], exclusive: Sequence[str]) -> None:
  """Rules of tags are kept where products or posts are tagged."""
  for flag, value, none in (
    ("--allowed", list(allowed), ["*"]),
    ("--exclusive", list(exclusive), []),
  ):
    if value != none:
      raise UserError(
        flag,
        f"found '{','.join(value)}', and a run that recommends products",
        "it with --products or --item alone",
        "leave it out",
      )


def _requests(
  dataset: Dataset,
  person: str,
  history: str,
  requests: str,
  item: str,
  time: int | None,
  context: Sequence[str],
) -> list[Request]:
  if bool(person) + bool(history) + bool(requests) > 1:
    raise UserError(
      "flags",
      "found more than one of --person, --history, --requests",
      "one of them",
      "put several questions into a file for --requests",
    )
  titles = Titles(dataset)
  if requests:
    if item:
      raise UserError(
        "flags",
        "found --item and --requests",
        "one of them",
        "write 'item' into each line of the requests",
      )
    return read_requests(requests, titles)
  known = dict(_named(pair) for pair in context)
  asked = titles.item(item, "--item") if item else ""
  if history:
    taken = read_history(history, titles)
    return [Request(history=taken, time=time, context=known, item=asked)]
  return [Request(person, None if person else (), time, known, asked)]


def _named(pair: str) -> tuple[str, str]:
  name, equals, value = pair.partition("=")
  if not equals:
    raise UserError(
      "--context", f"found '{pair}'", "NAME=CLASS", "write device=phone"
    )
  return name, value


def check_targets(targets: Sequence[str], settings: Settings) -> None:
  """Raises UserError for a target that the model was not trained for."""
  known = build.targets(settings)
  for target in targets:
    if target not in known:
      raise UserError(
        "--targets",
        f"found '{target}'",
        f"what the model was trained for: {', '.join(known)}",
        f"train with config.objective.{target}_weight above 0"
        if target in ("items", "tags") and settings.task == "next_item"
        else "use one of them",
      )
