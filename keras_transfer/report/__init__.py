"""Pages that a person reads, made from figures: one self-contained HTML file, and Markdown."""

from keras_transfer.report.page import (
    comparison_html,
    inspection_html,
    report_html,
    report_markdown,
    see_html,
    shift_html,
)
from keras_transfer.report.thumbnails import heat_thumbnail, thumbnail

__all__ = [
    "comparison_html",
    "heat_thumbnail",
    "inspection_html",
    "report_html",
    "report_markdown",
    "see_html",
    "shift_html",
    "thumbnail",
]
