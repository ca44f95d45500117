"""Prepares the data of a config and does not train.

Run: python -m experiments.prepare --config=configs/x.py

Training, and everything else, finds what was prepared. With --beam_options the
workers of Apache Beam write it, in the same files; this needs
`pip install -e ".[beam]"` in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from experiments import command
from tagrec_jax import registries
from tagrec_jax.core import versions
from tagrec_jax.data.beam_engine import Beam
from tagrec_jax.data.prepare import open_or_prepare

_CONFIG = config_flags.DEFINE_config_file("config", None, "a file of configs/")
_BEAM_OPTIONS = flags.DEFINE_spaceseplist(
  "beam_options",
  [],
  "where a pipeline of Apache Beam writes the tables, as Beam takes it, such as"
  " '--runner=FlinkRunner --flink_master=HOST:PORT'; none: no pipeline",
)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
  """Checks the options before anything is read."""
  del argv
  versions.check()
  data = command.settings(_CONFIG).data
  options = _BEAM_OPTIONS.value
  beam = Beam.of(options) if options else None
  source = registries.SOURCES[data.source].from_settings(data)
  open_or_prepare(source, data, beam=beam)


if __name__ == "__main__":
  command.run(main)
