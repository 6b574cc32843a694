"""Every notebook is well kept (static checks) and runs from start to end in `smoke`."""

import ast
import copy
import os
import re
import subprocess
import sys
import warnings
from urllib.parse import unquote

import nbformat
import numpy as np
import publish
import pytest
import setup_cell
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fer_utils import ROOT, report, series

PARAMETERS = {"DATA": "auto", "PROFILE": "short", "SEED": 42, "RETRAIN": False}
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ABSOLUTE = re.compile(r"(?<![\w.:/])/(home|Users|content|tmp|root|work|private)/|\b[CD]:\\")
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
DRAWING = ("imshow", "matshow", "pcolormesh", "fromarray")
SOLUTIONS = ROOT / "notebooks" / "solutions"
OPEN = re.compile(r"(?m)^(\w+) = None\b.*\n")  # what an exercise leaves to the reader


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def prose(cells):
    """The source of all Markdown cells."""
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def rendered(cells):
    return BeautifulSoup(report.markdown(prose(cells)), "html.parser")


def program(notebook):
    """The syntax tree of all code, without IPython's commands."""
    source = "\n".join(cell.source for cell in code_cells(notebook))
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", source))


def text_of(output):
    """Return all text of an output; pictures are left out."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(
        str(value) for kind, value in output.get("data", {}).items() if kind not in PICTURES
    )


# ---------------------------------------------------------------- the checks


def check_format(notebook, path):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len(nbformat.writes(notebook)) <= 1_500_000, "larger than 1.5 MB"


def check_metadata(notebook, path):
    assert notebook.metadata.kernelspec.name == "python3"
    assert not {"widgets", "papermill"} & set(notebook.metadata)
    for cell in notebook.cells:
        assert not {"execution", "papermill", "ExecuteTime"} & set(cell.metadata), cell.id


def check_parameters(notebook, path):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, "exactly one cell carries the tag `parameters`"
    lines = ast.parse(tagged[0].source).body
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in lines}
    assert values == PARAMETERS and [type(v) for v in values.values()] == [str, str, int, bool]


def check_heading_first(notebook, path):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


def check_opens_without_a_clone(notebook, path):
    """The links below the heading, and the same cell everywhere before anything else runs."""
    new = "`python -m tests.setup_cell` writes them"
    assert notebook.cells[0].source.splitlines()[2:3] == [setup_cell.links(path.name)], new
    first = code_cells(notebook)[0]
    assert (first.id, first.source) == (setup_cell.CELL["id"], setup_cell.SOURCE), new
    assert first.metadata == setup_cell.CELL["metadata"] and first.outputs == [], new


def check_sections_are_counted(notebook, path):
    headings = [re.match(r"(\d+) ·", heading.text) for heading in rendered(notebook.cells)("h2")]
    numbers = [int(heading[1]) for heading in headings if heading]
    assert numbers == list(range(1, len(numbers) + 1)), "an edit has lost a section's heading"


def check_no_absolute_paths(notebook, path):
    texts = [cell.source for cell in notebook.cells] + [text_of(out) for out in outputs(notebook)]
    for text in texts:
        assert not ABSOLUTE.search(text) and str(ROOT) not in text, text[:300]


def check_code_size(notebook, path):
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        assert len(lines) <= 40, f"{len(lines)} lines from {lines[0]!r} on"
        assert not [line for line in lines if len(line) > 88]


def check_no_exit(notebook, path):
    for cell in code_cells(notebook):
        assert not re.search(r"\b(sys\.exit|os\._exit|quit\(|exit\()", cell.source), cell.source


def check_fresh_outputs(notebook, path):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if not outputs(notebook) and set(counts) == {None}:
        warnings.warn(f"{path.name} waits for publication: it has no outputs")
        return
    old = "the code has changed since its outputs were made: publish again, or clear all outputs"
    assert publish.source_hash(notebook) == notebook.metadata.get("fer_source_hash"), old
    assert counts == list(range(1, len(counts) + 1)), "commit outputs only by `publish`"
    assert not [output for output in outputs(notebook) if output.output_type == "error"]


def check_alternative_texts(notebook, path):
    for output in outputs(notebook):
        for kind in set(output.get("data", {})) & set(PICTURES):
            assert output.metadata.get(kind, {}).get("alt", "").strip(), f"{kind} without alt text"
        for image in BeautifulSoup(text_of(output), "html.parser").find_all("img"):
            assert image.get("alt", "").strip(), "img without alt text in an HTML output"


def check_links(notebook, path):
    page = rendered(notebook.cells)
    for link in page.find_all("a", href=True):
        target, _, _ = link["href"].partition("#")
        if target and not target.startswith(("https://", "http://", "mailto:")):
            assert (path.parent / unquote(target)).exists(), f"no such file: {target}"
    assert not page.find_all("img"), "the report carries no picture files: draw it in a cell"


def check_formulas(notebook, path):
    unread = [formula.text for formula in rendered(notebook.cells).select("code.formula")]
    assert not unread, f"the report cannot show {unread}"


def split_at_exercises(notebook):
    """The cells before the exercises and those from them on."""
    starts = (n for n, cell in enumerate(notebook.cells) if "## Exercises" in cell.source)
    start = next(starts, len(notebook.cells))
    return notebook.cells[:start], notebook.cells[start:]


def load(notebook):
    """Words, lines of code and minutes of a notebook up to its exercises.

    130 words a minute, 8 seconds a line, 45 seconds a figure or table. What opens a notebook
    without a clone is not read.
    """
    walk, _ = split_at_exercises(notebook)
    told = report.markdown(setup_cell.LINKS.sub("", prose(walk)))
    words = len(BeautifulSoup(told, "html.parser").text.split())
    codes = [cell for cell in walk if cell.cell_type == "code" and cell.id != setup_cell.CELL["id"]]
    code = [line.strip() for cell in codes for line in cell.source.splitlines()]
    lines = sum(bool(line) and not line.startswith("#") for line in code)
    shown = [output.get("data", {}) for cell in codes for output in cell.outputs]
    figures = sum("image/png" in d or "<table" in d.get("text/html", "") for d in shown)
    return words, lines, words / 130 + lines * 8 / 60 + figures * 45 / 60


def check_load(notebook, path):
    words, lines, minutes = load(notebook)
    assert words <= 1_500 and lines <= 220 and minutes <= 60, (words, lines, minutes)
    if outputs(notebook):
        said = int(re.search(r"(\d+) minutes to read", notebook.cells[0].source)[1])
        assert abs(said - minutes) <= 2.5, (
            f"it says {said} minutes, where {minutes:.0f} are counted"
        )


def check_numbers_are_filled(notebook, path):
    """Numbers in the prose are those of the published run; an answer has no other results."""
    if outputs(notebook):
        kept = {what: number for number, what in publish.numbers(notebook)}
        assert kept == notebook.metadata.get("fer_numbers", {}), "publish again"
    for answer in answers(notebook):
        typed = re.findall(r"\d+\.\d+|\d+ (?:%|percent|points)", publish.NUMBER.sub("", answer))
        assert not typed, f"fill {typed} in from the run: 1.2<!--{{gain:.1f}}-->"


def answers(notebook):
    """The sources of all folded answers."""
    folded = r"(?s)<details><summary>On FER2013</summary>(.*?)</details>"
    return re.findall(folded, prose(notebook.cells))


def check_questions_are_answered(notebook, path):
    """Every numbered section that asks something says what was seen on FER2013."""
    walk, rest = split_at_exercises(notebook)
    for section in re.split(r"(?m)^## (?=\d)", prose(walk))[1:]:
        asked = "?" in re.sub(r"(?s)<details>.*?</details>", "", section)
        assert not asked or "<summary>On FER2013</summary>" in section, section[:200]
    recall = prose(rest).partition("## Five questions")[2]
    asked = 0 if path.stem.startswith("00") else 5  # the map teaches nothing
    assert recall.count("<details><summary>") == asked, "five questions with folded answers"


def check_exercises(notebook, path):
    """Two to four, each with stars, a cell to fill in, a check, two hints, a solution apart."""
    if path.stem.startswith("00"):  # the map teaches nothing
        return
    _, rest = split_at_exercises(notebook)
    tasks = [cell for cell in rest if cell.cell_type == "code" and OPEN.search(cell.source)]
    stars = re.findall(r"\*\*\d · (★+)", prose(rest))
    assert 2 <= len(tasks) == len(stars) <= 4, (len(tasks), stars)
    for task in tasks:
        calls = [node for node in ast.walk(ast.parse(task.source)) if isinstance(node, ast.Call)]
        (check,) = [c for c in calls if getattr(c.func, "attr", "") == "check"]
        assert len(check.args) == 4, "two hints"
    assert "Solution</summary>" not in prose(rest)


def check_titles(notebook, path):
    """Each figure's title says what came out."""
    for node in ast.walk(program(notebook)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "plots.show":
            assert "title" in [keyword.arg for keyword in node.keywords], ast.unparse(node)


def check_no_face_is_drawn(notebook, path):
    assert not drawn_faces(program(notebook)), "draw faces with fer_utils.plots instead"


def drawn_faces(tree) -> list[str]:
    """Return the calls that draw single images taken from `.images` or `.split(...)`.

    A value taken from there stays one through assignments and loops, until it is averaged.
    """
    names = set()

    def single(node):
        parts = list(ast.walk(node))
        averaged = any(isinstance(part, ast.Attribute) and part.attr == "mean" for part in parts)
        return not averaged and any(
            isinstance(part, ast.Attribute)
            and part.attr in ("images", "split")
            or isinstance(part, ast.Name)
            and part.id in names
            for part in parts
        )

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and single(node.value):
            names |= {
                part.id
                for target in node.targets
                for part in ast.walk(target)
                if isinstance(part, ast.Name)
            }
        if isinstance(node, ast.For | ast.comprehension) and single(node.iter):
            names |= {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in DRAWING:
            if any(single(argument) for argument in node.args):
                found.append(ast.unparse(node))
    return found


CHECKS = [value for name, value in sorted(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook(path, check):
    check(nbformat.read(path, as_version=4), path)


def test_every_notebook_is_in_the_series():
    known = [notebook.stem for notebook in series.notebooks()]
    assert [path.stem for path in PATHS if path.stem not in known] == []


def test_ruff_finds_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- the checks find what they should


def good():
    """Return a small notebook as `publish` leaves it."""
    task = "one = None  # your code\nexercises.check(one, lambda given: given == 1, 'odd', 'small')"
    fold = "<details><summary>{}</summary>\n\n{}\n\n</details>\n\n"
    cells = [
        new_markdown_cell(
            f"# 01 · One\n\n{setup_cell.links('01_one.ipynb')}\n\nWhat is $x_1$? "
            "[Here](01_one.ipynb#x)\n\n2 minutes to read.\n\n"
            "## 1 · Is it so?\n\n" + fold.format("On FER2013", "By 1.5<!--{x:.1f}--> points."),
            id="a",
        ),
        nbformat.from_dict(setup_cell.CELL | {"source": setup_cell.SOURCE, "execution_count": 1}),
        new_code_cell(
            'DATA = "auto"\nPROFILE = "short"\nSEED = 42\nRETRAIN = False',
            id="b",
            metadata={"tags": ["parameters"]},
            execution_count=2,
        ),
        new_code_cell(
            "plots.faces(images)",
            id="c",
            execution_count=3,
            outputs=[
                new_output(
                    "display_data",
                    data={"image/png": "/tmp/", "text/plain": "Figure"},
                    metadata={"image/png": {"alt": "Bars."}},
                ),
                new_output("stream", text="epoch 1\n"),
            ],
        ),
        new_markdown_cell("## Exercises\n\n**1 · ★ Predict**\n\n**2 · ★★★ Write**", id="d"),
        new_code_cell(task, id="e", execution_count=4),
        new_code_cell(re.sub(r"\bone\b", "two", task), id="f", execution_count=5),
        new_markdown_cell("## Five questions\n\n" + 5 * fold.format("Why?", "So."), id="g"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    notebook.metadata.fer_source_hash = publish.source_hash(notebook)
    notebook.metadata.fer_numbers = {"x:.1f": "1.5"}
    return notebook


def spoil(target, key, value):
    def change(notebook):
        place = eval(target, {"notebook": notebook, "cells": notebook.cells})
        place[key] = value

    return change


def change_source(id, old, new):
    def change(notebook):
        (cell,) = [cell for cell in notebook.cells if cell.id == id]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


SPOILT = [
    (check_format, spoil("notebook", "nbformat_minor", 4)),
    (check_format, spoil("cells[0]", "source", "# x" * 600_000)),
    (check_metadata, spoil("notebook.metadata", "widgets", {})),
    (check_metadata, spoil("notebook.metadata.kernelspec", "name", "fer")),
    (check_metadata, spoil("cells[3].metadata", "execution", {})),
    (check_parameters, spoil("cells[3].metadata", "tags", ["parameters"])),
    (check_parameters, spoil("cells[2].metadata", "tags", [])),
    (check_parameters, spoil("cells[2]", "source", 'DATA = "auto"\nPROFILE = "short"\nSEED = 42')),
    (
        check_parameters,
        spoil(
            "cells[2]", "source", 'DATA = "auto"\nPROFILE = "short"\nSEED = "42"\nRETRAIN = False'
        ),
    ),
    (
        check_parameters,
        spoil("cells[2]", "source", 'DATA = "auto"\nPROFILE = "short"\nSEED = 42\nRETRAIN = True'),
    ),
    (check_heading_first, spoil("cells[0]", "source", "One")),
    (check_opens_without_a_clone, change_source("a", "Colab", "Binder")),
    (check_opens_without_a_clone, change_source("without-a-clone", "-q", "-qq")),
    (check_opens_without_a_clone, spoil("cells[1].metadata", "tags", [])),
    (check_opens_without_a_clone, spoil("cells[1]", "id", "z")),
    (check_sections_are_counted, spoil("cells[0]", "source", "# 01 · One\n\n## 2 · Two")),
    (check_no_absolute_paths, spoil("cells[3]", "source", 'open("/home/me/x")')),
    (check_no_absolute_paths, spoil("cells[3]", "source", r'open("C:\\me")')),
    (check_no_absolute_paths, spoil("cells[3].outputs[1]", "text", "saved in /tmp/x")),
    (check_no_absolute_paths, spoil("cells[3].outputs[0].data", "text/plain", f"{ROOT}/data")),
    (check_code_size, spoil("cells[3]", "source", "x\n" * 41)),
    (check_code_size, spoil("cells[3]", "source", "x" * 89)),
    (check_no_exit, spoil("cells[3]", "source", "import sys; sys.exit(0)")),
    (check_fresh_outputs, spoil("cells[3]", "execution_count", 2)),
    (check_fresh_outputs, spoil("cells[3]", "execution_count", None)),
    (check_fresh_outputs, spoil("cells[3]", "source", "changed")),
    (check_fresh_outputs, spoil("cells[3].outputs", 1, new_output("error", ename="E", evalue=""))),
    (check_alternative_texts, spoil("cells[3].outputs[0]", "metadata", {})),
    (check_alternative_texts, spoil("cells[3].outputs[0].data", "text/html", "<img src='data:'>")),
    (check_links, spoil("cells[0]", "source", "[gone](99_gone.ipynb)")),
    (check_links, spoil("cells[0]", "source", "![picture](01_one.ipynb)")),
    (check_formulas, spoil("cells[0]", "source", r"$\nosuchcommand$")),
    (check_load, spoil("cells[0]", "source", "# 01\n\n2 minutes to read" + 1_500 * " word")),
    (check_load, spoil("cells[3]", "source", "x = 1\n" * 220)),
    (check_load, spoil("cells[0]", "source", "# 01\n\n6 minutes to read")),
    (check_numbers_are_filled, spoil("notebook.metadata", "fer_numbers", {"x:.1f": "1.6"})),
    (check_numbers_are_filled, spoil("notebook.metadata", "fer_numbers", {})),
    (check_numbers_are_filled, change_source("a", "points", "points, 3.1 before")),
    (check_numbers_are_filled, change_source("a", "points", "points or 3 %")),
    (check_questions_are_answered, change_source("a", "On FER2013", "Here")),
    (check_questions_are_answered, change_source("g", "Five questions", "Questions")),
    (check_questions_are_answered, spoil("cells[7]", "source", "## Five questions")),
    (check_exercises, change_source("d", "★★★ ", "")),
    (check_exercises, change_source("e", ", 'small'", "")),
    (check_exercises, change_source("f", "None", "2")),
    (check_exercises, change_source("d", "Write", "Write\n\n<summary>Solution</summary>")),
    (check_titles, spoil("cells[3]", "source", "plots.show(fig, 'Bars.', faces)")),
    (check_no_face_is_drawn, spoil("cells[3]", "source", "plt.imshow(faces.images[3])")),
    (
        check_no_face_is_drawn,
        spoil(
            "cells[3]",
            "source",
            "%matplotlib inline\npictures, labels = faces.split('train')\n"
            "for one in pictures[:3]:\n    axes.imshow(one / 255)",
        ),
    ),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_checks_pass_a_good_notebook(check, tmp_path):
    (tmp_path / "01_one.ipynb").touch()
    check(good(), tmp_path / "01_one.ipynb")


@pytest.mark.parametrize(
    "check, change", SPOILT, ids=[f"{n}-{check.__name__}" for n, (check, _) in enumerate(SPOILT)]
)
def test_checks_refuse_a_spoilt_notebook(check, change, tmp_path):
    (tmp_path / "01_one.ipynb").touch()
    notebook = copy.deepcopy(good())
    change(notebook)
    with pytest.raises((AssertionError, nbformat.ValidationError)):
        check(notebook, tmp_path / "01_one.ipynb")


def test_changed_code_may_wait_for_publication_and_then_says_so(tmp_path):
    notebook = copy.deepcopy(good())
    notebook.cells.append(new_code_cell("print(1)", id="d"))
    with pytest.raises(AssertionError):
        check_fresh_outputs(notebook, tmp_path / "01_one.ipynb")
    notebook.cells[3].outputs = []
    with pytest.raises(AssertionError):
        check_fresh_outputs(notebook, tmp_path / "01_one.ipynb")
    for cell in notebook.cells[1:]:
        cell.execution_count = None
    with pytest.warns(UserWarning, match="01_one.ipynb"):
        check_fresh_outputs(notebook, tmp_path / "01_one.ipynb")


def test_every_check_is_seen_to_refuse():
    assert {check for check, _ in SPOILT} == set(CHECKS)


def test_averages_and_drawn_faces_may_be_shown():
    source = (
        "images, labels = faces.split('train')\naverage = images[labels == 3].mean(axis=0)\n"
        "plt.imshow(average)\nplt.imshow(faces.images.mean(axis=0))\n"
        "plt.imshow(synthetic.draw([3], seed=0)[0])\nplt.imshow(confusion)"
    )
    assert drawn_faces(ast.parse(source)) == []


def test_the_published_map_has_every_notebook_with_its_minutes():
    """00 reads the others' first cells: it is published again when one is new or longer."""
    shown = "".join(map(text_of, outputs(nbformat.read(PATHS[0], 4))))
    for path in PATHS[1:]:
        first = nbformat.read(path, 4).cells[0].source
        title = re.search("# (.+)", first)[1]
        minutes = re.search(r"(\d+) minutes to read", first)[1]
        assert re.search(rf"(?m)^{re.escape(title)} +{minutes} ", shown), f"{title}: {minutes}"


# ---------------------------------------------------------------- they run


WRONG = {True: "def {0}(*anything, **more): return 0\n", False: "{0} = -1\n"}


def tried(task, solution):
    """An exercise's cell with wrong answers, and with those of its solution."""
    functions = [n.name for n in ast.parse(solution).body if isinstance(n, ast.FunctionDef)]
    wrong = "".join(WRONG[name in functions].format(name) for name in OPEN.findall(task.source))
    return [
        new_code_cell(f"{answer}\n{OPEN.sub('', task.source)}", metadata={"answer": kind})
        for kind, answer in (("wrong", wrong), ("right", solution))
    ]


def solve(notebook, solutions):
    """Below each exercise, try a wrong answer and its solution; then what `publish` asks."""
    cells = []
    for cell in notebook.cells:
        cells += [cell, *(tried(cell, solutions.pop(cell.id)) if cell.id in solutions else [])]
    assert not solutions, f"no such exercise: {list(solutions)}"
    notebook.cells = cells
    publish.ask(notebook)


@pytest.mark.parametrize("name", [path.stem for path in PATHS])
def test_notebook_and_its_solutions_run_in_smoke(name, fresh_home, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(fresh_home))
    path, solutions = SOLUTIONS / f"{name}.ipynb", {}
    if path.exists():
        cells = code_cells(nbformat.read(path, as_version=4))
        solutions = {cell.id: cell.source for cell in cells}
    options = dict(names=[name], out=fresh_home / "reports" / name)
    index = series.run(
        profile="smoke", **options, prepare=lambda notebook: solve(notebook, {**solutions})
    )
    executed = nbformat.read(index.parent / f"{name}.ipynb", as_version=4)
    assert "synthetic faces" in nbformat.writes(executed), "a figure of drawn faces says so"
    tasks = [
        cell for cell in executed.cells if OPEN.search(cell.source) and "check(" in cell.source
    ]
    assert {cell.id for cell in tasks} == set(solutions), "each exercise has its solution"
    for cell in tasks:
        assert text_of(cell.outputs[-1]).endswith("not attempted yet\n"), cell.source
    for cell in executed.cells:
        sign = {"wrong": "not yet: ", "right": "✓"}.get(cell.metadata.get("answer"), "")
        assert sign in "".join(map(text_of, cell.get("outputs", []))), cell.source


@pytest.mark.parametrize("path", PATHS[1:2], ids=lambda path: path.stem)
def test_plain_papermill_runs_from_any_folder(path, fresh_home, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(fresh_home))
    command = [sys.executable, "-m", "papermill", str(path), "out.ipynb", "-p", "PROFILE", "smoke"]
    done = subprocess.run(
        command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    series.check_executed(tmp_path / "out.ipynb")


# ---------------------------------------------------------------- what they teach by hand


def taught(number, *names):
    """Return functions that a notebook defines, as they stand in it."""
    (path,) = (path for path in PATHS if path.stem.startswith(number))
    tree = program(nbformat.read(path, as_version=4))
    tree.body = [node for node in tree.body if getattr(node, "name", "") in names]
    found = {"np": np}
    exec(compile(tree, path.name, "exec"), found)
    return [found[name] for name in names]


def noisy(seed, classes=7, count=3000):
    """Return labels of which a fifth are wrong, and chances that lean to the right ones."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    labels = np.where(rng.random(count) < 0.2, rng.integers(0, classes, count), truth)
    chances = rng.dirichlet(np.full(classes, 0.5), count) + np.eye(classes)[truth]
    return labels, chances / chances.sum(axis=1, keepdims=True)


def test_confident_learning_by_hand_on_three_classes():
    confident, joint_count = taught("13", "confident", "joint_count")
    chances = np.array(
        [[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1], [0.5, 0.45, 0.05], [0.1, 0.2, 0.7]]
    )
    labels = np.array([0, 0, 1, 1, 2])
    # Bars: (0.8 + 0.4) / 2 = 0.6, (0.7 + 0.45) / 2 = 0.575 and 0.7.
    sure = confident(chances, labels)
    assert sure.tolist() == [0, -1, 1, -1, 2]
    assert joint_count(labels, sure, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    labels = np.array([0, 1, 1, 1, 2])  # bars: 0.8, (0.5 + 0.7 + 0.45) / 3 = 0.55 and 0.7
    assert confident(chances, labels).tolist() == [0, -1, 1, -1, 2]
    labels = np.array([1, 0, 1, 0, 2])  # bars: 0.45, (0.1 + 0.7) / 2 = 0.4 and 0.7
    sure = confident(chances, labels)
    assert sure.tolist() == [0, 1, 1, 0, 2], "of two bars that are reached, the likelier class"
    assert joint_count(labels, sure, 3).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("seed", range(3))
def test_confident_learning_counts_what_cleanlab_counts(seed):
    """Where the likeliest class reaches its bar: else cleanlab takes it all the same, where the
    paper takes the likeliest of those whose bar is reached.
    """
    cleanlab = pytest.importorskip("cleanlab", reason="pip install cleanlab")
    confident, joint_count = taught("13", "confident", "joint_count")
    labels, chances = noisy(seed)
    sure = confident(chances, labels)
    counted = cleanlab.count.compute_confident_joint(labels, chances, calibrate=False)
    assert np.array_equal(joint_count(labels, sure), counted)
    filtered = cleanlab.filter.find_label_issues(
        labels, chances, filter_by="confident_learning", n_jobs=1
    )
    suspect = (sure >= 0) & (sure != labels) & (chances.argmax(axis=1) != labels)
    assert np.array_equal(suspect, filtered)


def test_one_tagger_against_nine_is_what_drawing_one_gives():
    (one_against_nine,) = taught("13", "one_against_nine")
    votes = np.array([[7, 2, 1, 0], [5, 4, 1, 0], [4, 4, 1, 1], [10, 0, 0, 0]])
    for row, chance in zip(votes, one_against_nine(votes), strict=True):
        answers, agreed = np.repeat(np.arange(4), row), []
        for number, answer in enumerate(answers):
            others = np.bincount(np.delete(answers, number), minlength=4)
            top = np.flatnonzero(others == others.max())
            agreed.append((answer in top) / len(top))
        assert chance == pytest.approx(np.mean(agreed))
