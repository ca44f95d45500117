"""Programs are compiled for devices that are not here, and told of."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

from configs import large_shop, quickstart
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.run import compile_tpu
from tagrec_jax.run.aot import (
  child,
  chips,
  made_up,
  programs,
)
from tagrec_jax.run.aot.roofline import Roofline

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "compiled_for_tpu.json"
GOLDEN_CPU = ROOT / "tests" / "golden" / "compiled_for_cpu.json"
MESH = {"data": 2, "fsdp": 2, "tensor": 2}


def test_roofline_by_hand():
  chip = chips.Chip("toy", 1, flops=10.0, hbm_rate=4.0, ici_rate=2.0, source="")
  model = Roofline.of(chip, flops=20.0, moved=12.0, sent=2.0)
  assert (model.compute, model.memory, model.exchange) == (2.0, 3.0, 1.0)
  assert (model.bound, model.least, model.most) == ("memory", 3.0, 6.0)


@pytest.mark.parametrize("topology", ["v9:4x4", "v5e", "v5e:", "4x4"])
def test_unknown_topology_is_told(topology):
  with pytest.raises(UserError, match="--topology: found"):
    chips.chip_of(topology)


def test_every_step_can_be_asked_for():
  assert tuple(programs.NAMES) == compile_tpu.STEPS


def request(config, **changes):
  return {
    "settings": config.to_dict(),
    "topology": "cpu:8",
    "step": "train",
    "products": 1000,
    "tags": 50,
    "tags_each": 4,
  } | changes


def shop():
  config = large_shop.get_config("tiny")
  config.sharding.preset = "fsdp_tensor"
  config.sharding.fsdp = 2
  config.sharding.tensor = 2
  return config


# 'prepare' is compiled on the way to 'serve'.
@pytest.mark.parametrize(
  "step",
  [pytest.param("train", marks=pytest.mark.nightly), "evaluate", "serve"],
)
def test_all_programs_compile_for_eight_devices(step):
  found = child.examine(request(shop(), step=step))
  assert found["mesh"] == MESH
  lies = {row["name"]: row for row in found["parameters"]}
  table = lies["products.table"]
  assert table["shape"] == [1000, 16]
  assert table["split"] == ["tensor", "fsdp"]
  assert table["shape_on_device"] == [500, 8]
  assert table["bytes_on_device"] == 500 * 8 * 4
  memory = found["memory"]
  assert memory["peak"] >= memory["arguments"] > 0
  assert found["modelled"]["least"] <= found["modelled"]["most"]
  assert {row["axes"] for row in found["collectives"]} - {""}
  # Made anew by writing what `summary` tells into the file.
  assert summary(found) == json.loads(GOLDEN_CPU.read_text())[step]
  # The state, nearly all of what a step gives back, takes its old place.
  used_up = memory["reused"] > 0.95 * memory["results"]
  assert used_up == (step == "train")


def test_a_made_up_catalogue_stands_for_the_data_set(tmp_path):
  """The same sizes by data and by numbers give the same program."""
  config = large_shop.get_config("tiny")
  config.data.cache_dir = str(tmp_path)
  config.data.shop_people = 60
  config.data.shop_items = 50
  config.data.held_out_fraction = 0.1
  prepared = build.dataset(build.settings(config.to_dict()))
  spec = prepared.spec
  width = prepared.product["tags"].shape[1]
  assert not spec.num_new_items
  sizes = {"tags": spec.num_tags, "tags_each": width}
  step = {"step": "evaluate"}
  real = child.examine(request(config, products=0, **step))
  made = child.examine(
    request(config, products=spec.num_items, **sizes, **step)
  )
  assert made["parameters"] == real["parameters"]
  assert made["flops"]["matmuls"] == real["flops"]["matmuls"] > 0
  assert made["memory"]["arguments"] == real["memory"]["arguments"]


@pytest.mark.nightly
def test_posts_compile_with_their_data(tmp_path):
  config = shop()
  config.task = "tag_post"
  config.data.cache_dir = str(tmp_path)
  config.data.shop_people = 60
  config.data.shop_items = 50
  config.data.shop_posts = True
  config.data.held_out_fraction = 0.1
  config.model.product = ("id",)
  config.optimizer.tables = "dense"
  config.objective.items_weight = 0.0
  config.objective.tags_weight = 1.0
  found = child.examine(request(config, products=0))
  assert found["flops"]["matmuls"] > 0
  assert "the data set 'storefront'" in found["catalogue"]


def test_posts_cannot_be_made_up():
  config = shop()
  config.task = "tag_post"
  config.optimizer.tables = "dense"
  config.objective.items_weight = 0.0
  config.objective.tags_weight = 1.0
  with pytest.raises(UserError, match="config.task: found 'tag_post'"):
    child.examine(request(config))


def test_a_hundred_million_products_take_no_memory():
  config = quickstart.get_config("tiny")
  config.model.product = ("id",)
  config.model.memory_weight = 0.0
  config.model.person = ()
  checked = build.settings(config.to_dict())
  found = made_up.made_up(checked, 10**8, 10**7, 8)
  assert found.few.spec.num_items == 10**8
  assert sum(a.nbytes for a in found.few.product.values()) < 10_000


def test_counts_of_tags_may_be_given():
  config = large_shop.get_config("tiny")
  config.objective.tags_weight = 1.0
  checked = build.settings(config.to_dict())
  found = made_up.made_up(checked, 100, 5, 2)
  assert isinstance(found.counts, TagCounts)
  assert found.counts.of_tag.shape == (5,)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"model.product": ("id", "numbers")}, "config.model.product: found"),
    ({"model.person": ("gender",)}, "config.model.person: found 'gender'"),
    ({"model.memory_weight": 0.3}, "config.model.memory_weight: found 0.3"),
    ({"sharding.backend": "pmap"}, "config.sharding.backend: found 'pmap'"),
  ],
)
def test_what_cannot_be_made_up_is_told(change, message):
  config = large_shop.get_config("tiny")
  config.update_from_flattened_dict(change)
  with pytest.raises(UserError, match=message):
    child.examine(request(config))


def test_a_crash_of_the_compiler_is_a_line(monkeypatch, tmp_path):
  module = tmp_path / "crashing.py"
  module.write_text("import os\nos.abort()\n")
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  monkeypatch.setattr(compile_tpu, "_CHILD", "crashing")
  found = compile_tpu.run_child({"topology": "cpu:8", "step": "train"})
  assert found["failed"].startswith(
    "the compiler's process ended with signal 6"
  )


def test_the_command_writes_what_it_shows(tmp_path):
  done = subprocess.run(
    [
      *(sys.executable, "-m", "experiments.compile_tpu"),
      "--config=configs/large_shop.py:tiny",
      "--config.sharding.preset=tensor",
      "--config.sharding.tensor=2",
      *("--topology=cpu:4", "--steps=train", "--products=640", "--tags=20"),
      f"--output={tmp_path}",
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert not done.returncode, done.stderr
  kept = json.loads((tmp_path / "large_shop-cpu-4.json").read_text())
  (program,) = kept["programs"]
  assert program["mesh"] == {"data": 2, "fsdp": 1, "tensor": 2}
  told = (tmp_path / "large_shop-cpu-4.md").read_text()
  assert "Catalogue: made up: 640 products, 20 tags, at most 8" in told
  assert "--products=640 --tags=20" in told
  assert "| products.table | 640 products x 16 embed | tensor x - |" in told
  assert "train: all-reduce" in told
  assert "memory of a device" in done.stdout


def summary(found):
  """What must not change without being noticed."""
  return {
    "arguments": found["memory"]["arguments"],
    "reused": found["memory"]["reused"],
    "matmuls": found["flops"]["matmuls"],
    "padded": found["padding"]["padded"],
    "exchanges": sorted(
      f"{row['kind']} over {row['axes']}" for row in found["collectives"]
    ),
  }


def needs_compiler():
  if importlib.util.find_spec("libtpu") is None:
    pytest.skip('no compiler of TPUs: pip install -e ".[tpu-compile]"')


def test_the_compiler_of_tpus_says_what_it_said():
  """Made anew by writing `summary` of the same request into the file."""
  needs_compiler()
  config = shop()
  config.sharding.preset = "fsdp"
  config.sharding.tensor = 1
  found = compile_tpu.run_child(request(config, topology="v5e:2x2"))
  assert summary(found) == json.loads(GOLDEN.read_text())


@pytest.mark.nightly
@pytest.mark.parametrize("topology", ["v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
def test_the_kernel_of_a_softmax_compiles(topology):
  """Its blocks fit into the fast memory of each generation."""
  needs_compiler()
  config = shop()
  config.model.width = 64
  config.pipeline.batch_rows = 32
  config.objective.items = "softmax"
  config.objective.kernel = "pallas"
  config.optimizer.tables = "dense"
  kernel = compile_tpu.run_child(
    request(config, products=200_000, topology=topology)
  )
  assert "failed" not in kernel, kernel["failed"]
  # On v5e 0.67 GB, of the products' content and tables; one array of scores of
  # 1024 questions for a device's products would take 0.41 GB more.
  assert kernel["memory"]["temporaries"] < 0.9e9
  assert kernel["flops"]["matmuls"] > 4 * 2 * 2048 * 200_000 * 64
