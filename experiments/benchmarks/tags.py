"""Tags of products by their content: our model beside its peers.

Everyone learns from the same products and tags and is asked about the same held
out products; what they answer is measured by the same code. One after another,
each in a process of its own.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.benchmarks import texts
from experiments.benchmarks.contest import Contestant, Process
from experiments.benchmarks.result import Target
from experiments.benchmarks.tag_measures import measure
from experiments.peers.tag_products import TagProducts, read_answers
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import warn
from tagrec_jax.core.settings import Settings, to_dict
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.evaluation.paired import TAG_MEASURES, Measured, difference

OURS = "tagrec_jax"
SPLITS = ("valid", "test")
SAMPLES = 1000  # of the bootstrap

_PATIENCE = 4 * 3600.0  # seconds
_WANTED = {"P@5": 0.01, "PSP@5": 0.02}  # more than the best peer
_SECONDS = 600.0  # of our training on two cores

PECOS = "PECOS XR-Linear"
PEERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
  "fastText": ("fasttext_tags", {}),
  "Omikuji Parabel": ("omikuji_tags", {"preset": "parabel"}),
  "Omikuji Bonsai": ("omikuji_tags", {"preset": "bonsai"}),
  PECOS: ("pecos_tags", {}),
  "TF-IDF + SGD": ("sgd_tags", {}),
}
"""Name → module of experiments.peers, and its options. Their defaults were
tuned by hand on valid packages of Debian, see docs/tag_peers.md."""


@dataclasses.dataclass(frozen=True)
class Row:
  """One contestant.

  Attributes:
    inputs: 'text', 'all' (text and fields), or what our model reads.
    training_seconds: texts to arrays included; ours is the whole command.
    peak_bytes: see `contest.Score`.
    values: split → measure → value.
  """

  model: str
  inputs: str
  training_seconds: float
  peak_bytes: int
  values: Mapping[str, Mapping[str, float]]

  @property
  def name(self) -> str:
    return self.model if self.model == OURS else f"{self.model}, {self.inputs}"


@dataclasses.dataclass(frozen=True)
class Gap:
  """Ours less the best peer of one measure.

  Attributes:
    peer: the best one.
    low, high: 95 % interval, resampled over products.
  """

  split: str
  measure: str
  peer: str
  found: float
  low: float
  high: float


@dataclasses.dataclass(frozen=True)
class TagResult:
  """What came of it; rows by PSP@5 on test, gaps only beside a peer."""

  title: str
  conditions: Mapping[str, Any]
  rows: Sequence[Row]
  gaps: Sequence[Gap]
  targets: Sequence[Target]


def contestants(
  settings: Settings,
  products: TagProducts,
  workdir: pathlib.Path,
  peers: Sequence[str],
  pecos: str,
) -> list[tuple[str, str, pathlib.Path, Contestant]]:
  """(model, inputs, its answers, how it is started), ours last.

  Args:
    pecos: an interpreter that has libpecos; '' leaves it out.
  """
  kinds = ("text", "all") if any(products.fields) else ("text",)
  found: list[tuple[str, str, pathlib.Path, Contestant]] = []
  for model in peers:
    if model == PECOS and not pecos:
      warn(f"{PECOS} is left out: --pecos names no interpreter")
      continue
    module, options = PEERS[model]
    for inputs in kinds:
      answers = workdir / "answers" / f"{module}-{len(found)}-{inputs}.npz"
      told = {"folder": str(workdir / "products"), "inputs": inputs, **options}
      contestant = Contestant(
        f"{model} {inputs}",
        f"experiments.peers.{module}:tags",
        {**told, "answers": str(answers)},
        python=pecos if model == PECOS else sys.executable,
      )
      found.append((model, inputs, answers, contestant))
  answers = workdir / "answers" / "ours.npz"
  ours = Contestant(
    OURS,
    "experiments.benchmarks.ours_tags:tags",
    {
      "config": to_dict(settings),
      "workdir": str(workdir / "ours"),
      "answers": str(answers),
    },
    # The last line of what it says has to be the error.
    {"JAX_TRACEBACK_FILTERING": "off"},
  )
  found.append((OURS, ", ".join(settings.model.product), answers, ours))
  return found


def run(
  settings: Settings,
  workdir: pathlib.Path,
  peers: Sequence[str],
  pecos: str,
  step: Callable[[str], None],
) -> TagResult:
  """Trains all and measures them.

  Args:
    step: told who is next.

  Raises:
    UserError: if ours does not live. A peer that does not is named in a
      warning.
  """
  dataset = build.dataset(settings)
  products = texts.tag_products(settings, dataset)
  products.write(workdir / "products")
  (workdir / "answers").mkdir(exist_ok=True)
  rows, measured = [], {}
  for model, inputs, answers, contestant in contestants(
    settings, products, workdir, peers, pecos
  ):
    step(contestant.name)
    try:
      told = _told(contestant, workdir / "logs")
    except UserError as error:
      if model == OURS:
        raise
      warn(str(error))
      continue
    found = {
      split: measure(
        read_answers(answers, split), dataset, products.asked[split]
      )
      for split in SPLITS
    }
    row = Row(
      model,
      inputs,
      told["training_seconds"],
      int(told["peak_bytes"]),
      {s: {n: m.value for n, m in of.items()} for s, of in found.items()},
    )
    rows.append(row)
    measured[row.name] = found
  gaps = _gaps(measured, settings.seed)
  return TagResult(
    title=f"{settings.name}: {dataset.name}",
    conditions=_conditions(settings, dataset, products),
    rows=sorted(rows, key=_place),
    gaps=gaps,
    targets=targets(gaps, rows),
  )


def _place(row: Row) -> list[float]:
  """The best first, by the last measure; by those before it where it ties."""
  return [-row.values["test"][name] for name in reversed(TAG_MEASURES)]


def _told(contestant: Contestant, logs: pathlib.Path) -> dict[str, float]:
  with Process(contestant, logs, _PATIENCE) as process:
    process.ready()
    return process.run(1)


def _gaps(
  measured: Mapping[str, Mapping[str, Mapping[str, Measured]]], seed: int
) -> list[Gap]:
  """On each split and measure, the peer that is best there is compared."""
  peers = [name for name in measured if name != OURS]
  gaps = []
  for split in SPLITS if peers else ():
    for name in TAG_MEASURES:
      of = {model: found[split][name] for model, found in measured.items()}
      _, best = max((of[model].value, model) for model in peers)
      low, high = difference(of[OURS], of[best], SAMPLES, seed)
      found = of[OURS].value - of[best].value
      gaps.append(Gap(split, name, best, found, low, high))
  return gaps


def targets(gaps: Sequence[Gap], rows: Sequence[Row]) -> list[Target]:
  """What was promised of ours on test."""
  return [
    *(
      Target(
        f"{gap.measure} above {gap.peer}",
        gap.found,
        _WANTED[gap.measure],
        gap.low,
        gap.high,
      )
      for gap in gaps
      if gap.split == "test" and gap.measure in _WANTED
    ),
    *(
      Target(
        "seconds of training", row.training_seconds, _SECONDS, at_most=True
      )
      for row in rows
      if row.model == OURS
    ),
  ]


def _conditions(
  settings: Settings, dataset: Dataset, products: TagProducts
) -> dict[str, Any]:
  return {
    "data": dataset.name,
    "fingerprint": dataset.fingerprint,
    "products of training": products.num_items,
    "tags": products.num_tags,
    "tags of held-out products alone": dataset.spec.num_new_tags,
    **{f"{split} products": len(products.asked[split]) for split in SPLITS},
    "other fields told to peers": sorted(
      {word.split("=")[0] for words in products.fields for word in words}
    ),
    "propensities": "A = .55, B = 1.5",
    "config": to_dict(settings),
  }
