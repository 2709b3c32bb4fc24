"""The numbers below an example of the guides are those that it prints.

A paragraph right below a block states what the block prints, each number with as many decimals as
it is sure of: the last one may differ by one, as processors do. What is not printed, such as the
truth of a simulation, stands in parentheses with "true", or in a paragraph of its own.
"""

import re
import textwrap
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "tutorials" / "docs"
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)((?:\S.*\n)+)", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?\d*\.\d+(?:e-?\d+)?(?![\w%])")


def examples(page):
    """The blocks of a page, and the numbers with decimals that stand in the paragraph below."""
    for code, below in BLOCK.findall((DOCS / f"guide_{page}.rst").read_text(encoding="utf-8")):
        stated = re.sub(r"\(true[^)]*\)|``.*?``", "", below.replace("\n", " "))
        yield textwrap.dedent(code), NUMBER.findall(stated)


def is_printed(stated, printed):
    digits, _, exponent = stated.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    # half a unit of rounding, and one of what processors differ by
    return any(abs(float(stated) - float(value)) <= 1.5 * unit for value in printed)


@pytest.mark.parametrize(
    ("page", "n_stated"),
    [
        pytest.param("celltypes", 7, marks=pytest.mark.slow),
        ("connectome", 9),
        ("decoding", 5),
        ("dendrites", 2),
        ("representation", 27),
        ("switching", 15),
    ],
)
def test_what_a_guide_says_an_example_prints_is_printed(page, n_stated, capsys):
    known, wrong, n = {}, [], 0
    for code, stated in examples(page):
        exec(compile(code, f"guide_{page}.rst", "exec"), known)
        printed = re.findall(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?", capsys.readouterr().out)
        wrong += [number for number in stated if not is_printed(number, printed)]
        n += len(stated)
    assert not wrong
    assert n >= n_stated, "the examples are found, with what they are said to print"
