"""What is told of compiled programs, and of many of them on one page."""

from __future__ import annotations

import json

import pytest

from configs import quickstart
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.run.aot import measured
from tagrec_jax.run.aot import report as reports
from tagrec_jax.run.aot import summary as summary_page
from tagrec_jax.run.aot.roofline import ASSUMPTIONS

MADE = {
  "command": "python -m experiments.compile_tpu " + " ".join(["--long"] * 12),
  "date": "2026-11-28",
  "commit": "0123456789",
  "jax": "0.10.2",
  "libtpu": "",
}


def test_fits_says_by_how_much():
  program = {"chip": {"hbm": 16 * 2**30}, "memory": {"peak": 12 * 2**30}}
  assert reports.fits(program) == "fits: 4.00 GiB free"
  program["memory"]["peak"] = 16 * 2**30 + 3 * 2**20
  assert reports.fits(program) == "does not fit: 3.00 MiB too much"
  # So large that the compiler itself gives up.
  status = "RESOURCE_EXHAUSTED: "
  too_much = "does not fit: 4.25 GiB too much (20.0 of 15.75 for programs)"
  for told in (
    "Used 20.0G of 15.75G hbm. Exceeded hbm capacity by 4.25G.",
    "HLO temporaries (20.00G) exceeds available HBM (15.75G).",
  ):
    assert reports.fits({"failed": status + told}) == too_much
  assert reports.fits({"failed": status + "no idea"}) == "does not fit: no idea"


def test_a_program_that_failed_is_shown():
  failed = {"step": "train", "failed": "crashed | signal 11"}
  about = reports.gathered("toy", "v5e:4x4", [failed], MADE)
  told = reports.markdown(about)
  assert "| train |  |  |  |  | crashed / signal 11 |" in told
  assert "Made on 2026-11-28, commit 0123456789, jax 0.10.2:\n" in told
  assert max(len(line) for line in told.splitlines() if "--long" in line) < 80
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
    "| [toy](toy-v5e-4x4.md), train | v5e:4x4 | 16 | fsdp 16 | 2.0 M |"
    " 1.0 B | 9 products, 5 tags | 3.00 GiB | does not fit: 1.00 GiB too much |"
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
