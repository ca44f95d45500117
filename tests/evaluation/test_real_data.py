"""LastFM as papers use it: prepared, asked, measured, side by side."""

from __future__ import annotations

import pytest

from configs import base
from tagrec_jax.core import settings as settings_lib
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.sources.amazon_s3rec import S3Rec
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import evaluate as evaluation
from tagrec_jax.evaluation import protocols, table
from tagrec_jax.models.baselines import (
  item_knn,
  markov,
  popularity,
  scorers,
  tags,
)


@pytest.fixture(scope="module")
def settings():
  return settings_lib.from_dict(base.get_config().to_dict())


@pytest.fixture(scope="module")
def dataset(data_folder, settings):
  return prepare(S3Rec(str(data_folder / "lastfm"), "LastFM"), settings.data)


def rules(cutoff: int, bootstrap_samples: int) -> evaluation.Rules:
  return evaluation.Rules((cutoff,), bootstrap_samples, seed=0, passport={})


def batches(dataset, settings):
  return question_batches(
    dataset, dataset.valid, settings.pipeline, batch_people=256
  )


def ask(dataset, settings, baseline, protocol=protocols.STRICT):
  meter = evaluation.ItemMeter(
    rules(10, 200),
    protocol=protocol,
    item_counts=scorers.item_counts(dataset),
  )
  return evaluation.evaluate(
    baseline.fit(dataset), batches(dataset, settings), meter
  )


def test_baselines_stand_in_the_known_order(dataset, settings):
  reports = {
    "popularity": ask(dataset, settings, popularity.Popularity()),
    "recent": ask(dataset, settings, popularity.RecentPopularity()),
    "item_knn": ask(dataset, settings, item_knn.ItemKNN()),
    "markov": ask(dataset, settings, markov.Markov()),
  }
  recall = [report.metrics["recall@10"] for report in reports.values()]
  assert recall == pytest.approx([0.030, 0.043, 0.084, 0.086], abs=0.002)
  for report in reports.values():
    assert report.people == {
      "people": 1090,
      "unknown_targets": 3,
      "repeats": 0,
    }
    low, high = report.intervals["recall@10"]
    assert low < report.metrics["recall@10"] < high
    assert high - low < 0.05
  assert "1,090 people" in table.caption(reports)


def test_seen_items_at_zero_change_scores_that_may_be_negative(
  dataset, settings
):
  """Why the protocol is part of the number."""

  class Shifted:
    def fit(self, dataset):
      scorer = markov.Markov().fit(dataset)
      return lambda batch: scorer(batch) - 1

  strict, s3rec, unmasked = (
    ask(dataset, settings, Shifted(), protocol).metrics["recall@10"]
    for protocol in (
      protocols.STRICT,
      protocols.AS_S3REC,
      protocols.UNMASKED,
    )
  )
  assert s3rec < unmasked < strict


def test_own_tags_beat_the_tags_of_everybody(dataset, settings):
  precision = [
    evaluation.evaluate(
      baseline.fit(dataset),
      batches(dataset, settings),
      evaluation.TagMeter(
        rules(5, 0),
        tags_of_item=dataset.product["tags"],
        counts=TagCounts.of(dataset),
      ),
    ).metrics["precision@5"]
    for baseline in (tags.TagPopularity(), tags.PersonTagPopularity())
  ]
  assert 0.3 < precision[0] < precision[1] < 0.7
