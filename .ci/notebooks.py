"""Runs notebooks from top to bottom, as a reader would.

Run: python .ci/notebooks.py colab/quickstart.ipynb

Each runs in the root of the checkout, with TAGREC_TINY=1 for it to choose its
small variant; nothing is written back.
"""

from __future__ import annotations

import os
import pathlib
import sys
import time

import nbclient
import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(path: pathlib.Path) -> None:
  """Executes every cell; raises CellExecutionError at the first that fails."""
  notebook = nbformat.read(path, as_version=4)
  nbformat.validate(notebook)
  nbclient.NotebookClient(
    notebook,
    timeout=300,  # seconds, each cell
    kernel_name="python3",
    resources={"metadata": {"path": str(ROOT)}},
  ).execute()


def main(paths: list[str]) -> int:
  """Runs each notebook; 1 if there is none or one fails."""
  if not paths:
    print("usage: python .ci/notebooks.py NOTEBOOK...", file=sys.stderr)
    return 1
  os.environ["TAGREC_TINY"] = "1"
  failures = 0
  for path in map(pathlib.Path, paths):
    start = time.monotonic()
    try:
      run(path)
    except nbclient.exceptions.CellExecutionError as error:
      print(f"{path}: {error}", file=sys.stderr)
      failures += 1
    print(f"{path}: {time.monotonic() - start:.0f} s")
  return int(failures > 0)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
