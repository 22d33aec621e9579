"""Ctrl-C and SIGTERM at awkward moments, in processes that load nothing heavy."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A shell that runs the tests in the background has them, and all they start, ignore SIGINT.
BEGINNING = """
import atexit, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from headlight.cli import main
from headlight.cli.command import command
"""

SLOW_TO_STOP = """
@command("Test")
def slow():
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(60 if "hang" in sys.argv[0] else 0)
sys.argv = [{name!r}, "slow"]
main()
"""

AT_EXIT = """
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["headlight", "--version"]
main()
"""

WHILE_IMPORTING = """
class Late:
    def find_spec(self, name, path, target=None):
        if name == "headlight.cli.commands":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Late())
sys.argv = ["headlight", "--version"]
main()
"""


def start(code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BEGINNING + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_in_a_sentence_that_says_how_to_resume(number, code) -> None:
    with start(SLOW_TO_STOP.format(name="headlight")) as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=50)
    assert out == "cleaning up\n"
    assert err == "headlight: stopped; run the same command again to resume\n"
    assert process.returncode == code


def test_a_second_signal_does_not_wait_for_the_cleaning_up() -> None:
    with start(SLOW_TO_STOP.format(name="hang")) as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "cleaning up\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=50)
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert process.returncode == 130


def test_a_signal_while_the_program_is_still_loading() -> None:
    with start(WHILE_IMPORTING) as process:
        _, err = process.communicate(timeout=50)
    assert err == "headlight: stopped; run the same command again to resume\n"
    assert process.returncode == 130


def test_a_signal_after_the_work_is_done_changes_nothing() -> None:
    with start(AT_EXIT) as process:
        out, err = process.communicate(timeout=50)
    assert (out.startswith("headlight "), err, process.returncode) == (True, "", 0)
