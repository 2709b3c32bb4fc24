"""The report in a real browser, at the width of a desk and of a phone."""

import json
import os
import shutil

import pytest

from neuroml.batch import read_recipe, report, run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        message = "needs Chromium and its driver (Debian packages chromium, chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    list(run(read_recipe("nitime_fmri"), out))
    return report(out)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_reads_well(browser, page, width, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get(page.as_uri())
    scroll, client = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert width - 20 <= client <= width, "the window does not have the width asked for"
    assert scroll <= client, "the page overflows sideways"
    ids = browser.execute_script("return [...document.querySelectorAll('section')].map(s => s.id)")
    assert ids == ["headline", "scores", "jobs", "provenance"]  # no cohort: it is one recording
    shown = browser.execute_script(SEEN)
    assert len(shown["images"]) == 4
    for image in shown["images"]:
        assert image["complete"] and image["natural"] > 100 and len(image["alt"]) > 30
        assert image["right"] <= client, "figures are scaled, not cut at the right edge"
    # points at 110 dots per inch: at least 9 pixels high on the screen, of the first figure as it
    # is (its smallest letters have 9 points), of the others at least where they are shown larger
    first = shown["images"][0]
    assert 9 / 72 * 110 * first["shown"] / first["natural"] >= 9
    for image in browser.execute_script(LARGER):
        assert 7 / 72 * 110 * image["shown"] / image["natural"] >= 9 - 0.05
    assert min(shown["fonts"]) >= 9
    assert shown["wide"] == [], "tables fold, they are not wider than the page"
    assert shown["contrast"] >= 4.5  # WCAG AA
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    requests = [
        message["params"]["request"]["url"]
        for message in (json.loads(e["message"])["message"] for e in browser.get_log("performance"))
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


SEEN = """
const light = c => {
  const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = light(getComputedStyle(document.body).backgroundColor);
const texts = [...document.querySelectorAll("p, td, th, li, summary, figcaption")];
const contrast = texts.map(e => light(getComputedStyle(e).color))
  .map(v => (Math.max(v, paper) + 0.05) / (Math.min(v, paper) + 0.05));
return {
  images: [...document.images].map(i => ({complete: i.complete, natural: i.naturalWidth,
    shown: i.getBoundingClientRect().width, right: i.getBoundingClientRect().right,
    alt: i.alt})),
  fonts: texts.map(e => parseFloat(getComputedStyle(e).fontSize)),
  wide: [...document.querySelectorAll("table")].filter(t => t.scrollWidth > innerWidth)
    .map(t => t.innerText.slice(0, 40)),
  contrast: Math.min(...contrast),
};
"""

LARGER = """
const larger = [...document.querySelectorAll("a.larger")];
if (larger.length !== document.images.length) throw "every figure can be shown larger";
return larger.map((link, k) => {
  location.hash = link.getAttribute("href");
  const image = document.images[k];
  return {natural: image.naturalWidth, shown: image.getBoundingClientRect().width};
});
"""
