"""Importing does nothing but define names."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Runs in its own process: there nothing has been imported, and what importing
# does to the outside is seen by an audit hook, however it is done.
WATCH = """
import importlib, os, pathlib, sys

seen = []

def hook(event, arguments):
  if event == "open":
    path, mode, flags = arguments
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    if flags & writing and path != os.devnull:
      seen.append(f"writes {path}")
  elif event in ("os.mkdir", "os.rename", "os.remove", "subprocess.Popen"):
    seen.append(f"{event} {arguments[0]}")
  elif event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
    seen.append(f"{event} {arguments[1:]}")

sys.addaudithook(hook)
"""


def run(code: str) -> str:
  done = subprocess.run(
    [sys.executable, "-B", "-c", WATCH + textwrap.dedent(code)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def modules() -> list[str]:
  files = [
    p for f in ("tagrec_jax", "experiments") for p in ROOT.glob(f"{f}/**/*.py")
  ]
  names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files]
  return sorted(name.removesuffix(".__init__") for name in names)


def test_the_package_alone_imports_nothing_heavy():
  out = run("""
    import tagrec_jax
    print([m for m in ("jax", "numpy", "flax") if m in sys.modules], seen)
  """)
  assert out.strip() == "[] []"


def test_no_module_touches_device_file_or_network():
  assert len(modules()) > 40
  out = run(f"""
    for name in {modules()!r}:
      importlib.import_module(name)
    from jax._src import xla_bridge
    print(xla_bridge.backends_are_initialized(), seen)
  """)
  assert out.strip() == "False []"


def test_the_watch_sees():
  out = run("""
    import socket, tempfile
    tempfile.TemporaryFile().close()
    try:
      socket.create_connection(("127.0.0.1", 1), timeout=1)
    except OSError:
      pass
    print(seen)
  """)
  assert "writes" in out
  assert "socket.connect" in out
