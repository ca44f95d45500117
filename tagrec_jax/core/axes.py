"""The alphabet of array shapes.

One letter means one axis everywhere: in variable names (`memory_BSD`), einsum
strings (`"BSD,CD->BSC"`), type annotations (`Float[Array, "B S D"]`) and
comments. A name without a suffix is a scalar or not an array.
"""

AXES = {
  "B": "batch: rows of a batch (a packed row holds several people)",
  "S": "source position: events of a history",
  "T": "target position: questions asked of the memory",
  "D": "model width",
  "N": "attention heads",
  "H": "width of one head",
  "F": "hidden width of a feed-forward layer",
  "V": "vocabulary of words",
  "C": "catalogue: products or tags that can be recommended",
  "K": "length of a recommended list",
  "M": "members of a set, padded (the tags of one product)",
  "I": "interests of one person",
  "P": "people",
  "E": "events",
  "W": "beams",
  "L": "stacked layers",
}

# Ids in every array are catalogue indices 0..C-1. Two values stand outside.
UNKNOWN = -1
"""A product, tag or word the vocabulary does not hold; also padding."""
BEGIN = -2
"""The token before the first event of a person: the empty history."""
