"""Answer questions with a trained model, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.run import trained
from tagrec_jax.serving.answers import Recommender
from tagrec_jax.serving.requests import (
  Request,
  Titles,
  read_history,
  read_requests,
)


def recommend(
  workdir: str,
  *,
  person: str = "",
  history: str = "",
  requests: str = "",
  time: int | None = None,
  top_k: int = 10,
  targets: Sequence[str] = ("items",),
  exclude_seen: bool = True,
  checkpoint: str = "best",
) -> None:
  """Prints one answer a line; see experiments/recommend.py for the arguments.

  Raises:
    UserError: a person, product or target the run does not know.
  """
  run = trained.load(workdir, checkpoint)
  _check_targets(targets, run.settings)
  asked = _requests(run.dataset, person, history, requests, time)
  recommender = Recommender(run.scores, run.dataset, run.settings)
  for answer in recommender.answer(
    asked, targets=targets, k=top_k, exclude_seen=exclude_seen
  ):
    print(json.dumps(answer, ensure_ascii=False))


def _requests(
  dataset: Dataset, person: str, history: str, requests: str, time: int | None
) -> list[Request]:
  if bool(person) + bool(history) + bool(requests) > 1:
    raise UserError(
      "flags",
      "found more than one of --person, --history, --requests",
      "one of them",
      "put several questions into a file for --requests",
    )
  if requests:
    return read_requests(requests, Titles(dataset))
  if history:
    return [Request(history=read_history(history, Titles(dataset)), time=time)]
  return [Request(person, None if person else (), time)]


def _check_targets(targets: Sequence[str], settings: Settings) -> None:
  known = build.targets(settings)
  for target in targets:
    if target not in known:
      raise UserError(
        "--targets",
        f"found '{target}'",
        f"what the model was trained for: {', '.join(known)}",
        f"train with config.objective.{target}_weight above 0"
        if target in ("items", "tags")
        else "use one of them",
      )
