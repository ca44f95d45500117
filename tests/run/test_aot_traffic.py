"""Bytes moved by compiled programs, against texts small enough to count."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from tagrec_jax.run.aot import traffic

TEXT = """\
HloModule jit_f

%looks (param_0: f32[1000,128], param_1: s32[8]) -> f32[8,128] {
  %param_0 = f32[1000,128]{1,0:T(8,128)} parameter(0)
  %param_1 = s32[8]{0:T(256)} parameter(1)
  ROOT %g = f32[8,128]{1,0:T(8,128)} gather(%param_0, %param_1), offset_dims={1}
}

%puts (param_0.1: f32[1000,128], param_1.1: f32[8,128]) -> f32[1000,128] {
  %param_1.1 = f32[8,128]{1,0:T(8,128)} parameter(1)
  %param_0.1 = f32[1000,128]{1,0:T(8,128)} parameter(0)
  %zero = s32[] constant(0)
  ROOT %d = f32[1000,128]{1,0:T(8,128)} dynamic-update-slice(%param_0.1, \
%param_1.1, %zero, %zero)
}

%within (param_0.2: f32[1000,128], param_1.2: f32[8,128]) -> f32[1000,128] {
  %param_0.2 = f32[1000,128]{1,0:T(8,128)} parameter(0)
  %param_1.2 = f32[8,128]{1,0:T(8,128)} parameter(1)
  ROOT %f.1 = f32[1000,128]{1,0:T(8,128)} fusion(%param_0.2, %param_1.2), \
kind=kCustom, calls=%puts
}

%turns (param_0.3: f32[256,128]) -> f32[128,256] {
  %param_0.3 = f32[256,128]{1,0:T(8,128)} parameter(0)
  ROOT %t.1 = f32[128,256]{1,0:T(8,128)} transpose(%param_0.3), dimensions={1,0}
}

%limit (p: (s32[], f32[256])) -> pred[] {
  %six = s32[] constant(6)
  ROOT %less = pred[] compare(%n, %six), direction=LT
}

%body (p.1: (s32[], f32[256])) -> (s32[], f32[256]) {
  %p.1 = (s32[], f32[256]) parameter(0)
  %x = f32[256]{0:T(256)} get-tuple-element(%p.1), index=1
  %twice = f32[256]{0:T(256)} add(%x, %x)
  ROOT %t = (s32[], f32[256]) tuple(%n, %twice)
}

%cheap (p.2: f32[256]) -> f32[256] {
  ROOT %p.2 = f32[256]{0:T(256)} parameter(0)
}

%dear (p.3: f32[256]) -> f32[256] {
  %p.3 = f32[256]{0:T(256)} parameter(0)
  ROOT %n.1 = f32[256]{0:T(256)} negate(%p.3)
}

ENTRY %main (table: f32[1000,128], ids: s32[8], few: f32[3,5], \
square: f32[256,128]) -> f32[] {
  %table = f32[1000,128]{1,0:T(8,128)} parameter(0)
  %ids = s32[8]{0:T(256)} parameter(1)
  %few = f32[3,5]{1,0:T(8,128)} parameter(2)
  %square = f32[256,128]{1,0:T(8,128)} parameter(3)
LINE
}
"""


@pytest.mark.parametrize(
  ("line", "wanted"),
  [
    # Eight rows are read and written; ids are filled up to 256 numbers.
    (
      (
        "%f = f32[8,128]{1,0:T(8,128)} fusion(%table, %ids), kind=kCustom,"
        " calls=%looks"
      ),
      4096 + 1024 + 4096,
    ),
    # What is fast does not count.
    (
      (
        "%f = f32[8,128]{1,0:T(8,128)S(1)} fusion(%table, %ids), kind=kCustom,"
        " calls=%looks"
      ),
      4096 + 1024,
    ),
    # The table stays where it is but for eight rows.
    (
      (
        "%f = f32[1000,128]{1,0:T(8,128)} fusion(%table, %rows), kind=kLoop,"
        " calls=%puts"
      ),
      4096,
    ),
    # So it does if what puts them there is a fusion in a fusion.
    (
      (
        "%f = f32[1000,128]{1,0:T(8,128)} fusion(%table, %rows), kind=kCustom,"
        " calls=%within"
      ),
      4096,
    ),
    (
      (
        "%f = f32[128,256]{1,0:T(8,128)} fusion(%square), kind=kLoop,"
        " calls=%turns"
      ),
      2 * 131072,
    ),
    ("%n = f32[3,5]{1,0:T(8,128)} negate(%few)", 2 * 4096),
    ("%b = f32[15]{0:T(128)} bitcast(%few)", 0),
    (
      "%s = f32[2,128]{1,0:T(8,128)} dynamic-slice(%table, %n, %n)",
      2 * 4096,
    ),
    (
      (
        "%c = (f32[3,5]{1,0:T(8,128)S(1)}, f32[3,5]{1,0:T(8,128)},"
        " u32[]{:S(2)}) copy-start(%few)"
      ),
      4096,
    ),
    (
      "%w = (s32[], f32[256]) while(%t), condition=%limit, body=%body",
      6 * 3072,
    ),
    (
      (
        "%k = f32[256]{0:T(256)} conditional(%p, %a, %b),"
        " branch_computations={%cheap, %dear}"
      ),
      2048,
    ),
    (
      (
        '%k = f32[256]{0:T(256)} custom-call(%table), custom_call_target="tpu_c'
        'ustom_call", backend_config={"cost_estimate":{"bytes_accessed":"77"}}'
      ),
      77,
    ),
  ],
)
def test_bytes_are_counted_by_hand(line, wanted):
  assert traffic.moved(TEXT.replace("LINE", f"  {line}")) == wanted


def test_a_real_program_moves_what_it_must():
  """A CPU has no fast memory: a product reads both sides, writes one."""
  x = jnp.ones((64, 64))
  text = jax.jit(jnp.matmul).lower(x, x).compile().as_text()
  assert traffic.moved(text) == 3 * x.nbytes
