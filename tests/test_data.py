"""Every layout is read alike, bad input is named, cache and fetched data can be trusted."""

import io
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import patterns
import pytest
from PIL import Image

import fer_utils
from fer_utils import CLASSES, SPLITS, UserError, data, fetching, seminar, synthetic
from fer_utils.data import DataError

FOLDERS = ("official", "seminar", "seminar deep", "split folders")
CSVS = ("fer2013.csv", "icml_face_data.csv")
FORMS = ("folder", "zip", "tar", "tar.gz")
COUNTS = {"train": (3,) * 7, "validation": (2,) * 7, "test": (2,) * 7}  # of the tiny sets
symlinks = pytest.mark.skipif(sys.platform == "win32", reason="symlinks need rights on Windows")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def same(one, other):
    arrays = ("images", "labels", "names", "splits")
    return (
        one.fingerprint == other.fingerprint
        and one.report == other.report
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )


def refusal(path):
    """The message with which ``path`` is refused: one sentence, with its name in it."""
    with pytest.raises(DataError) as caught:
        data.load(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message, message
    return message


# ---------------------------------------------------------------- layouts


@pytest.mark.parametrize("layout", FOLDERS + CSVS)
def test_every_layout_reads_the_same_in_every_form(layout, tiny):
    """Pixel [0, 0] of the tiny images is their class, [0, 1] their split."""
    faces, *others = (data.load(tiny(layout, form)) for form in FORMS)
    assert all(same(faces, other) for other in others)
    assert faces.images.shape == (49, 48, 48) and faces.images.dtype == np.uint8
    assert faces.labels.dtype == np.int64 and (faces.images[:, 0, 0] == faces.labels).all()
    assert (faces.counts()[0] == 3).all() and faces.counts().sum() == 49
    if layout in FOLDERS:
        assert [name.split("/")[1] for name in faces.names] == [CLASSES[k] for k in faces.labels]
    if not layout.startswith("seminar"):
        assert [SPLITS[k] for k in faces.images[:, 0, 1]] == faces.splits.tolist()
    assert faces.report["refused"] == [] and faces.report["converted"] == 0


@pytest.mark.parametrize("layout", CSVS)
def test_bare_csv_whatever_its_name(layout, tiny, tmp_path):
    path = tiny(layout) / layout
    faces = data.load(path.rename(tmp_path / "faces.jpg"))
    assert faces.counts().tolist() == [list(row) for row in COUNTS.values()]


@pytest.mark.parametrize("form", FORMS[1:])
def test_archives_are_known_by_content_not_by_name(form, tiny, tmp_path):
    path = tiny("official", form)
    assert data.load(path.rename(tmp_path / "faces.csv")).counts().sum() == 49


def test_csv_numbers_are_mapped_to_alphabetical_order(store, tiny_files, tmp_path):
    """The challenge's 3 is happy as in ours, but its 4, 5, 6 are sad, surprise, neutral."""
    lines = tiny_files("fer2013.csv")["fer2013.csv"].decode().splitlines()
    numbers = [int(line.split(",")[0]) for line in lines[1:]]
    faces = data.load(store({"a.csv": "\n".join(lines).encode()}, tmp_path / "a"))
    order = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert [CLASSES[label] for label in faces.labels] == [order[number] for number in numbers]


def test_halving_is_the_same_everywhere_and_loses_nothing(tiny):
    """Names tell that validation and test are disjoint and together what validation was."""
    one, other = data.load(tiny("seminar", "folder")), data.load(tiny("seminar deep", "zip"))
    assert one.fingerprint == other.fingerprint and (one.names == other.names).all()
    held_out = one.splits != "train"
    assert [name.startswith("validation/") for name in one.names] == held_out.tolist()
    assert one.counts().sum(1).tolist() == [21, 14, 14]
    assert "halved" in one.report["layout"]
    order = one.splits[held_out]
    assert (order[:14] == "test").any() and (order[14:] == "test").any(), "not cut in the middle"


def test_tar_made_of_the_folder_it_stood_in(store, tiny_files, tmp_path, tiny):
    """`tar -cf faces.tar .` puts ./ before every name."""
    files = {f"./{name}": content for name, content in tiny_files("official").items()}
    assert same(data.load(store(files, tmp_path / "faces", "tar")), data.load(tiny("official")))


def test_archives_are_read_in_place(store, tiny_files, tmp_path):
    (tmp_path / "in").mkdir()
    files = tiny_files("official") | {"../../escaped.png": b"x", "/escaped.png": b"x"}
    for form in FORMS[1:]:
        faces = data.load(store(files, tmp_path / "in" / form, form))
        assert faces.report["refused"] == ["../../escaped.png", "/escaped.png"]
    written = {file.relative_to(tmp_path).parts[:2] for file in tmp_path.rglob("*")}
    assert written == {
        ("in",),
        ("home",),
        ("home", "cache"),
        ("in", "zip"),
        ("in", "tar"),
        ("in", "tar.gz"),
    }
    assert not list(tmp_path.parent.rglob("escaped.png"))


def test_a_link_out_of_an_archive_is_not_followed(store, tiny_files, tmp_path):
    path = store(tiny_files("official"), tmp_path / "faces.tar", "tar")
    (tmp_path / "secret.png").write_bytes(b"secret")
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("train/happy/Training_99.png")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../secret.png"
        archive.addfile(link)
    assert "Training_99.png" in refusal(path) or "secret.png" in refusal(path)


def test_stray_files_are_left_out_and_reported(store, tiny_files, tmp_path):
    stray = [
        ".DS_Store",
        "__MACOSX/train/happy/._Training_1.png",
        "test/fear/desktop.ini",
        "train/.ipynb_checkpoints/a.png",
        "train/happy/.DS_Store",
        "train/happy/Thumbs.db",
    ]
    files = tiny_files("official") | dict.fromkeys(stray, b"?") | {"README.txt": b"?"}
    faces = data.load(store(files, tmp_path / "faces"))
    assert faces.counts().sum() == 49
    assert faces.report["refused"] == sorted([*stray, "README.txt"])


def test_the_challenges_own_zip_has_other_tables_too(store, tiny_files, tmp_path):
    files = tiny_files("icml_face_data.csv") | {
        "train.csv": b"emotion,pixels\n0,1 2\n",
        "test.csv": b"pixels\n1 2\n",
    }
    faces = data.load(store(files, tmp_path / "challenge.zip", "zip"))
    assert faces.counts().sum() == 49 and faces.report["refused"] == ["test.csv", "train.csv"]


@pytest.mark.parametrize("folder", ["daten é x", "数据 (1)"])
def test_spaces_and_unicode_in_paths(folder, store, tiny_files, tmp_path):
    (tmp_path / folder).mkdir()
    path = store(tiny_files("official"), tmp_path / folder / "ü ber", "folder")
    archive = store(
        {f"ä ö/{name}": content for name, content in tiny_files("official").items()},
        tmp_path / folder / "ü ber.zip",
        "zip",
    )
    assert data.load(path).fingerprint == data.load(archive).fingerprint


def test_relative_paths(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny("official"))
    here = data.load(".")
    monkeypatch.chdir(tmp_path.parent)
    assert same(data.load(here.source), here), "the source is good in any folder"


@symlinks
def test_links_are_followed_once(tiny, tmp_path):
    target = tiny("official")
    before = data.load(target).fingerprint
    (target / "train").rename(tmp_path / "elsewhere")
    (target / "train").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (target / "loop").symlink_to(target, target_is_directory=True)
    (target / "test" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link").symlink_to(target, target_is_directory=True)
    assert data.load(tmp_path / "link").fingerprint == before


# ---------------------------------------------------------------- images that are not 48×48 grey


def encoded(mode, size=(48, 48), kind="PNG"):
    """An even grey of 100 (white for 1-bit) in another mode or size."""
    grey = Image.new("L", size, 100)
    image = (
        Image.fromarray(np.full(size[::-1], 100 * 257, np.uint16))
        if mode == "I;16"
        else (grey.convert("RGB").quantize(4) if mode == "P" else grey.convert(mode))
    )
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


CONVERTED = [
    encoded("RGB"),
    encoded("RGBA"),
    encoded("LA"),
    encoded("P"),
    encoded("I;16"),
    encoded("CMYK", kind="TIFF"),
    encoded("RGB", kind="JPEG"),
    encoded("L", (96, 70)),
]


def test_colour_and_other_sizes_are_converted_and_counted(store, tiny_files, tmp_path):
    files = tiny_files("official")
    names = sorted(name for name in files if name.startswith("train/sad") or "surprise" in name)
    files |= dict(zip(names, CONVERTED)) | {names[len(CONVERTED)]: encoded("1")}
    faces = data.load(store(files, tmp_path / "faces"))
    assert faces.report["converted"] == len(CONVERTED) + 1
    for name in names[: len(CONVERTED)]:
        image = faces.images[list(faces.names).index(name)]
        assert abs(image.astype(int) - 100).max() <= 2, name
    assert set(np.unique(faces.images[list(faces.names).index(names[len(CONVERTED)])])) <= {0, 255}


# ---------------------------------------------------------------- bad input


def without(part):
    return lambda files: {name: content for name, content in files.items() if part not in name}


def renamed(old, new):
    return lambda files: {name.replace(old, new): content for name, content in files.items()}


def with_content(name, shorten):
    return lambda files: files | {name: shorten(files[name])}


def twice(files):
    return files | {f"copy/{name}": content for name, content in files.items()}


FIRST = "train/angry/Training_0.png"
BAD_FOLDERS = {
    "missing class": (without("train/disgust"), ["train/disgust", "all seven", "restore"]),
    "missing in test": (without("test/happy"), ["test/happy", "restore"]),
    "missing in one half of test": (
        lambda files: {
            name: content
            for name, content in files.items()
            if not ("fear" in name and "PublicTest" in name)
        },
        ["validation/fear", "restore"],
    ),
    "unknown class": (renamed("train/happy", "train/joy"), ["train/joy", "rename or remove"]),
    "no train": (without("train/"), ["train/angry", "restore"]),
    "no images": (lambda files: {"notes.txt": b"text"}, ["no images", "train/<class>/"]),
    "class folders alone": (
        lambda files: {name.partition("/")[2]: files[name] for name in files},
        ["no images", "train/<class>/"],
    ),
    "truncated image": (with_content(FIRST, lambda c: c[: len(c) // 2]), [FIRST, "replace or"]),
    "empty image": (with_content(FIRST, lambda c: b""), [FIRST, "replace or delete"]),
    "text as image": (with_content(FIRST, lambda c: b"<html>"), [FIRST, "replace or delete"]),
    "other file": (
        lambda files: files | {"train/sad/Training_notes.txt": b"text"},
        ["train/sad/Training_notes.txt", "replace or delete"],
    ),
    "one name not official": (
        renamed("Training_0.png", "0.png"),
        ["train/angry/0.png", "rename or remove"],
    ),
    "two copies": (twice, ["twice", "copy", "give one"]),
    "csv beside images": (
        lambda files: files | {"f.csv": b"emotion,pixels,Usage\n"},
        ["twice", "f.csv", "give one"],
    ),
}


@pytest.mark.parametrize("form", ["folder", "tar.gz"])
@pytest.mark.parametrize("change, words", BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_folders_are_named(change, words, form, store, tiny_files, tmp_path):
    path = store(change(tiny_files("official")), tmp_path / "faces", form)
    message = refusal(path)
    assert all(word in message for word in words), message


def test_an_empty_class_folder_is_a_missing_class(store, tiny_files, tmp_path):
    path = store(without("train/disgust")(tiny_files("official")), tmp_path / "faces")
    (path / "train" / "disgust").mkdir()
    assert "train/disgust" in refusal(path)


def test_only_training_images(store, tiny_files, tmp_path):
    path = store(without("validation")(tiny_files("seminar")), tmp_path / "faces")
    assert "add a test/ or validation/ folder" in refusal(path)


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refusal(tmp_path / "empty")


def spoilt_row(number, column, value):
    def change(lines):
        row = lines[number].split(",")
        row[column] = value
        return [*lines[:number], ",".join(row), *lines[number + 1 :]]

    return change


PIXELS = ["1"] * 2304
BAD_CSVS = {
    "without Usage": (lambda lines: [line.rpartition(",")[0] for line in lines], ["Usage", "give"]),
    "semicolons": (lambda lines: [line.replace(",", ";") for line in lines], ["columns"]),
    "header only": (lambda lines: lines[:1], ["train/angry", "restore"]),
    "a class is missing": (
        lambda lines: [line for line in lines if line[:2] != "1,"],
        ["train/disgust, validation/disgust", "restore"],
    ),
    "too few pixels": (spoilt_row(4, 1, " ".join(PIXELS[1:])), ["line 5:", "2,304 pixels"]),
    "too bright": (spoilt_row(4, 1, " ".join([*PIXELS[1:], "256"])), ["line 5:", "delete"]),
    "negative": (spoilt_row(4, 1, " ".join([*PIXELS[1:], "-1"])), ["line 5:", "delete"]),
    "letters": (spoilt_row(4, 1, " ".join([*PIXELS[1:], "x"])), ["line 5:", "delete"]),
    "letters after a number": (
        spoilt_row(4, 1, " ".join([*PIXELS[1:], "12x"])),
        ["line 5:", "delete"],
    ),
    "fractions": (spoilt_row(4, 1, " ".join([*PIXELS[1:], "1.5"])), ["line 5:", "delete"]),
    "no pixels": (spoilt_row(4, 1, ""), ["line 5:", "delete"]),
    "emotion 7": (spoilt_row(9, 0, "7"), ["line 10:", "emotion 0 to 6"]),
    "emotion -1": (spoilt_row(9, 0, "-1"), ["line 10:", "emotion 0 to 6"]),
    "Usage": (spoilt_row(49, 2, "Train"), ["line 50:", "Training, PublicTest, PrivateTest"]),
    "cut off": (lambda lines: [*lines[:-1], lines[-1][:50]], ["line 50:", "delete"]),
}


@pytest.mark.parametrize("change, words", BAD_CSVS.values(), ids=BAD_CSVS)
def test_bad_csvs_are_named(change, words, tiny_files, tmp_path):
    lines = tiny_files("fer2013.csv")["fer2013.csv"].decode().splitlines()
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(change(lines)))
    message = refusal(path)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_cut_off_archives(form, tiny):
    """A tar is cut in a picture, in a header, after a picture, and at its very end."""
    path = tiny("official", form)
    content = path.read_bytes()
    with zipfile.ZipFile(path) if form == "zip" else tarfile.open(path) as archive:
        member = archive.infolist()[30] if form == "zip" else archive.getmembers()[30]
    start = member.header_offset if form == "zip" else member.offset
    lengths = [100, start + 700, start + 100, start, len(content) - 1]
    if form == "tar":
        lengths[-1] = archive.offset  # what follows is padding
    for length in lengths if form != "tar.gz" else [30, len(content) // 2, len(content) - 20]:
        path.write_bytes(content[:length])
        assert "copy or download it again" in refusal(path), length


def test_damaged_archives(tiny):
    path = tiny("official", "zip")
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    assert "copy or download it again" in refusal(path)


def test_encrypted_zips(tiny):
    path = tiny("official", "zip")
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the "encrypted" bit of the first file
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    assert "encrypted" in refusal(path)


def test_wrong_paths(tmp_path):
    assert "does not exist: give a folder, zip, tar or csv" in refusal(tmp_path / "no such")
    (tmp_path / "picture.jpg").write_bytes(encoded("L", kind="JPEG"))
    assert "holds no images: give a folder" in refusal(tmp_path / "picture.jpg")
    with pytest.raises(DataError, match="fetch` first"):
        data.load("fer2013")
    with pytest.raises(DataError, match="fetch --seminar-split` first"):
        data.load("fer2013-seminar-split")


def test_unknown_split(tiny):
    with pytest.raises(ValueError, match="train, validation, test"):
        data.load(tiny()).split("valid")


# ---------------------------------------------------------------- the cache


@pytest.mark.parametrize(
    "layout, form", [("official", "folder"), ("official", "tar.gz"), ("fer2013.csv", "zip")]
)
def test_a_second_load_reads_no_image(layout, form, tiny, monkeypatch):
    path = tiny(layout, form)
    first = data.load(path)
    monkeypatch.setattr(data, "read", None)
    assert same(first, data.load(path))


@pytest.fixture
def cached(tiny, home):
    """A data set, how it was read the first time, and its file in the cache."""
    path = tiny()
    first = data.load(path)
    (file,) = (home / "cache").iterdir()
    return path, first, file


@pytest.mark.parametrize(
    "content", [lambda c: b"", lambda c: c[: len(c) // 2], lambda c: c[:-1], lambda c: b"<html>"]
)
def test_a_damaged_cache_is_built_again(content, cached, monkeypatch, capsys):
    path, first, file = cached
    file.write_bytes(content(file.read_bytes()))
    assert same(first, data.load(path))
    assert f"{file.name} is damaged" in capsys.readouterr().out
    monkeypatch.setattr(data, "read", None)
    assert same(first, data.load(path)), "it was not built again"


def test_no_flipped_bit_gets_through(cached):
    path, first, file = cached
    good = file.read_bytes()
    draw = random.Random(0).sample
    bits = draw(range(8 * len(good)), 20)
    bits += [546, 976, *draw(range(8 * 200), 20)]  # the header of the images
    bits += draw(range(8 * (len(good) - 600), 8 * len(good)), 20)  # the index of the zip
    for bit in bits:
        content = bytearray(good)
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        assert same(first, data.load(path)), bit


def test_changed_and_added_images_are_noticed(tiny, tmp_path):
    path = tiny()
    first = data.load(path)
    (path / "train/sad/Training_100.png").write_bytes(encoded("L"))
    added = data.load(path)
    (path / "train/sad/Training_100.png").write_bytes(encoded("1"))
    changed = data.load(path)
    (path / "train/sad/Training_100.png").rename(path / "train/fear/Training_100.png")
    moved = data.load(path)
    assert [f.counts()[0, 5] for f in (first, added, changed, moved)] == [3, 4, 4, 3]
    assert len({f.fingerprint for f in (first, added, changed, moved)}) == 4
    (path / "train/fear/Training_100.png").unlink()
    assert same(first, data.load(path))


def test_a_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FER_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written.*set FER_HOME"):
        data.load(tiny())


def test_a_full_disk(tiny, home, monkeypatch):
    path = tiny()

    def full(number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DataError, match="No space.*FER_HOME"):
        patch.setattr(os, "fsync", full)
        data.load(path)
    assert list((home / "cache").iterdir()) == []
    assert data.load(path).counts().sum() == 49


def test_a_kill_leaves_no_half_cache(tiny, home):
    path = tiny()
    code = (
        "import os, sys; os.replace = lambda *names: os._exit(9); from fer_utils import data; "
        "data.load(sys.argv[1])"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)])
    assert killed.returncode == 9 and not list((home / "cache").glob("*.npz"))
    assert data.load(path).counts().sum() == 49


# ---------------------------------------------------------------- which data is taken


@pytest.fixture
def official(monkeypatch):
    """The tiny data set counts as the complete one, in both divisions."""
    for module in (data, fetching):
        monkeypatch.setattr(module, "CLASS_COUNTS", COUNTS)
    counts = {"train": (3,) * 7, "validation": (4,) * 7}
    monkeypatch.setattr(fetching, "SEMINAR_CLASS_COUNTS", counts)


@pytest.fixture
def drawn(monkeypatch):
    """A few drawn faces, quickly."""
    images = np.random.default_rng(1).integers(0, 256, (21, 48, 48), dtype=np.uint8)
    faces = images, np.tile(np.arange(7), 3), np.repeat(SPLITS, 7)
    monkeypatch.setattr(synthetic, "faces", lambda seed: faces)


@pytest.fixture
def attached(monkeypatch, tmp_path):
    """Kaggle's folder of attached data sets, empty."""
    folder = tmp_path / "input"
    for module in (data, fetching):
        monkeypatch.setattr(module, "ATTACHED", folder)
    return folder


@pytest.mark.parametrize("place", ["datasets/msambare/fer2013", "fer2013"])
def test_auto_takes_what_kaggle_attached(
    place, attached, store, tiny_files, tiny, home, official, drawn
):
    assert data.load().synthetic
    store(tiny_files("official"), attached / place)
    faces = data.load()
    assert (faces.source, faces.official) == ("fer2013", True)
    assert same(faces, data.load("fer2013")) and not (home / "fer2013").exists()
    fetching.fetch(tiny("official", "zip"))  # one's own goes first
    assert data.folder_of("fer2013") == home / "fer2013"


def test_own_results_are_in_the_working_folder_where_there_is_no_clone(
    tiny, tmp_path, monkeypatch, capsys
):
    faces = data.load(tiny("official"))
    assert "own results" not in faces.describe()
    monkeypatch.setattr(fer_utils, "INSTALLED", True)
    assert faces.describe().endswith(f"14 test (own results: {fer_utils.home()})")
    monkeypatch.delenv("FER_HOME")
    monkeypatch.chdir(tmp_path)
    assert faces.describe().endswith(f"(own results: {tmp_path / 'fer_data'})")


def test_auto_takes_FER_DATA_then_fetched_then_synthetic(tiny, home, official, drawn, monkeypatch):
    (home / "fer2013").mkdir(parents=True)
    (home / "fer2013" / ".DS_Store").write_text("not data")
    faces = data.load()
    assert faces.synthetic and not faces.official
    assert faces.describe() == (
        "Data: synthetic faces (drawn, no photographs): 7 train, 7 validation, 7 test"
    )
    fetching.fetch(tiny("official", "zip"))
    faces = data.load()
    assert (faces.source, faces.synthetic, faces.official) == ("fer2013", False, True)
    assert faces.describe() == (
        "Data: fer2013 (FER2013, official split): 21 train, 14 validation, 14 test"
    )
    monkeypatch.setenv("FER_DATA", str(tiny("seminar", "tar")))
    faces = data.load()
    assert faces.describe().startswith("Data: faces seminar tar: 21 train")
    assert faces.source == str(tiny("seminar", "tar").resolve())
    assert data.load("synthetic").synthetic and data.load("fer2013").official
    monkeypatch.setenv("FER_DATA", "synthetic")
    assert data.load().synthetic


def test_a_folder_called_synthetic_is_not_synthetic(store, tiny_files, tmp_path, monkeypatch):
    store(tiny_files("official"), tmp_path / "synthetic")
    monkeypatch.chdir(tmp_path)
    faces = data.load("./synthetic")
    assert not faces.synthetic and "drawn" not in faces.describe()
    assert faces.title == "synthetic" and same(data.load(faces.source), faces)


def test_synthetic_faces_are_cached_by_version(drawn, monkeypatch):
    first = data.load("synthetic")
    monkeypatch.setattr(synthetic, "faces", None)
    assert same(first, data.load("synthetic"))
    monkeypatch.setattr(synthetic, "VERSION", -1)
    with pytest.raises(TypeError):
        data.load("synthetic")


@pytest.mark.parametrize("layout", ["official", "fer2013.csv"])
@pytest.mark.parametrize("form", FORMS)
def test_the_source_gives_the_same_faces_again(layout, form, tiny):
    faces = data.load(tiny(layout, form))
    assert same(data.load(faces.source), faces)
    assert faces.title and "/" not in faces.title and faces.title in faces.source


def test_the_source_of_named_data_is_its_name(tiny, official, drawn):
    fetching.fetch(tiny("official"))
    for name in ("synthetic", "fer2013"):
        faces = data.load(name)
        assert faces.source == faces.title == name and same(data.load(faces.source), faces)


@pytest.mark.parametrize(("images", "small"), [(9_999, True), (10_000, False)])
def test_training_images_decide_whether_data_is_small(images, small):
    faces = patterns.faces({"train": images, "validation": 7, "test": 7})
    assert faces.small is small
    assert patterns.faces({"train": 7, "validation": 7, "test": images}).small


def test_chosen_images_have_the_classes_in_proportion():
    labels = np.repeat(np.arange(7), [70, 10, 70, 120, 90, 80, 60])
    chosen = data.choose(labels, 50)
    assert len(chosen) == len(set(chosen)) == 50 and (np.diff(chosen) > 0).all()
    assert np.bincount(labels[chosen]).tolist() == [7, 1, 7, 12, 9, 8, 6]
    assert np.array_equal(data.choose(labels, 50), chosen)
    for count in (None, 500, 9999):
        assert np.array_equal(data.choose(labels, count), np.arange(500))


# ---------------------------------------------------------------- fetch


@pytest.fixture
def kagglehub(monkeypatch):
    """A stand-in for kagglehub that "downloads" ``.folder``; its calls are kept."""
    module = SimpleNamespace(folder=None, calls=[])

    def dataset_download(handle, path=None, force_download=False, output_dir=None):
        module.calls.append((handle, force_download))
        if isinstance(module.folder, Exception):
            raise module.folder
        return str(module.folder)

    module.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


def test_fetch_downloads_a_pinned_version(kagglehub, tiny, home, official):
    kagglehub.folder = tiny("official")
    faces = fetching.fetch()
    assert kagglehub.calls == [("msambare/fer2013/versions/1", True)]
    assert faces.source == "fer2013" and faces.official
    assert len(list((home / "fer2013").rglob("*.png"))) == 49
    assert sorted(entry.name for entry in home.iterdir()) == ["cache", "fer2013"]


def test_fetch_says_what_it_found_and_copies_nothing_that_colab_attached(
    attached, kagglehub, store, tiny_files, home, official, capsys
):
    kagglehub.folder = store(tiny_files("official"), attached / "fer2013")
    faces = fetching.fetch()
    assert capsys.readouterr().out == f"Found {attached / 'fer2013'}\n"
    assert faces.official and same(faces, data.load())
    assert [entry.name for entry in home.iterdir()] == ["cache"]


def test_fetch_the_seminars_split(kagglehub, tiny, home, official):
    kagglehub.folder = tiny("seminar")
    faces = fetching.fetch(seminar_split=True)
    assert kagglehub.calls == [
        ("jonathanoheix/face-expression-recognition-dataset/versions/1", True)
    ]
    assert faces.source == "fer2013-seminar-split"
    assert same(faces, data.load("fer2013-seminar-split")) and not (home / "fer2013").exists()


@pytest.mark.parametrize("lost", ["train/happy/Training_21.png", "train/happy", ""])
def test_fetch_counts_what_kagglehub_calls_complete(
    lost, kagglehub, store, tiny_files, tmp_path, home, official
):
    kagglehub.folder = store(without(lost)(tiny_files("official")), tmp_path / "1")
    kagglehub.folder.mkdir(exist_ok=True)
    with pytest.raises(DataError, match="has 48 images|no images of train/happy|holds no images"):
        fetching.fetch()
    assert not (home / "fer2013").exists()


def test_fetch_without_network_says_what_to_do_by_hand(kagglehub, home):
    kagglehub.folder = ConnectionError("Max retries\nexceeded")
    with pytest.raises(DataError) as caught:
        fetching.fetch()
    message = str(caught.value)
    assert "ConnectionError: Max retries exceeded" in message and "\n" not in message
    assert "https://www.kaggle.com/datasets/msambare/fer2013 " in message
    assert "fer_utils fetch --from FILE" in message


@pytest.mark.parametrize(
    "layout, form",
    [("official", form) for form in FORMS]
    + [("fer2013.csv", "folder"), ("icml_face_data.csv", "zip")],
)
def test_fetch_from(layout, form, tiny, home, official):
    path = tiny(layout, form)
    faces = fetching.fetch(path)
    assert faces.source == "fer2013" and path.exists()
    assert faces.fingerprint == data.load(path).fingerprint


def test_fetch_from_a_bare_csv(tiny, official):
    path = tiny("fer2013.csv") / "fer2013.csv"
    assert fetching.fetch(str(path)).official and data.load("fer2013").official


def test_fetch_replaces_what_was_fetched(tiny, home, official):
    fetching.fetch(tiny("official", "folder"))
    faces = fetching.fetch(tiny("official", "zip"))
    assert [entry.name for entry in (home / "fer2013").iterdir()] == ["faces official zip"]
    (home / "fer2013" / ".DS_Store").write_text("left by a file manager")
    assert same(faces, data.load("fer2013"))
    assert sorted(entry.name for entry in home.iterdir()) == ["cache", "fer2013"]


def test_a_failing_fetch_leaves_the_earlier_one(
    tiny, home, official, store, tiny_files, tmp_path, monkeypatch, kagglehub
):
    first = fetching.fetch(tiny("official"))
    incomplete = store(without("Training_0.png")(tiny_files("official")), tmp_path / "incomplete")
    with pytest.raises(DataError, match="incomplete has 48 images, which are not.*49 of fer2013"):
        fetching.fetch(incomplete)
    with pytest.raises(DataError, match="with or without --seminar-split"):
        fetching.fetch(tiny("seminar"))
    with pytest.raises(DataError, match="does not exist"):
        fetching.fetch(tmp_path / "no such")
    kagglehub.folder = ConnectionError()
    with pytest.raises(DataError, match="could not be downloaded"):
        fetching.fetch()

    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(DataError, match="cannot be written.*No space.*FER_HOME"):
        fetching.fetch(tiny("official"))
    assert same(first, data.load("fer2013"))
    assert sorted(entry.name for entry in home.iterdir()) == ["cache", "fer2013"]


def test_there_is_room_for_votes():
    faces = patterns.faces()
    assert faces.votes is None
    votes = np.zeros((len(faces.labels), 10), int)
    with_votes = replace(faces, votes=votes)
    assert with_votes.votes is votes and with_votes.fingerprint == faces.fingerprint


HEADER = "file,fer2013_row,row_certain,neutral,happiness,surprise,sadness,anger,disgust,fear,"
HEADER += "contempt,unknown,NF"
WHERE = {"train": "train", "validation": "test", "test": "test"}


def votes_of(faces, change=lambda number, line: line) -> str:
    """A csv of FER+ votes on files or rows: all ten for the label, certain but for the first."""
    lines = [HEADER]
    for number, (label, split, name) in enumerate(zip(faces.labels, faces.splits, faces.names)):
        votes = dict.fromkeys(HEADER.split(",")[3:], 0) | {fetching.FERPLUS[label]: 10}
        file = f"{WHERE[split]}/{CLASSES[label]}/{name.split('/')[-1]}"
        row = [file, number, int(number > 0), *votes.values()]
        lines.append(change(number, ",".join(map(str, row))))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("layout", ["official", "fer2013.csv"])
def test_votes_are_found_by_file_or_row_in_the_order_of_the_classes(
    layout, tiny, tmp_path, official, home, monkeypatch
):
    faces = data.load(tiny(layout))
    assert faces.votes is None
    (tmp_path / "v.csv").write_text(votes_of(faces))
    monkeypatch.setenv("FER_DATA", faces.source)
    fetched = fetching.fetch_votes(tmp_path / "v.csv")
    expected = 10 * np.eye(10, dtype=int)[faces.labels]
    expected[0] = 0  # not certain
    assert np.array_equal(fetched.votes, expected) and fetched.votes.dtype.kind == "i"
    assert np.array_equal(data.load(faces.source).votes, expected)
    assert same(faces, fetched), "votes are no part of the data's identity"
    assert data.load("synthetic").votes is None
    data.votes_path(faces).write_bytes(b"damaged")
    with pytest.raises(UserError, match="ferplus.* is damaged"):
        data.load(faces.source)


SPOILT_VOTES = {
    "another csv": (lambda text: "emotion,pixels,Usage\n1,2,3\n", "KeyError: 'file'"),
    "a column less": (lambda text: text.replace("contempt", "scorn", 1), "KeyError: 'contempt'"),
    "other names": (lambda text: text.replace("PrivateTest", "Secret"), "PrivateTest_"),
    "other labels": (lambda text: text.replace("/sad/", "/fear/"), "'sad'"),
    "no numbers": (lambda text: text.replace(",10,", ",ten,"), "ValueError"),
    "cut off": (lambda text: text[:-9], "None"),
    "no text": (lambda text: "\udc80" + text, "UnicodeDecodeError"),
}


@pytest.mark.parametrize("change, words", SPOILT_VOTES.values(), ids=SPOILT_VOTES)
def test_other_votes_are_refused_in_a_sentence_and_not_kept(
    change, words, tiny, tmp_path, official, home, monkeypatch
):
    faces = data.load(tiny("official"))
    content = change(votes_of(faces)).encode("utf-8", "surrogateescape")
    (tmp_path / "v.csv").write_bytes(content)
    monkeypatch.setenv("FER_DATA", faces.source)
    with pytest.raises(DataError) as caught:
        fetching.fetch_votes(tmp_path / "v.csv")
    message = str(caught.value)
    assert "v.csv has not their votes" in message and words in message and "\n" not in message
    assert "contempt, unknown, NF" in message and message.endswith(".")
    assert not data.votes_path(faces).exists()


def test_votes_that_are_not_there_are_refused(tiny, tmp_path, official, monkeypatch):
    monkeypatch.setenv("FER_DATA", str(tiny("official")))
    with pytest.raises(DataError, match="nothing.csv has not their votes.*FileNotFound"):
        fetching.fetch_votes(tmp_path / "nothing.csv")


# ---------------------------------------------------------------- copies


def changed(image):
    """Return a picture as a careless collector would have it again, in several ways."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    lighter = (0.7 * image + 60).astype(np.uint8)
    ways = {"saved": np.array(Image.open(file)), "lighter": lighter, "mirrored": image[:, ::-1]}
    return ways | {"moved": np.roll(image, 1, axis=1), "darker": (image // 2)}


@pytest.mark.parametrize("way", ["saved", "lighter", "mirrored", "moved", "darker"])
def test_a_near_copy_is_found_whatever_was_done_to_it(way):
    known = synthetic.draw([0, 3, 6], seed=1)
    images = np.stack([changed(known[1])[way], synthetic.draw([3], seed=7)[0]])
    assert data.near_copies(images, known).tolist() == [True, False]


def test_grey_pictures_are_near_copies_of_none():
    grey = np.full((1, 48, 48), 99, np.uint8)
    assert not data.near_copies(grey, np.concatenate([grey, synthetic.draw([3], seed=1)]))[0]


def test_copies_are_byte_and_near_copies_of_training_images_only():
    faces = patterns.faces()
    pictures = synthetic.draw([3] * 4, seed=2)
    images, (train, test) = faces.images.copy(), (faces.splits == "train", faces.splits == "test")
    images[np.flatnonzero(train)[:2]] = pictures[:2]
    places = np.flatnonzero(test)[:4]
    images[places] = [pictures[0], changed(pictures[1])["lighter"], pictures[2], pictures[2]]
    found = replace(faces, images=images).copies("test")
    assert found[:4].tolist() == [True, True, False, False]


def test_image_hashes_tell_copies():
    images = np.zeros((3, 48, 48), np.uint8)
    images[1, 47, 47] = 1
    one, other, copy = data.image_hashes(images)
    assert one == copy != other


# ---------------------------------------------------------------- the real data


def test_the_real_data(real_data):
    faces = data.load(real_data)
    assert faces.official, faces.describe()
    assert faces.counts().tolist() == [list(row) for row in seminar.CLASS_COUNTS.values()]
    assert faces.counts().sum(0).tolist() == [4953, 547, 5121, 8989, 6198, 6077, 4002]
    hashes = data.image_hashes(faces.images)
    known = set(hashes[faces.splits == "train"])
    held_out = [hashes[faces.splits == split] for split in ("validation", "test")]
    assert [sum(one in known for one in part) for part in held_out] == [280, 288]
    assert [faces.copies(split).sum() for split in ("validation", "test")] == [527, 559]
    assert (faces.images.max((1, 2)) == 0).sum() == 12 and faces.report["converted"] == 0
    assert faces.report["refused"] == [] and len(set(faces.names)) == 35_887
