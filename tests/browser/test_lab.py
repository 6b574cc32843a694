"""JupyterLab in a browser, as a reader uses it: Run All, figures, progress, an exercise."""

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from fer_utils import series

NAMES = [path.stem for path in series.notebooks()]
SMOKE = dict(DATA="synthetic", PROFILE="smoke", SEED=42, RETRAIN=False)
# Trained anew, at the profile whose one layer takes long enough to be seen at it.
ANEW, ITS_SOURCE, ITS_VALUES = "anew", NAMES[3], SMOKE | dict(PROFILE="short", RETRAIN=True)
SETTINGS = {
    "notification": '{"fetchNews": "false", "checkForUpdates": false}',
    "themes": '{"adaptive-theme": true}',  # light or dark, as the browser is
}
CELL, ERROR = ".jp-Notebook .jp-CodeCell", '.jp-OutputArea [data-mime-type$="error"]'
FIGURE = ".jp-Notebook .jp-OutputArea img"
WATCH = """() => { window.seen = {}; setInterval(() => {
  document.querySelectorAll(".jp-OutputArea progress").forEach((bar, number) => {
    const values = seen[number] ??= [];
    if (values.at(-1) !== bar.position) values.push(bar.position);
  }) }, 50); }"""


def copy(notebook: Path, target: Path, parameters: dict) -> None:
    """Write a notebook without outputs and with other parameters."""
    copied = nbformat.read(notebook, 4)
    for cell in series.code_cells(copied):
        cell.outputs, cell.execution_count = [], None
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    nbformat.write(copied, target)


@pytest.fixture(scope="module")
def lab(browser, fresh_home, tmp_path_factory):
    """The address of a JupyterLab of its own, with copies of the notebooks at `smoke`."""
    room = tmp_path_factory.mktemp("lab")
    (room / "notebooks").mkdir()
    for notebook in series.notebooks():
        copy(notebook, room / "notebooks" / notebook.name, SMOKE)
    copy(series.select([ITS_SOURCE])[0], room / "notebooks" / f"{ANEW}.ipynb", ITS_VALUES)
    settings = room / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    for name, text in SETTINGS.items():
        (settings / f"{name}.jupyterlab-settings").write_text(text, "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    places = dict(JUPYTER_CONFIG_DIR="config", JUPYTER_DATA_DIR="data", JUPYTER_RUNTIME_DIR="run")
    places |= dict(IPYTHONDIR="ipython", FER_HOME=fresh_home)
    environment = os.environ | {name: str(room / place) for name, place in places.items()}
    environment |= {"OMP_NUM_THREADS": "1"}  # two notebooks run at a time
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=mine"]
    with open(room / "log.txt", "w") as log:
        streams = dict(stdout=log, stderr=subprocess.STDOUT)
        server = subprocess.Popen(command, cwd=room / "notebooks", env=environment, **streams)
    address = f"http://127.0.0.1:{port}/"
    while not answers(address):
        assert server.poll() is None, (room / "log.txt").read_text()
        time.sleep(0.2)
    yield address
    server.terminate()
    server.wait()


def answers(address: str) -> bool:
    """Whether a server is there."""
    try:
        return urllib.request.urlopen(f"{address}api?token=mine").status == 200
    except OSError:
        return False


def choose(page, menu: str, entry: str) -> None:
    """Choose an entry of a menu with the mouse."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


@pytest.fixture(scope="module")
def start(lab, open_page):
    """A function: name of a notebook -> its page, all cells on their way, and the asked hosts."""

    def start(name):
        page, hosts = open_page(1200, 1400)
        page.goto(f"{lab}lab/workspaces/{name}/tree/{name}.ipynb?token=mine")
        page.get_by_text("| Idle").wait_for()
        page.evaluate(WATCH)
        choose(page, "Run", "Run All Cells")
        return page, hosts

    return start


@pytest.fixture(scope="module")
def started():
    """The pages of notebooks that run, by name."""
    return {}


@pytest.fixture
def finished(name, start, started):
    """A notebook's page when it has run, and the asked hosts; the next notebook runs meanwhile."""
    here = NAMES.index(name)
    for each in NAMES[here : here + 2]:
        if each not in started:
            started[each] = start(each)
    page, hosts = started.pop(name)
    wait_for_the_end(page)
    yield page, hosts
    choose(page, "Kernel", "Shut Down Kernel")
    page.get_by_text("No Kernel").first.wait_for()
    page.close()


def wait_for_the_end(page) -> None:
    """Wait until the last cell has its number or one has failed."""
    last = page.locator(CELL).last.locator(".jp-InputPrompt").filter(has_text=re.compile(r"\d"))
    last.or_(page.locator(ERROR)).first.wait_for(state="attached")


def figure_pixels(page, figure, path: Path) -> np.ndarray:
    """What the screen shows of a figure, without its edge; the whole screen is kept as `path`."""
    box = None
    while box != (now := figure.bounding_box()):  # cells that come into view grow and move it
        box = now
        figure.scroll_into_view_if_needed()
        screen = Image.open(io.BytesIO(page.screenshot(path=path))).convert("L")
    left, top = int(box["x"]) + 2, int(box["y"]) + 2
    part = (left, top, left + int(box["width"]) - 4, top + int(box["height"]) - 4)
    return np.asarray(screen.crop(part), dtype=int)


@pytest.mark.parametrize("name", NAMES)
def test_run_all_ends_and_figures_are_seen_light_and_dark(name, finished, screenshots):
    page, hosts = finished
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).first.inner_text()
    prompts = page.locator(f"{CELL} .jp-InputPrompt").all_text_contents()
    # The first cell, for Colab and Kaggle, is folded away with its number.
    assert prompts == ["", *(f"[{number}]:" for number in range(2, len(prompts) + 1))]
    assert hosts == {"127.0.0.1"}
    figures = page.locator(FIGURE).all()
    assert figures, "no figure"
    seen = {"light": [], "dark": []}
    for scheme, pictures in seen.items():
        page.emulate_media(color_scheme=scheme)
        is_light = str(scheme == "light").lower()
        page.locator(f'body[data-jp-theme-light="{is_light}"]').wait_for(state="attached")
        for number, figure in enumerate(figures):
            path = screenshots / f"lab-{name}-{number:02}-{scheme}.png"
            pictures.append(figure_pixels(page, figure, path))
    for number, (light, dark) in enumerate(zip(*seen.values(), strict=True)):
        assert min(light.shape) > 40 and np.ptp(light) > 128, f"nothing to see in {number}"
        # Half a pixel further up, edges are other greys; a page that shines through is far more.
        assert np.abs(light - dark).mean() < 20, f"figure {number} is another one in the dark"


@pytest.fixture(scope="module")
def anew(start):
    """The page of a notebook that has trained its networks again."""
    page, _ = start(ANEW)
    wait_for_the_end(page)
    yield page
    choose(page, "Kernel", "Shut Down Kernel")
    page.close()


def test_progress_is_seen_moving(anew):
    bars = anew.evaluate("seen")
    moving = [values for values in bars.values() if len(set(values)) >= 4]
    assert moving, f"no bar was seen on its way: {bars}"
    assert all(values == sorted(values) and values[-1] == 1 for values in moving)


def test_an_exercise_says_not_yet_and_then_yes(anew, screenshots):
    place = anew.locator(CELL).filter(has_text="exercises.check(safe_softmax")
    solutions = nbformat.read(series.FOLDER / "solutions" / f"{ITS_SOURCE}.ipynb", as_version=4)
    (right,) = [cell.source for cell in solutions.cells if "def safe_softmax" in cell.source]
    tries = {
        "wrong": ("safe_softmax = softmax", "not yet: only differences"),
        "right": (right, "✓"),
    }
    for kind, (answer, said) in tries.items():
        place.locator(".cm-line").nth(0).click()
        anew.keyboard.press("Home")
        anew.keyboard.press("Shift+End")
        anew.keyboard.insert_text(answer.strip())
        anew.keyboard.press("Control+Enter")
        place.locator(".jp-OutputArea").get_by_text(said).wait_for()
        anew.screenshot(path=screenshots / f"lab-exercise-{kind}.png")
