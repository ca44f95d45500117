"""Trains a model and tells how good it is.

Run: python -m experiments.train --config=configs/quickstart.py \
  --workdir=runs/quickstart

The same command goes on with an interrupted run. Single values change by
`--config.model.width=128`; `--config=configs/x.py:tiny` runs any experiment in
under a minute.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from experiments import command, several
from tagrec_jax.core import versions

_CONFIG = config_flags.DEFINE_config_file("config", None, "a file of configs/")
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "the folder of the run", required=True
)
_RESTORE = flags.DEFINE_string(
  "restore",
  "auto",
  "auto: go on from the newest checkpoint; a step: from that one; none: start "
  "anew and put what is there aside",
)
_ALLOW_CHANGES = flags.DEFINE_bool(
  "allow_changes",
  False,
  "go on although config, data or seed are not those of the checkpoint",
)
_RESTORE_CAST = flags.DEFINE_bool(
  "restore_cast",
  False,
  "go on although numbers of the checkpoint are of another type, such as"
  " bfloat16 where float32 is wanted",
)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
  """Checks the config before JAX starts, then trains."""
  del argv
  versions.check()
  settings = command.settings(_CONFIG)
  several.join()
  from tagrec_jax.run.train import train

  train(
    settings,
    _WORKDIR.value,
    restore=_RESTORE.value,
    allow_changes=_ALLOW_CHANGES.value,
    restore_cast=_RESTORE_CAST.value,
  )


if __name__ == "__main__":
  command.run(main)
