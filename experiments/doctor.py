"""Tells whether this machine can run tagrec_jax, and what to do where not.

Run: python -m experiments.doctor

Exits with 0 if all that is necessary is fine, else with 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

try:
  from absl import flags
  from rich.console import Console
  from rich.table import Table
  from rich.text import Text

  from experiments import command
  from tagrec_jax.core import machine, paths
except ModuleNotFoundError as error:  # the doctor itself needs these few
  print(
    f"ERROR: {error.name}: not installed. "
    "Fix: pip install -e . in the folder of setup.py",
    file=sys.stderr,
  )
  sys.exit(2)

_CACHE_DIR = flags.DEFINE_string(
  "cache_dir", "", "config.data.cache_dir of your runs; '': the default"
)


def main(argv: Sequence[str]) -> None:
  """Prints the findings, then the fixes in full, and exits."""
  del argv
  findings = machine.examine(paths.cache_folder(_CACHE_DIR.value))
  wrong = [f for f in findings if f.fix and f.necessary]
  table = Table("", "what", "found", "wanted")
  for finding in findings:
    mark = "ok" if not finding.fix else "WRONG" if finding in wrong else "-"
    cells = (mark, finding.what, finding.found, finding.wanted)
    table.add_row(*(Text(cell, overflow="fold") for cell in cells))
  console = Console()
  console.print(table)
  for finding in findings:
    if finding.fix:
      kind = "Fix" if finding.necessary else "If you need"
      # Not wrapped: a command can be copied whole.
      print(f"{kind} {finding.what}: {finding.fix}")
  print(f"{len(wrong)} wrong" if wrong else "All that is necessary is fine.")
  sys.exit(2 if wrong else 0)


if __name__ == "__main__":
  command.run(main)
