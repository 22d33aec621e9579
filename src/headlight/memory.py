"""How much memory this process may still take."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

UNKNOWN = 2 * 2**30  # where the system doesn't tell
CGROUP_FILES = (  # limit, use, and the part of the use that the kernel gives back: v2, then v1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def available_memory(root: Path = Path("/")) -> int:
    """Bytes that can be allocated without swapping: of the machine, or of the container if less.

    Arguments:
        root: of the file system that holds ``proc`` and ``sys``.
    """
    sizes = [size for size in (_machine(root), *_cgroups(root)) if size is not None]
    return max(0, min(sizes, default=UNKNOWN))


def _machine(root: Path) -> int | None:
    try:  # counts the page cache as available, as SC_AVPHYS_PAGES does not
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:  # macOS has the size of the memory only
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _cgroups(root: Path) -> list[int]:
    """What the memory cgroups of this process, and those around them, leave it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = PurePosixPath(path.lstrip("/"))
        # A container often sees its own group as the top, whatever its name outside is.
        found += [_left(top / inside) for inside in (group, *group.parents)]
    return [left for left in found if left is not None]


def _left(group: Path) -> int | None:
    for limit, use, cache in CGROUP_FILES:
        try:
            most = int((group / limit).read_text())
            used = int((group / use).read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return most - used + int(stat.get(cache, 0))
        except (OSError, ValueError):  # "max": no limit
            continue
    return None
