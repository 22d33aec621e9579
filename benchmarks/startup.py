"""Time until `import headlight` and `headlight --help` are done, beside Python's own start.

python -m benchmarks.startup [--rounds 11]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

from benchmarks.machine import machine

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import headlight": ["-c", "import headlight"],
    "headlight --help": ["-m", "headlight", "--help"],
}


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(rounds + 1):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            if turn:  # the first round warms the disk cache
                times[name].append(time.perf_counter() - start)
    print(f"{machine()}\n{rounds} rounds in turn, seconds\n")
    print("| | median | min | max |\n| --- | --- | --- | --- |")
    for name, seen in times.items():
        print(f"| `{name}` | {median(seen):.3f} | {min(seen):.3f} | {max(seen):.3f} |")


if __name__ == "__main__":
    main()
