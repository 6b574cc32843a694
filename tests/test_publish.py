"""What is published comes from a run as a reader's; on drawn faces nothing is written."""

import os

import nbformat
import patterns
import publish
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from small_notebooks import VALUES

from fer_utils import data, ledger, runs, series
from fer_utils.files import read_json, write_json


class Official(data.Faces):
    """A small data set that counts as FER2013's official split."""

    official = True


@pytest.fixture
def claims(tmp_path, monkeypatch):
    """The path of published claims of the test's own: digits and rates."""
    path = tmp_path / "published" / "claims.json"
    path.parent.mkdir()
    rows = [
        dict(claim="digits", measured="old", verdict="reproduced", notebook="03", data="fer2013"),
        dict(claim="rates", measured="late", verdict="reproduced", notebook="06", data="fer2013"),
    ]
    write_json(path, {"claims": rows})
    monkeypatch.setattr(ledger, "PUBLISHED_CLAIMS", path)
    return path


def load(monkeypatch, faces):
    """Let every source be these faces."""
    monkeypatch.setattr(data, "load", lambda source="auto": faces)


def read(path):
    return nbformat.read(path, as_version=4)


def printed(path):
    return "".join(out.get("text", "") for cell in read(path).cells[1:] for out in cell.outputs)


# ---------------------------------------------------------------- all notebooks

KEEP = """
import types
from pathlib import Path
from fer_utils import ledger
faces = types.SimpleNamespace(synthetic=False, fingerprint={mark!r}, title="fer2013")
ledger.PUBLISHED_CLAIMS = Path({claims!r})
"""


@pytest.fixture
def setup(claims):
    """The first cell of a small notebook: the official faces' mark, the test's own claims."""
    return KEEP.format(mark=patterns.faces().fingerprint, claims=str(claims))


def test_outputs_are_those_of_a_reader_without_own_runs(write, claims, monkeypatch, tmp_path):
    show = "import os; print(DATA, PROFILE, os.environ['FER_HOME'], os.environ['FER_HIDE_FACES'])"
    source = write("03_three", show)
    own = tmp_path / "home" / "publishing" / "runs"
    (own / "left-short-s42-0").mkdir(parents=True)
    (own / "left-short-s42-0" / "run.json").write_text("{}")
    load(monkeypatch, patterns.faces(kind=Official))
    environment = dict(os.environ)
    publish.publish_notebooks("fer2013")
    place = tmp_path / "home" / "patterns"  # what the name stands for in the author's home
    assert printed(source) == f"{place} short {tmp_path / 'home' / 'publishing'} 1\n"
    assert not (own / "left-short-s42-0").exists()
    assert dict(os.environ) == environment


def test_what_changed_is_shown_by_the_outputs(write, claims, setup, monkeypatch):
    """03 has new words, so its table and the ledger of 09 are made once more; 05 is left alone."""
    count = "with open('{}.log', 'a') as log:\n    log.write('x')"
    shipped = "print(list(ledger.published_claims()['measured'][['digits', 'rates']]))"
    paths = [
        write(name, setup, count.format(name), *sources)
        for name, *sources in (
            ("03_three", "ledger.verdict('digits', 'new', 'reached', faces)", shipped),
            ("05_five",),
            ("09_nine", shipped, "print(list(ledger.kept_claims(faces)['measured'][['rates']]))"),
        )
    ]
    load(monkeypatch, patterns.faces(kind=Official))
    publish.publish_notebooks("fer2013")
    rows = read_json(claims)["claims"]
    assert [(row["claim"], row["measured"], row["data"]) for row in rows] == [
        ("digits", "new", "fer2013"),
        ("rates", "late", "fer2013"),
    ]
    assert "['new', 'late']" in printed(paths[0])
    assert printed(paths[2]) == "['new', 'late']\n['late']\n", "the ledger is full"
    runs = [len((path.parent / f"{path.stem}.log").read_text()) for path in paths]
    assert runs == [2, 1, 2]


def test_one_failure_leaves_every_notebook_as_it_was(write, claims, setup, monkeypatch):
    paths = [
        write("03_three", setup, "ledger.verdict('digits', 'new', 'reached', faces)"),
        write("05_five", "1 / 0"),
    ]
    before = [path.read_bytes() for path in (*paths, claims)]
    load(monkeypatch, patterns.faces(kind=Official))
    with pytest.raises(series.NotebookFailed, match="05_five"):
        publish.publish_notebooks("fer2013")
    assert [path.read_bytes() for path in (*paths, claims)] == before


def test_another_split_is_refused_before_anything_runs(write, claims, monkeypatch):
    write("03_three")
    monkeypatch.setattr(series, "execute", None)  # calling it would fail
    load(monkeypatch, patterns.faces())
    with pytest.raises(runs.RunError, match="patterns"):
        publish.publish_notebooks("patterns")


# ---------------------------------------------------------------- without FER2013


def test_on_drawn_faces_notebooks_run_and_nothing_is_written(write, claims, monkeypatch, tmp_path):
    source = write("03_three", "open('ran.log', 'a').write('x')")
    series.execute(source, tmp_path / "done.ipynb", VALUES, prepare=publish.ask)
    publish.publish_outputs(tmp_path / "done.ipynb", source)
    published = read(source)

    changed = read(source)
    changed.cells.append(new_code_cell("print(DATA)"))
    del changed.metadata["fer_seconds"]
    nbformat.write(changed, source)
    before = [source.read_bytes(), claims.read_bytes()]
    load(monkeypatch, data.Faces(**vars(patterns.faces()) | {"source": "synthetic"}))
    publish.publish_notebooks("synthetic")
    assert (source.parent / "ran.log").read_text() == "xx", "it ran"
    assert [source.read_bytes(), claims.read_bytes()] == before
    assert read(source).metadata.fer_source_hash == publish.source_hash(published)

    load(monkeypatch, patterns.faces(kind=Official))
    publish.publish_notebooks("fer2013")
    assert read(source).metadata.fer_source_hash == publish.source_hash(changed)
    assert 0 <= read(source).metadata.fer_seconds < 60


def test_code_that_does_not_run_whole_is_not_published(write, claims, monkeypatch, tmp_path):
    source = write("03_three", "1 / 0")
    before = source.read_bytes()
    load(monkeypatch, data.Faces(**vars(patterns.faces()) | {"source": "synthetic"}))
    with pytest.raises(series.NotebookFailed, match="03_three"):
        publish.publish_notebooks("synthetic")
    with pytest.raises(series.NotebookFailed):
        publish.publish_outputs(source, source)  # it was never executed
    assert source.read_bytes() == before


# ---------------------------------------------------------------- one notebook


def test_publish_moves_outputs_and_nothing_else(write, tmp_path):
    source = write("01_one", "6 * 7", "# nothing to see", "print('seen')")
    series.execute(source, tmp_path / "done.ipynb", VALUES, prepare=publish.ask)
    before = nbformat.read(source, as_version=4)
    publish.publish_outputs(tmp_path / "done.ipynb", source)
    after = nbformat.read(source, as_version=4)
    nbformat.validate(after)
    assert [(cell.id, cell.source, cell.metadata) for cell in after.cells] == [
        (cell.id, cell.source, cell.metadata) for cell in before.cells
    ]
    code = [cell for cell in after.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert code[1].outputs[0]["execution_count"] == 2
    assert code[1].outputs[0]["data"]["text/plain"] == "42"
    assert code[3].outputs[0]["text"] == "seen\n"
    own = {"fer_source_hash", "fer_seconds", "fer_numbers"}
    assert set(after.metadata) == {"kernelspec", "language_info", *own}
    assert after.metadata.fer_source_hash == publish.source_hash(before)

    before.cells[2].source = "6 * 8"
    nbformat.write(before, source)
    with pytest.raises(series.NotebookFailed, match="has changed since it was run"):
        publish.publish_outputs(tmp_path / "done.ipynb", source)


def test_numbers_in_the_prose_are_those_of_the_run(write, tmp_path):
    source = write("01_one", "cost = {'deep': 17.163}")
    notebook = read(source)
    said = (
        "Deep costs **?<!--{cost[\"deep\"]:.1f}-->** points, (?<!--{cost['deep'] > 17}-->) and 3."
    )
    notebook.cells.append(new_markdown_cell(said))
    nbformat.write(notebook, source)
    for _ in range(2):  # once filled, they are filled again
        series.execute(source, tmp_path / "done.ipynb", VALUES, prepare=publish.ask)
        publish.publish_outputs(tmp_path / "done.ipynb", source)
        after = read(source)
        assert after.cells[-1].source == said.replace("?", "17.2", 1).replace("?", "True")
        assert dict(publish.numbers(after)) == {
            "17.2": 'cost["deep"]:.1f',
            "True": "cost['deep'] > 17",
        }
        assert after.metadata.fer_numbers == {what: n for n, what in publish.numbers(after)}


def test_source_hash_sees_code_only():
    notebook = new_notebook(cells=[new_markdown_cell("# a"), new_code_cell("x = 1")])
    first = publish.source_hash(notebook)
    notebook.cells[0].source = "# b"
    notebook.cells.insert(1, new_code_cell("y", metadata={"tags": ["injected-parameters"]}))
    assert publish.source_hash(notebook) == first
    notebook.cells[2].source = "x = 2"
    assert publish.source_hash(notebook) != first
