"""The ledger: what notebooks found on each claim of the seminar, here and as published."""

import json
from collections.abc import Sequence

import pandas as pd
from pandas.api.types import is_number

from fer_utils import ROOT, home, write_atomic
from fer_utils.plots import Table
from fer_utils.seminar import CLAIMS

PUBLISHED_CLAIMS = ROOT / "data" / "published" / "claims.json"
NOT_RUN = "not run yet"

_WORDS = {True: "holds", False: "does not hold", None: "not testable here"}


def verdict(
    claim: str,
    measured: str,
    holds: bool | None,
    faces,
    notebook="",
    says=None,
    there=None,
    here=None,
) -> tuple:
    """Print one line on a claim of the seminar and keep it for the ledger of notebook 09.

    `claim` is a key of `seminar.CLAIMS`; `measured` the measurement in words, with its unit;
    `holds` is None where the data or the budget at hand cannot decide; `faces` the `data.Faces`
    measured on. `notebook` ("07") is only needed where a claim has several notebooks and this
    is not its first: the kept word is then that of the latest of them. Returns the claim's row
    for `comparison`: `says`, `there` and `here` are its values, see there; here is else `measured`.
    Raises ValueError for an unknown claim or a notebook that the claim does not name.
    Introduced in notebook 01.
    """
    if claim not in CLAIMS:
        raise ValueError(f"Unknown claim {claim!r}: use one of {', '.join(CLAIMS)}.")
    says, tested_in = CLAIMS[claim].text, CLAIMS[claim].notebooks
    notebook = notebook or tested_in[0]
    if notebook not in tested_in:
        raise ValueError(f"Claim {claim!r} is tested in {', '.join(tested_in)}, not {notebook!r}.")
    word, drawn = _WORDS[holds], " (synthetic faces)" if faces.synthetic else ""
    print(f"{claim} · the seminar says: {says} · measured{drawn}: {measured} · {word}")
    row = dict(claim=claim, measured=measured, verdict=word, notebook=notebook, data=faces.title)
    keep(row, faces)
    return claim, says, there, measured if here is None else here


def keep(row: dict, faces) -> None:
    """Write a claim's row, unless a later notebook's is there.

    The file is `home()/claims/<first 12 of the fingerprint of faces>/<claim>.json`.
    """
    path = _path(row["claim"], faces)
    if row["notebook"] >= _read(path, {"notebook": ""})["notebook"]:
        write_atomic(path, json.dumps(row, ensure_ascii=False).encode())


def kept_claims(faces) -> pd.DataFrame:
    """Return all claims in the seminar's order with what notebooks kept on these faces.

    Index: claim id. Columns, all text: the seminar says, where, measured, verdict, notebook,
    data. A claim that nothing was kept for has the verdict "not run yet".
    Introduced in notebook 09.
    """
    empty = {"measured": "", "verdict": NOT_RUN}
    rows = [
        {"claim": name, "the seminar says": claim.text, "where": claim.where}
        | empty
        | {"notebook": ", ".join(claim.notebooks), "data": ""}
        | _read(_path(name, faces), {})
        for name, claim in CLAIMS.items()
    ]
    return pd.DataFrame(rows).set_index("claim")


def published_rows() -> list[dict]:
    """Return the rows of data/published/claims.json: claim, measured, verdict, notebook, data."""
    return _read(PUBLISHED_CLAIMS, [])


def published_claims() -> pd.DataFrame:
    """Return what the published notebooks kept on FER2013: `measured` and `verdict` by claim id.

    All claims in the seminar's order, text; the verdict is "not run yet" where there is none.
    Introduced in notebook 09.
    """
    kept = pd.DataFrame(published_rows(), columns=["claim", "measured", "verdict"])
    kept = kept.set_index("claim").reindex(CLAIMS)
    return kept.fillna({"measured": "", "verdict": NOT_RUN})


def comparison(rows: Sequence[tuple], faces) -> Table:
    """Return the table "The seminar says / the published run / this run" of a notebook.

    `rows` holds (claim id, the seminar says, the published run, this run), each value a number
    in percent, words, or None; None for the seminar means the claim's own words, for the
    published run what `publish` kept of it on FER2013. The difference, in points, is this run
    less the seminar, where both are numbers. The verdict is the one that `verdict` kept: it
    returns such a row. Introduced in notebook 01.
    """
    kept, shipped = kept_claims(faces)["verdict"], published_claims()["measured"]
    table = [
        {
            "claim": claim,
            "the seminar says": CLAIMS[claim].text if says is None else _cell(says),
            "the published run": _cell(published or shipped[claim]),
            "this run": _cell(here),
            "difference": _points(here, says),
            "verdict": kept[claim],
        }
        for claim, says, published, here in rows
    ]
    return Table(pd.DataFrame(table).set_index("claim"), "The seminar and this series", faces)


def _points(here, says) -> str:
    return f"{here - says:+.2f} points" if is_number(here) and is_number(says) else "–"


def _cell(value) -> str:
    return f"{value:.2f} %" if is_number(value) else value or "–"


def _path(claim: str, faces):
    return home() / "claims" / faces.fingerprint[:12] / f"{claim}.json"


def _read(path, otherwise):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else otherwise
