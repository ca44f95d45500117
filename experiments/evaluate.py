"""Measures a trained model again, on any split and under any protocol.

Run: python -m experiments.evaluate --workdir=runs/quickstart
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments import command, several
from tagrec_jax.core import versions

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "the folder of the run", required=True
)
_SPLIT = flags.DEFINE_enum("split", "test", ["valid", "test"], "what to ask")
_PROTOCOLS = flags.DEFINE_list(
  "protocols", [], "names of protocols; by default that of the run"
)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "best", "'best', 'latest', or a step"
)
_BASELINES = flags.DEFINE_bool("baselines", True, "measure baselines too")
_SHUFFLE_CONTEXT = flags.DEFINE_integer(
  "shuffle_context",
  0,
  "ask this many times more, with the moments of all questions shuffled: what"
  " the true ones are worth",
)
_OUTPUT = flags.DEFINE_string(
  "output", "", "a folder for the reports as JSON; '': WORKDIR/evaluation"
)


def main(argv: Sequence[str]) -> None:
  """Prints the tables and keeps the reports."""
  del argv
  versions.check()
  several.join()
  from tagrec_jax.run.evaluate import evaluate

  evaluate(
    _WORKDIR.value,
    split=_SPLIT.value,
    protocols=_PROTOCOLS.value,
    checkpoint=_CHECKPOINT.value,
    baselines=_BASELINES.value,
    shuffle_context=_SHUFFLE_CONTEXT.value,
    output=_OUTPUT.value,
  )


if __name__ == "__main__":
  command.run(main)
