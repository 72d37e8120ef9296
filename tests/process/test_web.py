#!/usr/bin/python3
"""The web page in a real browser: a controller, an agent, guests that the test plays. Screenshots are artefacts.

After each test the browser's console has no error, and nothing was asked of anybody but the controller.
"""

import json
from pathlib import Path
import shutil
import sys
import tempfile
from typing import Any, Callable
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from controller_case import ScriptedAgent
from raw_guest import RawGuest
from suite import BUILD, Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, free_port, http_metrics, http_request, wait_until

try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ARTEFACTS = BUILD / "artefacts" / "web"
DESKTOP = (1280, 900)
PHONE = (390, 844)
INVENTORY = """
[guest g1]
name = web-1
host = compute-1
group = web
[guest g2]
name = web-2
host = compute-1
group = web
[group web]
name = web
"""


class Browser:
    """Chromium without a window, with what it logs and asks for."""

    def __init__(self, folder: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        # The tests run as root in containers: no sandbox of its own, no shared memory.
        for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", f"user-data-dir={folder}"):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.resize(DESKTOP)

    def resize(self, size: tuple[int, int]) -> None:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """light or dark"""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def text(self) -> str:
        return self.run("return document.body.innerText")

    def wait_text(self, *parts: str) -> None:
        try:
            wait_until(lambda: all(part in self.text() for part in parts), f"the page shows {parts}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.text()}") from None

    def press(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        return self.run("return document.activeElement.innerText")

    def tab_to(self, text: str) -> None:
        def arrived() -> bool:
            self.press(Keys.TAB)
            return self.focused() == text

        wait_until(arrived, f"the keyboard arrives at '{text}'")

    def click(self, text: str) -> None:
        """What is drawn again may be gone by the time of the click."""

        def clicked() -> bool:
            try:
                found = self.driver.find_elements(By.XPATH, f"//*[self::a or self::button][normalize-space()='{text}']")
                for element in found[:1]:
                    element.click()
                return bool(found)
            except StaleElementReferenceException:
                return False

        wait_until(clicked, f"'{text}' is clicked")

    def type_into(self, selector: str, text: str) -> None:
        wait_until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), f"there is {selector}")
        field = self.driver.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text)

    def screenshot(self, name: str) -> None:
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))

    def console_errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]

    def quit(self) -> None:
        self.driver.quit()


@unittest.skipUnless(webdriver and CHROMIUM and DRIVER, "needs chromium, chromium-driver and python3-selenium")
class WebTestCase(ProcessTestCase):
    browser: Browser

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.browser = Browser(Path(cls.enterClassContext(tempfile.TemporaryDirectory())))
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.browser.resize(DESKTOP)
        self.browser.prefer("light")

    def start_controller(self, inventory: str = INVENTORY, **more: str) -> Controller:
        self.port = free_port()
        listen = f"unix:{self.dir}/controller/http.sock 127.0.0.1:{self.port}"
        self.controller = Controller(self.dir / "controller", self.inspector, http__listen=listen, **more)
        self.addCleanup(self.controller.close)
        self.controller.write_inventory(inventory)
        return self.controller

    def start_guests(self, *names: str) -> list[RawGuest]:
        self.agent = Agent(self.dir / "compute-1", "compute-1", self.controller, bus__report_interval="1 s")
        self.addCleanup(self.agent.close)
        guests = [RawGuest(self.agent.channels, name) for name in names]
        for guest in guests:
            self.addCleanup(guest.close)
            guest.register()
            self.agent.wait_state(guest.id, "registered")
        return guests

    def open(self, path: str = "") -> None:
        self.base = f"http://127.0.0.1:{self.port}/"
        self.browser.driver.get("about:blank")
        self.browser.console_errors()
        self.browser.requests()
        self.browser.driver.get(self.base + path)

    def assert_clean(self, allowed: Callable[[str], bool] = lambda message: False) -> None:
        self.assertEqual([error for error in self.browser.console_errors() if not allowed(error)], [])
        elsewhere = [url for url in self.browser.requests() if not url.startswith((self.base, "about:"))]
        self.assertEqual(elsewhere, [])


class WhatIsWrong(WebTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_controller()
        self.guest, self.other = self.start_guests("g1", "g2")

    def lose_guest(self) -> None:
        self.guest.answering = False
        self.browser.wait_text("1 fault", "Heartbeat lost", "web-1")

    def test_a_fault_appears_and_goes_without_a_reload(self) -> None:
        self.open()
        self.browser.wait_text("Nothing is wrong", "2 watched", "Live")
        self.browser.run("window.sameDocument = true")
        self.lose_guest()
        self.browser.wait_text("critical", "compute-1", "1 faulty")
        self.browser.screenshot("now-fault")
        self.guest.answering = True
        self.browser.wait_text("Nothing is wrong", "No fault is open.")
        self.assertTrue(self.browser.run("return window.sameDocument"))
        self.assert_clean()

    def test_the_keyboard_alone_reaches_a_faults_journal(self) -> None:
        self.open()
        self.lose_guest()
        self.browser.press(Keys.TAB)
        self.assertEqual(self.browser.focused(), "Skip to the content")
        self.browser.tab_to("Heartbeat lost")
        self.browser.press(Keys.ENTER)
        self.browser.wait_text("Journal", "Opened", "Acknowledged by inspector")
        self.assertEqual(self.browser.run("return document.activeElement.tagName"), "H1")
        self.browser.screenshot("fault")
        self.assert_clean()

    def test_events_are_shown_over_time(self) -> None:
        self.open("#/events")
        self.browser.wait_text("Nothing has happened")
        self.guest.answering = False
        self.agent.wait_state("g1", "lost")
        self.guest.answering = True
        self.browser.wait_text("opened", "cleared", "Heartbeat lost")
        self.browser.screenshot("events")
        self.assert_clean()

    def test_a_guests_round_trips_are_drawn_as_they_come(self) -> None:
        self.open("#/guests/g1")
        self.browser.wait_text("web-1", "Heartbeat", "Last round trip", "It had none")
        points = "return document.querySelector('.trips polyline')?.getAttribute('points').split(' ').length ?? 0"
        wait_until(lambda: self.browser.run(points) >= 3, "three round trips are drawn")
        self.browser.screenshot("guest")
        self.assert_clean()

    def test_hosts_and_groups_are_shown(self) -> None:
        self.open("#/hosts")
        self.browser.wait_text("compute-1", "connected", "this controller")
        self.browser.click("Groups")
        self.browser.click("web")
        self.browser.wait_text("web-1", "web-2", "Receives messages")
        self.browser.screenshot("group")
        self.agent.close()
        self.browser.click("Hosts")
        self.browser.wait_text("lost")
        self.browser.click("Now")
        self.browser.wait_text("Agent lost", "2 uncovered")
        self.browser.click("2 uncovered")
        self.browser.wait_text("its agent is not connected")
        self.assert_clean()

    def test_maintenance_is_shown_while_it_lasts(self) -> None:
        self.open()
        self.browser.wait_text("Nothing is wrong")
        window = {"scope": "host", "name": "compute-1", "seconds": 3600, "reason": "new kernel", "by": "me"}
        body = json.dumps(window).encode()
        status, answer = http_request(self.controller.http, "/v1/maintenance", "POST", body)
        self.assertEqual(status, 201, answer)
        self.browser.wait_text("Maintenance", "host compute-1", "new kernel")
        http_request(self.controller.http, f"/v1/maintenance/{json.loads(answer)['id']}/end", "POST")
        wait_until(lambda: "new kernel" not in self.browser.text(), "the maintenance is over")
        self.assert_clean()

    def test_it_is_dark_and_light_as_the_system_is(self) -> None:
        self.open()
        self.lose_guest()
        background = "return getComputedStyle(document.body).backgroundColor"
        light = self.browser.run(background)
        self.browser.prefer("dark")
        self.browser.screenshot("now-dark")
        self.assertNotEqual(self.browser.run(background), light)
        self.assert_clean()

    def test_it_fits_a_phone(self) -> None:
        self.browser.resize(PHONE)
        for path in ("", "#/guests", "#/guests/g1", "#/hosts", "#/groups/web", "#/events"):
            self.open(path)
            self.browser.wait_text("Live")
            wait_until(lambda: "Loading" not in self.browser.text(), f"{path} is loaded")
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), PHONE[0], path)
        self.open()
        self.lose_guest()
        self.browser.screenshot("now-phone")
        self.assert_clean()

    def test_it_shows_when_it_is_not_live(self) -> None:
        self.open()
        self.browser.wait_text("Live", "Nothing is wrong")
        self.controller.close()
        self.browser.wait_text("Not live: disconnected")
        self.controller.start()
        wait_until(lambda: "Not live" not in self.browser.text(), "the page is live again")
        self.assert_clean(lambda message: "ERR_" in message)


class HostileNames(WebTestCase):
    NAME = '<img src=x onerror="window.taken = true">'

    def test_what_others_have_named_is_text(self) -> None:
        self.start_controller(f"[guest g1]\nname = {self.NAME}\nhost = compute-1\ngroup = web\n[group web]\nname = </a>{self.NAME}\n")
        guest, = self.start_guests("g1")
        guest.answering = False
        for path, shown in (("", self.NAME), ("#/guests", self.NAME), ("#/guests/g1", self.NAME), ("#/groups", "</a>"),
                            ("#/groups/web", self.NAME), ("#/events", self.NAME), ("#/guests/%zz", "No such guest")):
            self.open(path)
            self.browser.wait_text("Live", shown)
            self.assertIsNone(self.browser.run("return window.taken ?? null"), path)
        self.assert_clean(lambda message: "404" in message)


class Access(WebTestCase):
    def test_the_page_asks_for_a_token_and_uses_it(self) -> None:
        secret = self.dir / "token"
        secret.write_text("reader-secret\n")
        secret.chmod(0o600)
        self.start_controller(http__reader_token_file=secret)
        self.open()
        self.browser.wait_text("Reading needs a reader's token")
        self.browser.type_into(".token input", "wrong" + Keys.ENTER)
        self.browser.wait_text("does not take that token")
        self.browser.type_into(".token input", "reader-secret" + Keys.ENTER)
        self.browser.wait_text("Now", "Live", "2 guests")
        self.assertEqual(self.browser.run("return localStorage.length + document.cookie.length"), 0)
        self.browser.click("Forget the token")
        self.browser.wait_text("Reading needs a reader's token")
        self.assert_clean(lambda message: "401" in message)


class ManyGuests(WebTestCase):
    GUESTS = 50_000
    HOSTS = 10

    def start_with_guests(self) -> None:
        self.start_controller("")
        for host in range(self.HOSTS):
            numbers = range(host, self.GUESTS, self.HOSTS)
            guests = [{"guest": f"vm-{n:05}", "name": f"name-{n:05}", "state": "registered"} for n in numbers]
            agent = ScriptedAgent(self.controller.bus, f"compute-{host:02}", guests=guests)
            self.addCleanup(agent.close)
        wait_until(lambda: self.controller.status()["guests"]["registered"] == self.GUESTS, "all guests are reported")

    def show_times(self) -> None:
        """Figures of this machine, for whoever compares them; a loaded one has others."""
        opened = self.browser.run("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        shown = self.browser.run("return Math.max(...performance.getEntriesByType('resource').map((each) => each.responseEnd))")
        turn = http_metrics(self.controller.http)["vitalwire_controller_loop_longest_turn_seconds"]
        text = f"50 000 guests: page opened after {opened:.0f} ms, its last answer after {shown:.0f} ms, " \
               f"longest turn of the last minutes, all reports included, {turn * 1000:.1f} ms"
        (ARTEFACTS / "times-50000.txt").write_text(f"{text}\n")
        print(text)

    def test_the_page_loads_counts_and_the_first_guests_only(self) -> None:
        self.start_with_guests()
        self.open()
        self.browser.wait_text("50\u202f000 guests")
        self.browser.screenshot("now-50000")
        self.show_times()
        self.browser.click("Guests")
        self.browser.wait_text("name-00000", "Next page")
        rows = "return document.querySelectorAll('tbody tr').length"
        self.assertEqual(self.browser.run(rows), 50)
        loaded = "return performance.getEntriesByType('resource').reduce((sum, each) => sum + each.transferSize, 0)"
        self.assertLess(self.browser.run(loaded), 200_000)
        self.browser.screenshot("guests-50000")
        self.browser.click("Next page")
        wait_until(lambda: "name-00000" not in self.browser.text(), "the next page is shown")
        self.browser.click("Previous")
        self.browser.wait_text("name-00000")
        self.browser.type_into("input[type=search]", "NAME-49999")
        self.browser.wait_text("vm-49999")
        self.assertEqual(self.browser.run(rows), 1)
        self.assert_clean()


if __name__ == "__main__":
    unittest.main()
