"""Pages that a person reads, made from figures: one self-contained HTML file, and Markdown."""

from keras_transfer.report.page import (
    comparison_html,
    inspection_html,
    report_html,
    report_markdown,
    see_html,
    shift_html,
)

__all__ = [
    "comparison_html",
    "inspection_html",
    "report_html",
    "report_markdown",
    "see_html",
    "shift_html",
]
