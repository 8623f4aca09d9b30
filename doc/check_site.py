"""Check the built site: links, what a page loads, and words.

    python doc/check_site.py doc/_build/html

It prints each fault with its page and ends with 1 if there is one. A page may load nothing from a
network; links within the site lead to a page, and to a place on it; words obey the rules below.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

# abbreviations that readers of this site know; all others stand in the glossary
KNOWN = """
    ACL ADASYN AI AMP API ASCII AUC BN BSD CD CI CIFAR CLI CLIP CNN CPU CSR CSV CUDA CVPR DDP DEBUG
    DOI DRAM ECCV ELU EM ET FAQ GB GLOVE GPU HF HGB HTML ICLR ICML ID IDE IDF IF INFO IO IQR JSON
    KL KNN LBFGS LR LT MB MIT ML MLP MNIST MPS NAN NC NCCL NFS NIPS NLL NLTK NN NPZ NVIDIA OK OS
    PCA PDF PNG POS POT PR RAM RBF README RF RGB RNG ROC RUS ReLU SGD SHA SMOTE SMOTE-NC SNE SNN SUN
    SUN397 SVG SVM TF TF-IDF TF32 TFIDF TPU TV UINT URL US UTF XML YAML ZIP
"""
PHRASES = (
    "classes alike",
    "taken for",
    "takes it for",
    "takes them for",
    "divided out of the answers",
    "divide out of the answers",
)
# not text: code, mathematics, scripts, titles of papers in the list of references, the navigation
SKIPPED = {
    "script",
    "style",
    "code",
    "pre",
    "math",
    "svg",
    "nav",
    "header",
    "footer",
    "aside",
    "cite",
    "em",
}
LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}


class Page(NamedTuple):
    """What a page says and points to."""

    text: list[str]  # one entry per block
    definitions: list[str]  # what stands under a parameter
    links: list[str]
    loads: list[str]
    anchors: set[str]


class Reader(HTMLParser):
    """Collect the parts of a page."""

    BLOCKS = {"p", "li", "dd", "dt", "td", "th", "h1", "h2", "h3", "figcaption", "div", "section"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page([""], [], [], [], set())
        self.skip: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links, places and what is loaded."""
        attributes = dict(attrs)
        if attributes.get("id"):
            self.page.anchors.add(attributes["id"])
        if tag == "a" and attributes.get("href"):
            self.page.links.append(attributes["href"])
        if (
            tag in LOADED
            and attributes.get(LOADED[tag])
            and attributes.get("rel") not in ("next", "prev")
        ):
            self.page.loads.append(attributes[LOADED[tag]])
        if tag in self.BLOCKS:
            self.page.text.append("")
        if tag in SKIPPED or "citation" in (attributes.get("class") or "").split():
            self.skip.append(tag)
            self.page.text[-1] += " … "

    def handle_endtag(self, tag: str) -> None:
        """Close what was skipped."""
        if self.skip and self.skip[-1] == tag:
            self.skip.pop()
        if tag in self.BLOCKS:
            self.page.text.append("")

    def handle_data(self, data: str) -> None:
        """Keep text."""
        if not self.skip:
            self.page.text[-1] += data


def read_page(path: Path) -> Page:
    """Return the parts of an HTML file."""
    reader = Reader()
    reader.feed(path.read_text())
    return reader.page


def glossary_terms(root: Path) -> set[str]:
    """Return the terms of the glossary, as they are written there."""
    source = (root / "glossary.html").read_text()
    terms = re.findall(r'<dt id="term-[^"]*">(.*?)<a class="headerlink"', source, flags=re.S)
    return {word for term in terms for word in re.sub("<[^>]*>", "", term).split()}


def word_faults(text: str, terms: set[str]) -> Iterator[str]:
    """Yield what the rules of words forbid in a block of text."""
    if re.match(r"\s*Gives? (?!up|rise)", text):
        yield f"opens with 'Give': {text.strip()[:60]!r}"
    for found in re.finditer(r"(?<![\w.)\]/…*<>~^-])\.\d", text):
        yield f"a number without its zero: {text[max(0, found.start() - 20) : found.end() + 10]!r}"
    for phrase in PHRASES:
        if phrase in text:
            yield f"{phrase!r}"
    if re.fullmatch(r"\s*As in (…|the [\w ]+|training)\s*\.?\s*", text):
        yield f"documented only by {text.strip()!r}"
    known = terms | set(KNOWN.split())
    for word in re.findall(r"(?<![\w.\"'“”])b?[A-Z]{2,}[0-9]*(?![\w(])", text):
        if word not in known and word.rstrip("s") not in known:
            yield f"an abbreviation that the glossary lacks: {word!r} in {text.strip()[:60]!r}"


def link_faults(page: Page, path: Path, anchors: dict[Path, set[str]]) -> Iterator[str]:
    """Yield links that lead nowhere, and what is loaded from elsewhere."""
    for target in page.loads:
        if urlsplit(target).scheme in ("http", "https") or target.startswith("//"):
            yield f"loads {target}"
    for target in {*page.links, *page.loads}:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or target.startswith("//"):
            continue
        goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        if not goal.exists():
            yield f"no such page: {target}"
        elif parts.fragment and goal in anchors and unquote(parts.fragment) not in anchors[goal]:
            yield f"no such place: {target}"


def site_faults(root: Path) -> Iterator[tuple[str, str]]:
    """Yield page and fault."""
    found = [path for path in sorted(root.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: read_page(path) for path in found}
    anchors = {path.resolve(): page.anchors for path, page in pages.items()}
    terms = glossary_terms(root)
    for path, page in pages.items():
        name = str(path.relative_to(root))
        for fault in link_faults(page, path, anchors):
            yield name, fault
        if name.startswith(("_modules", "genindex", "search", "py-modindex", "_static")):
            continue
        for block in page.text:
            for fault in word_faults(block, terms):
                yield name, fault


def main() -> int:
    """Print the faults of a site."""
    faults = sorted(set(site_faults(Path(sys.argv[1]))))
    for name, fault in faults:
        print(f"{name}: {fault}")
    print(f"{len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
