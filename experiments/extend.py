"""Adds products and tags to a trained run, without training it again.

Run: python -m experiments.extend --workdir=runs/shop --items=new.jsonl \
  --output=runs/shop-longer

The new run has a row for each of them in every table, also in those of the
optimizer, so that it can be trained on, evaluated and asked as the old one,
which stays as it is. --items and --tags are tables like `items` of the source
'folder': CSV, JSONL or Parquet. --promote adds what the data set itself holds
besides training: its cold products and tags.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments import command
from tagrec_jax.core import versions

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "the folder of the run", required=True
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "a new folder for the longer run", required=True
)
_ITEMS = flags.DEFINE_string("items", "", "a table of products to add")
_TAGS = flags.DEFINE_string("tags", "", "a table of tags: tag, description")
_PROMOTE = flags.DEFINE_bool(
  "promote", False, "add the data set's own cold products and tags"
)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "latest", "'best', 'latest', or a step"
)


def main(argv: Sequence[str]) -> None:
  """Writes the longer run and says what was added."""
  del argv
  versions.check()
  from tagrec_jax.run.extend import extend

  extend(
    _WORKDIR.value,
    _OUTPUT.value,
    items=_ITEMS.value,
    tags=_TAGS.value,
    promote=_PROMOTE.value,
    checkpoint=_CHECKPOINT.value,
  )


if __name__ == "__main__":
  command.run(main)
