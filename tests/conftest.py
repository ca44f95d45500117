"""The climate of all tests: 8 fake devices, strict shapes, strict types."""

from __future__ import annotations

import os
import pathlib

# Before anything imports jax: set later, it would silently give one device.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["XLA_FLAGS"] = " ".join(
  [
    *(
      flag
      for flag in os.environ.get("XLA_FLAGS", "").split()
      if "host_platform_device_count" not in flag
    ),
    "--xla_force_host_platform_device_count=8",
    # Tests compile more than they compute.
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
  ]
)

# Nothing of the user's is read or written.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

# Tests that set HOME find the cache below it.
os.environ.pop("XDG_CACHE_HOME", None)

import hypothesis
import jaxtyping
import pytest

# Annotations of array shapes are checked in tests, and only there.
jaxtyping.install_import_hook("tagrec_jax", "beartype.beartype")

hypothesis.settings.register_profile(
  "tagrec",
  derandomize=True,
  deadline=None,
  database=None,
  max_examples=50,
)
hypothesis.settings.load_profile("tagrec")

ROOT = pathlib.Path(__file__).resolve().parents[1]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
  """Whoever names files waits for no workers; the whole suite is shared out."""
  named = config.args_source is pytest.Config.ArgsSource.ARGS
  return 0 if named else None


@pytest.fixture(scope="session")
def data_folder() -> pathlib.Path:
  """The folder of real data sets: $TAGREC_DATA, or ../shared/data."""
  named = os.environ.get("TAGREC_DATA")
  folder = pathlib.Path(named) if named else ROOT.parent / "shared" / "data"
  if not folder.is_dir():
    pytest.skip(f"no real data: set TAGREC_DATA ({folder} is not a folder)")
  return folder
