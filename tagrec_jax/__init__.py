"""Encoder-decoder recommendation of tags and products in JAX."""

__version__ = "0.1.0"
