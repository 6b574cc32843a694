"""The house is in order: what may import what, how large it is, and when a name is introduced."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fer_utils import ROOT, runs

FILES = {path.stem: path for path in sorted((ROOT / "fer_utils").glob("*.py"))}
NOTEBOOKS = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
DRAWING = {"plots"}


def imported(tree: ast.AST) -> set[str]:
    """Return the modules of fer_utils that some code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("fer_utils")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fer_utils"):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    names = {"__init__" if name == "fer_utils" else name.split(".")[1] for name in found}
    return names & FILES.keys()


@cache
def module(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text("utf-8"))


@cache
def code(number: str) -> ast.Module:
    """Return a notebook's code as one tree; lines for IPython are left out."""
    cells = [c.source for c in nbformat.read(NOTEBOOKS[number], 4).cells if c.cell_type == "code"]
    return ast.parse("\n".join(re.sub(r"(?m)^\s*[%!].*$", "", cell) for cell in cells))


# ---------------------------------------------------------------- imports


def listed() -> list[str]:
    """Return the modules as section "The module" of CONTRIBUTING lists them."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = re.search(r"(?ms)^## The module$(.*?)(?=^## |\Z)", text)[1]
    return re.findall(r"(?m)^- `(\w+)`", section)


def test_contributing_lists_every_module_once():
    assert sorted(["__init__", *listed()]) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_no_module_imports_one_below_it(name):
    order = ["__init__", *listed()]
    above = order[: order.index(name)]
    assert sorted(imported(module(name)) - set(above)) == []


# ---------------------------------------------------------------- size


def lines_of_code(text: str) -> int:
    """Count lines with code: docstrings, comments and blanks are none."""
    aside = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    used = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (*aside, tokenize.ENDMARKER):
            used.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, kinds) and ast.get_docstring(node, False) is not None:
            used -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(used)


def readers_modules() -> set[str]:
    """Return the modules that notebooks import, and what those import."""
    found, new = set(), set().union(*(imported(code(number)) for number in NOTEBOOKS))
    while new:
        found |= new
        new = set().union(*(imported(module(name)) for name in new)) - found
    return found | {"__init__"}


def test_lines_of_code_are_counted_as_promised():
    text = '"""Doc."""\n\n# no\ndef f(\n    x,\n):  # yes\n    """Doc\n    of f."""\n'
    text += '    return """a\nb"""\n'
    assert lines_of_code(text) == 5


def test_the_module_is_small():
    sizes = {name: lines_of_code(path.read_text("utf-8")) for name, path in FILES.items()}
    assert sum(sizes.values()) < 2100, sizes
    read = {name: sizes[name] for name in sorted(readers_modules() - DRAWING)}
    assert sum(read.values()) < 1500, read


# ---------------------------------------------------------------- introduced in


@cache
def uses(number: str) -> tuple[set, set, set]:
    """Return what a notebook uses: (module, name) pairs, other attributes, modules."""
    tree, names, attributes, modules = code(number), set(), set(), imported(code(number))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fer_utils."):
            names |= {(node.module.split(".")[1], alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute):
            owner = getattr(node.value, "id", None)
            if owner in FILES:
                names.add((owner, node.attr))
            else:
                attributes.add(node.attr)
    return names, attributes, modules


def promises():
    """Yield (module, class or "", name or "", notebook) for each "Introduced in notebook NN"."""
    for name in FILES:
        spots = [("", "", module(name))]
        for node in module(name).body:
            spots.append(("", getattr(node, "name", ""), node))
            if isinstance(node, ast.ClassDef):
                spots += [(node.name, getattr(part, "name", ""), part) for part in node.body]
        for owner, part, node in spots:
            documented = ast.Module | ast.ClassDef | ast.FunctionDef
            text = (isinstance(node, documented) and ast.get_docstring(node)) or ""
            for number in re.findall(r"Introduced in\s+notebook\s+(\d\d)", text):
                fields = set()
                if isinstance(node, ast.ClassDef):  # its objects are known by what they hold
                    fields = {getattr(line, "name", None) for line in node.body}
                    fields |= {getattr(getattr(line, "target", 0), "id", 0) for line in node.body}
                yield name, owner, part, number, frozenset(fields)


def used(name, owner, part, number, fields=frozenset()) -> bool:
    names, attributes, modules = uses(number)
    if owner:
        return part in attributes
    if part:
        return (name, part) in names or bool(fields & attributes)
    return name in modules


PROMISES = [
    pytest.param(*promise, id=".".join(filter(None, promise[:3]))) for promise in promises()
]


@pytest.mark.parametrize("name, owner, part, number, fields", PROMISES)
def test_a_name_is_introduced_where_its_docstring_says(name, owner, part, number, fields):
    if number not in NOTEBOOKS:
        pytest.skip(f"notebook {number} is not written yet")
    assert used(name, owner, part, number, fields), f"notebook {number} does not use it"
    taught = [other for other in NOTEBOOKS if "00" < other < number]  # 00 is a map
    earlier = [other for other in taught if used(name, owner, part, other)]
    assert earlier == [], "an earlier notebook uses it"


# ---------------------------------------------------------------- versions


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    lines = [line.partition("#")[0].strip() for line in lines]
    return [Requirement(line) for line in lines if line and not line.startswith("-e")]


def test_the_published_runs_versions_are_of_every_package_and_within_the_bounds():
    exact = {canonicalize_name(each.name): each for each in requirements("constraints.txt")}
    for wanted in requirements("requirements.txt"):
        ((_, version),) = [(s.operator, s.version) for s in exact[wanted.name].specifier]
        assert wanted.specifier.contains(version), f"{wanted}, but constraints.txt has {version}"
    trained = [run.provenance for run in runs.published_runs()]
    known = {each["versions"]["torch"].partition("+")[0] for each in trained if "versions" in each}
    ((_, torch),) = [(s.operator, s.version) for s in exact["torch"].specifier]
    assert torch in known, "no published run was trained with constraints.txt's torch"


def test_every_package_that_is_imported_is_listed():
    known = {canonicalize_name(each.name) for each in requirements("requirements.txt")}
    # These come with what is listed.
    known |= {"jinja2", "beautifulsoup4", "pygments", "jupyter-client", "ipython", "threadpoolctl"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = sum(project["optional-dependencies"].values(), [])
    known |= {canonicalize_name(Requirement(each).name) for each in extras}
    owners = packages_distributions()
    trees = [*map(module, FILES), *map(code, NOTEBOOKS)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"fer_utils"}
    for top in tops:
        assert known & {canonicalize_name(owner) for owner in owners.get(top, [top])}, top


# ---------------------------------------------------------------- style


def test_ruff_would_format_nothing_otherwise():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
