"""What is read from compiled programs, against texts small enough to count."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from tagrec_jax.run.aot import flops, hlo

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


def test_exchanges_of_a_shard_map_share_a_channel_and_are_counted_each():
  line = (
    "  %{} = f32[4]{{0}} all-to-all(%p), channel_id=1, "
    "replica_groups={{{{0,1}},{{2,3}},{{4,5}},{{6,7}}}}, "
    'metadata={{op_name="jit(f)/shard_map/all_to_all"}}'
  )
  entry = [
    "ENTRY %main (p: f32[4]) -> f32[4] {",
    line.format("first"),
    line.format("second"),
    "}",
  ]
  found = hlo.collectives("\n".join(entry), MESH)
  assert [(c.kind, c.axes, c.bytes) for c in found] == 2 * [
    ("all-to-all", "tensor", 16)
  ]


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


def test_what_nothing_is_made_of_is_no_work():
  """As a step does that counts the questions of all its parts beforehand."""

  def program(x, w):
    def of_part(x):
      return {"total": (jnp.tanh(x @ w) @ w).sum(), "weight": x.size}

    weight = jax.lax.map(of_part, x)["weight"].sum()
    return jax.lax.map(lambda x: (x @ w) / weight, x)

  traced = jax.jit(program).trace(jnp.ones((4, 8, 3)), jnp.ones((3, 3)))
  assert flops.matmul_flops(traced.jaxpr) == 4 * 2 * 8 * 3 * 3


def test_flops_of_a_convolution():
  def program(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  shapes = jnp.ones((2, 6, 6, 3)), jnp.ones((3, 3, 3, 5))
  traced = jax.jit(program).trace(*shapes)
  assert flops.matmul_flops(traced.jaxpr) == 2 * (2 * 4 * 4 * 5) * (3 * 3 * 3)
