"""Ranked lists for all people of a data set, in files.

People are cut into shards of one size, in the order of the data set. Each shard
is computed alone and gets its name when it is whole, so that a run that was
killed goes on with what is missing, and several processes divide the work.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from tagrec_jax.core import files
from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.progress import Bar
from tagrec_jax.core.settings import to_dict
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.run import trained
from tagrec_jax.run.recommend import check_targets
from tagrec_jax.run.trained import Trained
from tagrec_jax.serving.everybody import Everybody, Lists

MANIFEST = "manifest.json"
"""Written when all shards are there: what they are, with their SHA-256."""

JOB = "job.json"
"""What is asked, so that nothing else goes on in the same folder."""


def score(
  workdir: str,
  output: str,
  *,
  targets: Sequence[str] = ("items",),
  top_k: int = 10,
  exclude_seen: bool = True,
  checkpoint: str = "best",
  shard_people: int = 10_000,
  form: str = "jsonl",
) -> pathlib.Path | None:
  """Writes the lists of everybody; see experiments/score.py for arguments.

  Returns:
    The manifest; None if other processes are still at work on some shards.

  Raises:
    UserError: the run has another task, or `output` holds another job.
    StorageError: a file cannot be written.
  """
  run = trained.load(workdir, checkpoint, jax.local_devices())
  if run.settings.task != "next_item":
    raise UserError(
      "--workdir",
      f"found a run of the task '{run.settings.task}'",
      "one of 'next_item', which is asked about people",
      "use experiments.recommend",
    )
  check_targets(targets, run.settings)
  job = {
    "data": run.dataset.fingerprint,
    "config": _digest(json.dumps(to_dict(run.settings), sort_keys=True)),
    "step": run.step,
    "targets": list(targets),
    "top_k": top_k,
    "exclude_seen": exclude_seen,
    "people": len(run.dataset.people),
    "shard_people": shard_people,
    "form": form,
  }
  folder = pathlib.Path(output)
  try:
    _begin(folder, job)
    return _score(run, folder, job)
  except OSError as error:
    raise StorageError(
      str(folder),
      f"the lists cannot be written ({error.strerror})",
      fix="make room there, then give the same command again",
    ) from error


def _begin(folder: pathlib.Path, job: dict[str, Any]) -> None:
  """Raises UserError if the folder holds the shards of another job."""
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / JOB
  if not path.exists():
    files.write_json(path, job)
    return
  before = json.loads(path.read_text(encoding="utf-8"))
  for key, value in job.items():
    if before.get(key) != value:
      raise UserError(
        str(path),
        f"found shards of another job, with {key}={before.get(key)!r}",
        f"{value!r}",
        "name another folder in --output, or ask for the same",
      )


def _score(
  run: Trained, folder: pathlib.Path, job: dict[str, Any]
) -> pathlib.Path | None:
  people, size = job["people"], job["shard_people"]
  shards = -(-people // size)
  paths = [
    folder / f"lists-{n:05d}-of-{shards:05d}.{job['form']}"
    for n in range(shards)
  ]
  everybody = Everybody(
    run.scores,
    run.dataset,
    run.settings,
    targets=job["targets"],
    k=job["top_k"],
    exclude_seen=job["exclude_seen"],
  )
  mine = range(jax.process_index(), shards, jax.process_count())
  left = [number for number in mine if not paths[number].exists()]
  for number in mine:
    for part in folder.glob(f"{paths[number].name}.*.part"):
      part.unlink()  # of a process that was killed
  done = sum(min(size, people - n * size) for n in mine if n not in set(left))
  if done:
    say(f"{done:,} people have their lists already")
  total = sum(min(size, people - n * size) for n in mine)
  with _Progress(done, total) as progress:
    for number in left:
      first = number * size
      last = min(first + size, people)
      lists = everybody.lists(first, last)
      _write(paths[number], run.dataset, first, lists)
      progress.advance(last - first)
  if not all(path.exists() for path in paths):
    say("other processes are still at work")
    return None
  manifest = {
    **job,
    "shards": [
      {
        "file": path.name,
        "people": min(size, people - number * size),
        "sha256": files.sha256(path),
      }
      for number, path in enumerate(paths)
    ],
  }
  # Of several processes that end at once each writes the same.
  with contextlib.suppress(FileNotFoundError):
    files.write_json(folder / MANIFEST, manifest)
  say(f"{people:,} people: {folder / MANIFEST}")
  return folder / MANIFEST


class _Progress(Bar):
  """People who have their lists, and how many get them a second."""

  def __init__(self, done: int, total: int):
    super().__init__("people", done, total)
    self._done, self._before = done, done
    self._begin = time.monotonic()

  def advance(self, people: int) -> None:
    self._done += people
    seconds = max(time.monotonic() - self._begin, 1e-9)
    rate = (self._done - self._before) / seconds
    facts = f"{rate:,.0f} people/s"
    self.tell(
      self._done,
      facts,
      f"{self._done:,}/{self._last:,} people  {facts} "
      f" {(self._last - self._done) / rate:.0f} s left",
    )


def _write(
  path: pathlib.Path, dataset: Dataset, first: int, lists: Lists
) -> None:
  """A shard under its name, once it is whole and on the disk."""
  part = path.with_name(f"{path.name}.{os.getpid()}.part")
  try:
    write = _write_parquet if path.suffix == ".parquet" else _write_jsonl
    write(part, dataset, first, lists)
    with part.open("rb") as file:
      os.fsync(file.fileno())
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)


def _rows(
  dataset: Dataset, first: int, lists: Lists
) -> Iterator[tuple[str, dict[str, tuple[list[str], list[float]]]]]:
  """Of each person: target → names and scores, best first."""
  names = {"items": dataset.all_items.ids, "tags": dataset.all_tags.ids}
  for row in range(len(next(iter(lists.values()))[0])):
    answer = {}
    for target, (ids_PK, scores_PK) in lists.items():
      there = ids_PK[row] >= 0
      answer[target] = (
        [names[target][i] for i in ids_PK[row][there]],
        [round(float(s), 4) for s in scores_PK[row][there]],
      )
    yield dataset.people.ids[first + row], answer


def _write_jsonl(
  path: pathlib.Path, dataset: Dataset, first: int, lists: Lists
) -> None:
  with path.open("w", encoding="utf-8") as file:
    for person, answer in _rows(dataset, first, lists):
      told: dict[str, Any] = {"person": person}
      for target, (names, scores) in answer.items():
        key = "id" if target == "items" else "tag"
        told[target] = [
          {key: name, "score": score}
          for name, score in zip(names, scores, strict=True)
        ]
      file.write(json.dumps(told, ensure_ascii=False) + "\n")


def _write_parquet(
  path: pathlib.Path, dataset: Dataset, first: int, lists: Lists
) -> None:
  import pyarrow as pa
  import pyarrow.parquet as pq

  columns: dict[str, list[Any]] = {"person": []}
  columns |= {f"{t}{end}": [] for t in lists for end in ("", "_scores")}
  for person, answer in _rows(dataset, first, lists):
    columns["person"].append(person)
    for target, (names, scores) in answer.items():
      columns[target].append(names)
      columns[f"{target}_scores"].append(scores)
  types = {"person": pa.string()}
  for target in lists:
    types[target] = pa.list_(pa.string())
    types[f"{target}_scores"] = pa.list_(pa.float32())
  pq.write_table(pa.table(columns, schema=pa.schema(types.items())), path)


def _digest(text: str) -> str:
  return hashlib.sha256(text.encode()).hexdigest()[:16]
