"""The seminar paper as data: its numbers, its tables and its claims.

Source: Greblo's seminar on FER2013. "§", "Table" and "Figure" below are those of the seminar.
Nothing here is measured by this project, except what `verdict` is given to keep.
"""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pandas.api.types import is_number

from fer_utils import ROOT, home, write_atomic

# Test accuracy in percent (§3 and Table 1). One test image is 0.03 points.
ACCURACY = {"fully_connected": 35.35, "shallow": 53.21, "deep": 59.07, "deeper": 61.76}

# Recall in percent, in the order of `fer_utils.CLASSES` (Table 3).
RECALL = {
    "shallow": (32.0, 0.0, 19.4, 79.9, 62.2, 46.4, 64.4),
    "deep": (45.9, 0.0, 24.2, 84.2, 65.8, 49.6, 73.3),
    "deeper": (49.7, 39.2, 23.8, 86.8, 65.1, 51.0, 81.4),
}

# The only N in 3,400 … 3,700 of which all four accuracies are whole multiples of 1/N.
TEST_SIZES = (3494, 3533, 3567, 3601, 3672)

# Images of FER2013's official split, in the order of `fer_utils.CLASSES`.
CLASS_COUNTS = {
    "train": (3995, 436, 4097, 7215, 4965, 4830, 3171),
    "validation": (467, 56, 496, 895, 607, 653, 415),
    "test": (491, 55, 528, 879, 626, 594, 416),
}

# The same pictures in the seminar's Kaggle copy. It has no test folder: the seminar halves
# "validation" into validation and test.
SEMINAR_CLASS_COUNTS = {
    "train": (3993, 436, 4103, 7164, 4982, 4938, 3205),
    "validation": (960, 111, 1018, 1825, 1216, 1139, 797),
}

# What the seminar states (§3, §4, Table 2); None where it is silent.
HYPERPARAMETERS = {
    "fully_connected": {"learning_rate": None, "weight_decay": None, "epochs": 30},
    "shallow": {"learning_rate": 1e-5, "weight_decay": 1e-7, "epochs": 120},
    "deep": {"learning_rate": 1e-4, "weight_decay": 1e-7, "epochs": 100},
    "deeper": {"learning_rate": 1e-4, "weight_decay": 1e-7, "epochs": 100},
}


class Claim(NamedTuple):
    """One statement of the seminar that a notebook tests. Introduced in notebook 01.

    `where` is the section or table, `notebooks` the numbers of the notebooks that test it, in
    order ("03").
    """

    id: str
    text: str
    where: str
    notebooks: tuple[str, ...]


CLAIMS = {claim.id: claim for claim in (
    Claim("digits", "fully connected networks are great for digits", "§1", ("03",)),
    Claim("faces", "every image shows a face", "§2", ("01",)),
    Claim("accuracy-hides", "accuracy can stay high while a class is never recognised",
          "§2, §5", ("02",)),
    Claim("cutting", "cutting classes to the smallest is not optimal here", "§2", ("02", "12")),
    Claim("fc-35", "one layer, 30 epochs: 35.35 %", "§3", ("03",)),
    Claim("no-neighbours", "fully connected layers cannot use neighbourhood", "§3", ("03", "05")),
    Claim("scale", "unscaled pixels would weigh too much", "§3.2", ("03",)),
    Claim("bn", "batch norm stabilises, allows higher rates, regularises", "§3.2", ("04", "07")),
    Claim("dropout", "every forward pass differs; less over-fitting", "§3.3", ("04", "07")),
    Claim("pooling", "invariance grows with the filter; less noise; better performance",
          "§3.4", ("04", "07")),
    Claim("kernels", "kernel sizes affect accuracy", "abstract", ("05",)),
    Claim("shallow-53", "shallow: 53.21 %", "§4", ("05",)),
    Claim("deep-59", "deep: 59.07 %", "§4", ("07",)),
    Claim("deeper-61", "deeper: 61.76 %", "§4", ("08",)),
    Claim("rates", "cross-validation gives 1e-5 / 1e-4 and 1e-7", "§4", ("06",)),
    Claim("longer", "the small rate needed more epochs", "§5", ("05",)),
    Claim("depth", "deeper is better, especially with regularisation", "abstract", ("07",)),
    Claim("more-parameters", "deeper has even more parameters", "§4", ("08",)),
    Claim("five", "five convolutions are optimal, further layers don't help", "§4–5", ("08",)),
    Claim("table-3", "recall by class, as in Table 3", "§5", ("09",)),
    Claim("disgust", "the imbalance makes models miss disgust", "§5", ("09", "12")),
    Claim("abstract", "stacked layers are increasingly abstract", "§6", ("10",)),
    Claim("more-data", "a larger dataset would help", "§6", ("08",)),
)}

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
    row = {"claim": claim, "measured": measured, "verdict": word, "notebook": notebook,
           "data": faces.source}
    if notebook >= _read(_path(claim, faces)).get("notebook", ""):
        write_atomic(_path(claim, faces), json.dumps(row, ensure_ascii=False).encode())


def ledger(faces) -> pd.DataFrame:
    """Return all claims in the seminar's order with what notebooks kept on these faces.

    Index: claim id. Columns, all text: the seminar says, where, measured, verdict, notebook,
    data. A claim that nothing was kept for has the verdict "not run yet".
    Introduced in notebook 09.
    """
    rows = [{"claim": claim.id, "the seminar says": claim.text, "where": claim.where,
             "measured": "", "verdict": "not run yet", "notebook": ", ".join(claim.notebooks),
             "data": "", **_read(_path(claim.id, faces))} for claim in CLAIMS.values()]
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
        style = self.frame.style.format(precision=self.decimals, thousands=",", na_rep="–",
                                        escape="html")
        return style.set_caption(escape(self.caption)).set_uuid(uuid).to_html()


def comparison(rows: Sequence[tuple], faces) -> Table:
    """Return the table "The seminar says / the published run / this run" of a notebook.

    `rows` holds (claim id, the seminar says, the published run, this run), each value a number
    in percent, words, or None; None for the seminar means the claim's own words, for the
    published run what `publish` kept of it on FER2013. The difference, in points, is this run
    less the seminar, where both are numbers. The verdict is the one that `verdict` kept, so
    call that first. Introduced in notebook 01.
    """
    kept, shipped = ledger(faces)["verdict"], published_claims()
    table = [{"claim": claim,
              "the seminar says": CLAIMS[claim].text if says is None else _cell(says),
              "the published run": _cell(published or shipped.get(claim)), "this run": _cell(here),
              "difference": f"{here - says:+.2f} points" if is_number(here) and is_number(says)
              else "–", "verdict": kept[claim]} for claim, says, published, here in rows]
    return Table(pd.DataFrame(table).set_index("claim"), "The seminar and this series", faces)


def published_claims() -> dict[str, str]:
    """Return what the published notebooks measured on FER2013, in words, by claim id."""
    path = ROOT / "data" / "published" / "claims.json"
    return {row["claim"]: row["measured"] for row in _read(path)}


def publish_claims(faces) -> None:
    """Write all that `verdict` kept on these faces to data/published/claims.json."""
    rows = [row | {"data": "fer2013"} for claim in CLAIMS if (row := _read(_path(claim, faces)))]
    text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    write_atomic(ROOT / "data" / "published" / "claims.json", text.encode())


def _on(faces) -> str:
    return " (synthetic faces)" if getattr(faces, "synthetic", False) else ""


def _cell(value) -> str:
    return f"{value:.2f} %" if is_number(value) else value or "–"


def _path(claim: str, faces) -> Path:
    return home() / "claims" / faces.fingerprint[:12] / f"{claim}.json"


def _read(path: Path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
