import numpy as np
import pytest

from tagrec_jax.evaluation import paired
from tagrec_jax.evaluation.paired import Measured

RANKS = np.array([[1, 3], [0, 2], [7, 9]])
WORTH = np.array([[1.0, 2.0], [1.0, 4.0], [1.0, 1.0]])


def test_values_by_hand():
  found = paired.measured("precision@2", RANKS, WORTH)
  np.testing.assert_array_equal(found.gains_Q, [0.5, 0.5, 0.0])
  assert found.value == pytest.approx(1 / 3)
  found = paired.measured("psp@2", RANKS, WORTH)
  assert found.value == pytest.approx((1 + 4) / (3 + 4 + 2))


def test_runs_are_averaged_question_by_question():
  one = Measured(np.array([0.0, 1.0]), np.ones(2))
  two = Measured(np.array([1.0, 1.0]), np.ones(2))
  both = paired.mean([one, two])
  np.testing.assert_array_equal(both.gains_Q, [0.5, 1.0])
  assert both.value == 0.75


def test_a_difference_is_of_pairs():
  """Questions differ by far more than the two models do."""
  worse = Measured(np.arange(200) % 7 + 0.0, np.ones(200))
  better = Measured(worse.gains_Q + 0.5, np.ones(200))
  assert paired.difference(better, worse, 200, 0) == pytest.approx((0.5, 0.5))
  low, high = better.interval(200, 0)
  assert high - low > 0.3
  assert low < better.value < high
