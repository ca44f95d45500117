"""Many devices compute what one device computes."""

from __future__ import annotations

import dataclasses
import itertools
import re

import jax
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.sharding.rules import PRESETS
from tests.layouts import run_batches


def layout(preset, devices):
  """The devices in twos over the axes that a preset is there for, then data."""
  named = {axis for _, axis in PRESETS[preset]}
  axes = [a for a in ("fsdp", "tensor", "sequence") if a in named]
  sizes = {"data": 1, "fsdp": 1, "tensor": 1, "sequence": 1}
  for axis in itertools.islice(
    itertools.cycle([*axes, "data"]), devices.bit_length() - 1
  ):
    sizes[axis] *= 2
  return f"{preset}:{','.join(map(str, sizes.values()))}"


# Their axes come with others in larger presets.
ALONE = ("fsdp", "tensor", "sequence")
LAYOUTS = [
  *(layout(preset, 8) for preset in PRESETS if preset not in ALONE),
  *(
    pytest.param(layout(preset, 8), marks=pytest.mark.nightly)
    for preset in ALONE
  ),
  "pmap",
]
FEWER = [
  pytest.param(layout(preset, devices), marks=pytest.mark.nightly)
  for preset in PRESETS
  for devices in (2, 4)
]


@pytest.fixture(scope="module")
def wanted(tiny):
  batches = [tiny.batch(step) for step in range(3)]
  return batches, run_batches(tiny.backend("data:1,1,1"), batches)


@pytest.mark.parametrize("layout", [*LAYOUTS, *FEWER, "pmap2"])
def test_layouts_agree_with_one_device(tiny, wanted, layout):
  batches, (state, reports) = wanted
  found_state, found_reports = run_batches(tiny.backend(layout), batches)
  close = {"rtol": 1e-5, "atol": 1e-5}
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, **close),
    (found_state, found_reports),
    (state, reports),
  )


@pytest.mark.parametrize("layout", ["data:1,1,1", "fsdp_tensor:2,2,2", "pmap"])
def test_steps_in_one_call_agree_with_calls_of_one(tiny, wanted, layout):
  batches, (state, reports) = wanted
  backend = tiny.backend(layout)
  found, report = backend.train_steps(
    backend.init_state(), backend.place_batches(batches)
  )
  sums = reports[0].sums
  for later in reports[1:]:
    sums = {name: sums[name].merge(later.sums[name]) for name in sums}
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    (jax.device_get(backend.saved(found)), backend.fetch(report)),
    (state, dataclasses.replace(reports[-1], sums=sums)),
  )


def test_the_loss_is_the_mean_over_all_rows(tiny, wanted):
  """Against numpy, from the sums themselves."""
  batches, (_, reports) = wanted
  first = reports[0].sums
  assert first["loss/items"].weight == (batches[0]["next"] >= 0).sum()
  loss = sum(
    weight * first[f"loss/{task}"].total / first[f"loss/{task}"].weight
    for task, weight in tiny.recipe().weights.items()
  )
  np.testing.assert_allclose(first["loss"].total, loss, rtol=1e-6)


def test_parameters_and_moments_are_born_split(tiny):
  state = tiny.backend("fsdp_tensor:2,2,2").init_state()
  parts = {
    name: leaf.addressable_shards[0].data.shape
    for name, leaf in named_leaves(state).items()
    if name.endswith("up.kernel")
  }
  # params, ema, and Adam's two moments: [8, 16] over fsdp=2, tensor=2.
  assert len(parts) == 4
  assert set(parts.values()) == {(4, 8)}


def test_no_device_ever_holds_a_whole_parameter_at_birth(tiny):
  """Tables are [24, 8] and [8, 16]; here is what one device makes of them."""
  backend = tiny.make_backend("fsdp_tensor:2,2,2", tiny.recipe())
  text = backend._init.lower().compile().as_text()
  shapes = set(re.findall(r"[fu]32\[([\d,]+)\]", text))
  assert {"12,4", "4,8"} <= shapes
  assert not {"24,8", "8,16", "16,8", "192", "128"} & shapes


def test_factored_moments_are_kept_whole(tiny):
  recipe = tiny.recipe(dataclasses.replace(tiny.optimizer, name="adafactor"))
  template = tiny.make_backend("fsdp:1,8,1", recipe).template()
  places = {
    name: leaf.sharding.shard_shape(leaf.shape)
    for name, leaf in named_leaves(template).items()
    if name.endswith("up.kernel")
  }
  assert places.pop("params.up.kernel") == (1, 16)
  assert places.pop("ema.up.kernel") == (1, 16)
  # Tables this small are not factored: one moment is a table, two are dummies.
  assert sorted(places.values()) == [(1,), (1,), (1, 16)]


@pytest.mark.parametrize("layout", ["fsdp_tensor:2,2,2", "pmap"])
def test_compiled_once_and_donated(tiny, layout):
  backend = tiny.make_backend(layout, tiny.recipe())
  state = backend.init_state()
  for step in range(3):
    before = state
    state, _ = backend.train_steps(
      state, backend.place_batches([tiny.batch(step)])
    )
  assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
  assert len(backend.recipe.losses.traces) == 1


def test_a_saved_state_comes_alive_in_another_backend(tiny):
  one, many = tiny.backend("data:1,1,1"), tiny.backend("pmap")
  template = many.template()
  saved = jax.device_put(
    jax.device_get(one.saved(one.init_state())),
    jax.tree.map(lambda leaf: leaf.sharding, template),
  )
  back = many.saved(many.live(saved))
  jax.tree.map(np.testing.assert_array_equal, back, one.init_state())


def test_rows_that_do_not_divide_are_an_error(tiny):
  batch = {name: rows[:6] for name, rows in tiny.batch(0).items()}
  for layout in ("data:8,1,1", "pmap"):
    with pytest.raises(UserError, match="found 6 rows on 8"):
      tiny.backend(layout).place_batches([batch])
