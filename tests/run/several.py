"""One of several processes that train together; prints what it saw as JSON.

several.py process processes port measured preset...: the fourth is 0 or 1
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np

STEPS = 2


def made():
  """Settings and data of a small run with two tasks."""
  from configs import quickstart
  from tagrec_jax import build
  from tagrec_jax.data.prepare import prepare
  from tagrec_jax.data.sources.storefront import Storefront

  config = quickstart.get_config("tiny")
  config.model.product = ("id", "tags")
  config.model.moment = ("hour",)
  config.model.person = ()
  config.pipeline.batch_rows = 8
  config.pipeline.row_length = 16
  config.pipeline.max_history = 16
  config.objective.tags_weight = 0.5
  # Adam would blow the rounding of gradients that ought to be 0 up to steps.
  config.optimizer.name = "sgd"
  config.optimizer.learning_rate = 0.1
  config.optimizer.warmup_steps = 0
  settings = build.settings(config.to_dict())
  shop = Storefront(people=60, items=41, tags=4, events_per_person=10)
  return settings, prepare(shop, settings.data)


def seen(settings, dataset, preset, devices, measured):
  """Losses of the first steps, the rows made here, metrics if asked for."""
  import jax

  from tagrec_jax import build
  from tagrec_jax.run.measure import Asker, Measure
  from tagrec_jax.sharding.answering import answering
  from tests import layouts

  data, fsdp = (devices, 1) if preset == "data" else (1, devices)
  settings = layouts.on(settings, "jit", preset, data, fsdp, 1)
  live, _, reports = layouts.run(settings, dataset, STEPS)
  model = build.model(settings, dataset)
  backend = build.backend(settings, build.recipe(settings, model))
  rows = build.train_batches(settings, dataset, backend.host_share)(0)
  metrics = {}
  if measured:
    asker = Asker(model, answering(settings.sharding)[0])
    measure = Measure(settings, dataset, "valid", intervals=False)
    scores = asker.of(backend.answering(live))
    report = measure.one("items", lambda batch: scores(batch)["items"], "it")
    metrics = report.metrics
  return {
    "losses": [
      [
        float(np.asarray(one.total) / np.asarray(one.weight))
        for _, one in sorted(report.sums.items())
      ]
      for report in reports
    ],
    "rows": np.asarray(rows["history_ids"]).tolist(),
    "metrics": metrics,
    "process": jax.process_index(),
  }


def main(process, processes, port, measured, *presets):
  from tagrec_jax.core import host

  host.join(processes, int(process), f"localhost:{port}")
  settings, dataset = made()
  rest = int(processes), bool(int(measured))
  told = {preset: seen(settings, dataset, preset, *rest) for preset in presets}
  print(json.dumps(told), flush=True)


if __name__ == "__main__":
  os.environ["JAX_PLATFORMS"] = "cpu"
  main(*sys.argv[1:])
