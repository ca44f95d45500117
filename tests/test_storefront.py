"""The learnt model comes close to the best ranking there can be."""

import jax
import numpy as np

from configs import storefront
from tagrec_jax import build
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.evaluation import moments
from tagrec_jax.run.measure import OURS, Asker, Measure
from tagrec_jax.training import loop
from tagrec_jax.training.parallel import PmapBackend

SHOP = Storefront(people=2000, items=120, tags=8, events_per_person=15)
CLOSE = 0.85
"""Of the optimum: what a minute of training on a CPU has to reach."""


def settings():
  config = storefront.get_config()
  config.model.history = "gru"
  config.model.dropout = 0.1
  config.pipeline.max_history = 16
  config.pipeline.row_length = 32
  config.optimizer.learning_rate = 1e-2
  config.optimizer.schedule = "linear"
  config.train.steps = 400
  config.train.evaluate_every = 400
  config.evaluation.baselines = ("popularity", "markov")
  config.evaluation.bootstrap_samples = 0
  return build.settings(config.to_dict())


def best(dataset):
  """batch → the true probabilities, for those who know how the shop works."""
  assert dataset.items.ids == SHOP.item_ids

  def score(batch):
    return np.array(
      [
        SHOP.best_scores(
          [dataset.items.ids[item] for item in seen if item >= 0],
          int(hours[last]),
        )
        for hours, last, seen in zip(
          batch["moment_hour"], batch["last"], batch["seen_ids"], strict=True
        )
      ],
      np.float32,
    )

  return score


def test_close_to_the_optimum_and_far_above_popularity():
  checked = settings()
  dataset = prepare(SHOP, checked.data)
  model = build.model(checked, dataset)
  one_device = jax.devices()[:1]
  backend = PmapBackend(build.recipe(checked, model), one_device)
  result = loop.train(
    backend, build.train_batches(checked, dataset, (0, 1)), checked.train
  )
  # Who knows the optimum is slow: 800 people say enough.
  measure = Measure(checked, dataset, "test", most=800, intervals=False)
  scores = Asker(model).of(backend.answering(result.state))
  reports = measure.all(scores)["items"]
  optimum = measure.one("items", best(dataset), "optimum").metrics
  for name in ("recall@10", "ndcg@10"):
    ours, popular = (reports[m].metrics[name] for m in (OURS, "popularity"))
    assert CLOSE * optimum[name] <= ours <= 1.05 * optimum[name]
    assert ours >= 1.5 * popular
  check_moments(measure, scores, reports[OURS], best(dataset))


def check_moments(measure, scores, report, optimum):
  """The true hour gains what it gains for those who know how the shop works."""

  def known(batch):
    # Tags are asked for too; of them the optimum knows nothing.
    return scores(batch) | {"items": optimum(batch)}

  gained = {}
  for name, ask, true in (
    ("ours", scores, report),
    ("optimum", known, measure.one("items", optimum, "optimum")),
  ):
    others = [measure.at_other_moments(ask, seed)["items"] for seed in range(2)]
    gain = moments.gains(true, others, 500, 0)["ndcg@10"]
    assert gain.interval[0] > 0
    gained[name] = gain.true - gain.shuffled
  print(gained)
  assert 0.7 < gained["ours"] / gained["optimum"] < 1.2
