"""Data that is not what it seems: named folders, other formats, sizes, devices. See README.md."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from making import within
from PIL import Image, ImageFile

from fer_utils import data
from fer_utils.data import DataError


@pytest.fixture(autouse=True)
def thirty_seconds():
    with within(30):
        yield


def refusal(path) -> str:
    """The message of the DataError for a path: one line that can be printed, and not a long one."""
    with pytest.raises(DataError) as caught:
        data.load(path)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 700, message
    return message


def renamed(files: dict, **folders) -> dict:
    """The files with some split folders under other names."""
    parts = [(name.partition("/"), content) for name, content in files.items()]
    return {f"{folders.get(top, top)}/{rest}": content for (top, _, rest), content in parts}


def counted(path) -> dict:
    """Images by split."""
    return dict(zip(data.SPLITS, data.load(path).counts().sum(1).tolist()))


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("names", [("train", "valid", "test"), ("train", "val", "test"),
                                   ("Training", "PublicTest", "PrivateTest")])  # fmt: skip
def test_names_of_split_folders_that_are_known(names, tiny_files, store, tmp_path):
    files = tiny_files("split folders")
    given = dict(zip(("train", "validation", "test"), names))
    other = store(renamed(files, **given), tmp_path / "other", "folder")
    assert counted(other) == counted(store(files, tmp_path / "usual", "folder"))


@pytest.mark.parametrize("name", ["evaluation", "valid_", "train2"])
def test_a_split_folder_that_nobody_knows_is_named(name, tiny_files, store, tmp_path):
    files = renamed(tiny_files("split folders"), validation=name)
    assert f"{name}/" in refusal(store(files, tmp_path / "faces", "folder"))


@pytest.mark.parametrize("twin", ["val", "valid", "Validation", "PublicTest"])
def test_a_split_under_two_names_is_an_error(twin, tiny_files, store, tmp_path):
    files = tiny_files("split folders")
    more = {f"{twin}/happy/x{n}.png": c for n, c in enumerate(files.values()) if n < 3}
    message = refusal(store(files | more, tmp_path / "faces", "folder"))
    assert "validation" in message and twin in message


# ---------------------------------------------------------------- other formats


def table(tiny_files, change) -> bytes:
    """The challenge's csv with another first line or separator."""
    (content,) = tiny_files("fer2013.csv").values()
    return change(content.decode()).encode()


def zipped(files: dict) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


VOTES = b"Usage,Image name,neutral,happiness,surprise,sadness\nTraining,fer0.png,4,0,0,1\n"
STRANGE = {
    "no Usage": ("a.csv", lambda t: table(t, lambda c: c.replace("Usage", "U", 1)), "pixels,U)"),
    "semicolons": ("a.csv", lambda t: table(t, lambda c: c.replace(",", ";")), "emotion;pixels"),
    "gzip": ("a.csv.gz", lambda t: gzip.compress(table(t, str)), "a.csv.gz"),
    "votes": ("v.csv", lambda t: VOTES, "Image name"),
    "a zip in a zip": ("a.zip", lambda t: zipped({"in.zip": zipped(t("official"))}), "in.zip"),
    "7z": ("a.7z", lambda t: b"7z\xbc\xaf\x27\x1c" + bytes(500), "a.7z"),
    "rar": ("a.rar", lambda t: b"Rar!\x1a\x07\x01\x00" + bytes(500), "a.rar"),
    "parquet": ("a.parquet", lambda t: b"PAR1\x15\x04" + bytes(500), "a.parquet"),
    "one folder of pictures": ("a.zip", lambda t: zipped({"faces/1.png": b"x"}), "faces/1.png"),
}  # fmt: skip


@pytest.mark.parametrize("name, make, words", STRANGE.values(), ids=STRANGE)
def test_another_format_is_said_with_what_was_found_and_what_to_do(
    name, make, words, tiny_files, tmp_path
):
    (tmp_path / name).write_bytes(make(tiny_files))
    message = refusal(tmp_path / name)
    assert "holds no images" in message and words in message
    assert "unpack or convert" in message and "emotion, pixels, Usage" in message


# ---------------------------------------------------------------- compressed and damaged


def compressed(files: dict, kind: str, path: Path) -> Path:
    """The files in a tar.xz, tar.bz2, or a zip with lzma or bzip2."""
    if kind in ("tar.xz", "tar.bz2"):
        with tarfile.open(path, f"w:{kind[4:]}") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        with zipfile.ZipFile(path, "w", getattr(zipfile, kind)) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", ["tar.xz", "tar.bz2", "ZIP_LZMA", "ZIP_BZIP2"])
def test_damage_in_compressed_archives_is_one_short_sentence(kind, tiny_files, tmp_path):
    path = compressed(tiny_files("official"), kind, tmp_path / "faces")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    expected = data.load(path).fingerprint
    for _ in range(25):
        place = int(rng.integers(60, len(whole) - 60))
        path.write_bytes(whole[:place] + rng.bytes(40) + whole[place + 40 :])
        try:  # a picture's own bytes may be hit without a checksum in between
            assert data.load(path).fingerprint != expected or path.read_bytes() == whole
        except DataError as error:
            assert str(error).isprintable() and len(str(error)) < 700


# ---------------------------------------------------------------- size


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("train/happy/1.png", "w", force_zip64=True) as member:
            for _ in range(600):
                member.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    message = refusal(path)
    assert "629,145,600 bytes" in message and "train/happy/1.png" in message


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz"])
def test_many_large_files_are_refused_by_their_sum(form, store, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "LARGEST_DATA", 10_000)
    files = {f"train/happy/{number}.png": bytes(3_000) for number in range(4)}
    path = store(files, tmp_path / "faces", form)
    assert "makes it 12,000" in refusal(path)


def test_links_in_a_tar_count_as_what_they_lead_to(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "LARGEST_DATA", 10_000)
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        member = tarfile.TarInfo("train/happy/0.png")
        member.size = 3_000
        archive.addfile(member, io.BytesIO(bytes(3_000)))
        for number in range(1, 4):
            link = tarfile.TarInfo(f"train/happy/{number}.png")
            link.type, link.linkname = tarfile.LNKTYPE, "train/happy/0.png"
            archive.addfile(link)
    assert "makes it 12,000" in refusal(tmp_path / "links.tar")


def test_what_follows_the_end_of_a_tar_is_not_read_whole(tmp_path, monkeypatch):
    """A gzip of nothing but zeros after the end: a gigabyte in a megabyte."""
    path = tmp_path / "faces.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(bytes(2**20))
    reads, read = [], gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda f, n=-1: reads.append(n) or read(f, n))
    assert "holds no images" in refusal(path) or "cannot be read" in refusal(path)
    assert all(0 <= size <= 2**21 for size in reads)


def test_a_huge_picture_is_refused_before_it_is_decoded(tiny_files, store, tmp_path, monkeypatch):
    files = tiny_files("official")
    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, "PNG")
    name = next(iter(files))
    decoded, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda i: decoded.append(i.size) or load(i))
    message = refusal(store(files | {name: buffer.getvalue()}, tmp_path / "faces", "folder"))
    assert name.split("/")[-1] in message and "4096 pixels" in message
    assert decoded and (12_000, 12_000) not in decoded


# ---------------------------------------------------------------- what is no file


@pytest.fixture
def pipe(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_pipe_is_refused(pipe, tiny_files, store, tmp_path):
    assert "is no file or folder" in refusal(pipe)
    folder = store(tiny_files("official"), tmp_path / "faces", "folder")
    pipe.rename(folder / "train" / "happy" / "pipe.png")
    assert "pipe.png is no file that can be read: remove it" in refusal(folder)


def test_a_device_is_refused_behind_a_link_too(tmp_path):
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero here")
    assert "is no file or folder" in refusal("/dev/zero")
    (tmp_path / "link.csv").symlink_to("/dev/zero")
    assert "is no file or folder" in refusal(tmp_path / "link.csv")


@pytest.mark.parametrize("name", ["a" * 5_000, "a\0b", "~nobody-of-this-name/fer2013"])
def test_a_name_that_cannot_be_one_is_refused(name):
    assert "is no path" in refusal(name)
