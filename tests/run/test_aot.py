"""What is read from compiled programs, against texts small enough to count."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from configs import large_shop, quickstart
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.run import compile_tpu
from tagrec_jax.run.aot import (
  child,
  chips,
  flops,
  hlo,
  made_up,
  measured,
  programs,
)
from tagrec_jax.run.aot import report as reports
from tagrec_jax.run.aot import summary as summary_page
from tagrec_jax.run.aot.roofline import ASSUMPTIONS, Roofline

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "compiled_for_tpu.json"
GOLDEN_CPU = ROOT / "tests" / "golden" / "compiled_for_cpu.json"
MESH = {"data": 2, "fsdp": 2, "tensor": 2}

TEXT = """\
HloModule jit_f, entry_computation_layout={(f32[10,100]{1,0:T(8,128)}, \
bf16[3,5,7]{0,1,2:T(4,128)(2,1)}, f32[]{:T(128)}, pred[9]{0})->f32[2]{0}}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  ROOT %sum = f32[] add(%a, %b)
}

%limit (p: (s32[], f32[4])) -> pred[] {
  %six = s32[]{:T(128)} constant(6)
  %n = s32[] get-tuple-element(%p), index=0
  ROOT %less = pred[] compare(%n, %six), direction=LT
}

%open (p: (s32[], f32[4])) -> pred[] {
  ROOT %less = pred[] get-tuple-element(%p), index=1
}

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %r = f32[1,512]{1,0} all-reduce(%x), channel_id=1, \
replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add
  ROOT %t = (s32[], f32[4]) tuple(%n, %x)
}

%endless (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = bf16[16]{0} reduce-scatter(%x), channel_id=2, \
replica_groups=[2,4]<=[4,2]T(1,0), to_apply=%add
}

%started (p: f32[4]) -> f32[8] {
  %g = f32[8]{0} all-gather(%p), channel_id=3, \
replica_groups=mesh['a'=2,'b'=4], device_ids=([2,4]T(1,0)) {'a'}, dimensions={0}
}

%done (p: f32[4]) -> f32[8] {
  %g2 = f32[8]{0} all-gather(%p), channel_id=3, \
replica_groups=mesh['a'=2,'b'=4] {'a'}, dimensions={0}
}

ENTRY %main (p: f32[4]) -> f32[8] {
  %w = (s32[], f32[4]) while(%t), condition=%limit, body=%body
  %v = (s32[], f32[4]) while(%t), condition=%open, body=%endless
  %c = f32[8] fusion(%p), kind=kCustom, calls=%started
  %d = f32[8] fusion(%p), kind=kCustom, calls=%done
  %q = (f32[4]{0}, f32[4]{0}, u32[], u32[]) collective-permute-start(%p), \
channel_id=4, source_target_pairs={{0,4},{4,0},{1,1}}
  %e = f32[4]{0} collective-permute-done(%q)
  %alone = f32[4]{0} all-reduce(%p), replica_groups={{0},{1}}, to_apply=%add
  ROOT %all = f32[2]{0} all-reduce(%p), replica_groups={}, to_apply=%add
}
"""


def test_collectives_are_counted_by_hand():
  found = {
    (c.kind, c.axes): (c.group, c.bytes, c.times, c.counted)
    for c in hlo.collectives(TEXT, MESH)
  }
  assert found == {
    # Neighbours 0,1 differ along the last axis; six turns of the loop.
    ("all-reduce", "tensor"): (2, 2048, 6, True),
    # 0,2,4,6: all but the last axis; nobody knows how often.
    ("reduce-scatter", "data+fsdp"): (4, 32, 1, False),
    # Groups of the first text, {0,2} ..., since ids are counted downwards; it
    # is the same exchange as the second.
    ("all-gather", "fsdp"): (2, 32, 1, True),
    ("collective-permute", "data"): (2, 16, 1, True),
    ("all-reduce", "data+fsdp+tensor"): (8, 8, 1, True),
  }


@pytest.mark.parametrize(
  ("line", "groups"),
  [
    ("replica_groups={{0,3},{1,2}}", [[0, 3], [1, 2]]),
    ("replica_groups=[2,2]<=[4]", [[0, 1], [2, 3]]),
    ("replica_groups=[2,2]<=[2,2]T(1,0)", [[0, 2], [1, 3]]),
    ("replica_groups=mesh['x'=2,'y'=2] {'x'}", [[0, 2], [1, 3]]),
    ("replica_groups=mesh['x'=2,'y'=2] {'y'}", [[0, 1], [2, 3]]),
    (
      "replica_groups=mesh['x'=2,'y'=2], device_ids=([2,2]T(1,0)) {'y'}",
      [[0, 2], [1, 3]],
    ),
    ("replica_groups={}", [[0, 1, 2, 3]]),
    ("source_target_pairs={{0,1},{2,2}}", [[0, 1]]),
  ],
)
def test_groups_are_read_in_every_form(line, groups):
  assert hlo._groups(line, 4) == groups


@pytest.mark.parametrize(
  ("kind", "sent"),
  [
    ("all-gather", 75.0),  # of the result, all but its own quarter
    ("all-reduce", 150.0),  # scattered, then gathered
    ("reduce-scatter", 300.0),  # three more parts as large as the result
    ("all-to-all", 75.0),
    ("collective-permute", 100.0),
  ],
)
def test_bytes_sent_by_a_ring_of_four(kind, sent):
  assert hlo.Collective(kind, "data", 4, 100, 1).sent == sent
  assert hlo.Collective(kind, "data", 4, 100, 3).sent == 3 * sent


def test_padding_fills_tiles():
  logical = 10 * 100 * 4 + 3 * 5 * 7 * 2 + 4 + 9
  # [10, 100] in tiles of 8 x 128; [3, 5, 7] has its first axis last in memory:
  # 3 → 128 and 5 → 8; a scalar and an array without tiles stay.
  padded = 16 * 128 * 4 + 128 * 8 * 7 * 2 + 4 + 9
  assert hlo.padding(TEXT) == (logical, padded)


def test_a_trip_count_that_is_told_is_believed():
  told = TEXT.replace(
    "condition=%open, body=%endless",
    'condition=%open, body=%endless, backend_config={"known_trip_count":'
    '{"n":"9"}}',
  )
  found = {c.kind: c for c in hlo.collectives(told, MESH)}
  assert (found["reduce-scatter"].times, found["reduce-scatter"].counted) == (
    9,
    True,
  )


def test_flops_of_loops_branches_and_maps():
  mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))

  def program(x, w):
    x, _ = jax.lax.scan(lambda x, _: (x @ w, None), x, None, length=5)
    x = jax.lax.cond(x[0, 0] > 0, lambda x: x @ w @ w, lambda x: x @ w, x)
    local = jax.shard_map(
      lambda x: x @ jnp.ones((3, 2)),
      mesh=mesh,
      in_specs=PartitionSpec("data"),
      out_specs=PartitionSpec("data"),
    )
    return local(x)

  traced = jax.jit(program).trace(jnp.ones((8, 3)), jnp.ones((3, 3)))
  one = 2 * 8 * 3 * 3
  assert flops.matmul_flops(traced.jaxpr) == 7 * one + 2 * 8 * 3 * 2


def test_flops_of_a_convolution():
  def program(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  shapes = jnp.ones((2, 6, 6, 3)), jnp.ones((3, 3, 3, 5))
  traced = jax.jit(program).trace(*shapes)
  assert flops.matmul_flops(traced.jaxpr) == 2 * (2 * 4 * 4 * 5) * (3 * 3 * 3)


def test_roofline_by_hand():
  chip = chips.Chip("toy", 1, flops=10.0, hbm_rate=4.0, ici_rate=2.0, source="")
  model = Roofline.of(chip, flops=20.0, moved=12.0, sent=2.0)
  assert (model.compute, model.memory, model.exchange) == (2.0, 3.0, 1.0)
  assert (model.bound, model.least, model.most) == ("memory", 3.0, 6.0)


@pytest.mark.parametrize("topology", ["v9:4x4", "v5e", "v5e:", "4x4"])
def test_unknown_topology_is_told(topology):
  with pytest.raises(UserError, match="--topology: found"):
    chips.chip_of(topology)


def test_fits_says_by_how_much():
  program = {"chip": {"hbm": 16 * 2**30}, "memory": {"peak": 12 * 2**30}}
  assert reports.fits(program) == "fits: 4.00 GiB free"
  program["memory"]["peak"] = 16 * 2**30 + 3 * 2**20
  assert reports.fits(program) == "does not fit: 3.00 MiB too much"
  # So large that the compiler itself gives up.
  failed = {"failed": "RESOURCE_EXHAUSTED: needs 20.0G of 15.75G"}
  assert reports.fits(failed) == "does not fit: needs 20.0G of 15.75G"


def test_a_program_that_failed_is_shown():
  failed = {"step": "train", "failed": "crashed | signal 11"}
  about = reports.gathered("toy", "v5e:4x4", [failed])
  assert "| train |  |  |  |  | crashed / signal 11 |" in (
    reports.markdown(about)
  )
  assert len(reports.tables(about)) == 1


def row(name, size, axes=("embed",), split=(None,)):
  return {
    "name": name,
    "axes": list(axes),
    "shape": [size],
    "split": list(split),
    "shape_on_device": [size],
    "size": size,
    "bytes_on_device": 4 * size,
  }


def test_layers_that_lie_alike_are_one_row():
  rows = [row(f"history.blocks.{n}.norm.scale", 256) for n in range(3)]
  rows += [row("history.norm.scale", 256), row("history.blocks.3.norm", 7)]
  table = reports._parameters(rows)
  assert [cells[0] for cells in table.cells] == [
    "3 x history.blocks.N.norm.scale",
    "history.norm.scale",
    "history.blocks.3.norm",
  ]
  assert [cells[-1] for cells in table.cells] == [
    "3.00 KiB",
    "1.00 KiB",
    "0.03 KiB",
  ]


def about(topology, mesh, sent, peak=2**30):
  talks = {"kind": "all-gather", "axes": "fsdp", "times": 3, "sent": sent}
  return {
    "config": "toy",
    "topology": topology,
    "assumptions": list(ASSUMPTIONS),
    "parameters": [row("net", 2 * 10**6), row("t", 10**9, ("products",))],
    "programs": [
      {
        "step": "train",
        "mesh": mesh,
        "catalogue": "made up: 9 products, 5 tags, at most 8 of a product",
        "batch": {"rows": 4, "length": 256},
        "chip": {"hbm": 2**31},
        "memory": {"peak": peak},
        "flops": {"matmuls": 197e9},
        "collectives": [talks],
        "modelled": {"bound": "memory", "least": 0.002, "most": 0.005},
      }
    ],
  }


def test_reports_become_one_page(tmp_path):
  (tmp_path / "weak").mkdir()
  for place, report in {
    "big": about("v5e:4x4", {"fsdp": 16}, 1e8, 3 * 2**30),
    "weak/b": about("cpu:16", {"fsdp": 4, "tensor": 4}, 4e8),
    "weak/a": about("cpu:4", {"fsdp": 4, "tensor": 1}, 3e8),
  }.items():
    (tmp_path / f"{place}.json").write_text(json.dumps(report))
  told = summary_page.write(str(tmp_path))
  assert told == (tmp_path / "README.md").read_text()
  assert (
    "| [toy](toy-v5e-4x4.md), train | v5e:4x4 | 16 | 2.0 M | 1.0 B |"
    " 9 products, 5 tags | 3.00 GiB | does not fit: 1.00 GiB too much |"
    " 2.00 to 5.00 | memory |"
  ) in told
  # On v5e 1 ms of operations, and 3 or 4 ms of exchanges at 100 GB a second.
  assert "| cpu:4 | fsdp 4 | 9 products, 5 tags | 256 | 197 | 3 |" in told
  assert "| 286.10 MiB | 4.0: 100% |" in told
  assert "| 381.47 MiB | 5.0: 80% |" in told
  assert "| all-gather over fsdp | 286.10 MiB | 381.47 MiB |" in told
  # Times of a report that was made by another model are not shown beside these.
  older = about("v5e:4x4", {"fsdp": 16}, 1e8) | {"assumptions": ["none"]}
  (tmp_path / "big.json").write_text(json.dumps(older))
  assert "2.00 to 5.00" not in summary_page.write(str(tmp_path))


def test_a_folder_without_reports_is_told(tmp_path):
  with pytest.raises(UserError, match="--folder: no report"):
    summary_page.write(str(tmp_path))


def test_modelled_steps_are_held_against_real_ones(tmp_path, monkeypatch):
  monkeypatch.setattr(measured, "ROUNDS", 1)
  for rate in ("_products", "_copies"):
    monkeypatch.setattr(measured, rate, lambda: (lambda: None, 1.0))
  config = quickstart.get_config("tiny")
  config.model.product = ("id",)
  config.model.person = ()
  config.model.memory_weight = 0.0
  config.objective.tags_weight = 0.0
  measured.write(build.settings(config.to_dict()), ["16x1"], str(tmp_path))
  (step,) = json.loads((tmp_path / measured.FILE).read_text())["steps"]
  assert step["name"] == "16x1"
  assert step["flops"] > 0
  assert step["measured"] > 0
  told = summary_page.write(str(tmp_path))
  assert "| 16x1 |" in told
  assert "measured / modelled" in told
  with pytest.raises(UserError, match="--sizes: found '16'"):
    measured.write(build.settings(config.to_dict()), ["16"], str(tmp_path))


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
@pytest.mark.parametrize("step", ["train", "evaluate", "serve"])
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
  """And moves much less through memory than loops of XLA do."""
  needs_compiler()
  config = shop()
  config.model.width = 64
  config.pipeline.batch_rows = 32
  config.objective.items = "softmax"
  config.optimizer.tables = "dense"
  sizes = {"products": 200_000, "topology": topology}
  loops = compile_tpu.run_child(request(config, **sizes))
  config.objective.kernel = "pallas"
  kernel = compile_tpu.run_child(request(config, **sizes))
  assert "failed" not in kernel, kernel["failed"]
  assert kernel["bytes_moved"] < 0.7 * loops["bytes_moved"]
  assert kernel["memory"]["peak"] < 1.2 * loops["memory"]["peak"]
