"""One page of all reports of `experiments.compile_tpu` in a folder.

Run: python -m experiments.compiled --folder=docs/scale

Writes README.md there: which model fits where, of the reports in the folder
weak/ how well a growing number of chips is used, and how far modelled steps are
from those that a CPU takes. These are measured anew by
`--sizes=64x2,128x2,128x4,256x4 --config=configs/quickstart.py`, of a catalogue
that is made up: `--config.model.product="('id',)" --config.model.person="()"
--config.model.memory_weight=0.0 --config.objective.tags_weight=0.0`.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags
from rich.console import Console
from rich.markdown import Markdown

from experiments import command
from tagrec_jax.core.errors import UserError
from tagrec_jax.run.aot import measured, summary

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "a file of configs/ whose steps are measured on this CPU"
)
_FOLDER = flags.DEFINE_string(
  "folder", "docs/scale", "where the reports are, .json"
)
_SIZES = flags.DEFINE_list(
  "sizes", [], "WIDTHxLAYERS of models measured on this CPU"
)


def main(argv: Sequence[str]) -> None:
  """Measures if asked to; reads, writes and shows."""
  del argv
  if _SIZES.value:
    if _CONFIG.value is None:
      raise UserError("--config", "missing", "what is measured", "name a file")
    measured.write(command.settings(_CONFIG), _SIZES.value, _FOLDER.value)
  Console().print(Markdown(summary.write(_FOLDER.value)))


if __name__ == "__main__":
  command.run(main)
