"""What stays in a file, of everything that the package draws: the same every time, readable on any page, by anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import nbformat
import nh3
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbconvert import HTMLExporter
from playwright.sync_api import Page
from support.attacks import ATTACKS
from support.jupyter import browser
from support.specimens import GOLDEN, comparison, golden, saved, things

from llm_gateway_nb.notebook.show import html_of
from llm_gateway_nb.notebook.static_html import page as whole_page

PAGES = {
    "JupyterLab": ("#ffffff", "rgba(0, 0, 0, 0.87)"),
    "VS Code": ("#ffffff", "#3b3b3b"),
    "JupyterLab, dark": ("#111111", "#ffffff"),
    "VS Code, dark": ("#1e1e1e", "#cccccc"),
    "GitHub, dark": ("#0d1117", "#e6edf3"),
}
AXE = {
    "resultTypes": ["violations"],
    "rules": {"heading-order": {"enabled": False}},
}  # the headings are the model's own

GITHUB_TAGS = set(
    re.findall(
        r"\w+",
        "h1 h2 h3 h4 h5 h6 br b i strong em a pre code img tt div ins del sup sub p ol ul table thead tbody tfoot blockquote dl dt "
        "dd kbd q samp var hr ruby rt rp li tr td th s strike summary details caption figure figcaption abbr bdo cite dfn mark "
        "small span time wbr",
    )
)
GITHUB_ATTRIBUTES = {
    "*": {"align", "alt", "colspan", "open", "rowspan", "scope", "start", "title"},
    "a": {"href"},
    "img": {"src"},
}
"""Of the allow-list of html-pipeline, by which GitHub cuts a notebook's HTML, the attributes that we use: no style, no class.

https://github.com/gjtorikian/html-pipeline/blob/main/lib/html_pipeline/sanitization_filter.rb
"""


class Words(HTMLParser):
    """The text of a page, block by block."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def words(html: str) -> list[str]:
    reader = Words()
    reader.feed(html)
    return reader.words


def github(html: str) -> str:
    """What GitHub leaves of it."""
    return nh3.clean(
        html, tags=GITHUB_TAGS, attributes=GITHUB_ATTRIBUTES, url_schemes={"http", "https", "mailto"}, link_rel=None
    )


@pytest.mark.parametrize("name", [path.name for path in sorted(GOLDEN.glob("*.html"))])
def test_a_saved_picture_is_what_it_was(name: str) -> None:
    """`make golden` accepts a change; look at it first."""
    assert golden()[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_there_is_a_golden_file_of_every_picture() -> None:
    assert sorted(golden()) == sorted(path.name for path in GOLDEN.glob("*.html"))


@pytest.mark.parametrize("name", ["story", "midway", "comparison", "messages", "permissions", "tool"])
def test_github_leaves_every_word_and_every_fold(name: str) -> None:
    html = saved()[name]
    left = github(html)
    assert words(left) == words(html)
    assert left.count("<details") == html.count("<details")
    assert left.count("<table") == html.count("<table")
    assert "style=" not in left


def test_without_styles_what_stood_apart_still_does() -> None:
    text = re.sub(r"<[^>]*>", "", github(saved()["story"]))
    assert "● stopped at its limit · Area · scripted · 6 of 6 iterations" in text
    assert "bash rm -r data denied" in text
    assert "✓ subagent done · small" in text


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 900, "height": 900})
        page.route(re.compile("^http"), lambda route: route.abort())
        yield page
        page.close()


def complaints(page: Page, context: str) -> str:
    """What axe has to say of it, everything unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    found = Axe().run(page, context=context, options=AXE)
    return "" if found.violations_count == 0 else str(found.generate_report())


@pytest.mark.browser
@pytest.mark.parametrize("place", PAGES)
def test_everybody_can_read_it_on_a_light_page_and_on_a_dark_one(page: Page, place: str) -> None:
    """Contrast of 4.5 : 1 among it, measured on the very ground that the page has."""
    paper, ink = PAGES[place]
    body = "".join(f"<section>{html}</section>" for html in saved().values())
    page.set_content(f'<!doctype html><body style="background:{paper};color:{ink}"><main>{body}</main></body>')
    assert complaints(page, "main") == ""


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("template", ["lab", "classic"])
def test_nbconvert_makes_a_page_of_it_that_everybody_can_read(page: Page, template: str, theme: str) -> None:
    outputs = [
        nbformat.v4.new_output("display_data", {"text/plain": "", "text/html": html}) for html in saved().values()
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("run", outputs=outputs)])
    html, _ = HTMLExporter(template_name=template, theme=theme).from_notebook_node(notebook)
    page.set_content(html)
    assert page.locator('[data-lgnb="run"]').first.is_visible()
    assert complaints(page, ".jp-RenderedHTMLCommon, .output_html") == ""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_a_page_of_its_own_follows_the_reader_s_theme(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_content(whole_page(saved()["story"], "A run"))
        page.add_style_tag(content="body { background: Canvas }")  # axe takes a page without a ground for white
        assert complaints(page, "body") == ""
    page.emulate_media(color_scheme="light")


# -- what must never happen --------------------------------------------------------------------------------------------


HOSTILE = [attack for attack in ATTACKS if len(attack) < 1000]


@pytest.mark.browser
def test_nothing_that_a_model_said_runs_loads_or_covers_in_any_card_or_comparison(page: Page) -> None:
    """Without any sanitiser between: as a trusted notebook shows it, and nbviewer."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    body = "".join(html for attack in HOSTILE for html in pictures_of(attack))
    page.goto("about:blank")  # without the policy of a page that was here before
    page.set_content("<!doctype html><script>window.alerts = 0; window.alert = () => alerts++</script><main></main>")
    page.evaluate("(html) => { document.querySelector('main').innerHTML = html }", body)  # as a notebook puts it in
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = !one.open; one.open = true })")
    page.locator("main img").evaluate_all("all => Promise.all(all.map((one) => one.decode().catch(() => null)))")
    assert page.evaluate("alerts") == 0
    assert [url for url in asked if not url.startswith("data:image/png;base64,")] == []
    assert page.locator(f"main :is({BAD_ELEMENTS})").count() == 0


BAD_ELEMENTS = (
    "script, style, svg, iframe, form, button, object, embed, a:not([href^=http]), img:not([src^='data:image/png;base64,']), "
    "[onerror], [onload], [ontoggle], [onclick], [onmouseover], [style*='position'], [style*='url(']"
)


def pictures_of(text: str) -> Iterator[str]:
    """Everything that is saved but a run, which has its own test, with `text` in every place that is not ours."""
    yield from filter(None, map(html_of, things(text).values()))
    yield comparison(text)
