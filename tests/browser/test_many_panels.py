"""Two hundred agents with panels on one page of JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser
from support.jupyter import Server, open_notebook
from support.many_panels import assert_nothing_is_lost, question, show_all, wait_until_all_are_over

pytestmark = [pytest.mark.browser, pytest.mark.timeout(480)]


def test_one_of_two_hundred_running_panels_takes_a_click_and_all_of_them_show_all_that_was_said(
    browser: Browser, server: Server
) -> None:
    notebook = open_notebook(browser, server, ["pass"], kernel="ipykernel-newest")
    show_all(notebook)
    question(notebook).click()
    wait_until_all_are_over(notebook)
    assert_nothing_is_lost(notebook)
    notebook.close()
    assert notebook.errors == []
