"""Checkpoints come back bit for bit, or not at all."""

from __future__ import annotations

import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.checkpoint import manifest, reader
from tagrec_jax.core.errors import StorageError, UserError
from tests.checkpoint.made import (
  make_state,
  mesh_of,
  open_,
  same,
  template_of,
)


def test_the_newest_comes_back(folder):
  with open_(folder) as checkpoints:
    state, meta = checkpoints.restore(template_of(make_state(0)))
  same(state, make_state(60))
  assert meta["step"] == 60
  assert meta["progress"] == {"bad": 60}
  assert meta["score"] == 0.2
  assert meta["tree"]["params.table"] == "float32[8,4]"


def test_a_new_run_has_nothing_to_restore(tmp_path):
  with open_(tmp_path / "new" / "checkpoints") as checkpoints:
    assert checkpoints.restore(template_of(make_state(0))) is None


def test_the_newest_and_the_best_stay(tmp_path):
  with open_(tmp_path, keep=2) as checkpoints:
    for step, score in enumerate([0.1, 0.5, None, 0.5, 0.4, None]):
      checkpoints.save(step, make_state(step), {}, score)
  assert reader.list_steps(tmp_path) == [1, 4, 5]
  # The scores are known to the next run too.
  with open_(tmp_path, keep=1) as checkpoints:
    checkpoints.save(6, make_state(6), {}, 0.6)
  assert reader.list_steps(tmp_path) == [6]
  assert not list((tmp_path / ".unfinished").iterdir())


def test_only_whole_ones_count(folder, capsys):
  """A damaged one that nobody had to read is no reason to delete another."""
  (folder / "55" / "manifest.json").unlink()
  with open_(folder, keep=3) as checkpoints:
    checkpoints.restore(template_of(make_state(0)))
    checkpoints.save(65, make_state(65), {}, 0.9)
  assert reader.list_steps(folder) == [50, 60, 65]
  assert capsys.readouterr().err == "WARN step 55: manifest.json is missing\n"
  assert (folder / "55.aside").is_dir()


def test_one_that_is_needed_stays(folder):
  with open_(folder, keep=1) as checkpoints:
    checkpoints.save(65, make_state(65), {}, needed=55)
  assert reader.list_steps(folder) == [50, 55, 65]


def test_a_save_does_not_see_later_steps(tmp_path):
  """The state is donated to the next step while it is being written."""
  advance = jax.jit(
    lambda s: jax.tree.map(lambda x: x * 2 + 1, s), donate_argnums=0
  )
  state = {"table": jnp.ones((1000, 500))}
  wanted = np.array(state["table"])
  with open_(tmp_path) as checkpoints:
    checkpoints.save(1, state, {})
    for _ in range(5):
      state = advance(state)
    jax.block_until_ready(state)
    checkpoints.wait()
    restored, _ = checkpoints.restore(template_of(state))
  np.testing.assert_array_equal(restored["table"], wanted)


def test_a_step_can_be_saved_again(folder):
  with open_(folder, keep=3) as checkpoints:
    checkpoints.save(60, make_state(1), {"again": 1}, 0.9)
  assert reader.read_meta(folder, "best")["progress"] == {"again": 1}


@pytest.mark.parametrize("shape", [(1, 8), (4, 2), (8, 1), (1, 1)])
def test_any_mesh_reads_what_another_wrote(tmp_path, shape):
  with open_(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1, mesh_of(2, 4)), {})
    wanted = make_state(1, mesh_of(*shape))
    state, _ = checkpoints.restore(template_of(wanted))
  same(state, wanted)
  assert all(
    jax.tree.leaves(
      jax.tree.map(lambda a, b: a.sharding == b.sharding, state, wanted)
    )
  )


def _files(folder):
  return sorted(p for p in folder.rglob("*") if p.is_file())


def _flip(path):
  data = bytearray(path.read_bytes())
  if not data:
    path.write_bytes(b"x")
    return
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def _halve(path):
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2] if data else b"x")


@pytest.mark.parametrize(
  "damage",
  [_flip, _halve, lambda path: path.unlink()],
  ids=["flip", "halve", "delete"],
)
def test_each_damaged_file_is_noticed(folder, damage):
  names = [p.relative_to(folder / "60") for p in _files(folder / "60")]
  assert len(names) > 5
  for name in names:
    shutil.copytree(folder / "60", folder / "copy")
    damage(folder / "copy" / name)
    fault = manifest.find_fault(folder / "copy")
    assert str(name) in fault or (fault and name.name == manifest.NAME), name
    shutil.rmtree(folder / "copy")
  assert manifest.find_fault(folder / "60") == ""


def test_a_damaged_checkpoint_is_set_aside(folder, capsys):
  damaged = max(_files(folder / "60" / "state"), key=lambda p: p.stat().st_size)
  _flip(damaged)
  with open_(folder) as checkpoints:
    state, _ = checkpoints.restore(template_of(make_state(0)))
  same(state, make_state(55))
  name = damaged.relative_to(folder / "60")
  assert capsys.readouterr().err == (
    f"WARN step 60: {name} differs from its manifest; using step 55\n"
  )
  assert reader.list_steps(folder) == [50, 55]
  assert (folder / "60.aside" / name).exists()


def test_all_damaged_never_begins_at_0(folder):
  for step in (50, 55, 60):
    (folder / str(step) / "manifest.json").unlink()
  for _ in range(2):  # and the second attempt says the same
    with open_(folder) as checkpoints, pytest.raises(StorageError) as error:
      checkpoints.restore(template_of(make_state(0)))
    assert "no valid checkpoint of 3 (60, 55, 50)" in str(error.value)
    assert "60: manifest.json is missing" in str(error.value)
  assert reader.list_steps(folder) == [50, 55, 60]


def test_only_set_aside_ones_never_begin_at_0(folder):
  for step in (50, 55, 60):
    (folder / str(step)).rename(folder / f"{step}.aside")
  with (
    open_(folder) as checkpoints,
    pytest.raises(StorageError, match=r"60\.aside"),
  ):
    checkpoints.restore(template_of(make_state(0)))


def test_an_explicit_step_never_falls_back(folder, capsys):
  template = template_of(make_state(0))
  (folder / "55" / "manifest.json").unlink()
  with open_(folder) as checkpoints:
    with pytest.raises(StorageError, match="step 55 is damaged: manifest"):
      checkpoints.restore(template, step=55)
    with pytest.raises(UserError, match="no checkpoint of step 51"):
      checkpoints.restore(template, step=51)
    assert reader.list_steps(folder) == [50, 55, 60]
    state, _ = checkpoints.restore(template, step=50)
  same(state, make_state(50))
  assert reader.list_steps(folder) == [50]
  assert "step 60: newer than the step asked for, 50" in capsys.readouterr().err


def test_a_step_of_a_run_without_checkpoints_does_not_begin_at_0(tmp_path):
  with (
    open_(tmp_path) as checkpoints,
    pytest.raises(UserError, match="no checkpoint, expected at least one"),
  ):
    checkpoints.restore(template_of(make_state(0)), step=50)


def test_an_older_one_will_do_where_it_may(folder):
  (folder / "60" / "manifest.json").unlink()
  with open_(folder) as checkpoints:
    template = template_of(make_state(0))
    _, meta = checkpoints.restore(template, step=60, exact=False)
  assert meta["step"] == 55


def test_foreign_things_are_ignored_and_rubbish_is_cleaned(folder):
  (folder / "7").mkdir()
  shutil.copytree(folder / "60", folder / "99.orbax-checkpoint-tmp")
  (folder / "99").mkdir()
  (folder / "notes.txt").write_text("mine")
  (folder / ".unfinished" / "65").mkdir(parents=True)
  (folder / ".unfinished" / "65" / "half").write_text("x")
  with open_(folder) as checkpoints:
    _, meta = checkpoints.restore(template_of(make_state(0)))
  assert meta["step"] == 60
  assert (folder / "notes.txt").exists()
  assert not (folder / ".unfinished" / "65").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
  (tmp_path / "file").write_text("in the way")
  with pytest.raises(StorageError, match="cannot be written"):
    open_(tmp_path / "file" / "checkpoints")


def test_a_failed_write_is_told_at_once(folder, capfd):
  """The kernel refuses large files: a real error in a thread of tensorstore."""
  large = {"table": jax.random.normal(jax.random.key(0), (300, 300))}
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  with open_(folder) as checkpoints:
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
      checkpoints.save(65, large, {})
      while not checkpoints._publishing.done():
        pass
      with pytest.raises(
        StorageError, match=r"step 65 could not be written \(File too large\)"
      ):
        checkpoints.check()
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert reader.list_steps(folder) == [50, 55, 60]
    assert not (folder / ".unfinished").exists()
    assert "Traceback" not in capfd.readouterr().err
    checkpoints.save(65, large, {})  # after there is room again
  assert reader.list_steps(folder) == [50, 60, 65]


def test_parameters_alone(folder):
  template = jax.eval_shape(lambda: make_state(0)["params"])
  params, meta = reader.restore_params(folder, template)
  assert meta["step"] == 50  # the best
  same(params, make_state(50)["params"])
  params, _ = reader.restore_params(folder, template, "latest")
  same(params, make_state(60)["params"])
  params, _ = reader.restore_params(folder, template, 55)
  same(params, make_state(55)["params"])


def test_averaged_parameters_are_preferred(tmp_path):
  state = make_state(1)
  state["ema"] = jax.tree.map(lambda x: x + 1, state["params"])
  with open_(tmp_path) as checkpoints:
    checkpoints.save(1, state, {})
  params, _ = reader.restore_params(tmp_path, state["ema"])
  same(params, state["ema"])


def test_reading_a_damaged_or_missing_checkpoint(folder, tmp_path):
  (folder / "50" / "meta" / "metadata").unlink()
  with pytest.raises(StorageError, match="meta/metadata is missing"):
    reader.read_meta(folder, 50)
  with pytest.raises(UserError, match="no checkpoint"):
    reader.read_meta(tmp_path / "none")
