"""What every page that we write must be."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tags, self.text, self.images = [], [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.tags.add(tag)
        self.addresses += [told[name] for name in ("src", "href", "srcset", "action", "data") if told.get(name)]
        assert not [name for name in told if name.startswith("on")]
        if tag == "img":
            self.images.append(told)
        if tag not in ("meta", "link", "img", "br", "hr", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check_page(path):
    """A page as it was parsed: well-formed, small, with nothing to fetch or run, its pictures in words too."""
    text = path.read_text()
    page = Page(text)
    assert page.open == [] and len(text) < 3_000_000
    assert not page.tags & {"script", "iframe", "object", "embed", "form", "base"}
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "url(" not in text and "@import" not in text
    assert all(image["alt"] for image in page.images)
    return page
