"""What opens a notebook without a clone: a cell that gets the package, links to Colab and Kaggle.

Both hold the repository's address, which stands in pyproject.toml. After a change of it, and for a
new notebook, `python -m tests.setup_cell` writes them into every notebook and README.md anew.
"""

import json
import re
import tomllib

from fer_utils import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ADDRESS = PROJECT["urls"]["Repository"]
REPOSITORY = ADDRESS.removeprefix("https://github.com/")
OPEN_IN = {
    "Colab": "https://colab.research.google.com/github/{}/blob/main/notebooks/{}",
    "Kaggle": "https://kaggle.com/kernels/welcome?src=https://github.com/{}/blob/main/notebooks/{}",
}
LINKS = re.compile(r"\n\n\[Open in Colab\].*")
# Its packages are what Colab or Kaggle may lack: without versions, pip leaves what is there.
SOURCE = f"""\
#@title Without a clone (on Colab or Kaggle; there turn the internet on): get fer_utils
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
if not (find_spec("fer_utils") or Path("../fer_utils").exists()):
    archive = "{ADDRESS}/archive/refs/heads/main.zip"
    for new in ("--no-deps " + archive, "safetensors kagglehub papermill latex2mathml"):
        subprocess.check_call([sys.executable, *f"-m pip install -q {{new}}".split()])
    print("Installed", archive, "and what it lacked; torch and numpy stay as they are.")"""
CELL = {
    "cell_type": "code",
    "execution_count": None,
    "id": "without-a-clone",
    # Folded in JupyterLab and on Colab; `publish` makes no outputs stale by it.
    "metadata": {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["setup"]},
    "outputs": [],
    "source": SOURCE.splitlines(keepends=True),
}


def links(name: str) -> str:
    """The line below a notebook's heading, in Markdown; `name` is the file's."""
    pairs = ((place, url.format(REPOSITORY, name)) for place, url in OPEN_IN.items())
    return " · ".join(f"[Open in {place}]({url})" for place, url in pairs)


def put_in(notebook: dict, name: str) -> None:
    """Write the cell and the links into a notebook as JSON has it, in place of earlier ones."""
    title, *rest = notebook["cells"]
    text = LINKS.sub("", "".join(title["source"]))
    heading, _, more = text.partition("\n")
    title["source"] = f"{heading}\n\n{links(name)}\n{more}".splitlines(keepends=True)
    rest = [cell for cell in rest if cell["id"] != CELL["id"]]
    notebook["cells"] = [title, {**CELL}, *rest]
    codes = [c for c in notebook["cells"] if c["cell_type"] == "code" and any(c["source"])]
    counted = any(cell["execution_count"] for cell in codes)
    for number, cell in enumerate(codes, 1):
        cell["execution_count"] = number if counted else None
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number


def main() -> None:
    """All notebooks, and the links of README.md."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text("utf-8"))
        put_in(notebook, path.name)
        text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
        path.write_text(text, "utf-8", newline="\n")
    readme = ROOT / "README.md"
    known = r"(colab\.research\.google\.com/github/|src=https://github\.com/)[^/]+/[^/]+(?=/blob/)"
    text = re.sub(known, rf"\g<1>{REPOSITORY}", readme.read_text("utf-8"))
    readme.write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
