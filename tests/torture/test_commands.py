"""What commands say of slips and of hostile files, before JAX starts."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import pickle
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.data import folders, store
from tagrec_jax.data.sources.folder import Folder
from tagrec_jax.data.sources.rows import Row
from tagrec_jax.run import trained
from tagrec_jax.training.run_folder import RunFolder
from tests.data.made import make_dataset

ROOT = pathlib.Path(__file__).parents[2]

SLIPS = {
  "--config.model.widht=64": 'Did you mean "width" instead of "widht"?',
  "--config.model.width=wide": "width",
  "--config.optimizer.learning_rate=nan": (
    "config.optimizer.learning_rate: found nan, expected a finite number"
  ),
  "--config.pipeline.batch_rows=-8": (
    "config.pipeline.batch_rows: found -8, expected at least 1"
  ),
  "--config.model.history=transformr": (
    "config.model.history: found 'transformr', expected one of"
  ),
  "--config.model.heads=3": (
    "config.model.heads: found 3, expected a divisor of config.model.width"
  ),
  "--config.sharding=4": "sharding",
  "--config.pipeline.max_history=9999": (
    "config.pipeline.max_history: found 9999, expected at most"
  ),
  "--cofnig.model.width=8": "cofnig",
}


def command(*flags):
  """(exit code, stderr, seconds of CPU) of `experiments.train`."""
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  done = subprocess.run(
    [sys.executable, "-m", "experiments.train", *flags],
    cwd=ROOT,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  spent = sum(
    getattr(after, name) - getattr(before, name)
    for name in ("ru_utime", "ru_stime")
  )
  return done.returncode, done.stderr, spent


def check_slip(tmp_path, *flags):
  workdir = tmp_path / "run"
  code, said, seconds = command(*flags, f"--workdir={workdir}")
  assert code == 2, said
  assert said.startswith("ERROR: ")
  assert said.count("\n") == 1, said
  assert seconds < 2  # of CPU: the machine may have other work
  assert not workdir.exists()
  return said.removeprefix("ERROR: ").strip()


@pytest.mark.parametrize("slip", list(SLIPS)[:2])
def test_a_slip_is_one_line_before_jax_starts(tmp_path, told, slip):
  said = check_slip(tmp_path, "--config=configs/quickstart.py", slip)
  assert SLIPS[slip] in said
  told(f"`{slip}`", f"`{said[:150]}`")


def test_a_trace_is_shown_on_request(tmp_path):
  slip = "--config.model.width=wide"
  flags = [slip, f"--workdir={tmp_path}", "--debug"]
  code, said, _ = command("--config=configs/quickstart.py", *flags)
  assert code == 2
  assert said.startswith("Traceback (most recent call last)")
  assert said.splitlines()[-1].startswith("ERROR: flags: flag --config.model.w")


@pytest.mark.nightly
@pytest.mark.parametrize("slip", list(SLIPS)[2:])
def test_every_slip_is_one_line_before_jax_starts(tmp_path, told, slip):
  said = check_slip(tmp_path, "--config=configs/quickstart.py", slip)
  assert SLIPS[slip] in said
  told(f"`{slip}`", f"`{said[:150]}`")


@pytest.mark.nightly
def test_a_config_that_is_not_there(tmp_path, told):
  said = check_slip(tmp_path, "--config=configs/quikstart.py")
  assert "quikstart.py" in said
  told("`--config=configs/quikstart.py`", f"`{said[:150]}`")


def wheel(folder):
  """The smallest package there can be; its sha256."""
  about = "tiny-1.0.dist-info"
  files = {
    f"{about}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
    f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
    "Tag: py3-none-any\n",
  }
  files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in files)
  path = folder / "tiny-1.0-py3-none-any.whl"
  with zipfile.ZipFile(path, "w") as archive:
    for name, text in files.items():
      archive.writestr(name, text)
  return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_altered_hash_is_not_installed(tmp_path):
  """As .ci/run installs what is locked; here without any network."""
  sha = wheel(tmp_path)
  altered = f"{'0' if sha[0] != '0' else '1'}{sha[1:]}"
  lock = tmp_path / "requirements.lock"
  lock.write_text(f"tiny==1.0 \\\n    --hash=sha256:{altered}\n")
  packages = tmp_path / "packages"
  done = subprocess.run(
    [
      *(sys.executable, "-m", "pip", "--isolated", "install", "--no-index"),
      *("--find-links", str(tmp_path), "--target", str(packages)),
      *("--require-hashes", "-r", str(lock)),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode != 0
  assert "DO NOT MATCH THE HASHES" in done.stderr
  assert sha in done.stderr  # it was read, and would be installed else
  assert not packages.exists()


class Hostile:
  """Unpickled, it leaves a file."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return (open, (str(self.path), "w"))


def test_arrays_with_objects_in_them_are_not_read(tmp_path):
  canary = tmp_path / "canary"
  folder = tmp_path / "data"
  store.write(make_dataset([4, 5]), folder)
  array = np.array([Hostile(canary)], dtype=object)
  content = io.BytesIO()
  np.save(content, array, allow_pickle=True)
  path = next(iter(folder.rglob("*array_record*")))
  path.write_bytes(content.getvalue())
  folders.write_sums(folder)  # even with sums that fit
  with pytest.raises(StorageError):
    store.read(folder)
  path = tmp_path / "codes.npy"
  path.write_bytes(content.getvalue())
  with pytest.raises(ValueError, match="allow_pickle"):
    np.load(path)
  path.write_bytes(pickle.dumps(Hostile(canary)))
  with pytest.raises(ValueError, match="allow_pickle|pickle"):
    np.load(path)
  assert not canary.exists()


@pytest.mark.parametrize(
  "path",
  ["../../etc/passwd", "/etc/passwd", "..\\x.png", "C:\\x.png", "a/../../b"],
)
def test_a_table_opens_no_file_elsewhere(tmp_path, path):
  row = Row("items.csv", 2, {"item_id": "1", "image": path})
  item = Folder(str(tmp_path)).item(row)
  assert item.image == ""
  assert [r.reason for r in row.refused] == ["outside the folder"]


@pytest.mark.parametrize(
  "text",
  [
    "__import__('os').system('touch canary')",
    '{"py/object": "os.system", "name": "!!python/object/apply:os.system"}',
    "!!python/object/apply:os.system ['touch canary']",
  ],
)
def test_a_config_with_code_in_it_is_only_text(tmp_path, monkeypatch, text):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(UserError) as error:
    trained.read_settings(RunFolder(tmp_path))
  assert "\n" not in str(error.value)
  assert not (tmp_path / "canary").exists()


def test_names_of_leaves_are_no_paths(tmp_path):
  import jax.numpy as jnp

  from tagrec_jax.checkpoint import reader
  from tagrec_jax.checkpoint.manager import Checkpoints
  from tagrec_jax.checkpoint.meta import Identity

  folder = tmp_path / "in" / "checkpoints"
  state = {"../../../outside": jnp.ones(3)}
  before = sorted(p.name for p in tmp_path.iterdir() if p.name != "in")
  with Checkpoints(folder, 1, Identity({}, {}, "", (0,), {})) as checkpoints:
    checkpoints.save(1, state, {})
  assert sorted(p.name for p in tmp_path.iterdir() if p.name != "in") == before
  assert [p.name for p in (tmp_path / "in").iterdir()] == ["checkpoints"]
  meta = reader.load_meta(folder / "1")
  found = reader.restore_arrays(folder / "1", state, meta)
  np.testing.assert_array_equal(found["../../../outside"], np.ones(3))
