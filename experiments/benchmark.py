"""How fast this is, beside its peers, on this machine.

Run: python -m experiments.benchmark --workdir=runs/benchmark \
  --folder=FOLDER_OF_S3REC_BEAUTY

Needs `pip install -e ".[bench]"`. Contestants are processes of their own that
take turns; only ratios within one round are told. Nothing else should run on
the machine. Results are added to WORKDIR/benchmark.json, with every number.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from absl import flags
from rich.console import Console

from experiments import command
from experiments.benchmarks import parts, report
from experiments.benchmarks.bench import Bench
from tagrec_jax.core import versions
from tagrec_jax.core.log import warn

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "a folder for results, pictures and logs", required=True
)
_PARTS = flags.DEFINE_list(
  "parts",
  parts.NAMES,
  f"what is measured: {', '.join(parts.NAMES)}; or text_encoding, encoders,"
  " blocks",
)
_FOLDER = flags.DEFINE_string(
  "folder", "", "one data set of S3-Rec, such as Beauty; '': the storefront"
)
_ROUNDS = flags.DEFINE_integer(
  "rounds", 7, "turns of each contestant", lower_bound=1
)
_RECBOLE = flags.DEFINE_string(
  "recbole", "", "a Python that has recbole==1.2.1; '': leave RecBole out"
)
_PRETRAINED = flags.DEFINE_string(
  "pretrained",
  "",
  "a folder of a text encoder as Hugging Face writes it, for text_encoding",
)


def main(argv: Sequence[str]) -> None:
  """Measures part after part and keeps each as soon as it is there."""
  del argv
  versions.check()
  for name in _PARTS.value:
    parts.PARTS.check(name)
  workdir = pathlib.Path(_WORKDIR.value)
  workdir.mkdir(parents=True, exist_ok=True)
  bench = Bench(
    workdir,
    _FOLDER.value,
    _ROUNDS.value,
    _RECBOLE.value,
    _PRETRAINED.value,
  )
  console = Console()
  if os.getloadavg()[0] > 0.3 * (os.cpu_count() or 1):
    warn(
      f"load {os.getloadavg()[0]:.1f}: others use this machine, which slows"
      " contestants by unequal amounts"
    )
  for name in _PARTS.value:
    where = report.conditions()
    result = parts.PARTS[name](bench)
    report.keep(workdir / "benchmark.json", name, result, where)
    report.draw(workdir / f"{name}.png", result)
    report.show(console, result)
  console.print(f"All numbers: {workdir / 'benchmark.json'}", soft_wrap=True)


if __name__ == "__main__":
  command.run(main)
