"""What all tests share: a home of their own, few threads, tiny data sets, the real one."""

import csv
import io
import os
import signal
import tarfile
import zipfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before torch is imported

import matplotlib
import numpy as np
import pytest
from PIL import Image

from fer_utils import CLASSES, ROOT

# Not by MPLBACKEND: the kernels of executed notebooks inherit that and would draw nothing.
matplotlib.use("Agg")

LAYOUTS = (
    "official",
    "seminar",
    "seminar deep",
    "split folders",
    "fer2013.csv",
    "icml_face_data.csv",
)
FORMS = ("folder", "zip", "tar", "tar.gz")
PREFIXES = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
CSV_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory):
    """One FER_HOME for the session: the synthetic faces are drawn once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, shared_home):
    """No test sees the user's data, runs or settings."""
    monkeypatch.delenv("FER_DATA", raising=False)
    monkeypatch.delenv("FER_HIDE_FACES", raising=False)
    monkeypatch.setenv("FER_HOME", str(shared_home))


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory):
    """A home that is empty at first, as on a new machine: all notebooks that are run at `smoke`, by
    papermill and in a browser, share their runs in it, whichever worker of pytest-xdist asks, and
    with FER_TEST_HOME whichever environment of .ci/run.
    """
    base = tmp_path_factory.getbasetemp()
    own = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "fresh_home"
    folder = Path(os.environ.get("FER_TEST_HOME") or own)
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def home(own_environment, tmp_path, monkeypatch):
    """An empty FER_HOME, nothing published, one thread; SIGTERM's handler is put back."""
    import patterns  # with torch, after OMP_NUM_THREADS is set

    from fer_utils import runs

    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(runs, "PUBLISHED", tmp_path / "published")
    handler = signal.getsignal(signal.SIGTERM)
    with patterns.one_thread():
        yield tmp_path / "home"
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function: (name, *sources) -> the path of a notebook, in a series of the test's own."""
    import small_notebooks

    from fer_utils import series

    folder = tmp_path / "note books é"
    folder.mkdir()
    monkeypatch.setattr(series, "FOLDER", folder)
    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))

    def write(name, *sources, **parts):
        return small_notebooks.write(folder / f"{name}.ipynb", *sources, **parts)

    return write


@pytest.fixture(scope="session")
def real_data():
    """The path of the real FER2013; the test is skipped where there is none."""
    path = Path(os.environ.get("FER_TEST_DATA") or ROOT.parent / "shared/data/fer2013.tar.gz")
    if not path.exists():
        pytest.skip(f"no real FER2013: {path} is not there (set FER_TEST_DATA to a copy)")
    return path


@pytest.fixture
def tiny_files():
    """A function: layout (one of LAYOUTS) -> {name: content} of a tiny data set."""
    return make_files


@pytest.fixture
def store():
    """A function: ({name: content}, path, form) -> path, written as folder, zip, tar or tar.gz."""
    return write_files


@pytest.fixture
def tiny(tmp_path):
    """A function: (layout, form) -> the path of a tiny data set, 3 + 2 + 2 images a class.

    In the seminar's layouts, which have no test folder, 3 + 4.
    """

    def make(layout="official", form="folder"):
        return write_files(make_files(layout), tmp_path / f"faces {layout} {form}", form)

    return make


def make_files(layout):
    """All images differ; pixel [0, 0] is the label and [0, 1] the split (0, 1, 2)."""
    drawn = np.random.default_rng(0)
    files, rows = {}, []
    for number, (split, label) in enumerate(
        (split, label) for label in range(7) for split in (0, 0, 0, 1, 1, 2, 2)
    ):
        image = drawn.integers(0, 256, (48, 48), dtype=np.uint8)
        image[0, :2] = label, split
        usage = list(PREFIXES)[split]
        rows.append([CSV_ORDER.index(CLASSES[label]), " ".join(map(str, image.ravel())), usage])
        folder = {
            "official": PREFIXES[usage],
            "split folders": ("train", "validation", "test")[split],
            "seminar": ("images/train", "images/validation", "images/validation")[split],
            "seminar deep": "images/images/" + ("train", "validation", "validation")[split],
        }.get(layout)
        stem = f"{usage}_{number}" if layout == "official" else number
        files[f"{folder}/{CLASSES[label]}/{stem}.png"] = png(image)
    if layout == "fer2013.csv":
        return {layout: table(["emotion", "pixels", "Usage"], rows)}
    if layout == "icml_face_data.csv":
        rows = [[emotion, usage, pixels] for emotion, pixels, usage in rows]
        return {layout: table(["emotion", " Usage", " pixels"], rows)}
    return files


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def table(header, rows):
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


def write_files(files, path, form="folder"):
    if form == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if form == "tar.gz" else "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path
