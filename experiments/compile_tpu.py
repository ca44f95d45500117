"""Compiles a config for TPUs that are not here: does it fit, what bounds it?

Run: python -m experiments.compile_tpu --config=configs/large_shop.py \
  --topology=v5e:4x4 --output=runs/compiled --products=1000000 --tags=100000

Needs `pip install -e ".[tpu-compile]"` and no TPU; `--topology=cpu:8` shows the
same report for fake devices of the CPU. The mesh is that of the config, such as
`--config.sharding.preset=fsdp_tensor --config.sharding.tensor=4`. Memory,
operations and exchanges are the compiler's; times are modelled.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from experiments import command
from tagrec_jax.core import versions
from tagrec_jax.run.compile_tpu import STEPS, compile_tpu

_CONFIG = config_flags.DEFINE_config_file("config", None, "a file of configs/")
_TOPOLOGY = flags.DEFINE_string(
  "topology",
  None,
  "GENERATION:SHAPE of a slice, such as v5e:4x4, v6e:8x8, v5p:4x4x4; or cpu:8",
  required=True,
)
_OUTPUT = flags.DEFINE_string(
  "output", None, "a folder for the report, .md and .json", required=True
)
_COMPILED = flags.DEFINE_list(
  "steps", list(STEPS), f"what is compiled: {', '.join(STEPS)}"
)
_PRODUCTS = flags.DEFINE_integer(
  "products",
  0,
  "products of a made-up catalogue, which takes no data and no memory; 0: the"
  " data set of the config",
  lower_bound=0,
)
_TAGS = flags.DEFINE_integer(
  "tags", 0, "tags of a made-up catalogue", lower_bound=0
)
_TAGS_EACH = flags.DEFINE_integer(
  "tags_each", 8, "most tags of one made-up product", lower_bound=1
)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
  """Compiles program after program, each in a process of its own."""
  del argv
  versions.check()
  settings = command.settings(_CONFIG)
  compile_tpu(
    settings,
    _TOPOLOGY.value,
    _OUTPUT.value,
    steps=_COMPILED.value,
    catalogue={
      "products": _PRODUCTS.value,
      "tags": _TAGS.value,
      "tags_each": _TAGS_EACH.value,
    },
    command=shlex.join(
      ["python", "-m", "experiments.compile_tpu", *sys.argv[1:]]
    ),
  )


if __name__ == "__main__":
  command.run(main)
