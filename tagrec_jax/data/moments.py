"""Features of the moment of an event, computed from times alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Int32, Int64

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.spec import Feature, Kind, Part

MOMENT_SIZES = {"hour": 24, "weekday": 7, "month": 12, "gap": 32}
"""name → classes. Hours and days are those of UTC; Monday is weekday 0."""

MOMENT_FEATURES = tuple(
  Feature(name, Part.MOMENT, Kind.CATEGORY, size)
  for name, size in MOMENT_SIZES.items()
)
"""Their rows of the feature table, for data whose events have times."""

_DAY = 86_400


def moment_features(
  names: Iterable[str],
  times: Int64[np.ndarray, "..."],
  previous_times: Int64[np.ndarray, "..."],
) -> dict[str, Int32[np.ndarray, "..."]]:
  """Classes of each event's moment.

  'gap' is the time since the person's event before it, on a logarithmic scale:
  0 for less than a second, then 1 + floor(log2(seconds)), the last class for
  68 years and everything above.

  Args:
    names: of MOMENT_SIZES; only these are computed.
    times: seconds since 1970 UTC, or NO_TIME.
    previous_times: of each person's event before; NO_TIME if there is none.

  Returns:
    A class for each name, UNKNOWN where a time is not known.
  """
  known = times != NO_TIME
  seconds = np.where(known, times, 0)
  features = {}
  for name in names:
    if name == "gap":
      valid = known & (previous_times != NO_TIME)
      classes = _gap(np.where(valid, seconds - previous_times, 0))
    else:
      valid, classes = known, _CALENDAR[name](seconds)
    features[name] = np.where(valid, classes, UNKNOWN).astype(np.int32)
  return features


def _hour(seconds: np.ndarray) -> np.ndarray:
  return seconds % _DAY // 3600


def _weekday(seconds: np.ndarray) -> np.ndarray:
  return (seconds // _DAY + 3) % 7  # 1970-01-01 was a Thursday


def _month(seconds: np.ndarray) -> np.ndarray:
  days = (seconds // _DAY).astype("datetime64[D]")
  return days.astype("datetime64[M]").astype(np.int64) % 12


def _gap(seconds: np.ndarray) -> np.ndarray:
  # frexp's exponent of a whole number is 1 + floor(log2), exactly, up to 2^53.
  exponent = np.frexp(np.clip(seconds, 0, 2**52).astype(np.float64))[1]
  return np.minimum(exponent, MOMENT_SIZES["gap"] - 1)


_CALENDAR = {"hour": _hour, "weekday": _weekday, "month": _month}
