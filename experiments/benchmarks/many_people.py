"""Memory of opening a prepared data set of many people and of its batches.

Run: python -m experiments.benchmarks.many_people --people=10000000

Made-up people are stored straight as a data set, without a log. Processes of
their own then open it, draw batches as training does, and then as an evaluation
of everybody begins: the first makes the files that are mapped, the second finds
them. Each tells, as a line of JSON, seconds and the most anonymous memory
(RssAnon, which pages of mapped files are not part of, seen every few
milliseconds) and all of it (VmHWM, with pages of files that the system may take
back).
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import app, flags

from experiments.benchmarks.watched import Watched, status

_PEOPLE = flags.DEFINE_integer("people", 1_000_000, "how many")
_FOLDER = flags.DEFINE_string("folder", "", "for data; '': a temporary one")
_LONG = flags.DEFINE_enum(
  "long_histories", "newest", ["newest", "chunks"], "of the pipeline"
)
_PART = flags.DEFINE_enum("part", "", ["", "write", "read"], "for itself")

BATCHES = 100
EVENTS = 10
"""A person has on average."""

ITEMS = 100_000


def main(argv: Sequence[str]) -> None:
  """Stores, then measures, in processes of their own."""
  del argv
  parts = {"write": _write, "read": _read}
  if _PART.value:
    parts[_PART.value](pathlib.Path(_FOLDER.value) / "data")
    return
  with tempfile.TemporaryDirectory(prefix="people-") as made:
    for part in ("write", "read", "read"):
      command = [sys.executable, "-m", __spec__.name, f"--part={part}"]
      command += [f"--people={_PEOPLE.value}"]
      command += [f"--long_histories={_LONG.value}"]
      command += [f"--folder={_FOLDER.value or made}"]
      subprocess.run(command, check=True)  # noqa: S603


def _write(folder: pathlib.Path) -> None:
  import dataclasses

  from tagrec_jax.data import store
  from tagrec_jax.data.dataset import Dataset, Interactions, Questions
  from tagrec_jax.data.fingerprint import fingerprint
  from tagrec_jax.data.spec import Spec
  from tagrec_jax.data.vocab import Vocabulary

  begin = time.monotonic()
  random = np.random.default_rng(0)
  people = np.arange(_PEOPLE.value, dtype=np.int32)
  lengths = random.integers(4, 2 * EVENTS - 3, len(people))
  offsets = np.append(0, np.cumsum(lengths))
  events = int(offsets[-1])
  items = (ITEMS * random.random(events, np.float32) ** 2).astype(np.int32)
  dataset = Dataset(
    name="many people",
    fingerprint="",
    spec=Spec(ITEMS, 0, ()),
    items=Vocabulary([f"i{item}" for item in range(ITEMS)]),
    tags=Vocabulary([]),
    people=Vocabulary([f"u{person:08}" for person in range(len(people))]),
    titles=("",) * ITEMS,
    events=Interactions(
      offsets, items, np.arange(1_500_000_000, 1_500_000_000 + events)
    ),
    train_ends=offsets[1:] - 2,
    valid=Questions(people, offsets[1:] - 2),
    test=Questions(people, offsets[1:] - 1),
    product={},
    person={},
    counts={},
  )
  dataset = dataclasses.replace(dataset, fingerprint=fingerprint(dataset))
  store.write(dataset, folder)
  told = {"what": "stored", "people": len(people), "events": events}
  print(json.dumps(told | {"seconds": round(time.monotonic() - begin, 1)}))


def _read(folder: pathlib.Path) -> None:
  from configs import base
  from tagrec_jax import build
  from tagrec_jax.data import builder, store
  from tagrec_jax.data.pipeline import TrainBatches
  from tagrec_jax.data.questions import question_batches

  assert builder.LARGE  # imported, with TFDS, before memory is looked at
  config = base.get_config()
  config.pipeline.long_histories = _LONG.value
  pipeline = build.settings(config.to_dict()).pipeline
  told: dict[str, Any] = {
    "what": "opened again" if (folder / "mapped").exists() else "opened first",
    "people": _PEOPLE.value,
    "before_megabytes": round(status("RssAnon")),
  }
  with Watched() as opened:
    dataset = store.read(folder)
  with Watched() as drawn:
    batches = TrainBatches(dataset, pipeline)
    for step in range(BATCHES):
      batches(step)
  with Watched() as asked:
    questions = question_batches(
      dataset, dataset.test, pipeline, batch_people=pipeline.batch_rows
    )
    for _ in range(BATCHES):
      next(questions)
  told |= {
    "long_histories": _LONG.value,
    "events": len(dataset.events.items),
    "open_megabytes": round(opened.anonymous),
    "open_seconds": round(opened.seconds, 1),
    "batches_megabytes": round(drawn.anonymous),
    "batches_seconds": round(drawn.seconds, 1),
    "questions_megabytes": round(asked.anonymous),
    "questions_seconds": round(asked.seconds, 1),
    "with_files_megabytes": round(status("VmHWM")),
  }
  print(json.dumps(told))


if __name__ == "__main__":
  app.run(main)
