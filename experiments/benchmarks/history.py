"""Long histories: training time a person, from 10 to 1,000 events.

Histories are cut in chunks of 50, so that every event is asked for once an
epoch; then the time must grow as the number of events.
"""

from __future__ import annotations

import statistics

import numpy as np

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant
from experiments.benchmarks.result import Curve, Plot, Result, Target

EVENTS = (10, 30, 100, 300, 1000)
TOTAL = 200_000  # events of all people


def run(bench: Bench) -> Result:
  """All lengths side by side; the shortest histories are the reference."""
  scores = bench.contest(
    [
      Contestant(
        f"{events:,} events",
        "experiments.benchmarks.ours:training",
        {
          "made_up": {
            "people": TOTAL // events,
            "items": 10_000,
            "events": events,
          },
          "pipeline__long_histories": "chunks",
          "pipeline__batch_rows": 24,
        },
      )
      for events in EVENTS
    ]
  )
  # A person's first event is no question.
  seconds = [
    (events - 1) * statistics.median(1 / rate for rate in score.rates)
    for events, score in zip(EVENTS, scores, strict=True)
  ]
  exponent = float(np.polyfit(np.log(EVENTS), np.log(seconds), 1)[0])
  return Result(
    title="Long histories",
    unit="questions/s",
    conditions={"products": 10_000, "chunks of": 50, "exponent": exponent},
    groups=[scores],
    targets=[
      Target(
        "exponent of events in the time a person",
        exponent,
        1.1,
        at_most=True,
      )
    ],
    plots=[
      Plot(
        "events of a person",
        "seconds a person and epoch",
        [Curve("tagrec_jax", [float(e) for e in EVENTS], seconds)],
      )
    ],
  )
