"""One page of all reports of `experiments.compile_tpu` in a folder.

Run: python -m experiments.compiled --folder=docs/scale

Writes README.md there: which model fits where, and, of the reports in the
folder weak/, how well a growing number of chips is used.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags
from rich.console import Console
from rich.markdown import Markdown

from experiments import command
from tagrec_jax.run.aot import summary

_FOLDER = flags.DEFINE_string(
  "folder", "docs/scale", "where the reports are, .json"
)


def main(argv: Sequence[str]) -> None:
  """Reads, writes and shows."""
  del argv
  Console().print(Markdown(summary.write(_FOLDER.value)))


if __name__ == "__main__":
  command.run(main)
