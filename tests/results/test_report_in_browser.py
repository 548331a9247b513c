"""A report is used in a real browser: pointed at, clicked, typed at, touched, saved from, printed."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from svl.results import report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed, in which the tests use a report")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LR, STEP = "model.optimizer.lr", 500


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Opens a page; in the end it has complained of nothing and asked for nothing but its own file."""
    contexts, complaints, asked = [], [], []

    def open_page(path, viewport=DESKTOP, **options):
        context = browser.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(30_000)  # on a machine that is busy
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            shown.wait_for_selector("html[data-ready]", state="attached")
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith(("file:", "blob:")) for url in asked)
    assert not [url for url in asked if not url.endswith(".html") and url.startswith("file:")]


@pytest.fixture(scope="module")
def nine_page(nine, tmp_path_factory):
    path = tmp_path_factory.mktemp("browser") / "nine.html"
    path.write_text(report.render([report.load(nine)]), encoding="utf-8")
    return path


def panel(shown, metric, title):
    return shown.get_by_role("slider", name=f"{metric}, {title}: measurement", exact=True)


def ticks(live, anchor):
    """Numbers and places of the ticks of an axis."""
    texts = live.locator(f'text[text-anchor="{anchor}"]:not(.unit)').evaluate_all(
        "texts => texts.map(t => [t.textContent, +t.getAttribute('x'), +t.getAttribute('y')])"
    )
    sizes = {"": 1.0, "k": 1e3, "M": 1e6}
    place = 1 if anchor == "middle" else 2
    numbers = [(re.fullmatch(r"([-\d.e]+)([kM]?)", text[0]), text[place]) for text in texts]
    return [(float(number[1]) * sizes[number[2]], pixel) for number, pixel in numbers]


def line_through(points):
    (first, at_first), (last, at_last) = points[0], points[-1]
    return lambda number: at_first + (number - first) / (last - first) * (at_last - at_first)


def point_at(live, samples):
    """Move the mouse to a number of samples."""
    live.scroll_into_view_if_needed()
    x = line_through(ticks(live, "middle"))(samples)
    live.hover(position={"x": x, "y": 60})


def at_step(rows, size, lr, step=STEP):
    arm = rows[(rows["data.size"] == size) & (rows[LR] == lr) & (rows["step"] == step)]
    return arm["val/accuracy"].to_numpy(np.float64)


def interval(values):
    """Student's, by SciPy."""
    values = values[np.isfinite(values)]
    if np.ptp(values) == 0:
        return [values.mean(), np.nan, np.nan]
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return [values.mean(), max(0, low), min(1, high)]


def read_out(text):
    return [float(number) / 100 for number in re.findall(r"\d+\.\d", text)]


def visible_arms(live):
    return set(live.locator("g[data-arm]").evaluate_all("all => all.map(g => g.dataset.arm)"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pointing_at_a_panel_shows_each_arms_mean_and_interval(opened, nine_page, nine_arms, scheme):
    shown = opened(nine_page, color_scheme=scheme)
    for lr in (0.3, 1.0):  # at a rate of 1 a seed has diverged, which is left out
        live = panel(shown, "val/accuracy", f"lr = {lr:g}")
        point_at(live, STEP * 128)
        tip = live.locator(".tip")
        assert tip.locator("strong").inner_text() == "step 500, 64k samples"
        rows = tip.locator("tr").all()
        assert [row.locator("th").inner_text() for row in rows] == ["4096", "16384", "online"]
        for row, size in zip(rows, (4096, 16384, "online"), strict=True):
            values = at_step(nine_arms, size, lr)
            if lr == 1.0:
                values[3] = np.nan
            assert read_out(row.locator("td").last.inner_text()) == pytest.approx(interval(values), abs=6e-4)
        height = line_through(ticks(live, "end"))(interval(values)[0])
        circle = live.locator(".cursor circle").last
        assert float(circle.get_attribute("cy")) == pytest.approx(height, abs=0.6)
    assert len(shown.locator(".cursor .line").all()) == 9  # in every panel, but read out in one
    assert shown.locator(".tip:visible").count() == 1
    shown.mouse.move(5, 5)
    assert shown.locator(".tip:visible").count() == 0
    colours = shown.locator(".panel text").first.evaluate(
        "text => [getComputedStyle(text).fill, getComputedStyle(document.body).backgroundColor]"
    )
    brightness = [np.mean([int(part) for part in re.findall(r"\d+", colour)]) for colour in colours]
    assert (brightness[0] < brightness[1]) == (scheme == "light")
    assert abs(brightness[0] - brightness[1]) > 100


def test_the_legend_switches_arms_in_all_panels(opened, nine_page):
    shown = opened(nine_page)
    panels = shown.locator(".live").all()
    assert len(panels) == 9
    legend = shown.get_by_role("group", name="Arms: show or hide")
    middle = legend.get_by_role("button", name="16384")
    assert middle.get_attribute("aria-pressed") == "true"
    middle.click()
    assert middle.get_attribute("aria-pressed") == "false"
    assert all(visible_arms(live) == {"4096", "online"} for live in panels)
    middle.press("Space")
    assert all(visible_arms(live) == {"4096", "16384", "online"} for live in panels)
    legend.get_by_role("button", name="none", exact=True).click()
    assert all(visible_arms(live) == set() for live in panels)
    legend.get_by_role("button", name="all", exact=True).click()
    assert all(len(visible_arms(live)) == 3 for live in panels)
    legend.get_by_role("button", name="4096").hover()
    assert panels[0].locator("g[data-arm].faded").count() == 2


def test_axes_are_samples_or_steps_and_linear_or_logarithmic(opened, nine_page):
    shown = opened(nine_page)
    live = panel(shown, "val/loss", "lr = 0.3")
    assert live.locator(".unit").text_content() == "samples"
    assert ticks(live, "middle")[-1][0] >= 1e5
    shown.get_by_label("steps", exact=True).check()
    assert live.locator(".unit").text_content() == "steps"
    numbers, pixels = np.transpose(ticks(live, "middle"))
    assert numbers[-1] == 1000
    np.testing.assert_allclose(
        np.diff(pixels) / np.diff(numbers), (pixels[-1] - pixels[0]) / np.ptp(numbers), rtol=0.02
    )
    for name, anchor in (("x", "middle"), ("y", "end")):
        shown.get_by_label(name, exact=True).check()
        numbers, pixels = np.transpose(ticks(live, anchor))
        assert (numbers > 0).all() and len(numbers) >= 2
        slopes = np.diff(pixels) / np.diff(np.log(numbers))
        np.testing.assert_allclose(slopes, slopes[0], rtol=0.05)
    first = live.locator("g[data-arm] path").first.get_attribute("d")
    assert "NaN" not in first and "Infinity" not in first and first.count("L") == 19  # without step 0


def test_single_seeds_are_drawn_on_demand(opened, nine_page):
    shown = opened(nine_page)
    live = panel(shown, "val/accuracy", "lr = 1")
    assert live.locator(".seeds").count() == 0
    shown.get_by_label("single seeds").check()
    drawn = live.locator(".seeds").evaluate_all("paths => paths.map(path => path.getAttribute('d'))")
    assert [path.count("M") for path in drawn] == [8, 8, 8]
    # Every measurement of the seven seeds that stayed finite, and those up to step 200 of the one that diverged.
    assert [len(re.findall("[ML]", path)) for path in drawn] == [7 * 21 + 5] * 3


def test_the_numbers_can_be_saved(opened, nine_page, nine_arms, nine):
    shown = opened(nine_page, accept_downloads=True)
    tables = {}
    for name in ("Curves as CSV", "Arms as CSV"):
        with shown.expect_download() as waiting:
            shown.get_by_role("button", name=name).click()
        tables[name] = pd.read_csv(waiting.value.path())
        assert waiting.value.suggested_filename.endswith(".csv")
    curves = tables["Curves as CSV"]
    assert set(curves["metric"]) == {"val/accuracy", "val/loss", "norm_ratio"}
    assert len(curves) == 3 * 9 * 21
    for size in (4096, "online"):
        one = curves[(curves["metric"] == "val/accuracy") & (curves["data.size"] == str(size)) & (curves[LR] == 0.3)]
        assert list(one["step"]) == list(range(0, 1001, 50))
        assert list(one["samples"]) == [128 * step for step in one["step"]]
        expected = [interval(at_step(nine_arms, size, 0.3, step)) for step in one["step"]]
        np.testing.assert_allclose(one[["mean", "low", "high"]].to_numpy(), expected, atol=1e-5, rtol=0)
        assert set(one["seeds"]) == {8}
    late = curves[(curves["metric"] == "val/loss") & (curves[LR] == 1.0) & (curves["step"] > 200)]
    assert set(late["seeds"]) == {7}
    arms = tables["Arms as CSV"]
    found = report.load(nine).summary["arms"]
    assert list(arms["arm"]) == [arm["label"] for arm in found]
    assert list(arms["censored"]) == [arm["censored"] for arm in found]
    medians = [arm["samples_to_target"]["median"] for arm in found]
    np.testing.assert_allclose(arms["samples_to_target.median"], [np.nan if m is None else m for m in medians])


def test_keys_move_through_the_measurements(opened, nine_page, nine_arms):
    shown = opened(nine_page)
    live = panel(shown, "val/accuracy", "lr = 0.3")
    shown.get_by_role("button", name="Arms as CSV").focus()
    shown.keyboard.press("Tab")
    shown.keyboard.press("Tab")
    assert live.evaluate("live => live === document.activeElement")
    assert live.get_attribute("aria-valuenow") == "20"
    assert live.locator(".tip").is_visible()
    for key, step in (("ArrowLeft", 950), ("Home", 0), ("ArrowRight", 50), ("PageUp", 550), ("End", 1000)):
        shown.keyboard.press(key)
        assert live.get_attribute("aria-valuetext").startswith(f"step {step:,}")
    means = live.get_attribute("aria-valuetext").split("; ")
    assert len(means) == 3 and means[2].startswith("online ")
    assert read_out(means[2].removeprefix("online")) == pytest.approx(
        interval(at_step(nine_arms, "online", 0.3, 1000)), abs=6e-4
    )
    shown.keyboard.press("Escape")
    assert not live.locator(".tip").is_visible()


def test_a_finger_on_a_phone_reads_a_panel_and_nothing_scrolls_sideways(opened, nine_page):
    shown = opened(nine_page, PHONE, is_mobile=True, has_touch=True)
    live = panel(shown, "val/accuracy", "lr = 0.3")
    live.scroll_into_view_if_needed()
    live.tap(position={"x": 250, "y": 100})
    box = live.locator(".tip").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    finger = live.bounding_box()
    assert box["y"] + box["height"] < finger["y"] + 100 or box["y"] > finger["y"] + 100  # not under the finger
    wide = """() => [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > 390.5)
      .filter(e => !e.closest(".scroll, pre, svg, .live")).map(e => e.outerHTML.slice(0, 80))"""
    assert shown.evaluate(wide) == []
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    heights = shown.locator(".tools button").evaluate_all("all => all.map(b => b.getBoundingClientRect().height)")
    assert min(heights) >= 40
    shown.locator("h1").tap()
    assert not live.locator(".tip").is_visible()


def test_without_javascript_and_in_print_the_page_has_its_pictures(opened, nine_page):
    plain = opened(nine_page, java_script_enabled=False)
    assert plain.locator("figure svg:visible").count() == 12
    assert not plain.locator(".tools").is_visible()
    shown = opened(nine_page)
    assert shown.locator(".still svg:visible").count() == 0
    assert shown.locator(".live svg.panel:visible").count() == 9
    shown.emulate_media(media="print")
    assert shown.locator(".still svg:visible").count() == 9
    assert shown.locator(".live:visible").count() == 0
    assert not shown.locator(".tools").is_visible()
    assert shown.get_by_text("The speed-up is a ratio").is_visible()


def test_the_page_takes_the_width_of_a_desktop_and_labels_lie_beside_the_curves(opened, nine_page):
    shown = opened(nine_page)
    boxes = [live.bounding_box() for live in shown.locator(".live").all()[:3]]
    assert len({box["y"] for box in boxes}) == 1
    assert boxes[-1]["x"] + boxes[-1]["width"] > 0.95 * 1440
    label, line = shown.locator(".level").first.bounding_box(), shown.locator(".live .rule").first.bounding_box()
    assert label["x"] > line["x"] + line["width"]
    overlapping = """() => [...document.querySelectorAll(".panel")].flatMap(svg => {
      const boxes = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect())
      return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
        a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom))
    }).length"""
    assert shown.evaluate(overlapping) == 0


def test_thirty_arms_are_told_apart_by_the_nearest(opened, curves_of, make_run, tmp_path):
    rates = [round(0.01 * 1.2**place, 5) for place in range(30)]
    rows = curves_of({LR: rates}, lambda s: 300 / s[LR] ** 0.5, seeds=2, every=250)
    run = report.load(make_run(tmp_path / "e" / "r", rows, [LR]))
    path = tmp_path / "thirty.html"
    path.write_text(report.render([run]), encoding="utf-8")
    shown = opened(path)
    assert shown.locator(".question").inner_text().count("0.0") < 5
    live = shown.locator(".live").first
    assert live.locator("g[data-arm]").count() == 30
    live.hover(position={"x": 300, "y": 100})
    assert live.locator(".tip tr").count() == 10
    assert live.locator(".tip").inner_text().endswith("and 20 more")


def test_a_page_of_a_fit_that_runs_reloads_and_keeps_what_was_chosen(opened, two_arms, make_run, tmp_path):
    rows = two_arms[two_arms["step"] <= 500]
    folder = make_run(tmp_path / "e" / "r", rows, ["data.size"], finished=False)
    page = report.render([report.load(folder)], reload=1)
    path = tmp_path / "watched.html"
    path.write_text(page, encoding="utf-8")
    shown = opened(path)
    shown.get_by_role("button", name="4096").click()
    shown.get_by_label("steps", exact=True).check()
    shown.locator(".live").first.hover()
    path.write_text(page.replace("step 500 of", "step 600 of"), encoding="utf-8")
    shown.wait_for_timeout(1300)
    assert shown.get_by_text("step 500 of").count() == 1  # not under the reader's hand
    shown.mouse.move(2, 2)
    shown.get_by_text("step 600 of").wait_for()
    shown.wait_for_selector("html[data-ready]", state="attached")
    assert visible_arms(shown.locator(".live").first) == {"online"}
    assert shown.locator(".unit").first.text_content() == "steps"
    shown.get_by_label("Reload the page").uncheck()
    path.write_text(report.without_reloading(page), encoding="utf-8")
    shown.wait_for_timeout(1300)
    assert shown.get_by_text("step 600 of").count() == 1
    assert "refresh" not in report.without_reloading(page)
