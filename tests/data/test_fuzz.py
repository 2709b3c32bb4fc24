"""Bytes flipped at random: a DataError or an array, never anything else.

The fuzzer runs in a process of its own, since it limits the memory that the process may ask for
and a crash must not take the tests with it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).parents[1] / "fuzzer.py"


def fuzz(n_cases):
    command = [sys.executable, str(FUZZER), str(n_cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_sample():
    assert fuzz(8).endswith("120 cases\n")


@pytest.mark.fuzz
def test_over_a_thousand_cases():
    assert fuzz(100).endswith("1500 cases\n")
