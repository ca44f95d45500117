"""How tagrec_jax is installed: `pip install -e .` from a checkout."""

import ast
import pathlib

import setuptools

HERE = pathlib.Path(__file__).resolve().parent


def version() -> str:
  """The one place that states the version is tagrec_jax/__init__.py."""
  module = ast.parse((HERE / "tagrec_jax" / "__init__.py").read_text())
  for node in module.body:
    if isinstance(node, ast.Assign) and node.targets[0].id == "__version__":
      return ast.literal_eval(node.value)
  raise LookupError("tagrec_jax/__init__.py states no __version__")


# Lower bounds are the tested versions. Upper bounds stop before the next
# release that may break an interface: the minor one of packages at 0.x.
REQUIRED = [
  "absl-py>=2.3,<3",
  "array_record>=0.8,<0.9; platform_system == 'Linux'",
  "flax>=0.12.8,<0.13",
  "importlib_resources>=6.4",  # TFDS imports it, yet declares it only for 3.8
  "jax>=0.10.2,<0.11",
  "jaxtyping>=0.3.2,<0.4",
  "matplotlib>=3.9,<4",
  "ml-collections>=1.1,<2",
  "numpy>=2.0,<3",
  "optax>=0.2.8,<0.3",
  "orbax-checkpoint>=0.12.8,<0.13",
  "packaging>=24",
  "pillow>=11",
  "pyarrow>=17",
  "rich>=13.7",
  "scipy>=1.14,<2",
  "tensorboardX>=2.6.2,<3",
  "tensorflow-datasets>=4.9.10,<5",
]

TEST = [
  "beartype>=0.21",
  "codespell>=2.4",
  "hypothesis>=6.130",
  "import-linter>=2.3",
  "ipykernel>=6.29",
  "mypy>=1.15",
  "nbclient>=0.10",
  "nbstripout>=0.8",
  "pytest>=9",
  "pytest-xdist>=3.6",
  "ruff>=0.17,<0.18",  # the format is part of the version
]

# Peers to be measured beside. Two need environments of their own: RecBole and
# PECOS, see experiments/benchmarks/child.py.
BENCH = [
  "cffi>=1.17",  # Omikuji needs it and does not declare it
  "faiss-cpu>=1.12",
  "fasttext-numpy2-wheel==0.9.2",
  "omikuji>=0.5.2,<0.6",
  "scikit-learn>=1.7",
  "torch>=2.8",
  "transformers>=4.50",
]

# In an environment of its own: Beam wants older pillow, protobuf and pyarrow
# than .ci/requirements.lock has, and the ranges above allow them.
BEAM = ["apache-beam>=2.77,<3"]

# Folders of pretrained text encoders, as Hugging Face writes them.
PRETRAINED = ["safetensors>=0.8,<0.9", "tokenizers>=0.23.3,<0.24"]

# The compiler of TPUs, for machines without one: as jax[tpu] of the tested jax
# pins it. Another version cannot tell of every program it compiles.
TPU_COMPILE = ["libtpu==0.0.42.1; platform_system == 'Linux'"]

setuptools.setup(
  name="tagrec_jax",
  version=version(),
  description="Encoder-decoder recommendation of tags and products in JAX",
  license="Apache-2.0",
  license_files=["LICENSE"],
  python_requires=">=3.11",
  packages=setuptools.find_packages(
    include=["tagrec_jax*", "experiments*", "configs*"]
  ),
  install_requires=REQUIRED,
  extras_require={
    "test": TEST,
    "bench": BENCH,
    "pretrained": PRETRAINED,
    "fuzz": ["atheris>=3,<4; platform_system == 'Linux'"],  # tests of a night
    "beam": BEAM,
    "audio": ["soundfile>=0.13"],  # clips that are not WAV
    "tpu": ["jax[tpu]"],
    "tpu-compile": TPU_COMPILE,
    "cuda": ["jax[cuda12]"],
  },
)
