"""Formulas as MathML, which browsers draw themselves: no script, no network."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    number = ""
    if node.get("number"):
        number = f'<span class="eqno">({get_node_equation_number(translator, node)})</span>'
    # lines of a block are broken at \\ and aligned at &, as MathJax does it
    text = node.astext()
    if "\\\\" in text and "\\begin" not in text:
        text = f"\\begin{{align*}}{text}\\end{{align*}}"
    translator.body.append(
        f'<div class="math-block">{number}{convert(text, display="block")}</div>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
