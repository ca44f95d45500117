"""Writes ranked lists for all people of a run's data set.

Run: python -m experiments.score --workdir=runs/quickstart --output=lists

The folder gets a file for each --shard_people people and, when all are there,
manifest.json. The same command goes on where it was stopped or killed. Several
processes, see docs/launch.md, divide the files among them.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments import command, several
from tagrec_jax.core import versions

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "the folder of the run", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "a folder", required=True)
_TARGETS = flags.DEFINE_list("targets", ["items"], "items, tags or items,tags")
_TOP_K = flags.DEFINE_integer("top_k", 10, "length of a list", lower_bound=1)
_EXCLUDE_SEEN = flags.DEFINE_bool(
  "exclude_seen", True, "leave out what the history holds"
)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "best", "'best', 'latest', or a step"
)
_SHARD_PEOPLE = flags.DEFINE_integer(
  "shard_people", 10_000, "people of a file", lower_bound=1
)
_FORM = flags.DEFINE_enum("form", "jsonl", ["jsonl", "parquet"], "of files")


def main(argv: Sequence[str]) -> None:
  """Writes what is missing."""
  del argv
  versions.check()
  several.join()
  from tagrec_jax.run.score import score

  score(
    _WORKDIR.value,
    _OUTPUT.value,
    targets=_TARGETS.value,
    top_k=_TOP_K.value,
    exclude_seen=_EXCLUDE_SEEN.value,
    checkpoint=_CHECKPOINT.value,
    shard_people=_SHARD_PEOPLE.value,
    form=_FORM.value,
  )


if __name__ == "__main__":
  command.run(main)
