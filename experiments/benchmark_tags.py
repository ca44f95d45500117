"""How good our tags are, beside fastText, Omikuji, PECOS and TF-IDF.

Run: python -m experiments.benchmark_tags --config=configs/software.py \
  --workdir=runs/benchmark_software --pecos=PECOS_ENVIRONMENT/bin/python

Needs `pip install -e ".[bench]"`. Trains our model and every peer on the data
set of the config, which has to be of the task tag_item, one after another:
nothing else should run on the machine, as seconds are told. Leaves tags.md,
tags.json and tags.png in WORKDIR.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags
from rich.console import Console
from rich.markdown import Markdown

from experiments import command
from experiments.benchmarks import report, tag_report, tags
from tagrec_jax.core import host, versions
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.registry import nearest

_CONFIG = config_flags.DEFINE_config_file("config", None, "a file of configs/")
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "a folder for results, runs and logs", required=True
)
_PEERS = flags.DEFINE_list(
  "peers", list(tags.PEERS), f"who is beside us: {', '.join(tags.PEERS)}"
)
_PECOS = flags.DEFINE_string(
  "pecos", "", "a Python that has libpecos==1.2.8; '': leave PECOS out"
)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
  """Trains, measures, and shows the tables."""
  del argv
  versions.check()
  settings = command.settings(_CONFIG)
  if settings.task != "tag_item":
    raise UserError(
      "config.task",
      f"found '{settings.task}'",
      "'tag_item'",
      "take a config such as configs/software.py",
    )
  for name in _PEERS.value:
    if name not in tags.PEERS:
      known = list(tags.PEERS)
      raise UserError(
        "--peers",
        f"found '{name}'",
        f"some of {', '.join(known)}",
        nearest(name, known),
      )
  workdir = pathlib.Path(_WORKDIR.value)
  workdir.mkdir(parents=True, exist_ok=True)
  host.prepare(settings.data.cache_dir)
  where = report.conditions()
  result = tags.run(settings, workdir, _PEERS.value, _PECOS.value, say)
  tag_report.keep(workdir, result, where)
  console = Console()
  console.print(Markdown((workdir / "tags.md").read_text(encoding="utf-8")))
  report.show_targets(console, result.targets)
  console.print(f"All numbers: {workdir / 'tags.json'}", soft_wrap=True)


if __name__ == "__main__":
  command.run(main)
