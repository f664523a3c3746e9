"""The model card as a page, from its Markdown."""

from __future__ import annotations

from html import escape

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c232b}
table{border-collapse:collapse;margin:.8rem 0;display:block;overflow-x:auto}
td,th{padding:.25rem .7rem;border-bottom:1px solid #dde2e8;text-align:left;vertical-align:top}
td:nth-child(2):not(:last-child){white-space:nowrap}
pre{background:#f4f6f8;padding:.8rem;overflow-x:auto;font-size:13px}
"""


def card_page(markdown: str, *, title: str) -> bytes:
    """HTML as UTF-8; what looks like HTML in the text stays text."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{escape(title)}</title>"
    return f"<!doctype html><html lang=en>{head}<style>{_STYLE}</style>{body}</html>".encode()
