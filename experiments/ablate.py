"""What each modality adds: one config, trained on more and more features.

Run: python -m experiments.ablate --config=configs/clipart.py \
  --features='ngrams;+brand;+image;image' --workdir=runs/ablation_clipart

Each row of --features is trained and measured; '+x' adds a feature to the row
before, a name without '+' begins anew, and 'fusion=transformer' is the row
before with another value of `config.model`. The same command goes on with what
was interrupted. Leaves ablation.md, ablation.json and ablation.png in WORKDIR.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags
from rich.console import Console
from rich.markdown import Markdown

from experiments import command
from tagrec_jax.core import host, versions
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say

_CONFIG = config_flags.DEFINE_config_file("config", None, "a file of configs/")
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "a folder for results and runs", required=True
)
_FEATURES = flags.DEFINE_string(
  "features", None, "rows with ';' between them", required=True
)
_SEEDS = flags.DEFINE_list("seeds", ["0"], "every row is trained with each")
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
  """Trains every row, and shows the tables."""
  del argv
  versions.check()
  settings = command.settings(_CONFIG)
  from tagrec_jax.run import ablation, ablation_table

  rows = ablation.variants(_FEATURES.value)
  workdir = pathlib.Path(_WORKDIR.value)
  workdir.mkdir(parents=True, exist_ok=True)
  host.prepare(settings.data.cache_dir)
  found = ablation.ablate(settings, rows, workdir, _seeds())
  if found is None:
    say("interrupted; the same command goes on")
    return
  ablation_table.keep(workdir, found)
  text = (workdir / "ablation.md").read_text(encoding="utf-8")
  Console().print(Markdown(text))


def _seeds() -> list[int]:
  told = _SEEDS.value
  if not told or not all(s.isascii() and s.isdecimal() for s in told):
    raise UserError(
      "--seeds", f"found '{','.join(told)}'", "numbers", "write such as 0,1"
    )
  return [int(seed) for seed in dict.fromkeys(told)]


if __name__ == "__main__":
  command.run(main)
