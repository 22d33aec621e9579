"""How much memory is free, on systems that tell it in different ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from headlight.memory import UNKNOWN, available_memory

MEMINFO = "MemTotal:  16000000 kB\nMemFree:  1000 kB\nMemAvailable:  8000000 kB\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def group(prefix: str, limit: str, use: int, cache: int, version: int = 2) -> dict[str, str]:
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    values = (limit, str(use), f"anon 5\n{names[2]} {cache}\n")
    files = (*names[:2], "memory.stat")
    return {f"{prefix}/{name}": value for name, value in zip(files, values, strict=True)}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8_000_000 * 1024),
        (
            {"proc/self/cgroup": "0::/a/b\n"}
            | group("sys/fs/cgroup/a/b", "max", 900, 0)
            | group("sys/fs/cgroup/a", "1000", 900, 300),
            400,
        ),
        ({"proc/self/cgroup": "0::/outside\n"} | group("sys/fs/cgroup", "5000", 1000, 0), 4000),
        (
            {"proc/self/cgroup": "3:cpu:/\n2:cpuacct,memory:/c\n"}
            | group("sys/fs/cgroup/memory/c", "2000", 500, 100, version=1),
            1600,
        ),
        ({"proc/self/cgroup": "0::/a\n"} | group("sys/fs/cgroup/a", "1000", 1200, 0), 0),
        (
            {"proc/self/cgroup": "2:memory:/\n"}
            | group("sys/fs/cgroup/memory", str(2**63 - 4096), 500, 0, version=1),
            8_000_000 * 1024,
        ),
    ],
    ids=["no cgroup", "parent's limit", "own group as top", "version 1", "over", "v1 no limit"],
)
def test_linux_and_its_containers(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert available_memory(write(tmp_path, {"proc/meminfo": MEMINFO} | files)) == expected


def test_macos_tells_the_size_of_the_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"SC_PHYS_PAGES": 1_000_000, "SC_PAGE_SIZE": 16_384}

    def sysconf(name: str) -> int:
        if name not in sizes:
            raise ValueError("unrecognized configuration name")
        return sizes[name]

    monkeypatch.setattr("os.sysconf", sysconf)
    assert available_memory(tmp_path) == 1_000_000 * 16_384 // 2


def test_windows_has_no_sysconf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sysconf")
    assert available_memory(tmp_path) == UNKNOWN
