"""One contestant in a process of its own, asked through stdin.

`python -m experiments.benchmarks.child MODULE:FUNCTION OPTIONS_AS_JSON`

The function sets the contestant up and gives n → {"work": done by n turns,
...}. Each line {"run": n} on stdin is answered by a line on stdout: the seconds
that took, what was given back, and the peak memory so far. Nothing is
imported here but the standard library, so any interpreter can run it.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from tagrec_jax.core.errors import UserError, one_line

Run = Callable[[int], dict[str, float]]
"""A contestant that is set up: n → {"work": done in n units, ...}."""

_FIXES = {
  "recbole": 'pip install "recbole==1.2.1" "numpy<2" "pandas<2.3" '
  "in the environment of --recbole",
  "pecos": 'pip install "numpy<2" "scipy<1.14" scikit-learn, then '
  "pip install --no-deps libpecos==1.2.8, in the environment of --pecos",
}


@one_line
def main() -> None:
  """Sets up, warms up, and answers until stdin ends."""
  target, options = sys.argv[1], json.loads(sys.argv[2])
  # What libraries print must not stand between the answers.
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)
  began = time.perf_counter()
  run = _contestant(target)(**options)
  run(1)
  _answer(answers, {"setup": time.perf_counter() - began})
  for line in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    done = run(json.loads(line)["run"])
    times = {
      "seconds": time.perf_counter() - began,
      "cpu_seconds": time.process_time() - used,  # of all threads
    }
    _answer(answers, times | done)


def threads() -> int:
  """The processors that this process may use."""
  if hasattr(os, "sched_getaffinity"):  # not on macOS
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _contestant(target: str) -> Any:
  module, function = target.split(":")
  try:
    return getattr(importlib.import_module(module), function)
  except ModuleNotFoundError as error:
    name = str(error.name)
    raise UserError(
      name,
      "not installed",
      "a package of the benchmark's peers",
      _FIXES.get(name, 'pip install -e ".[bench]"'),
    ) from error


def _answer(answers: Any, values: dict[str, float]) -> None:
  used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  # Linux counts KiB, macOS bytes.
  peak = used if sys.platform == "darwin" else used * 1024
  answers.write(json.dumps({"peak_bytes": peak, **values}) + "\n")
  answers.flush()


if __name__ == "__main__":
  main()
