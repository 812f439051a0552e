"""A notebook as a web page that needs nothing else: no script, no network, its pictures and formulas within."""

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

# nbconvert's own page without the scripts that it would load: require.js, MathJax, mermaid.
TEMPLATE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


class Page(HTMLExporter):
    """Pictures are looked for from the folder that the resources name as `{"metadata": {"path": ...}}`."""

    def __init__(self, embed_images: bool = True) -> None:
        super().__init__(embed_images=embed_images, raw_template=TEMPLATE)

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        renderer = _Renderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            embed_images=self.embed_images,
            path=context["resources"]["metadata"].get("path", ""),
        )
        return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    """Formulas as MathML, which browsers draw by themselves."""

    def block_math(self, body: str) -> str:
        return convert(body, display="block")

    def inline_math(self, body: str) -> str:
        return convert(body)
