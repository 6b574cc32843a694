"""Faces are found where they are, read as training reads them, and answered for as measured."""

import struct
import zlib

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageCms

from fer_utils import data, evaluation, photo, synthetic
from fer_utils.data import DataError

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def portrait():
    """Grace Hopper's, 512 × 600 pixels; her face is about 210 wide, its middle at (260, 215)."""
    with get_sample_data("grace_hopper.jpg") as file:
        return Image.open(file).convert("RGB")


@pytest.fixture(scope="module")
def run():
    return photo.shipped()


def near(box, middle, side):
    """Whether a box is where a face is, to a quarter of its side."""
    left, top, right, bottom = box
    off = np.hypot((left + right) / 2 - middle[0], (top + bottom) / 2 - middle[1])
    return off < side / 4 and right - left == bottom - top and 0.7 < (right - left) / side < 1.4


# ---------------------------------------------------------------- finding


def test_the_portraits_face_is_found(portrait):
    (box,) = photo.find(portrait)
    assert near(box, (260, 215), 220)


@pytest.mark.parametrize("scale, x, y", [(0.5, 20, 100), (0.4, 380, 200), (0.7, 250, 30)])
def test_a_face_is_found_where_it_was_put(portrait, scale, x, y):
    wide = Image.new("RGB", (640, 480), (120, 130, 140))
    wide.paste(portrait.resize((round(512 * scale), round(600 * scale))), (x, y))
    (box,) = photo.find(wide)
    assert near(box, (x + 260 * scale, y + 215 * scale), 220 * scale)
    (large,) = photo.find(wide.resize((2560, 1920)))
    assert near(large, (4 * x + 1040 * scale, 4 * y + 860 * scale), 880 * scale)


def test_of_several_faces_the_largest_comes_first(portrait):
    wide = Image.new("RGB", (640, 480), (120, 130, 140))
    wide.paste(portrait.resize((205, 240)), (40, 60))
    wide.paste(portrait.resize((307, 360)), (300, 80))
    large, small = photo.find(wide)
    assert near(large, (456, 209), 132) and near(small, (144, 146), 88)


def test_most_drawn_faces_are_found_where_they_were_put():
    found = 0
    for number, face in enumerate(synthetic.draw(range(7), seed=1)):
        x, y = 40 + 10 * number, 80 - 5 * number
        wide = Image.new("L", (400, 300), int(face.mean()))
        wide.paste(Image.fromarray(face).resize((144, 144), Image.Resampling.BICUBIC), (x, y))
        found += any(near(box, (x + 72, y + 72), 135) for box in photo.find(wide))
    assert found >= 5


def test_a_wall_and_noise_have_no_face():
    wall = np.full((480, 640), 150, np.uint8)
    wall[::24] = 60
    for row in range(0, 480, 24):
        wall[row : row + 24, (row // 24 % 2) * 24 :: 48] = 60
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for pixels in (wall, noise, np.zeros((300, 400), np.uint8)):
        assert photo.find(Image.fromarray(pixels)) == []


def test_a_box_at_the_rim_stays_a_square_within_the_photo(portrait):
    tight = portrait.crop((165, 127, 375, 327))
    for left, top, right, bottom in photo.find(tight):
        assert 0 <= left < right <= tight.width and 0 <= top < bottom <= tight.height
        assert right - left == bottom - top


def test_a_small_picture_is_taken_whole():
    assert photo.find(Image.new("L", (48, 48))) == [(0, 0, 48, 48)]
    assert photo.find(Image.new("RGB", (80, 96))) == [(0, 0, 80, 96)]


# ---------------------------------------------------------------- opening


def test_all_eight_orientations_of_a_phone_are_the_same_photo(portrait, tmp_path):
    turned = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180}
    turned |= {4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE}
    turned |= {6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}
    turned |= {8: Image.Transpose.ROTATE_270}
    for orientation, transpose in turned.items():
        stored = portrait if transpose is None else portrait.transpose(transpose)
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(tmp_path / f"{orientation}.png", exif=exif)
        upright = photo.opened(tmp_path / f"{orientation}.png", "x")
        assert upright.size == portrait.size
        assert np.array_equal(upright, portrait), orientation


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "CMYK", "LAB", "I;16", "1"])
def test_every_kind_of_picture_gives_the_same_grey_face(mode, portrait, tmp_path):
    face = portrait.crop((155, 105, 377, 327))
    grey = face.convert("L")
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        stored = (grey if mode in ("L", "LA", "1") else face).convert(mode.replace("LAB", "RGB"))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        stored = ImageCms.profileToProfile(stored, *profiles, outputMode="LAB")
    path = tmp_path / ("x.tif" if mode in ("CMYK", "LAB") else "x.png")
    stored.save(path)
    found = data.as_face(photo.opened(path, "x")).astype(float)
    off = np.abs(found - data.as_face(face)).mean()
    assert found.shape == (48, 48) and off < (12 if mode == "1" else 3), off


def test_16_bits_with_a_transparent_value_are_scaled_too(portrait, tmp_path):
    grey = np.asarray(portrait.crop((155, 105, 377, 327)).convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "x.png", transparency=1)
    found = data.as_face(photo.opened(tmp_path / "x.png", "x")).astype(float)
    assert np.abs(found - data.as_face(Image.fromarray(grey))).mean() < 3


@pytest.mark.parametrize("pixels", [np.float32(0.5), np.int32(2**20)])
def test_more_than_16_bits_are_refused_not_taken_for_black(pixels, tmp_path):
    Image.fromarray(np.full((60, 60), pixels)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match="x.tif .*more than 16 bits"):
        photo.opened(tmp_path / "x.tif", "x.tif")


def test_a_damaged_note_about_the_picture_is_no_word_to_the_user(portrait, tmp_path, recwarn):
    exif = Image.Exif()
    exif[0x0112] = 6
    portrait.save(tmp_path / "x.jpg", exif=exif.tobytes()[:-6])
    assert photo.opened(tmp_path / "x.jpg", "x").mode == "RGB" and not recwarn.list


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (60, 60), (0, 0, 0, 0)).save(tmp_path / "x.png")
    Image.new("LA", (60, 60), (0, 0)).save(tmp_path / "y.png")
    for name in ("x.png", "y.png"):
        assert data.as_face(photo.opened(tmp_path / name, name)).min() == 255


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(side, tmp_path, monkeypatch):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(
        DataError, match=r"huge.png .* exceeds limit of .*: give an existing JPEG or PNG"
    ):
        photo.opened(tmp_path / "huge.png", "huge.png")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize("content", [b"", b"no picture", HEIC, b"\xff\xd8\xff" + bytes(50)])
def test_what_is_no_picture_is_one_sentence(content, tmp_path):
    (tmp_path / "x.heic").write_bytes(content)
    with pytest.raises(DataError) as error:
        photo.opened(tmp_path / "x.heic", "x.heic")
    assert str(error.value).startswith("x.heic is no picture") and "\n" not in str(error.value)
    assert "pip install pillow-heif" in str(error.value)


# ---------------------------------------------------------------- what the network says


@pytest.fixture(scope="module")
def drawn():
    return synthetic.draw([0, 1, 2, 3, 4, 5, 6] * 3, seed=3)


def test_a_face_from_a_file_is_answered_as_the_evaluation_does(drawn, run, tmp_path):
    """The whole way from PNG files of 48 × 48 pixels: not a digit of difference."""
    model, faces = run.model(), []
    for number, pixels in enumerate(drawn):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        picture = photo.opened(tmp_path / f"{number}.png", "x")
        faces += photo.look(picture, photo.find(picture), model)
    assert np.array_equal(np.stack([face.pixels for face in faces]), drawn)
    ours = np.stack([face.probabilities for face in faces])
    theirs = evaluation.predict(model, drawn)
    assert np.array_equal(ours.argmax(1), theirs.argmax(1)) and np.allclose(ours, theirs, atol=1e-5)


def test_fer2013s_own_files_are_answered_as_the_evaluation_does(real_data, run, tmp_path):
    images, _ = data.load(real_data).split("validation")
    model, images = run.model(), images[:50]
    theirs = evaluation.predict(model, images, temperature=run.temperature)
    for pixels, expected in zip(images, theirs):
        Image.fromarray(pixels).save(tmp_path / "x.png")
        picture = photo.opened(tmp_path / "x.png", "x")
        (face,) = photo.look(picture, photo.find(picture), model, run.temperature)
        assert np.allclose(face.probabilities, expected, atol=1e-5)


def test_probabilities_are_those_of_the_logits_by_the_temperature(drawn, run):
    model, picture = run.model(), Image.fromarray(drawn[3])
    (face,) = photo.look(picture, photo.find(picture), model, run.temperature)
    with torch.no_grad():
        logits = model(torch.from_numpy(drawn[3:4])[:, None] / 255)
    by_hand = (logits / run.temperature).softmax(1)[0].numpy()
    assert np.allclose(face.probabilities, by_hand, atol=1e-5)
    assert abs(face.probabilities.sum() - 1) < 1e-5
    assert list(face.shares.values()) == sorted(face.shares.values(), reverse=True)
    assert face.sure == (by_hand.max() >= photo.SURE)
    assert str(face).startswith("not sure (") != face.sure


def test_a_box_outside_the_photo_is_refused(portrait, run):
    for box in [(0, 0, 513, 100), (-1, 0, 50, 50), (60, 0, 50, 50), (0, 0, 50, 0)]:
        with pytest.raises(DataError, match="within 512 × 600 pixels"):
            photo.look(portrait, [box], run.model())
    assert photo.look(portrait, [], run.model()) == []


def test_what_ships_is_the_best_on_validation_and_calibrated():
    best = photo.shipped()
    for name in ("deeper", "fully_connected"):
        run = photo.shipped(name)
        assert run.has_weights and run.job.name == f"{name}-short" and run.temperature != 1
        accuracy = run.history[-1]["validation_accuracy"]
        assert accuracy <= best.history[-1]["validation_accuracy"]
    for name in ("shallow", "held_out", ""):
        with pytest.raises(ValueError, match=f"'{name}'.*deeper"):
            photo.shipped(name)
