"""`predict` and `export`: a line a face, one sentence a fault, and the same numbers elsewhere."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import test_photo
from PIL import Image

from fer_utils import CLASSES, ROOT, data, evaluation, photo, synthetic
from fer_utils.__main__ import main

portrait = test_photo.portrait


@pytest.fixture
def files(portrait, tmp_path):
    """A portrait, a drawn face, a picture without one, and what is no picture."""
    portrait.save(tmp_path / "a portrait.jpg", quality=95)
    Image.fromarray(synthetic.draw([3], seed=3)[0]).save(tmp_path / "drawn.png")
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "empty.png")
    (tmp_path / "text.jpg").write_text("no picture")
    return tmp_path


def predict(*arguments):
    return main(["predict", *map(str, arguments)])


def test_a_line_a_face(files, capsys):
    assert predict(files / "a portrait.jpg", files / "drawn.png") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(str(files / "a portrait.jpg") + " (1") and "%" in first
    assert "(0, 0, 48, 48): " in second and sum(name in second for name in CLASSES) == 3


def test_json_has_what_the_notebook_computes(files, capsys):
    assert predict(files / "a portrait.jpg", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    run, picture = photo.shipped(), photo.opened(files / "a portrait.jpg", "x")
    (face,) = photo.look(picture, photo.find(picture), run.model(), run.temperature)
    assert row == {
        "picture": str(files / "a portrait.jpg"),
        "box": list(face.box),
        "sure": face.sure,
        "classes": pytest.approx(face.shares),
    }
    assert sum(row["classes"].values()) == pytest.approx(1)


def test_the_users_box_and_crop_come_first(files, capsys):
    box = ["135", "90", "371", "326"]
    assert predict(files / "a portrait.jpg", "--json", "--box", *box) == 0
    assert json.loads(capsys.readouterr().out)["box"] == list(map(int, box))
    assert predict(files / "empty.png", "--json", "--crop", "none") == 0
    assert json.loads(capsys.readouterr().out)["box"] == [0, 0, 300, 200]
    assert predict(files / "empty.png", "--box", "0", "0", "999", "10") == 2
    assert "within 300 × 200 pixels" in capsys.readouterr().err


def test_no_face_is_a_sentence_and_1(files, capsys):
    assert predict(files / "empty.png", files / "drawn.png") == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1
    assert "no frontal face was found: give --box" in shown.err


def test_one_bad_file_among_many_does_not_stop_the_others(files, capsys):
    assert predict(files, files / "nowhere.png") == 2
    shown = capsys.readouterr()
    assert [line.count("%") for line in shown.out.splitlines()] == [3, 3]
    no_face, *errors = shown.err.splitlines()
    assert "empty.png: no frontal face" in no_face and len(errors) == 2
    assert all(line.startswith("Error: ") for line in errors)
    assert "text.jpg is no picture" in errors[0] and "nowhere.png" in errors[1]


def test_the_error_of_a_box_names_its_picture(files, capsys):
    assert predict(files / "drawn.png", files / "empty.png", "--box", "0", "0", "99", "99") == 2
    shown = capsys.readouterr()
    assert "drawn.png: The box 0 0 99 99 is wrong" in shown.err and "empty.png" in shown.out
    with pytest.raises(SystemExit):
        predict(files / "drawn.png", "--box", "0", "0", "9", "9", "--crop", "none")


def test_of_a_folder_pictures_are_taken_and_nothing_else(files, capsys):
    for name in ("paper.pdf", "clip.mpg", "data.h5", "._a portrait.jpg"):
        (files / name).write_text("no picture")
    (files / "text.jpg").unlink()
    assert predict(files) == 1, "one has no face"
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2 and "Error" not in shown.err


def test_a_name_that_cannot_be_one_does_not_stop_the_others(files, capsys):
    assert predict("a" * 5000, files / "drawn.png") == 2
    assert "drawn.png" in capsys.readouterr().out


def test_a_folder_without_pictures_is_named(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no picture")
    assert predict(tmp_path) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_standard_input(files, capsys, monkeypatch):
    class Stream:
        buffer = io.BytesIO((files / "drawn.png").read_bytes())

    monkeypatch.setattr(sys, "stdin", Stream)
    assert predict("-", "--json") == 0
    assert json.loads(capsys.readouterr().out)["picture"] == "-"


def test_a_closed_standard_input_is_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert predict("-") == 2
    assert capsys.readouterr().err.startswith("Error: - is no picture")


def test_a_reader_who_has_seen_enough_is_no_error(files):
    arguments = [str(files / "drawn.png")] * 20
    command = [sys.executable, "-m", "fer_utils", "predict", *arguments]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    with subprocess.Popen(command, **pipes) as started:
        assert "drawn.png" in started.stdout.readline()
        started.stdout.close()
        assert started.stderr.read() == ""
    assert started.returncode == 141


def test_two_copies_of_one_name_are_refused_before_one_is_lost(files, capsys):
    (files / "b").mkdir()
    Image.open(files / "drawn.png").save(files / "b" / "drawn.png")
    both = files / "drawn.png", files / "b" / "drawn.png"
    assert predict(*both, "--out", files / "out") == 2
    assert "have one name" in capsys.readouterr().err and not (files / "out").exists()
    assert predict(*both) == 0
    assert predict(both[0], both[0], "--out", files / "out") == 0, "the same picture twice"


def test_bars_leave_the_face_free(files):
    out = files / "out"
    assert predict(files / "drawn.png", "--out", out) == 0
    copy = np.asarray(Image.open(out / "drawn.png.png"))
    assert copy.shape[0] > 48 and copy.shape[1] == 48
    drawn = np.asarray(Image.open(files / "drawn.png"))
    assert np.array_equal(copy[3:45, 3:45, 1], drawn[3:45, 3:45])


def test_copies_have_boxes_and_bars(files, portrait, capsys):
    out = files / "new" / "folder"
    assert predict(files / "a portrait.jpg", files / "empty.png", "--out", out) == 1
    (copy,) = out.iterdir()
    assert copy.name == "a portrait.jpg.png"
    orange = (np.asarray(Image.open(copy)) == (255, 165, 0)).all(2)
    (box,) = photo.find(portrait)
    assert orange[box[1] : box[3], box[0]].all(), "the box's left side"
    assert orange[box[3] + 5 :, box[0] : box[2]].sum() > 100, "bars below it"
    assert predict(files / "drawn.png", "--out", files / "text.jpg") == 2
    shown = capsys.readouterr()
    assert "name another folder" in shown.err
    assert "drawn.png" in shown.out, "the answer is not lost with the copy"


def test_an_unknown_model_names_the_known_ones(files, capsys):
    assert predict(files / "drawn.png", "--model", "shallow") == 2
    assert "deeper" in capsys.readouterr().err


def test_options_are_read_without_torch():
    code = (
        "import sys; from fer_utils.__main__ import parser; parser().parse_args(['predict', '-'])"
    )
    code += "; assert not {'torch', 'skimage', 'numpy'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# ---------------------------------------------------------------- export


@pytest.mark.parametrize("name", ["fully_connected", "deeper"])
def test_onnx_says_the_same_as_torch(name, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert main(["export", name, "--out", str(tmp_path / "x.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(CLASSES) and "48 × 48" in about["preprocessing"]
    images, _ = data.load("synthetic").split("validation")
    if name == "fully_connected":  # all of them: deeper takes a minute
        images = data.load("synthetic").images
    x = (images[:, None] / 255).astype(np.float32)
    (logits,) = session.run(None, {"faces": x})
    odds = np.exp(logits / float(about["temperature"]))
    run = photo.shipped(name)
    ours = evaluation.predict(run.model(), images, temperature=run.temperature)
    assert np.abs(odds / odds.sum(1, keepdims=True) - ours).max() < 1e-4


def test_an_export_that_cannot_be_written_leaves_the_old_file(tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnx")
    (tmp_path / "x.onnx").write_text("old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert main(["export", "fully_connected", "--out", str(tmp_path / "x.onnx")]) == 2
    assert "name another file" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_export_without_its_package_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", "deeper"]) == 2
    assert "pip install onnx" in capsys.readouterr().err
