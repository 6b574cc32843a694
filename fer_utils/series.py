"""Run the notebooks in order through papermill and write what they showed as an HTML report.

A run executes copies and never touches notebooks/. Papermill alone can call a notebook finished
that is not (kernel killed, `sys.exit(0)`, time out, misspelt parameter), so a notebook counts as
run only after `execute` has checked it.
"""

import io
import os
import time
from pathlib import Path
from textwrap import indent

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager, kernelspec

from fer_utils import ROOT, UserError, home, terminate_as_interrupt
from fer_utils.progress import clock
from fer_utils.report import Report

FOLDER = ROOT / "notebooks"
DATA_NAMES = ("auto", "synthetic", "fer2013", "fer2013-seminar-split")


def notebooks() -> list[Path]:
    """The files of all notebooks of the series, in order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def seconds(notebook: Path) -> int:
    """What a notebook may take on synthetic faces at `short` on two CPU cores.

    It is `fer_seconds` in its metadata; all fourteen together stay within 15 minutes. It drives
    the time left.
    """
    return nbformat.read(notebook, as_version=4).metadata.get("fer_seconds", 60)


class NotebookFailed(UserError):
    """A notebook did not run from its first cell to its last; the message says where and why."""


def select(names=None) -> list[Path]:
    """The notebooks to run, in order: all that exist, or those that `names` start.

    `names` are file names or their beginnings ("03"). Raises ValueError for a name that fits
    no notebook.
    """
    existing = notebooks()
    wanted = tuple(str(name).removesuffix(".ipynb") for name in names or [""])
    for name in wanted:
        if not any(notebook.stem.startswith(name) for notebook in existing):
            known = ", ".join(notebook.stem for notebook in existing)
            raise UserError(f"No notebook in {FOLDER} starts with {name!r}; there are: {known}.")
    return [notebook for notebook in existing if notebook.stem.startswith(wanted)]


# ---------------------------------------------------------------- run


def run(
    data="auto", profile="short", seed=42, names=None, out=None, keep_going=False, prepare=None
) -> Path:
    """Execute the notebooks in order and return the path of the report's index.html.

    data      "auto", "synthetic", "fer2013", "fer2013-seminar-split" or a path
    profile   "smoke", "short" or "seminar"
    names     which notebooks, see `select`; all when None
    out       folder of the executed notebooks and the report, else a new one in reports/
    prepare   what changes the copy of a notebook before it runs, as `publish` does

    Raises NotebookFailed when a notebook failed (with `keep_going` after the later ones have
    run); what it got done is kept as NN_name.failed.ipynb. Ctrl+C and SIGTERM stop the running
    notebook cleanly and raise KeyboardInterrupt.
    """
    terminate_as_interrupt()
    chosen, results = select(names), {}
    out = Path(out or home() / "reports" / time.strftime("%Y-%m-%d_%H-%M-%S")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    parameters = dict(DATA=absolute(data), PROFILE=profile, SEED=int(seed), RETRAIN=False)
    about = f"Data {data}, profile {profile}, seed {seed}; {os.cpu_count()} cores; {time.ctime()}"
    report = Report(out, chosen, about=about)
    for notebook in chosen:
        place = f"[{len(results) + 1}/{len(chosen)}] {notebook.stem}"
        print(f"{place}   {time_left(chosen, results)}", flush=True)
        started, status, executed = time.monotonic(), "stopped", out / notebook.name
        try:
            execute(notebook, executed, parameters, prepare=prepare)
            status = "done"
        except NotebookFailed as error:
            status = "failed"
            print(error, flush=True)
        finally:  # also when it was interrupted
            results[notebook.stem] = (status, time.monotonic() - started)
            kept = executed if status == "done" else executed.with_suffix(".failed.ipynb")
            report.add(notebook.stem, kept, *results[notebook.stem])
            report.write("index")
            if status == "stopped":
                print("Stopped. Finished epochs are kept: run the same command to go on.")
        if status == "failed" and not keep_going:
            break
    if failed := [name for name, (status, _) in results.items() if status == "failed"]:
        raise NotebookFailed(f"Failed: {', '.join(failed)}. What they got done is in {out}.")
    return out / "index.html"


def execute(source: Path, target: Path, parameters: dict, timeout=None, prepare=None) -> None:
    """Execute a copy of `source` with its folder as working directory and save it as `target`.

    One cell may take `timeout` seconds; None is no limit. `prepare` may change the copy before.
    Raises NotebookFailed, naming notebook, cell and error, unless the copy passes
    `check_executed`; then the copy is kept as <name>.failed.ipynb, and `target` is left alone.
    """
    running = target.with_suffix(".running.ipynb")
    try:
        declared = list(papermill.inspect_notebook(str(source)))
        if unknown := ", ".join(sorted(parameters.keys() - set(declared))):
            raise NotebookFailed(f"no parameter {unknown}; its cell `parameters` sets {declared}")
        options = dict(kernel_name="python3", kernel_manager_class=this_interpreter())
        options |= dict(cwd=source.parent, execution_timeout=timeout, progress_bar=False)
        streams = dict(coalesce_streams=True, stdout_file=Indented(), stderr_file=Indented())
        copy = nbformat.read(source, as_version=4)
        if prepare:
            prepare(copy)
        papermill.execute_notebook(copy, running, parameters, **options, **streams)
        check_executed(running)
        os.replace(running, target)
    except Exception as error:
        raise NotebookFailed(f"{source.name} failed {what_and_where(error, running)}") from error
    finally:
        if running.exists():
            os.replace(running, target.with_suffix(".failed.ipynb"))


def check_executed(path: Path) -> nbformat.NotebookNode:
    """The notebook at `path`; raise NotebookFailed unless it really ran to its end.

    Four signs beside papermill's own return, because each of them misses a case: the file is
    valid JSON, papermill wrote its end time, every non-empty code cell has an execution count
    from 1 on without a gap, and no cell put out an error.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError) as error:
        raise NotebookFailed(f"{path} cannot be read as a notebook: {error}") from error
    if not notebook.metadata.get("papermill", {}).get("end_time"):
        raise NotebookFailed(f"{path} was cut off: papermill wrote no end time")
    cells = code_cells(notebook)
    for number, cell in enumerate(cells, 1):
        for output in cell.outputs:
            if output.output_type == "error":
                raise NotebookFailed(f"{output.ename}: {output.evalue} (cell [{number}])")
        if cell.execution_count != number:
            raise NotebookFailed(f"code cell {number} of {len(cells)} did not run")
    return notebook


def code_cells(notebook) -> list:
    """The code cells that have something to run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def absolute(data) -> str:
    """Give a relative path of data a meaning in the notebook's folder too, `$FER_DATA` included."""
    data = os.environ.get("FER_DATA") or data if data == "auto" else data
    return str(data) if str(data) in DATA_NAMES else str(Path(data).expanduser().resolve())


def this_interpreter() -> type:
    """What starts this Python as kernel, with FER_HOME absolute, wherever Jupyter looks."""

    room = {"FER_HOME": str(home().resolve())}

    class ThisInterpreter(AsyncKernelManager):
        # Quiet: the kernel warns about its local connection at each start.
        kernel_spec = kernelspec.KernelSpec(**get_kernel_dict(["--log-level=ERROR"]), env=room)

    return ThisInterpreter


class Indented(io.TextIOBase):
    """A stream that shows what a notebook prints, indented below the notebook's own line."""

    def write(self, text):
        print(indent(text.rstrip(), "    "), flush=True)


def time_left(chosen, results) -> str:
    """Time passed and the time left, by what the notebooks take and this machine's pace."""
    done, elapsed = len(results), sum(took for _, took in results.values())
    # This machine's pace against the one that was timed.
    pace = elapsed / sum(map(seconds, chosen[:done])) if done else 1
    left = clock(pace * sum(map(seconds, chosen[done:])))
    return f"elapsed {clock(elapsed)}, about {left} left"


def what_and_where(error, partial: Path) -> str:
    """Say in one line what stopped a notebook, and in the last cell that it started."""
    what = f"{error.ename}: {error.evalue}" if hasattr(error, "evalue") else str(error)
    what = what.strip().partition("\n")[0] or repr(error)
    try:
        cells = code_cells(nbformat.read(partial, as_version=4))
    except (OSError, ValueError):
        return f"before its first cell: {what}"
    started = [cell for cell in cells if cell.metadata.get("papermill", {}).get("start_time")]
    where = f"[{len(started)}] `{started[-1].source.splitlines()[0]}`" if started else "[1]"
    return f"in cell {where}: {what}"
