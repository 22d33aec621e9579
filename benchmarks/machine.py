"""One line about the machine a figure was measured on."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """Processor, cores, memory, and the versions that matter for speed."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags = ""
    if info.exists():
        text = info.read_text()
        cpu = next((x.split(":")[1].strip() for x in text.splitlines() if "model name" in x), cpu)
        wide = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in text]
        flags = f" ({', '.join(wide)})"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "openvino", "faiss-cpu"))
    return (
        f"{cpu}{flags}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"{packages}; {date.today().isoformat()}"
    )
