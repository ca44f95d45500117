"""Plain mappings → frozen dataclasses, with every value checked."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest


def section(cls: type, values: Any, where: str) -> Any:
  """A dataclass of settings, and those within it, out of mappings.

  Args:
    cls: its fields may have metadata 'min', 'max' and 'choices'.
    where: what the mapping is called in errors.

  Raises:
    UserError: naming the key, what was found and what is allowed.
  """
  if not isinstance(values, Mapping):
    raise UserError(where, f"found {values!r}", "a section of settings")
  fields = {field.name: field for field in dataclasses.fields(cls)}
  hints = typing.get_type_hints(cls)
  for name in values:
    if name not in fields:
      raise UserError(
        f"{where}.{name}",
        "unknown key",
        "a key of configs/base.py",
        nearest(name, list(fields)),
      )
  for name in fields:
    if name not in values:
      raise UserError(f"{where}.{name}", "missing", "a value", f"set {name}")
  return cls(
    **{
      name: _value(values[name], hints[name], field, f"{where}.{name}")
      for name, field in fields.items()
    }
  )


def _value(value: Any, hint: Any, field: dataclasses.Field, where: str) -> Any:
  if dataclasses.is_dataclass(hint):
    return section(typing.cast(type, hint), value, where)
  if isinstance(hint, types.GenericAlias):
    (member, _) = typing.get_args(hint)
    if not isinstance(value, list | tuple):
      raise UserError(
        where, f"found {value!r}", f"a tuple of {member.__name__}"
      )
    values = tuple(_scalar(v, member, where) for v in value)
    for each in values:
      _check_range(each, field, where)
    return values
  value = _scalar(value, hint, where)
  choices = field.metadata.get("choices")
  if choices and value not in choices:
    raise UserError(
      where,
      f"found '{value}'",
      f"one of {', '.join(choices)}",
      nearest(value, list(choices)),
    )
  _check_range(value, field, where)
  return value


def _check_range(value: Any, field: dataclasses.Field, where: str) -> None:
  low, high = field.metadata.get("min"), field.metadata.get("max")
  if (low is not None and value < low) or (high is not None and value > high):
    limits = f"at least {low}" if high is None else f"{low} to {high}"
    raise UserError(where, f"found {value}", limits, "choose a value in range")


def _scalar(value: Any, hint: type, where: str) -> Any:
  """int is accepted for float; bool never counts as a number."""
  good = isinstance(value, hint) and not (
    isinstance(value, bool) and hint is not bool
  )
  if hint is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if not good:
    raise UserError(
      where,
      f"found {value!r} ({type(value).__name__})",
      hint.__name__,
      "write the value with that type",
    )
  if hint is float and not math.isfinite(value):
    raise UserError(where, f"found {value}", "a finite number", "remove it")
  return value
