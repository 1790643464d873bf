"""Pages of HTML that need nothing else: their style, tables and plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from carbonedge.experiments.report_plots import svg_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["html_list", "html_page", "html_plot", "html_table", "html_text"]

STYLE = """
:root { --ink: #1d2622; --soft: #5a6660; --line: #dfe5e1; --accent: #1b6f5c; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 70rem; background: #fff;
  color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; }
p { margin: .3rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .7rem; margin: 1.2rem 0 0; padding: 0; list-style: none; }
.cards li { padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .5rem;
  border-top: 3px solid var(--accent); font-size: .85rem; color: var(--soft); }
.cards b { display: block; font-size: 1.3rem; line-height: 1.3; color: var(--ink); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1.5rem 2rem; margin-top: 1.5rem; align-items: start; }
figure { margin: 0; max-width: 32rem; }
figure h2 { margin: 0; }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; white-space: normal; vertical-align: bottom; }
.text { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 9.5rem; }
.terms { margin: .6rem 0; max-width: 46rem; }
.terms div { display: grid; grid-template-columns: 2.6rem 1fr auto; gap: 0 .7rem;
  padding: .4rem 0; border-bottom: 1px solid var(--line); }
.terms dt { font-weight: 600; }
.terms dd { margin: 0; overflow-wrap: anywhere; }
.terms dd + dd { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.terms small { display: block; color: var(--soft); }
.sum td { font-weight: 600; border-bottom: 0; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
summary { cursor: pointer; font-size: 1.2rem; font-weight: 600; margin: 2.2rem 0 .6rem; }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""


def html_page(title: str, parts: Iterable[str]) -> str:
    """The whole page.

    Parameters
    ----------
    title
        Of the window, as text.
    parts
        Of the body, as HTML.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def html_text(value: object) -> str:
    """A value as text in HTML."""
    return escape(str(value).encode(errors="replace").decode())


def html_plot(name: str, title: str, figure: Figure, caption: str) -> str:
    """A figure with its title and a caption; `name` is another one for each on a page."""
    svg = svg_text(figure, name).replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    return (
        f"<figure>\n<h2>{title}</h2>\n{svg}<figcaption>{html_text(caption)}</figcaption>\n</figure>"
    )


def html_list(lines: Iterable[str]) -> str:
    """Lines of text as a list."""
    return "<ul>\n" + "\n".join(f"<li>{html_text(line)}</li>" for line in lines) + "\n</ul>"


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text: set[int],
    caption: str = "",
    total: bool = False,
) -> str:
    """A table whose columns are numbers, but for those that are text, and end in a total."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if place in text else ''}>{html_text(value)}</{tag}>"
            for place, value in enumerate(values)
        )

    lines = [f"<thead><tr>{cells('th', columns)}</tr></thead>", "<tbody>"]
    for number_, row in enumerate(rows, start=1):
        last = " class=sum" if total and number_ == len(rows) else ""
        lines.append(f"<tr{last}>{cells('td', row)}</tr>")
    head = f"<caption>{html_text(caption)}</caption>\n" if caption else ""
    return f'<div class="scroll"><table>\n{head}' + "\n".join(lines) + "\n</tbody></table></div>"
