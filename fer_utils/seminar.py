"""The seminar paper as data: its numbers, its tables and its claims, read from seminar.toml.

Source: Greblo's seminar on FER2013. Nothing here is measured by this project, except what
`verdict` is given to keep.
"""

import json
import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from pandas.api.types import is_number

from fer_utils import ROOT, home, publishing, write_atomic

PAPER = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
ACCURACY, RECALL = PAPER["accuracy"], PAPER["recall"]  # in percent
TEST_SIZES = tuple(PAPER["test_sizes"])
CLASS_COUNTS, SEMINAR_CLASS_COUNTS = PAPER["class_counts"], PAPER["seminar_class_counts"]
HYPERPARAMETERS = PAPER["hyperparameters"]
# By .id: .text, .where (section or table), .notebooks (the numbers of those that test it).
CLAIMS = {name: SimpleNamespace(id=name, **claim) for name, claim in PAPER["claims"].items()}
PUBLISHED_CLAIMS = ROOT / "data" / "published" / "claims.json"

_WORDS = {True: "holds", False: "does not hold", None: "not testable here"}


def verdict(claim: str, measured: str, holds: bool | None, faces, notebook: str = "") -> None:
    """Print one line on a claim of the seminar and keep it for the ledger of notebook 09.

    `claim` is a key of CLAIMS; `measured` the measurement in words, with its unit; `holds` is
    None where the data or the budget at hand cannot decide; `faces` the `data.Faces` measured
    on. `notebook` ("07") is only needed where a claim has several notebooks and this is not
    its first: the kept word is then that of the latest of them. The file is
    `home()/claims/<first 12 of the fingerprint>/<claim>.json`.
    Raises ValueError for an unknown claim or a notebook that the claim does not name.
    Introduced in notebook 01.
    """
    if claim not in CLAIMS:
        raise ValueError(f"Unknown claim {claim!r}: use one of {', '.join(CLAIMS)}.")
    says, tested_in = CLAIMS[claim].text, CLAIMS[claim].notebooks
    notebook = notebook or tested_in[0]
    if notebook not in tested_in:
        raise ValueError(f"Claim {claim!r} is tested in {', '.join(tested_in)}, not {notebook!r}.")
    word = _WORDS[holds]
    print(f"{claim} · the seminar says: {says} · measured{_on(faces)}: {measured} · {word}")
    row = {
        "claim": claim,
        "measured": measured,
        "verdict": word,
        "notebook": notebook,
        "data": faces.source,
    }
    if notebook >= _read(_path(claim, faces)).get("notebook", ""):
        write_atomic(_path(claim, faces), json.dumps(row, ensure_ascii=False).encode())


def ledger(faces) -> pd.DataFrame:
    """Return all claims in the seminar's order with what notebooks kept on these faces.

    Index: claim id. Columns, all text: the seminar says, where, measured, verdict, notebook,
    data. A claim that nothing was kept for has the verdict "not run yet".
    Introduced in notebook 09.
    """
    rows = [
        {
            "claim": name,
            "the seminar says": claim.text,
            "where": claim.where,
            "measured": "",
            "verdict": "not run yet",
            "notebook": ", ".join(claim.notebooks),
            "data": "",
            **_read(_path(name, faces)),
        }
        for name, claim in CLAIMS.items()
    ]
    return pd.DataFrame(rows).set_index("claim")


class Table:
    """A data frame with a caption, shown as HTML in a notebook and as text elsewhere.

    `faces` (a `data.Faces`) adds "synthetic faces" to the caption where they are. Numbers show
    `decimals` places; nothing is cut. `.frame` is the data frame. Introduced in notebook 01.
    """

    def __init__(self, frame: pd.DataFrame, caption: str, faces=None, decimals: int = 2):
        if frame.index.name:  # the index's name above it, not in a header row of its own
            frame = frame.rename_axis(index=None, columns=frame.index.name)
        self.frame, self.decimals = frame, decimals
        self.caption = caption + _on(faces)

    def __repr__(self):
        return f"{self.caption}\n{self.frame.round(self.decimals).to_string(na_rep='–')}"

    def _repr_html_(self):
        # The caption's letters: a random uuid would change the notebook at every run.
        uuid = "".join(filter(str.isalnum, self.caption))
        style = self.frame.style.format(
            precision=self.decimals, thousands=",", na_rep="–", escape="html"
        )
        return style.set_caption(escape(self.caption)).set_uuid(uuid).to_html()


def comparison(rows: Sequence[tuple], faces) -> Table:
    """Return the table "The seminar says / the published run / this run" of a notebook.

    `rows` holds (claim id, the seminar says, the published run, this run), each value a number
    in percent, words, or None; None for the seminar means the claim's own words, for the
    published run what `publish` kept of it on FER2013. The difference, in points, is this run
    less the seminar, where both are numbers. The verdict is the one that `verdict` kept, so
    call that first. Introduced in notebook 01.
    """
    kept, shipped = ledger(faces)["verdict"], published_claims(faces)["measured"]
    table = [
        {
            "claim": claim,
            "the seminar says": CLAIMS[claim].text if says is None else _cell(says),
            "the published run": _cell(published or shipped[claim]),
            "this run": _cell(here),
            "difference": f"{here - says:+.2f} points"
            if is_number(here) and is_number(says)
            else "–",
            "verdict": kept[claim],
        }
        for claim, says, published, here in rows
    ]
    return Table(pd.DataFrame(table).set_index("claim"), "The seminar and this series", faces)


def published_claims(faces) -> pd.DataFrame:
    """Return what the published notebooks kept on FER2013: `measured` and `verdict` by claim id.

    All claims in the seminar's order, text; the verdict is "not run yet" where there is none.
    While notebooks are published, it is what `publish` will write: their outputs show that.
    """
    rows = _to_publish(faces) if publishing() else _read(PUBLISHED_CLAIMS)
    kept = pd.DataFrame(rows, columns=["claim", "measured", "verdict"])
    kept = kept.set_index("claim").reindex(CLAIMS)
    return kept.fillna({"measured": "", "verdict": "not run yet"})


def publish_claims(faces) -> None:
    """Add all that `verdict` kept on these faces to data/published/claims.json."""
    text = json.dumps(_to_publish(faces), indent=1, ensure_ascii=False) + "\n"
    write_atomic(PUBLISHED_CLAIMS, text.encode())


def _to_publish(faces) -> list[dict]:
    """The published rows, each replaced by this run's unless that is of an earlier notebook."""
    rows = {row["claim"]: row for row in _read(PUBLISHED_CLAIMS)}
    for claim in CLAIMS:
        row = _read(_path(claim, faces))
        if row and row["notebook"] >= rows.get(claim, row)["notebook"]:
            rows[claim] = row | {"data": "fer2013"}
    return [rows[claim] for claim in CLAIMS if claim in rows]


def _on(faces) -> str:
    return " (synthetic faces)" if getattr(faces, "synthetic", False) else ""


def _cell(value) -> str:
    return f"{value:.2f} %" if is_number(value) else value or "–"


def _path(claim: str, faces) -> Path:
    return home() / "claims" / faces.fingerprint[:12] / f"{claim}.json"


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
