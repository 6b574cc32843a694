"""The ledger: what notebooks found on each claim of the seminar, here and as published."""

import json

import pandas as pd
from pandas.api.types import is_number

from fer_utils import ROOT, home, known_or_refuse, write_atomic
from fer_utils.plots import Table
from fer_utils.seminar import CLAIMS

PUBLISHED_CLAIMS = ROOT / "data" / "published" / "claims.json"
NOT_RUN = "not run yet"
WORDS = {True: "holds", False: "does not hold", None: "not testable here"}


def verdict(claim, measured, holds, faces, notebook=None, says=None, there=None, here=None):
    """Print one line on a claim of the seminar and keep it for the ledger of notebook 09.

    claim: a key of `seminar.CLAIMS`. measured: the measurement in words, with its unit. holds:
    bool, or None where the data or the budget at hand cannot decide. faces: the `data.Faces`
    measured on. notebook (`07`): only needed where a claim has several notebooks and this is not
    its first; the kept word is then that of the latest of them. Returns the claim's row for
    `comparison`: says, there and here are its values, see there; here is else `measured`.
    Raises ValueError for an unknown claim or a notebook that the claim does not name.
    Introduced in notebook 01.
    """
    known_or_refuse("claim", claim, CLAIMS)
    tested_in = CLAIMS[claim].notebooks
    notebook = notebook or tested_in[0]
    if notebook not in tested_in:
        raise ValueError(f"Claim {claim!r} is tested in {', '.join(tested_in)}, not {notebook!r}.")
    word, drawn = WORDS[holds], " (synthetic faces)" if faces.synthetic else ""
    words = f"{claim} · the seminar says: {CLAIMS[claim].text}"
    print(f"{words} · measured{drawn}: {measured} · {word}")
    row = dict(claim=claim, measured=measured, verdict=word, notebook=notebook, data=faces.title)
    keep(row, faces)
    return claim, says, there, measured if here is None else here


def keep(row: dict, faces) -> None:
    """Write a claim's row, unless a later notebook's is there.

    The file is `home()/claims/<first 12 of the fingerprint of faces>/<claim>.json`.
    """
    path = path_of(row["claim"], faces)
    if row["notebook"] >= read(path, {"notebook": ""})["notebook"]:
        write_atomic(path, json.dumps(row, ensure_ascii=False).encode())


def kept_claims(faces) -> pd.DataFrame:
    """All claims in the seminar's order with what notebooks kept on these faces.

    Index: claim id. Columns, all text: the seminar says, where, measured, verdict, notebook,
    data. A claim that nothing was kept for has the verdict "not run yet".
    Introduced in notebook 09.
    """
    rows = []
    for name, claim in CLAIMS.items():
        row = {"claim": name, "the seminar says": claim.text, "where": claim.where, "measured": ""}
        row |= {"verdict": NOT_RUN, "notebook": ", ".join(claim.notebooks), "data": ""}
        rows.append(row | read(path_of(name, faces), {}))
    return pd.DataFrame(rows).set_index("claim")


def published_rows() -> list[dict]:
    """The rows of data/published/claims.json: claim, measured, verdict, notebook, data."""
    return read(PUBLISHED_CLAIMS, [])


def published_claims() -> pd.DataFrame:
    """What the published notebooks kept on FER2013: `measured` and `verdict` by claim id.

    All claims in the seminar's order, text; the verdict is "not run yet" where there is none.
    Introduced in notebook 09.
    """
    kept = pd.DataFrame(published_rows(), columns=["claim", "measured", "verdict"])
    kept = kept.set_index("claim").reindex(CLAIMS)
    return kept.fillna({"measured": "", "verdict": NOT_RUN})


def comparison(rows, faces) -> Table:
    """The table "The seminar says / the published run / this run" of a notebook.

    rows: (claim id, the seminar says, the published run, this run), each value a number in
    percent, words, or None; None for the seminar means the claim's own words, for the published
    run what `publish` kept of it on FER2013. The difference, in points, is this run less the
    seminar, where both are numbers. The verdict is the one that `verdict` kept: it returns such a
    row. Introduced in notebook 01.
    """
    kept, shipped, table = kept_claims(faces)["verdict"], published_claims()["measured"], []
    for claim, says, there, here in rows:
        words = CLAIMS[claim].text if says is None else says
        row = {"claim": claim, "the seminar says": cell(words)}
        row |= {"the published run": cell(there or shipped[claim]), "this run": cell(here)}
        numbers = is_number(here) and is_number(says)
        row["difference"] = f"{here - says:+.2f} points" if numbers else "–"
        table.append(row | {"verdict": kept[claim]})
    return Table(pd.DataFrame(table).set_index("claim"), "The seminar and this series", faces)


def cell(value) -> str:
    """A number as percent, words as they are, nothing as a dash."""
    return f"{value:.2f} %" if is_number(value) else value or "–"


def path_of(claim: str, faces):
    """Where the row of a claim is kept."""
    return home() / "claims" / faces.fingerprint[:12] / f"{claim}.json"


def read(path, otherwise):
    """What a JSON file holds, or `otherwise` if there is none."""
    return json.loads(path.read_text("utf-8")) if path.exists() else otherwise
