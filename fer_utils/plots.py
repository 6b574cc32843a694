"""Every figure and table of the notebooks: one style, a colour and marker a class, one way to show.

Each function returns the matplotlib Figure; `show` displays it once, with its alt text.
`face_grid` alone draws single faces, and it hides them where FER_HIDE_FACES is set. Colours are
seaborn's "colorblind" palette, cividis where values run from low to high, and purple-orange
where they run through zero.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.core.pylabtools import print_figure
from IPython.display import Image, Markdown, display
from pandas.api.types import is_numeric_dtype

from fer_utils import CLASSES, SPLITS, read_toml

LOOK = read_toml("plots")
PALETTE = sns.color_palette("colorblind")
HUES = {name: PALETTE[number] for name, number in LOOK["colours"].items()}  # see `hue`
COLOURS, MARKERS = {name: HUES[name] for name in CLASSES}, LOOK["markers"]


def style() -> None:
    """Set the look of all figures: white, small, 100 dpi. Introduced in notebook 01."""
    sns.set_theme(style="ticks", palette="colorblind", font_scale=0.8, rc=LOOK["style"])


def show(fig: plt.Figure, alt: str, faces=None, title: str = "") -> None:
    """Display a figure once, as PNG with `alt` (one sentence: what it shows), and close it.

    title: what came out, made from the numbers drawn; it stands above. With `faces` (a
    `data.Faces`) that are synthetic, the figure says so under itself. Outside a notebook nothing is
    drawn on the screen. Introduced in notebook 01.
    """
    if title:
        display(Markdown(f"**{title}**"))
    if getattr(faces, "synthetic", False):
        note(fig, "synthetic faces")
    picture = Image(print_figure(fig, bbox_inches=None))
    display(picture, metadata={"image/png": {"alt": alt}})  # IPython 7, Colab's, knows no `alt`
    plt.close(fig)


def hue(name: str, number: int = 0):
    """The series' colour of the class, model or kind of layer that a label names, lighter for the
    seminar's; where it names none, the palette's colour of this number. Introduced in notebook 03.
    """
    known = [each for each in HUES if each.replace("_", " ") in name.lower().replace("_", " ")]
    colour = HUES[max(known, key=len)] if known else PALETTE[number % len(PALETTE)]
    return sns.blend_palette([colour, "white"], 5)[2] if "seminar" in name else colour


class Table:
    """A data frame with a caption, shown as HTML in a notebook and as text elsewhere.

    `faces` (a `data.Faces`) adds "synthetic faces" to the caption where they are. Numbers show
    `decimals` places; nothing is cut. `.frame` is the data frame. Introduced in notebook 01.
    """

    def __init__(self, frame: pd.DataFrame, caption: str, faces=None, decimals: int = 2):
        if frame.index.name:  # the index's name above it, not in a header row of its own
            frame = frame.rename_axis(index=None, columns=frame.index.name)
        self.frame, self.decimals = frame, decimals
        self.caption = caption + " (synthetic faces)" * getattr(faces, "synthetic", False)

    def __repr__(self):
        return f"{self.caption}\n{self.frame.round(self.decimals).to_string(na_rep='–')}"

    def _repr_html_(self):
        # The caption's letters: a random uuid would change the notebook at every run.
        uuid = "".join(filter(str.isalnum, self.caption))
        numbers = dict(precision=self.decimals, thousands=",", na_rep="–", escape="html")
        sides = ["right" if is_numeric_dtype(kind) else "left" for kind in self.frame.dtypes]
        sides = {f".col{n}": side for n, side in enumerate(sides)} | {".row_heading": "left"}
        rules = [dict(selector=at, props=f"text-align: {side}") for at, side in sides.items()]
        style = self.frame.style.format(**numbers).set_caption(escape(self.caption))
        return style.set_uuid(uuid).set_table_styles(rules).to_html()


def face_grid(images: np.ndarray, titles=None, columns: int = 7, faces=None) -> plt.Figure:
    """Draw single faces, uint8 [n, 48, 48], in a grid, each under its title.

    The one function that draws single faces. With the environment variable FER_HIDE_FACES=1, as
    where outputs are published, each face is reduced to the 6 × 6 means of its 8 × 8-pixel
    blocks and a line under the figure says so, unless `faces`, the `data.Faces` they come from,
    is synthetic. Raises ValueError for images of another size.
    Introduced in notebook 01 (the seminar's Figure 1).
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != (48, 48):
        raise ValueError(f"face_grid draws images of shape [n, 48, 48], not {images.shape}.")
    reduce = bool(os.environ.get("FER_HIDE_FACES")) and not getattr(faces, "synthetic", False)
    if reduce:
        images = images.reshape(-1, 6, 8, 6, 8).mean(axis=(2, 4))
    fig = grid(images, titles, columns, 0.95, cmap="gray", vmin=0, vmax=255)
    if reduce:
        note(fig, LOOK["reduced"])
    return fig


def class_averages(faces) -> plt.Figure:
    """Draw the mean of all images of each class, its name and number of images above it.

    `faces` is a `data.Faces`; all splits count. Each picture runs from its own darkest value to
    its own brightest: look at shapes, not at brightness.
    Introduced in notebook 01.
    """
    groups = [faces.images[faces.labels == k] for k in range(7)]
    titles = [f"{name}\n{len(group):,}" for name, group in zip(CLASSES, groups, strict=True)]
    return grid([group.mean(axis=0) for group in groups], titles, 7, 0.95, cmap="gray")


def class_counts(faces) -> plt.Figure:
    """Draw the number of images by class as bars, each made of its three splits.

    `faces` is a `data.Faces`. Introduced in notebook 02 (the seminar's Figure 2, which counts
    the whole data set).
    """
    table = pd.DataFrame(faces.counts().T, CLASSES, SPLITS)
    totals = table.sum(axis=1)
    look = dict(figsize=(6.5, 3), xlabel="images", xlim=(0, 1.12 * totals.max()))
    ax = table.plot.barh(stacked=True, width=0.8, color=sns.color_palette("Blues_r", 3), **look)
    ax.bar_label(ax.containers[-1], totals.map("{:,}".format), padding=3)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.invert_yaxis()
    return ax.figure


def curves(runs: Mapping[str, Sequence[dict]], metric: str = "loss") -> plt.Figure:
    """Draw validation (solid) and training (dashed) curves, one panel a run, on one scale.

    `runs` maps a panel's title to history rows (`run.history`); `metric` is "loss" (nats) or
    "accuracy" (0 to 1, drawn in percent). Introduced in notebook 03 (the seminar's Figures 3
    and 8).
    """
    columns = {1: 1, 2: 2, 4: 2}.get(len(runs), 3)
    fig, axes = panels(len(runs), columns, max(5 / columns, 2.8), 2.6, sharey=True)
    for number, (ax, (title, history)) in enumerate(zip(axes, runs.items(), strict=False)):
        colour = hue(title, number)
        table = pd.DataFrame(history).set_index("epoch") * (100 if metric == "accuracy" else 1)
        lines = table[[f"validation_{metric}", f"train_{metric}"]]
        dots = "." if len(lines) <= 40 else ""  # closer ones would fill the gaps of a dashed line
        look = dict(color=colour, style=["-", "--"], marker=dots, markersize=4, clip_on=False)
        lines.plot(ax=ax, title=title, xlim=(0, lines.index[-1]), legend=False, **look)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ends = lines.iloc[-1]
        for name, (column, end) in zip(("validation", "training"), ends.items(), strict=True):
            # The name stands at the curve's end, right of the axes, where no curve can cross it.
            look = dict(color=colour, va="bottom" if column == ends.idxmax() else "top")
            annotate(ax, f" {name}", (lines.index[-1], end), (3, 0), annotation_clip=False, **look)
    for ax in axes[::columns]:
        ax.set_ylabel("accuracy, percent" if metric == "accuracy" else "loss, nats")
    return fig


def confusion(matrix: np.ndarray, title: str = "", classes: Sequence[str] = CLASSES) -> plt.Figure:
    """Draw a confusion matrix, counts [7, 7] with rows = true, coloured by share of the row.

    Each cell shows the share of its true class in percent and, below it, the number of images.
    Introduced in notebook 02 (the seminar's Figures 9 and 10).
    """
    counts = pd.DataFrame(matrix, classes, classes)
    share = 100 * counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    text = np.vectorize("{:.0f} %\n{:,}".format)(share, counts)
    fig = heatmap(share, "percent of the true class", text, limits=(0, 100), size=(6.4, 4.8))
    fig.axes[0].set(title=title, xlabel="predicted", ylabel="true")
    return fig


def heatmap(table, label, text=None, limits=(None, None), size=(5, 2.6)) -> plt.Figure:
    """Draw a data frame of numbers as coloured cells, each with its value (one decimal) in it.

    label: names the values and their unit beside the colour bar. text: array of strings of the
    table's shape, in place of the values. limits: the ends of the colours. size: in inches.
    Introduced in notebook 06.
    """
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    text = table.map("{:.1f}".format) if text is None else text
    cells = dict(annot=text, fmt="", annot_kws={"size": 8}, linewidths=1, cmap="cividis")
    sns.heatmap(table, ax=ax, vmin=limits[0], vmax=limits[1], cbar_kws={"label": label}, **cells)
    ax.tick_params(length=0, rotation=0)
    return fig


def bars(values: Mapping, label: str, intervals=None, guess=None) -> plt.Figure:
    """Draw numbers by name as horizontal bars, each with its value written beside it.

    label: names the numbers and their unit. intervals: name to (low, high) in the same unit.
    guess: the reader's MY_GUESS. Introduced in notebook 01.
    """
    fig, ax = plt.subplots(figsize=(6, 0.8 + 0.4 * len(values)), layout="constrained")
    ax.barh(list(values), list(values.values()), color=[hue(name) for name in values], alpha=0.8)
    for name, value in values.items():
        low, high = (intervals or {}).get(name, (value, value))
        ax.plot([low, high], [name, name], color="black")
        look = dict(va="center", bbox={"color": "white", "pad": 1})
        annotate(ax, number(value), (max(0, value, high), name), (5, 0), **look)
    ax.set(xmargin=0.12, xlabel=label, xlim=(min(0, *values.values()), None))
    ax.xaxis.set_major_formatter(number)
    ax.invert_yaxis()
    guess_line(ax, guess)
    return fig


def recall_bars(recalls: Mapping[str, Sequence[float]]) -> plt.Figure:
    """Draw recall by class as bars, one colour a name; `recalls` maps it to 7 values, 0 to 1.

    Introduced in notebook 02 (the seminar's Table 3).
    """
    percent = 100 * pd.DataFrame({name: np.asarray(r) for name, r in recalls.items()}, CLASSES)
    hues = [hue(name, number) for number, name in enumerate(recalls)]
    look = dict(figsize=(7.5, 3), ylabel="recall, percent", ylim=(0, 105), legend=False)
    ax = percent.plot.bar(rot=0, width=0.84, color=hues, **look)
    for container in ax.containers:
        ax.bar_label(container, fmt="%.0f", fontsize=7)
    ax.figure.legend(loc="outside upper center", ncols=4)
    return ax.figure


def guess_line(ax: plt.Axes, guess: float | None) -> None:
    """Mark the reader's MY_GUESS, a value on the x axis, beside a measurement, if there is one.

    Introduced in notebook 06.
    """
    if guess is not None:
        ax.axvline(guess, color="black", linestyle=":")
        look = dict(ha="center", va="bottom", xycoords=("data", "axes fraction"))
        annotate(ax, f"your guess: {number(guess)}", (guess, 1), (0, 2), **look)


def templates(weights: np.ndarray, titles: Sequence[str] = CLASSES) -> plt.Figure:
    """Draw signed pictures, float [n, h, w], on one scale: what adds to a class, what speaks
    against it (the rows of one linear layer). Introduced in notebook 03.
    """
    return signed(weights, titles, columns=7, size=0.95)


def maps(values: np.ndarray, titles: Sequence[str] | None = None, columns: int = 8) -> plt.Figure:
    """Draw what a layer makes of one picture, float [n, h, w], bright where it is strong.

    Each map has its own scale.
    An activation map still shows the face: give it synthetic ones or Grace Hopper's portrait.
    Introduced in notebook 03 (the seminar's Figure 11).
    """
    return grid(values, titles, columns, 0.85, cmap="cividis")


def number(value: float, position=None) -> str:
    """Four digits, or all before the point; also a formatter of an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def annotate(ax, text, place, points, **look) -> None:
    """Write `text` so many `points` (x, y) from a place in the data."""
    ax.annotate(text, place, points, textcoords="offset points", **look)


def signed(weights, titles, columns, size) -> plt.Figure:
    """Pictures on one scale around zero, with its colour bar."""
    top = float(np.abs(weights).max())
    fig = grid(weights, titles, columns, size, cmap="PuOr", vmin=-top, vmax=top)
    fig.colorbar(fig.axes[0].images[0], ax=fig.axes, label="weight", fraction=0.02, aspect=12)
    return fig


def grid(images, titles, columns, size, **look) -> plt.Figure:
    """Pictures side by side, `size` inches each, as `imshow` draws them with `look`."""
    titles = [*(titles or ()), *[""] * len(images)]
    lines = max(len(title.splitlines()) for title in titles)
    fig, axes = panels(len(images), columns, size, size + 0.2 * lines)
    for ax, image, title in zip(axes, images, titles, strict=False):
        ax.imshow(image, interpolation="nearest", **look)
        ax.set_title(title, fontsize=8, pad=2)
        ax.axis("off")
    return fig


def panels(count, columns, width, height, **shared) -> tuple[plt.Figure, list]:
    """A figure and its first `count` axes, each of this size in inches; the others are off."""
    rows = -(-count // columns)
    shared |= dict(figsize=(width * columns, height * rows), layout="constrained")
    fig, axes = plt.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat[count:]:
        ax.axis("off")
    return fig, axes.flat[:count]


def note(fig: plt.Figure, text: str) -> None:
    """Write under the figure, where the layout leaves room; a second note goes below the first."""
    fig.set_figheight(fig.get_figheight() + 0.14 * (text.count("\n") + 1))  # for the note
    fig.supxlabel(f"{fig.get_supxlabel()}\n{text}".strip(), fontsize=8, color="dimgray")
