"""Published figures hold no face, say when faces are drawn, and carry their alt text."""

import re
from dataclasses import replace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import patterns
import pytest
from nbclient import NotebookClient

from fer_utils import CLASSES, ROOT, models, plots

REAL = patterns.faces({"train": 14, "validation": 14, "test": 14})
DRAWN = replace(REAL, source="synthetic")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(fig):
    return [image for ax in fig.axes for image in ax.images]


def text(fig):
    return " ".join(t.get_text() for t in fig.findobj(matplotlib.text.Text))


def test_a_reader_sees_the_faces():
    fig = plots.face_grid(REAL.images[:9], list("abcdefghi"), columns=4, faces=REAL)
    assert len(fig.axes) == 12 and [ax.get_title() for ax in fig.axes[:9]] == list("abcdefghi")
    for image, ours in zip(drawn(fig), REAL.images, strict=False):
        assert np.array_equal(image.get_array(), ours)
    assert "6 × 6" not in text(fig)


@pytest.mark.parametrize("named", [True, False])
def test_published_real_faces_are_six_by_six_block_means(monkeypatch, named):
    monkeypatch.setenv("FER_HIDE_FACES", "1")
    fig = plots.face_grid(REAL.images[:9], faces=REAL if named else None)
    assert len(drawn(fig)) == 9
    for image, face in zip(drawn(fig), REAL.images, strict=False):
        assert image.get_array().shape == (6, 6)
        assert image.get_array()[1, 2] == pytest.approx(face[8:16, 16:24].mean())
    assert "6 × 6" in text(fig)


def test_published_pixels_hold_no_more_than_the_blocks(monkeypatch):
    """The rendered figure itself, not only the array behind it."""
    monkeypatch.setenv("FER_HIDE_FACES", "1")
    fig = plots.face_grid(REAL.images[:3])
    fig.set_dpi(200)
    fig.canvas.draw()
    pixels = np.asarray(fig.canvas.buffer_rgba())[..., :3]
    for image in drawn(fig):
        box = image.get_window_extent()
        top = pixels.shape[0] - round(box.y1)
        face = pixels[top : top + round(box.height), round(box.x0) : round(box.x1)]
        assert face.shape[0] > 48
        assert len(np.unique(face[2:-2, 2:-2].reshape(-1, 3), axis=0)) <= 36


def test_published_synthetic_faces_are_drawn_whole(monkeypatch):
    monkeypatch.setenv("FER_HIDE_FACES", "1")
    fig = plots.face_grid(DRAWN.images[:3], faces=DRAWN)
    assert np.array_equal(drawn(fig)[2].get_array(), DRAWN.images[2])
    assert "6 × 6" not in text(fig)


def test_face_grid_refuses_another_size():
    with pytest.raises(ValueError, match=r"\[n, 48, 48\], not \(48, 48\)"):
        plots.face_grid(np.zeros((48, 48)))


@pytest.mark.parametrize("faces, stamped", [(DRAWN, True), (REAL, False), (None, False)])
def test_show_stamps_synthetic_faces_and_closes(monkeypatch, faces, stamped):
    images = []
    monkeypatch.setattr(plots, "display", lambda image, metadata: images.append(image))
    fig = plots.face_grid(DRAWN.images[:7])
    plots.show(fig, "Seven faces.", faces)
    assert ("synthetic faces" in text(fig)) == stamped
    assert not plt.fignum_exists(fig.number)
    assert len(images) == 1 and images[0].data.startswith(b"\x89PNG")


def test_the_stamp_keeps_the_note_on_reduced_faces(monkeypatch):
    monkeypatch.setenv("FER_HIDE_FACES", "1")
    monkeypatch.setattr(plots, "display", lambda *_, **more: None)
    fig = plots.face_grid(REAL.images[:7])
    plots.show(fig, "Seven faces.", DRAWN)
    assert "6 × 6" in fig.get_supxlabel() and fig.get_supxlabel().endswith("synthetic faces")


def test_show_works_in_plain_python(capsys):
    plots.show(plots.bars({"a": 1}, "x"), "One bar.")
    assert "Image" in capsys.readouterr().out


def test_a_title_stands_above_its_figure(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda one, **more: shown.append(one.data))
    plots.show(plots.bars({"a": 1}, "x"), "One bar.", title="One is more than none")
    assert shown[0] == "**One is more than none**" and shown[1].startswith(b"\x89PNG")


def test_a_class_a_model_and_a_kind_of_layer_have_one_colour():
    assert plots.hue("disgust") == plots.COLOURS["disgust"]
    assert plots.hue("Deeper, seed 1", 7) == plots.hue("deeper", 2) != plots.hue("deep")
    assert plots.hue("fully connected") == plots.hue("fully_connected")
    assert plots.hue("convolution 3×3", 4) == plots.hue("convolution, 12 × 12")
    assert plots.hue("the seminar's deep") != plots.hue("deep")
    assert plots.hue("anything", 3) == plots.PALETTE[3]
    own = [plots.HUES[name] for name in models.ARCHITECTURES if name in plots.HUES]
    assert len(set(own)) == len(own) == 5


def test_text_in_tables_stands_left_and_numbers_right():
    frame = pd.DataFrame({"word": ["a", "b"], "number": [1.0, 2.0]}, ["same", "same"])
    html = plots.Table(frame, "A table")._repr_html_()
    rules = dict(re.findall(r"(\.[\w]+) \{\s*text-align: (\w+);", html))
    assert rules == {".col0": "left", ".col1": "right", ".row_heading": "left"}


def test_a_notebook_stores_each_figure_once_with_its_alt_text():
    code = (
        "from fer_utils import plots\nplots.style()\n"
        "plots.show(plots.bars({'a': 1}, 'x'), 'One bar.')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    ).execute()
    outputs = notebook.cells[0].outputs
    assert [o.output_type for o in outputs] == ["display_data"]
    assert outputs[0].metadata["image/png"]["alt"] == "One bar."
    assert outputs[0].data["image/png"].startswith("iVBOR")


def test_averages_are_of_a_class_and_counted():
    fig = plots.class_averages(REAL)
    assert np.allclose(drawn(fig)[3].get_array(), REAL.images[REAL.labels == 3].mean(axis=0))
    assert [ax.get_title() for ax in fig.axes] == [f"{name}\n6" for name in CLASSES]


def test_class_counts_add_the_splits_up():
    ax = plots.class_counts(REAL).axes[0]
    ends = {bar.get_y(): bar.get_x() + bar.get_width() for bar in ax.patches[:7]}
    assert set(ends.values()) == {2}
    assert [t.get_text().strip() for t in ax.texts] == ["6"] * 7


def test_every_class_has_its_own_colour_and_marker():
    assert len(set(plots.COLOURS.values())) == len(set(plots.MARKERS.values())) == 7
    assert list(plots.COLOURS) == list(plots.MARKERS) == list(CLASSES)


@pytest.mark.parametrize(
    "metric, unit, factor", [("loss", "nats", 1), ("accuracy", "percent", 100)]
)
def test_curves_put_runs_side_by_side(metric, unit, factor):
    rows = [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "validation_loss": 2 / e,
            "train_accuracy": 0.1 * e,
            "validation_accuracy": 0.05 * e,
        }
        for e in (1, 2, 3)
    ]
    fig = plots.curves({"one": rows, "two": rows[:1]}, metric)
    ax = fig.axes[0]
    assert [a.get_title() for a in fig.axes] == ["one", "two"] and unit in ax.get_ylabel()
    validation, training = ax.lines
    assert (validation.get_linestyle(), training.get_linestyle()) == ("-", "--")
    assert validation.get_color() == training.get_color()
    assert np.allclose(training.get_ydata(), [factor * r[f"train_{metric}"] for r in rows])
    assert [t.get_text().strip() for t in ax.texts] == ["validation", "training"]


def test_confusion_shows_share_of_the_true_class_and_counts():
    matrix = np.zeros((7, 7), int)
    matrix[1, 3], matrix[1, 1], matrix[0, 0] = 3, 1, 5  # the other classes have no image
    ax = plots.confusion(matrix, "all").axes[0]
    cells = [t.get_text() for t in ax.texts]
    assert cells[7 + 3] == "75 %\n3" and cells[0] == "100 %\n5" and cells[48] == "0 %\n0"
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true", "predicted")


def test_heatmap_takes_words_and_gaps():
    table = pd.DataFrame([[1.0, np.nan], [3.0, 4.0]])
    assert [t.get_text() for t in plots.heatmap(table, "x").axes[0].texts] == ["1.0", "3.0", "4.0"]
    words = plots.heatmap(table, "x", text=[["a", "b"], ["c", "d"]]).axes[0].texts
    assert [t.get_text() for t in words] == ["a", "c", "d"]


def test_a_table_says_synthetic_in_html_and_in_text():
    frame = pd.DataFrame({"accuracy": [12.3456], "images": [28709], "words": ["x" * 80]})
    assert "synthetic" not in repr(plots.Table(frame, "Some numbers", REAL))
    table = plots.Table(frame, "Some numbers", DRAWN)
    for shown in (repr(table), table._repr_html_()):
        assert "Some numbers (synthetic faces)" in shown
        assert "12.35" in shown and "x" * 80 in shown


@pytest.mark.parametrize("guess", [None, 0, 40])
def test_the_guess_is_drawn_only_when_made(guess):
    fig = plots.bars({"one layer": 36.1, "network": 4_772_231}, "x", {"one layer": (35, 37)}, guess)
    assert ("your guess" in text(fig)) == (guess is not None)
    assert "36.1" in text(fig) and "4,772,231" in text(fig)


def test_recall_bars_are_in_percent():
    ax = plots.recall_bars({"a": [0.5] * 7, "b": np.ones(7)}).axes[0]
    assert {round(p.get_height()) for p in ax.patches} == {50, 100}


def test_signed_pictures_share_a_scale_around_zero():
    weights = np.linspace(-3, 1, 7 * 48 * 48).reshape(7, 48, 48)
    assert {image.get_clim() for image in drawn(plots.templates(weights))[:7]} == {(-3, 3)}


def test_maps_draw_every_map():
    assert len(drawn(plots.maps(np.ones((10, 24, 24)), columns=4))) == 10
