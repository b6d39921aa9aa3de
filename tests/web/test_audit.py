"""The audit of pages: what is wrong with one is found."""

from collections.abc import Callable
from pathlib import Path

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A page</title><style>:root {{color-scheme: light dark}}</style><main><h1>Pizza</h1>{}</main></html>"""


def test_faults_are_found(chromium: str, audit: Callable[..., list[str]], tmp_path: Path) -> None:
    good, bad = tmp_path / "good.html", tmp_path / "bad.html"
    good.write_text(PAGE.format("<p>in light and dark</p>"))
    bad.write_text(PAGE.format("<img src='other.png'><p style='color: #777; background: #888'>grey</p>"))
    assert audit(good) == []
    found = audit(bad)
    for said in ("image-alt", "color-contrast", "asked for"):
        assert any(said in line for line in found)


def test_the_demo_page(chromium: str, audit: Callable[..., list[str]], site: str) -> None:
    assert audit(site) == []
