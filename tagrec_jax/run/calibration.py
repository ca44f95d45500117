"""How many tags our model should give, chosen on valid."""

from __future__ import annotations

import numpy as np

from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.evaluation.calibrate import SCORE, Calibration, calibrate
from tagrec_jax.run.asked import asked
from tagrec_jax.run.measure import Scores
from tagrec_jax.tasks.write_tags import WRITTEN

MOST_SCORES = 2**26
"""Kept at a time, in float32: of as many products of valid as that allows."""


def calibrated(
  settings: Settings, dataset: Dataset, scores: Scores, split: str = "test"
) -> Calibration | None:
  """The rule for sets of tags that is best on valid.

  Args:
    split: on which it will be used.

  Returns:
    None on valid itself, and where products are not asked for their tags. For
    a model that writes sets, the rule that gives them; nothing is chosen.

  Raises:
    UserError: if no product of valid has a tag.
  """
  if settings.task != "tag_item" or split == "valid":
    return None
  if settings.model.decoder == "sequence":
    # A set that was written is given as it is.
    return Calibration(SCORE, WRITTEN, float("nan"))
  most = max(1, MOST_SCORES // max(dataset.spec.num_tags, 1))
  answers, relevant = [], []
  for batch in asked(settings, dataset, "valid", most).batches():
    there = batch["question"] >= 0
    answers.append(np.asarray(scores(batch)["tags"])[there])
    relevant.append(batch["target_tags"][there])
  return calibrate(np.concatenate(answers), np.concatenate(relevant))
