"""What must be as it was for a run to go on, and how a difference is told."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.checkpoint import manifest, reader
from tagrec_jax.checkpoint.migrate import FORMAT
from tagrec_jax.core.errors import UserError
from tests.checkpoint.made import (
  IDENTITY,
  make_state,
  open_,
  same,
  template_of,
)


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (
      {"vocabularies": {"items": (7, "cccccccccc"), "tags": (3, "bbbbbbbbbb")}},
      ["'items' has 6 ids (aaaaaaaa)", "the 7 ids (cccccccc)"],
    ),
    (
      {"vocabularies": {"items": (6, "aaaaaaaaaa"), "tags": (3, "zzzzzzzzzz")}},
      ["'tags' has 3 ids (bbbbbbbb)", "the 3 ids (zzzzzzzz)"],
    ),
    (
      {"config": IDENTITY.config | {"model": {"width": 9, "moment": ["hour"]}}},
      ["config.model.width was 8 and is 9"],
    ),
    ({"data": "eeeeeeeeee"}, ["fingerprint was dddddddd and is eeeeeeee"]),
    ({"key": (0, 8)}, ["the root random key is another"]),
  ],
)
def test_another_identity_is_named(folder, change, words):
  other = dataclasses.replace(IDENTITY, **change)
  with (
    open_(folder, identity=other) as found,
    pytest.raises(UserError) as error,
  ):
    found.restore(template_of(make_state(0)))
  assert str(error.value).startswith("checkpoint of step 60: ")
  assert all(word in str(error.value) for word in words), error.value


def test_a_vocabulary_names_the_parameter_made_for_it(folder):
  sized = dataclasses.replace(IDENTITY, vocabularies={"items": (8, "aaaa")})
  with open_(folder, keep=9, identity=sized) as checkpoints:
    checkpoints.save(70, make_state(70), {})
    checkpoints.wait()
  other = dataclasses.replace(IDENTITY, vocabularies={"items": (9, "aaaa")})
  with (
    open_(folder, identity=other) as found,
    pytest.raises(UserError) as error,
  ):
    found.restore(template_of(make_state(0)))
  assert "as params.table was made for" in str(error.value)


def test_what_may_change(folder, capsys):
  config = IDENTITY.config | {"train": {"steps": 9}, "name": "other"}
  longer = dataclasses.replace(IDENTITY, config=config)
  with open_(folder, identity=longer) as checkpoints:
    assert checkpoints.restore(template_of(make_state(0)))
  assert capsys.readouterr().err == ""
  grown = dataclasses.replace(IDENTITY, data="eeeeeeeeee")
  with open_(folder, identity=grown, allow_changes=True) as checkpoints:
    assert checkpoints.restore(template_of(make_state(0)))
  assert "going on although the data's finger" in capsys.readouterr().err


def test_other_leaves_are_told(folder):
  template = template_of(make_state(0))
  template["params"]["layers"][1] = template["step"]
  template["params"]["table"] = jax.ShapeDtypeStruct((8, 4), jnp.bfloat16)
  del template["moments"]
  with open_(folder) as checkpoints, pytest.raises(UserError) as error:
    checkpoints.restore(template)
  assert (
    "moments.0 is float32[8,4] instead of absent;"
    " params.layers.1 is missing instead of int32[];"
    " params.table is float32[8,4] instead of bfloat16[8,4]"
  ) in str(error.value)


def test_types_of_numbers_change_only_on_request(folder, capsys):
  template = template_of(make_state(0))
  half = jax.ShapeDtypeStruct(
    (8, 4), jnp.bfloat16, sharding=template["params"]["table"].sharding
  )
  template["params"]["table"] = half
  kinds = "params.table is float32[8,4] instead of bfloat16[8,4]"
  with open_(folder) as checkpoints, pytest.raises(UserError) as error:
    checkpoints.restore(template)
  assert kinds in str(error.value)
  assert str(error.value).endswith("or cast its numbers by --restore_cast")
  with open_(folder, cast=True) as checkpoints:
    state, _ = checkpoints.restore(template)
  assert capsys.readouterr().err == (
    f"WARN checkpoint of step 60: numbers are cast: {kinds}\n"
  )
  wanted = make_state(60)
  wanted["params"]["table"] = wanted["params"]["table"].astype(jnp.bfloat16)
  assert state["params"]["table"].dtype == jnp.bfloat16
  same(state, wanted)


@pytest.mark.parametrize(
  "leaf",
  [
    jax.ShapeDtypeStruct((8, 5), jnp.bfloat16),
    jax.ShapeDtypeStruct((8, 4), int),
  ],
)
def test_nothing_else_is_cast(folder, leaf):
  template = template_of(make_state(0))
  template["params"]["table"] = leaf
  with (
    open_(folder, cast=True) as checkpoints,
    pytest.raises(UserError, match="params.table is float32.8,4. instead of"),
  ):
    checkpoints.restore(template)


def test_a_later_format_asks_for_an_upgrade(folder):
  path = folder / "60" / "meta" / "metadata"
  meta = json.loads(path.read_text()) | {"format": FORMAT + 1}
  path.write_text(json.dumps(meta))
  manifest.write(folder / "60")
  with open_(folder) as checkpoints, pytest.raises(UserError) as error:
    checkpoints.restore(template_of(make_state(0)))
  assert "written by tagrec_jax 0.1 in format 3" in str(error.value)


def test_parameters_of_another_shape(folder):
  template = {"table": jax.ShapeDtypeStruct((9, 4), np.float32)}
  with pytest.raises(
    UserError, match=r"params.table is float32\[8,4\] instead"
  ):
    reader.restore_params(folder, template)
