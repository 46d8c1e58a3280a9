"""What all tests share: one thread a worker, a workspace of their own, and in CI steady examples from hypothesis."""

import gc
import itertools
import os
import signal

import hypothesis
import pytest

from tests.browsers import BROWSER

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # read by torch and NumPy when they load

# Processes that tests start find what the one before them compiled, also where somebody asked Python to keep nothing.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Started by nohup, all processes would inherit that Ctrl-C is not for them. Tests press it themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine may be busy: an example that takes long is no failure.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
    derandomize="CI"
    in os.environ,  # A change is not refused for what chance found elsewhere; at the desk it may find it.
)
hypothesis.settings.load_profile("house")


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: then short ones are left for the end, and no worker waits for another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
    gc.freeze()  # what was collected stays: nobody need look through thousands of tests for garbage again


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """One folder for the workspaces of all tests: `mktemp` reads all its neighbours first, which costs half a minute
    where each of them is made by it."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def home(homes, monkeypatch):
    """A workspace of the test's own, so that no test touches the user's."""
    folder = next(homes)
    folder.mkdir()
    monkeypatch.setenv("MAQUETTE_HOME", str(folder))
    monkeypatch.delenv("MAQUETTE_DEBUG", raising=False)
    return folder


# Tests say themselves when the machine counts as busy, whatever else runs beside them.
if hasattr(os, "getloadavg"):
    os.getloadavg = lambda: (0.0, 0.0, 0.0)


@pytest.fixture(scope="session")
def browser():
    """A real browser, one for all tests of a process: Playwright bears no second one beside it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # In a container the browser has no sandbox of its own; the pages come from this machine.
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
