"""A large log of events through reading, cleaning, splitting and storing.

Run: python -m experiments.benchmarks.large_log --events=5000000
     python -m experiments.benchmarks.large_log --events=50000000 \
       --people=200000 --products=100000

Writes a made-up log to a folder, prepares it in a process of its own as every
run does, and reads it again; tells seconds, events a second and the peak of
memory of both, as one line of JSON each.
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

_EVENTS = flags.DEFINE_integer("events", 5_000_000, "rows of the log")
_PEOPLE = flags.DEFINE_integer("people", 0, "0: a 25th of the events")
_PRODUCTS = flags.DEFINE_integer(
  "products", 0, "0: a 50th of the events, at most a million"
)
_FOLDER = flags.DEFINE_string("folder", "", "for the log; '': a temporary one")
_PART = flags.DEFINE_bool("part", False, "prepare or read what is in --folder")

_ROWS = 1_000_000


def main(argv: Sequence[str]) -> None:
  """Makes the log, then measures in processes of their own."""
  del argv
  if _PART.value:
    _measure(pathlib.Path(_FOLDER.value))
    return
  with tempfile.TemporaryDirectory(prefix="log-") as made:
    folder = pathlib.Path(_FOLDER.value or made)
    events = _EVENTS.value
    people = _PEOPLE.value or max(events // 25, 1)
    products = _PRODUCTS.value or min(max(events // 50, 10), 1_000_000)
    write_log(folder / "log", events, people, products)
    for _ in range(2):  # the first prepares, the second finds
      command = [sys.executable, "-m", __spec__.name, "--part"]
      subprocess.run([*command, f"--folder={folder}"], check=True)  # noqa: S603


def write_log(
  folder: pathlib.Path, events: int, people: int, products: int, seed: int = 0
) -> None:
  """events.csv: popular products and less popular ones, in order of time."""
  import pyarrow as pa
  from pyarrow import csv

  folder.mkdir(parents=True, exist_ok=True)
  random = np.random.default_rng(seed)
  options = csv.WriteOptions(include_header=False, quoting_style="none")
  with (folder / "events.csv").open("wb") as file:
    file.write(b"user_id,item_id,timestamp,rating\n")
    for begin in range(0, events, _ROWS):
      count = min(_ROWS, events - begin)
      person = random.integers(0, people, count)
      item = (products * random.random(count) ** 2).astype(np.int64)
      columns = {
        "user_id": _ids("u", person),
        "item_id": _ids("i", item),
        "timestamp": pa.array(1_500_000_000 + np.arange(begin, begin + count)),
        "rating": pa.array(random.integers(1, 6, count)),
      }
      csv.write_csv(pa.table(columns), file, options)


def _ids(letter: str, numbers: np.ndarray) -> Any:
  import pyarrow as pa
  import pyarrow.compute as pc

  texts = pa.array(numbers).cast(pa.string())
  return pc.binary_join_element_wise(letter, texts, "")


def _measure(folder: pathlib.Path) -> None:
  from configs import base
  from tagrec_jax import build

  config = base.get_config()
  config.data.source = "folder"
  config.data.folder = str(folder / "log")
  config.data.cache_dir = str(folder / "cache")
  config.data.min_item_events = 2
  settings = build.settings(config.to_dict())
  found = (folder / "cache" / "prepared").exists()
  before, worked = status("RssAnon"), time.process_time()
  with Watched() as watched:
    dataset = build.dataset(settings)
  worked = time.process_time() - worked
  events = len(dataset.events.items)
  told = {
    "what": "read again" if found else "prepared",
    "events": events,
    "people": len(dataset.people),
    "products": len(dataset.items),
    "seconds": round(watched.seconds, 1),
    "cpu_seconds": round(worked, 1),
    "events_a_cpu_second": round(events / worked),
    "before_megabytes": round(before),
    "anonymous_megabytes": round(watched.anonymous),
    "with_files_megabytes": round(watched.resident),
  }
  print(json.dumps(told))


if __name__ == "__main__":
  app.run(main)
