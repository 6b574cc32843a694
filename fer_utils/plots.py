"""Every figure of the notebooks: one style, one colour and marker a class, one way to show.

Each function returns the matplotlib Figure; `show` displays it once, with its alt text.
`face_grid` alone draws single faces, and it keeps them out of published notebooks. Colours are
seaborn's "colorblind" palette, cividis where values run from low to high, and purple-orange
where they run through zero.
"""

import os
from collections.abc import Mapping, Sequence
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_utils import CLASSES, SPLITS

PALETTE = sns.color_palette("colorblind")
COLOURS = dict(zip(CLASSES, (PALETTE[i] for i in (3, 5, 4, 1, 7, 0, 9)), strict=True))
MARKERS = dict(zip(CLASSES, "vXPosD^", strict=True))
REDUCED = ("Each face is reduced to 6 × 6 values: the people in FER2013 were never asked.\n"
           "Run the notebook on your own copy of the data to see the faces.")


def style() -> None:
    """Set the look of all figures: white, small, 100 dpi. Introduced in notebook 01."""
    sns.set_theme(style="ticks", palette="colorblind", font_scale=0.8, rc={
        "figure.figsize": (6, 3.2), "figure.dpi": 100, "savefig.dpi": 100,
        "figure.constrained_layout.use": True, "axes.spines.top": False,
        "axes.spines.right": False, "image.cmap": "cividis", "legend.frameon": False})


def show(fig: Figure, alt: str, faces=None) -> None:
    """Display a figure once, as PNG with `alt` (one sentence: what it shows), and close it.

    With `faces` (a `data.Faces`) that are synthetic, the figure says so under itself.
    Outside a notebook nothing is drawn on the screen. Introduced in notebook 01.
    """
    if faces is not None and faces.synthetic:
        _note(fig, "synthetic faces")
    png = BytesIO()
    fig.savefig(png, format="png")
    plt.close(fig)
    display(Image(png.getvalue(), alt=alt))


def face_grid(images: np.ndarray, titles: Sequence[str] | None = None, columns: int = 7,
              faces=None) -> Figure:
    """Draw single faces, uint8 [n, 48, 48], in a grid, each under its title.

    The one function that draws single faces. While `python -m fer_utils publish` runs
    (environment variable FER_PUBLISHING=1), each face is reduced to the 6 × 6 means of its
    8 × 8-pixel blocks and a line under the figure says so, unless `faces`, the `data.Faces`
    they come from, is synthetic. Raises ValueError for images of another size.
    Introduced in notebook 01 (the seminar's Figure 1).
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (48, 48):
        raise ValueError(f"face_grid draws images of shape [n, 48, 48], not {images.shape}.")
    drawn = faces is not None and faces.synthetic
    reduce = os.environ.get("FER_PUBLISHING") == "1" and not drawn
    if reduce:
        images = images.reshape(-1, 6, 8, 6, 8).mean(axis=(2, 4))
    fig = _grid(images, titles, columns, 0.95, cmap="gray", vmin=0, vmax=255)
    if reduce:
        _note(fig, REDUCED)
    return fig


def class_averages(faces) -> Figure:
    """Draw the mean of all images of each class, its name and number of images above it.

    `faces` is a `data.Faces`; all splits count. Each picture runs from its own darkest value to
    its own brightest: look at shapes, not at brightness.
    Introduced in notebook 01.
    """
    means = np.stack([faces.images[faces.labels == k].mean(axis=0) for k in range(7)])
    titles = [f"{name}\n{count:,}" for name, count in
              zip(CLASSES, np.bincount(faces.labels, minlength=7), strict=True)]
    return _grid(means, titles, 7, 0.95, cmap="gray")


def class_counts(faces) -> Figure:
    """Draw the number of images by class as bars, each made of its three splits.

    `faces` is a `data.Faces`. Introduced in notebook 02 (the seminar's Figure 2, which counts
    the whole data set).
    """
    counts = faces.counts()
    fig, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
    left = np.zeros(7)
    for split, row, alpha in zip(SPLITS, counts, (1, 0.6, 0.3), strict=True):
        ax.barh(CLASSES, row, left=left, color=list(COLOURS.values()), alpha=alpha)
        ax.bar(0, 0, color="black", alpha=alpha, label=split)  # a grey key in the legend
        left += row
    for k, total in enumerate(left):
        ax.text(total, k, f" {total:,.0f}", va="center")
    ax.set(xlabel="images", xlim=(0, left.max() * 1.12))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.invert_yaxis()
    ax.legend(loc="lower right")
    return fig


def curves(runs: Mapping[str, Sequence[dict]], metric: str = "loss") -> Figure:
    """Draw validation (solid) and training (dashed) curves, one panel a run, on one scale.

    `runs` maps a panel's title to history rows (`run.history`); `metric` is "loss" (nats) or
    "accuracy" (0 to 1, drawn in percent). Introduced in notebook 03 (the seminar's Figures 3
    and 8).
    """
    columns = {1: 1, 2: 2, 4: 2}.get(len(runs), 3)
    rows = -(-len(runs) // columns)
    fig, axes = plt.subplots(rows, columns, sharey=True, squeeze=False, layout="constrained",
                             figsize=(max(5, 2.8 * columns), 2.6 * rows))
    for k, (title, history) in enumerate(runs.items()):
        table, ax = pd.DataFrame(history).set_index("epoch"), axes.flat[k]
        training, validation = table[f"train_{metric}"], table[f"validation_{metric}"]
        if metric == "accuracy":
            training, validation = 100 * training, 100 * validation
        higher = training.iloc[-1] > validation.iloc[-1]
        _line(ax, validation, "validation", PALETTE[k % 10], "-", "top" if higher else "bottom")
        _line(ax, training, "training", PALETTE[k % 10], "--", "bottom" if higher else "top")
        ax.set(title=title, xlabel="epoch", xlim=(0, table.index[-1]))
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy, percent" if metric == "accuracy" else "loss, nats")
    for ax in axes.flat[len(runs):]:
        ax.axis("off")
    return fig


def confusion(matrix: np.ndarray, title: str = "", classes: Sequence[str] = CLASSES) -> Figure:
    """Draw a confusion matrix, counts [7, 7] with rows = true, coloured by share of the row.

    Each cell shows the share of its true class in percent and, below it, the number of images.
    Introduced in notebook 02 (the seminar's Figures 9 and 10).
    """
    matrix = np.asarray(matrix)
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    text = [[f"{s:.0f} %\n{n:,}" for s, n in zip(*rows, strict=True)]
            for rows in zip(share, matrix, strict=True)]
    fig = heatmap(pd.DataFrame(share, classes, classes), "percent of the true class",
                  text, limits=(0, 100), size=(6.4, 4.8))
    fig.axes[0].set(title=title, xlabel="predicted", ylabel="true")
    return fig


def heatmap(table: pd.DataFrame, label: str, text=None, limits: tuple = (None, None),
            size: tuple[float, float] = (5, 2.6)) -> Figure:
    """Draw a table of numbers as coloured cells, each with its value (one decimal) in it.

    `label` names the values and their unit beside the colour bar; `text`, an array of strings
    of the table's shape, replaces the values in the cells; `limits` fixes the ends of the
    colours; `size` is in inches. Introduced in notebook 06.
    """
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    sns.heatmap(table, vmin=limits[0], vmax=limits[1], cmap="cividis", ax=ax, linewidths=1,
                annot=True if text is None else np.asarray(text),
                fmt=".1f" if text is None else "", annot_kws={"size": 8},
                cbar_kws={"label": label})
    mesh, values = ax.collections[0], table.to_numpy().ravel()
    for cell, value in zip(ax.texts, values[~np.isnan(values)], strict=True):
        cell.set_color("black" if mesh.norm(value) > 0.45 else "white")
    ax.tick_params(length=0, rotation=0)
    return fig


def bars(values: Mapping[str, float], label: str, intervals: Mapping | None = None,
         guess: float | None = None) -> Figure:
    """Draw named numbers as horizontal bars, each with its value written beside it.

    `label` names the numbers and their unit; `intervals` maps a name to (low, high) in the
    same unit; `guess` is the reader's MY_GUESS. Introduced in notebook 01.
    """
    fig, ax = plt.subplots(figsize=(6, 0.8 + 0.4 * len(values)), layout="constrained")
    ax.barh(list(values), list(values.values()), color=PALETTE[0], alpha=0.8)
    for name, value in values.items():
        low, high = (intervals or {}).get(name, (value, value))
        ax.plot([low, high], [name, name], color="black")
        ax.annotate(_number(value), (max(value, high), name), (5, 0), va="center",
                    textcoords="offset points", bbox={"color": "white", "pad": 1})
    ax.set_xlabel(label)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlim(left=min(0, *values.values()))
    ax.xaxis.set_major_formatter(lambda value, position: _number(value))
    guess_line(ax, guess)
    return fig


def recall_bars(recalls: Mapping[str, Sequence[float]]) -> Figure:
    """Draw recall by class as bars, one colour a name; `recalls` maps it to 7 values, 0 to 1.

    Introduced in notebook 02 (the seminar's Table 3).
    """
    percent = 100 * pd.DataFrame({name: np.asarray(r) for name, r in recalls.items()}, CLASSES)
    fig, ax = plt.subplots(figsize=(7.5, 3), layout="constrained")
    percent.plot.bar(ax=ax, rot=0, width=0.84, legend=False, color=PALETTE)
    for container in ax.containers:
        ax.bar_label(container, fmt="%.0f", fontsize=7)
    ax.set(ylabel="recall, percent", ylim=(0, 105))
    fig.legend(loc="outside upper center", ncols=4)
    return fig


def guess_line(ax: Axes, guess: float | None) -> None:
    """Mark the reader's MY_GUESS, a value on the x axis, beside a measurement, if there is one.

    Introduced in notebook 01.
    """
    if guess is not None:
        ax.axvline(guess, color="black", linestyle=":")
        ax.annotate(f"your guess: {_number(guess)}", (guess, 1), (0, 2), ha="center", va="bottom",
                    xycoords=("data", "axes fraction"), textcoords="offset points")


def templates(weights: np.ndarray, titles: Sequence[str] = CLASSES) -> Figure:
    """Draw signed pictures, float [n, h, w], on one scale: what adds to a class, what speaks
    against it (the rows of one linear layer). Introduced in notebook 03.
    """
    return _signed(weights, titles, columns=7, size=0.95)


def filters(weights: np.ndarray, columns: int = 16) -> Figure:
    """Draw the kernels of a first layer, float [filters, k, k], on one scale.

    Introduced in notebook 05.
    """
    return _signed(weights, None, columns, size=0.45)


def maps(values: np.ndarray, titles: Sequence[str] | None = None, columns: int = 8) -> Figure:
    """Draw what a layer makes of one picture, float [n, h, w], bright where it is strong.

    Each map has its own scale.
    An activation map still shows the face: give it synthetic ones or Grace Hopper's portrait.
    Introduced in notebook 04 (the seminar's Figure 11).
    """
    return _grid(values, titles, columns, 0.85, cmap="cividis")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _line(ax, values, name, colour, line, side) -> None:
    ax.plot(values.index, values, line, color=colour, marker=".", markersize=4, clip_on=False)
    # The name stands at the curve's end, right of the axes, where no curve can cross it.
    ax.annotate(f" {name}", (values.index[-1], values.iloc[-1]), (3, 0), va=side, color=colour,
                textcoords="offset points", annotation_clip=False)


def _signed(weights, titles, columns, size) -> Figure:
    top = float(np.abs(weights).max())
    fig = _grid(weights, titles, columns, size, cmap="PuOr", vmin=-top, vmax=top)
    fig.colorbar(fig.axes[0].images[0], ax=fig.axes, label="weight", fraction=0.02, aspect=12)
    return fig


def _grid(images, titles, columns, size, **look) -> Figure:
    rows = -(-len(images) // columns)
    lines = max((title.count("\n") + 1 for title in titles), default=0) if titles else 0
    fig, axes = plt.subplots(rows, columns, squeeze=False, layout="constrained",
                             figsize=(size * columns, (size + 0.16 * lines) * rows))
    for ax in axes.flat:
        ax.axis("off")
    for ax, image in zip(axes.flat, images, strict=False):
        ax.imshow(image, interpolation="nearest", **look)
    for ax, title in zip(axes.flat, titles or (), strict=False):
        ax.set_title(title, fontsize=8, pad=2)
    return fig


def _note(fig: Figure, text: str) -> None:
    # Under the figure, where the layout leaves room for it; a second note goes below the first.
    fig.set_figheight(fig.get_figheight() + 0.14 * (text.count("\n") + 1))  # for the note
    fig.supxlabel(f"{fig.get_supxlabel()}\n{text}".strip(), fontsize=8, color="dimgray")
