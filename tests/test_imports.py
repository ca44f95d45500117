"""Importing does nothing but define names."""

from __future__ import annotations

import pathlib
import re
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
  elif event.startswith("socket.") and event != "socket.gethostname":
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


def modules(folder: str) -> list[str]:
  files = [p.relative_to(ROOT) for p in (ROOT / folder).rglob("*.py")]
  names = [".".join(path.with_suffix("").parts) for path in files]
  return sorted(name.removesuffix(".__init__") for name in names)


# Commands define flags: two of them in one process would clash.
COMMANDS = modules("experiments")
# What needs the extra [bench], or an environment with RecBole or PECOS.
PEERS = [
  name
  for name in COMMANDS
  if re.search(r"\.peers\.((torch|recbole)_|\w+_tags$|tf_idf$)", name)
]


def test_the_package_alone_imports_nothing_heavy():
  out = run("""
    import tagrec_jax
    print([m for m in ("jax", "numpy", "flax") if m in sys.modules], seen)
  """)
  assert out.strip() == "[] []"


def test_importing_touches_no_device_file_or_network():
  """Each command in a process of its own, which has the package already."""
  commands = [name for name in COMMANDS if name not in PEERS]
  out = run(f"""
    import traceback

    def tell(name):
      started = xla_bridge.backends_are_initialized()
      print(name, started, seen, flush=True)

    for name in {modules("tagrec_jax")!r}:
      importlib.import_module(name)
    from jax._src import xla_bridge
    tell("tagrec_jax")
    for name in {commands!r}:
      if not os.fork():
        try:
          importlib.import_module(name)
          tell(name)
        except BaseException:
          traceback.print_exc()
        os._exit(0)
      os.wait()
  """)
  wanted = [f"{name} False []" for name in ("tagrec_jax", *commands)]
  assert out.splitlines() == wanted


def test_all_modules_are_found():
  assert len(modules("tagrec_jax")) > 80
  assert "experiments.doctor" in COMMANDS


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
