"""The page of `routec graph --format html` in a real browser."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from .conftest import Show
from .policies import DEAD, HELPDESK, HOSTILE, hostile, many

pytestmark = pytest.mark.browser

REQUEST = (
    "--text", "please refund my order TKT-204518",
    "--attr", "tenant=acme",
    "--with", "attack=benign", "--with", "topic=billing", "--with", "orders=delivery", "--with", "refund=0.91",
    "--with", "effort=-0.2",
)  # fmt: skip


def at(page: webdriver.Chrome, selector: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, selector)


def every(page: webdriver.Chrome, selector: str) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, selector)


def cards(page: webdriver.Chrome) -> dict[str, Any]:
    text = page.execute_script("return document.getElementById('data').textContent")
    return dict(json.loads(text)["vertices"])


def scale(page: webdriver.Chrome) -> float:
    return float(page.execute_script("return document.getElementById('view').getCTM().a"))


def middle(page: webdriver.Chrome, selector: str) -> tuple[float, float]:
    box = page.execute_script(
        "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [b.left + b.width / 2, b.top + b.height / 2]",
        selector,
    )
    return float(box[0]), float(box[1])


# --- what is there ---------------------------------------------------------------------


def test_every_vertex_is_drawn_once_and_seen_after_fitting(show: Show) -> None:
    page = show(HELPDESK)
    drawn = [vertex.get_attribute("id") for vertex in every(page, ".vertex")]
    assert sorted(drawn) == sorted(cards(page))
    at(page, "#zoom-fit").click()
    stage = page.execute_script(
        "const b = document.getElementById('stage').getBoundingClientRect();"
        "return [b.left, b.top, b.right, b.bottom]"
    )
    boxes = page.execute_script(
        "return Array.from(document.querySelectorAll('.vertex')).map(v => {"
        "const b = v.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]})"
    )
    for left, top, right, bottom in boxes:
        assert stage[0] <= left < right <= stage[2]
        assert stage[1] <= top < bottom <= stage[3]


@pytest.mark.parametrize("policy", [HELPDESK, DEAD, hostile()], ids=["helpdesk", "dead", "hostile"])
def test_texts_stay_in_their_boxes_and_clear_of_each_other(show: Show, policy: str) -> None:
    page = show(policy)
    boxes = page.execute_script(
        """
        const frame = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
        return Array.from(document.querySelectorAll('.vertex')).map((v) => ({
          id: v.id,
          shape: frame(v.querySelector('.shape')),
          texts: Array.from(v.querySelectorAll(':scope > text, .chip text')).map(frame),
        }));
        """
    )
    assert boxes
    for box in boxes:
        left, top, right, bottom = box["shape"]
        for text in box["texts"]:
            assert left - 0.5 <= text[0], box
            assert text[2] <= right + 0.5, box
            assert top - 0.5 <= text[1], box
            assert text[3] <= bottom + 0.5, box
        for a, b in itertools.combinations(box["texts"], 2):
            wide = min(a[2], b[2]) - max(a[0], b[0])
            high = min(a[3], b[3]) - max(a[1], b[1])
            # Lines of text stand close: their letters may not meet, their line boxes may touch.
            assert wide <= 0.5 or high <= 0.35 * min(a[3] - a[1], b[3] - b[1]), box
    shapes = [box["shape"] for box in boxes]
    for a, b in itertools.combinations(shapes, 2):
        assert min(a[2], b[2]) - max(a[0], b[0]) <= 0.5 or min(a[3], b[3]) - max(a[1], b[1]) <= 0.5


def test_a_thousand_routes_are_bounded_and_found_in_the_list(show: Show) -> None:
    page = show(many(1000), "--no-check")
    assert 100 < len(every(page, ".vertex")) < 700
    assert "vertices are drawn" in at(page, "#drawing").text
    assert len(every(page, ".rule")) == 1000
    at(page, "#query").send_keys("r777")
    assert len([rule for rule in every(page, ".rule") if rule.is_displayed()]) == 1
    assert at(page, "#found").text == "1 in list"


# --- zoom, pan, search -----------------------------------------------------------------


def test_wheel_buttons_and_keys_zoom(show: Show) -> None:
    page = show(HELPDESK)
    at(page, "#zoom-fit").click()
    fitted = scale(page)
    origin = ScrollOrigin.from_element(at(page, "#stage"))
    ActionChains(page).scroll_from_origin(origin, 0, -240).perform()
    assert scale(page) > fitted * 1.2
    ActionChains(page).scroll_from_origin(origin, 0, 240).perform()
    assert scale(page) == pytest.approx(fitted, rel=0.02)
    at(page, "#zoom-in").click()
    assert scale(page) == pytest.approx(fitted * 1.25, rel=0.02)
    assert at(page, "#scale").text == f"{round(scale(page) * 100)}%"
    at(page, "#zoom-out").click()
    at(page, "#zoom-out").click()
    assert scale(page) < fitted
    at(page, "#drawing").send_keys("0")
    assert scale(page) == pytest.approx(fitted)
    at(page, "#drawing").send_keys("+")
    assert scale(page) > fitted
    at(page, "#drawing").send_keys("-")
    assert scale(page) == pytest.approx(fitted, rel=0.01)


def test_the_wheel_zooms_where_the_pointer_is(show: Show) -> None:
    page = show(HELPDESK)
    before = middle(page, "#g-vertex-3, #g-rule-0, .vertex")
    origin = ScrollOrigin.from_viewport(int(before[0]), int(before[1]))
    ActionChains(page).scroll_from_origin(origin, 0, -400).perform()
    after = middle(page, "#g-vertex-3, #g-rule-0, .vertex")
    assert after == pytest.approx(before, abs=3)


def test_dragging_pans_and_is_no_click(show: Show) -> None:
    page = show(HELPDESK)
    before = middle(page, ".vertex")
    vertex = at(page, ".vertex")
    ActionChains(page).move_to_element(vertex).click_and_hold().move_by_offset(
        90, 40
    ).move_by_offset(30, 20).release().perform()
    after = middle(page, ".vertex")
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((120, 60), abs=3)
    assert not every(page, ".vertex.kept")


def test_arrow_keys_pan_the_drawing(show: Show) -> None:
    page = show(HELPDESK)
    before = middle(page, ".vertex")
    at(page, "#drawing").send_keys(Keys.ARROW_RIGHT)
    assert middle(page, ".vertex")[0] == pytest.approx(before[0] - 60, abs=1)


def test_search_finds_rules_and_signals_and_steps_through_them(show: Show) -> None:
    page = show(HELPDESK)
    page.find_element(By.TAG_NAME, "body").send_keys("/")
    query = page.switch_to.active_element
    assert query.get_attribute("id") == "query"
    query.send_keys("refund")
    hits = {vertex.get_attribute("id") for vertex in every(page, ".vertex.hit")}
    about = cards(page)
    assert hits
    assert all("refund" in json.dumps(about[name]) for name in hits)
    assert any(about[name]["title"] == "refunds" for name in hits)
    assert at(page, "#found").text == f"{len(hits)} found"
    query.send_keys(Keys.ENTER)
    assert at(page, "#found").text == f"1 of {len(hits)}"
    assert at(page, "#card").is_displayed()
    query.send_keys(Keys.ESCAPE)
    assert not every(page, ".vertex.hit")
    assert not every(page, ".seeking")


# --- cards -----------------------------------------------------------------------------


def test_hovering_shows_the_whole_condition_its_place_and_share(show: Show) -> None:
    page = show(HELPDESK)
    at(page, "#zoom-fit").click()
    [name] = [n for n, card in cards(page).items() if card["title"] == "private"]
    vertex = at(page, f"#{name}")
    page.execute_script("arguments[0].focus(); arguments[0].blur()", vertex)
    assert not at(page, "#card").is_displayed()
    ActionChains(page).move_to_element(vertex).perform()
    text = at(page, "#card").text
    assert (
        "((pii.any(credit_card) or pii.any(iban)) or "
        "(subject == legal or (topic == legal and subject == unset))) and region == eu"
    ) in text
    line = HELPDESK.splitlines().index("route private priority 300 {") + 1
    assert f"policy.route:{line}" in text
    assert "% of requests" in text
    assert every(page, ".edge.lit")
    ActionChains(page).move_to_element(at(page, "header h1")).perform()
    assert not at(page, "#card").is_displayed()


def test_a_card_is_kept_by_a_click_and_let_go_by_escape(show: Show) -> None:
    page = show(HELPDESK)
    vertex = at(page, ".vertex")
    vertex.click()
    assert at(page, "#card.kept").is_displayed()
    ActionChains(page).move_to_element(at(page, "header h1")).perform()
    assert at(page, "#card").is_displayed()
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not every(page, "#card.kept")


def test_everything_can_be_reached_with_the_keyboard(show: Show) -> None:
    page = show(HELPDESK)
    at(page, "#drawing").send_keys(Keys.TAB)
    first = page.switch_to.active_element
    assert "vertex" in (first.get_attribute("class") or "")
    assert at(page, "#card").is_displayed()
    assert first.get_attribute("role") == "button"
    assert first.get_attribute("aria-label")
    first.send_keys(Keys.ARROW_DOWN)
    second = page.switch_to.active_element
    assert second.get_attribute("id") != first.get_attribute("id")
    assert (
        middle(page, f"#{second.get_attribute('id')}")[1]
        > middle(page, f"#{first.get_attribute('id')}")[1]
    )
    second.send_keys(Keys.ENTER)
    assert "kept" in (second.get_attribute("class") or "")
    reached = set()
    for _ in range(80):
        ActionChains(page).send_keys(Keys.TAB).perform()
        reached.add(
            page.execute_script(
                "const e = document.activeElement; return e.id || e.className || e.tagName"
            )
        )
    assert {"zoom-in", "zoom-out", "zoom-fit", "query", "toggle"} <= reached


# --- a request and findings ------------------------------------------------------------


def test_a_replayed_request_is_lit_along_its_whole_path(show: Show) -> None:
    page = show(HELPDESK, *REQUEST)
    taken = [vertex.get_attribute("id") for vertex in every(page, ".vertex.taken")]
    edges = [
        (e.get_attribute("data-from"), e.get_attribute("data-to"))
        for e in every(page, ".edge.taken")
    ]
    about = cards(page)
    for question, end in (("g", "pass"), ("c", "money"), ("r", "refunds")):
        own = [name for name in taken if name.startswith(question)]
        steps = [edge for edge in edges if edge[0].startswith(question)]
        assert {name for edge in steps for name in edge} == set(own)
        [last] = set(own) - {source for source, _ in steps}
        assert about[last]["title"] == end
    assert any(about[name].get("value") == "topic = billing" for name in taken)
    dimmed, lit = at(page, ".vertex:not(.taken)"), at(page, ".vertex.taken")
    assert (
        float(dimmed.value_of_css_property("opacity"))
        < 0.6
        < float(lit.value_of_css_property("opacity"))
    )
    assert "route refunds to mini" in at(page, "#request").text
    assert "billing" in at(page, "#request table").text


def test_a_dead_route_is_marked_and_leads_to_the_finding_and_back(show: Show) -> None:
    page = show(DEAD)
    badge = at(page, ".vertex.dead .badge")
    assert badge.text == "RC202"
    at(page, "#findings summary").click()
    badge.click()
    finding = page.switch_to.active_element
    assert "RC202" in finding.text
    assert "`slow` can never be chosen" in finding.text
    assert finding.is_displayed()
    finding.find_element(By.CSS_SELECTOR, ".show").click()
    assert "dead" in (page.switch_to.active_element.get_attribute("class") or "")
    assert "RC202" in at(page, "#card").text


def test_the_list_of_rules_leads_to_their_boxes(show: Show) -> None:
    page = show(HELPDESK)
    at(page, "#side .rule[data-vertex]").click()
    assert "vertex" in (page.switch_to.active_element.get_attribute("class") or "")


def test_the_legend_and_the_panel_can_be_closed(show: Show) -> None:
    page = show(HELPDESK)
    legend = at(page, "#legend .inside")
    assert legend.is_displayed()
    at(page, "#legend summary").click()
    assert not legend.is_displayed()
    at(page, "#toggle").click()
    assert not at(page, "#side").is_displayed()
    assert at(page, "#toggle").get_attribute("aria-expanded") == "false"


# --- safety and looks ------------------------------------------------------------------


def test_hostile_texts_are_shown_and_never_run(show: Show) -> None:
    page = show(
        hostile(),
        "--text", HOSTILE[1], "--attr", f"tenant={HOSTILE[0]}",
        file="<img src=x onerror=window.pwned=1>.route",
    )  # fmt: skip
    for vertex in every(page, ".vertex"):
        page.execute_script("arguments[0].focus()", vertex)
    at(page, "#query").send_keys(HOSTILE[0])
    assert page.execute_script("return window.pwned") is None
    assert every(page, "img, iframe, object, embed") == []
    assert len(every(page, "script")) == 2
    assert HOSTILE[1] in at(page, "#request blockquote").text
    assert HOSTILE[0] in at(page, "header .about").text


def test_an_injected_script_is_refused_by_the_page_itself(show: Show) -> None:
    page = show(HELPDESK)
    page.execute_script(
        "try { const s = document.createElement('script'); s.textContent = 'window.pwned = 1';"
        "document.body.append(s) } catch (e) { window.refused = e.name }"
    )
    assert page.execute_script("return [window.pwned, window.refused]") == [None, "TypeError"]
    said = [entry["message"] for entry in page.get_log("browser")]
    assert any("requires 'TrustedScript'" in message for message in said)


def test_the_page_may_not_speak_to_anyone(show: Show) -> None:
    page = show(HELPDESK)
    asked = page.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "fetch('http://127.0.0.1:9/').then(() => done('sent'), (e) => done(e.name))"
    )
    assert asked == "TypeError"
    said = [entry["message"] for entry in page.get_log("browser")]
    assert any("Content Security Policy" in message for message in said), said
    page.get_log("performance")


@pytest.mark.parametrize(("wanted", "dark"), [("light", False), ("dark", True)])
def test_the_page_is_light_or_dark_as_the_reader_prefers(
    show: Show, wanted: str, dark: bool
) -> None:
    page = show(HELPDESK)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": wanted}]},
    )
    ground = at(page, "body").value_of_css_property("background-color")
    red = int(ground.split("(")[1].split(",")[0])
    assert (red < 60) is dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(show: Show, scheme: str) -> None:
    """WCAG 2.2: a contrast of 4.5 for every text of the drawing."""
    page = show(HELPDESK)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    pairs = page.execute_script(
        """
        return Array.from(document.querySelectorAll('.vertex')).flatMap((v) =>
          Array.from(v.querySelectorAll(':scope > text')).map((t) => [
            t.textContent, getComputedStyle(t).fill,
            getComputedStyle(v.querySelector('.shape')).fill,
            getComputedStyle(v.closest('.panel').querySelector('rect')).fill,
          ]));
        """
    )
    assert pairs
    for text, ink, ground, panel in pairs:
        assert contrast(ink, panel if ground == "none" else ground) >= 4.5, (text, ink, ground)


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(p) / 255 for p in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dim = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dim + 0.05)
