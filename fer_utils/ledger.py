"""The ledger: what notebooks found on each claim of the seminar, here and as published."""

import pandas as pd
from pandas.api.types import is_number

from fer_utils import ROOT, files, home, known_or_refuse
from fer_utils.evaluation import Score
from fer_utils.plots import Table
from fer_utils.seminar import CLAIMS

PUBLISHED_CLAIMS = ROOT / "data" / "published" / "claims.json"
NOT_RUN = "not run yet"
WORDS = ("reproduced", "reached", "not reproduced", "no difference seen", "not tested here")


def rules(notebook: str, faces) -> Table:
    """The claims that a notebook (`03`) judges, and the rule of each: shown before measuring.

    Introduced in notebook 01.
    """
    judged = [claim for claim in CLAIMS.values() if claim.notebook == notebook]
    rows = [{"claim": c.id, "the seminar says": c.text, "the rule": c.rule} for c in judged]
    return Table(pd.DataFrame(rows).set_index("claim"), "What will decide", faces)


def of_statement(found: bool | None) -> str:
    """The word for a statement: found or not; None where the data at hand cannot decide.

    Introduced in notebook 01.
    """
    return {True: "reproduced", False: "not reproduced", None: "not tested here"}[found]


def of_difference(points: float, yardstick: float) -> str:
    """The word for a claimed gain of so many points, where luck alone makes up to `yardstick`.

    Introduced in notebook 05.
    """
    return "no difference seen" if abs(points) <= yardstick else of_statement(bool(points > 0))


def of_number(says: float, same: Score | None, ours: Score | None, faces) -> str:
    """The word for the seminar's accuracy (percent) by its own recipe's score and by ours.

    Reproduced: its recipe's score lies within what chance allows two test sets of one size, 1.4
    times the half width of one's interval. Reached: one of the two is as high or higher than that.
    Introduced in notebook 03.
    """
    if faces.synthetic or not (same or ours):
        return "not tested here"
    found = [score for score in (same, ours) if score]
    luck = (found[0].high - found[0].low) / 2**0.5
    if same and abs(same.percent - says) <= luck:
        return "reproduced"
    return "reached" if max(found).percent >= says - luck else "not reproduced"


def verdict(claim, measured, word, faces, says=None, there=None, here=None):
    """Print two lines on a claim of the seminar and keep it for the ledger of notebook 09.

    claim: a key of `seminar.CLAIMS`. measured: the measurement in words, with its unit. word: one
    of `WORDS`. faces: the `data.Faces` measured on. Returns the claim's row for `comparison`:
    says, there and here are its values, see there; here is else `measured`.
    Raises ValueError for an unknown claim or word. Introduced in notebook 01.
    """
    known_or_refuse("claim", claim, CLAIMS)
    known_or_refuse("word", word, WORDS)
    print(f"{claim} · the seminar says: {CLAIMS[claim].text}")
    print(f"  measured{' (synthetic faces)' * faces.synthetic}: {measured} · {word}")
    row = dict(claim=claim, measured=measured, verdict=word, data=faces.title)
    files.write_json(path_of(claim, faces), row)
    return claim, says, there, measured if here is None else here


def kept_claims(faces) -> pd.DataFrame:
    """All claims in the seminar's order with what notebooks kept on these faces.

    Index: claim id. Columns, all text: the seminar says, where, measured, verdict, notebook,
    data. A claim that nothing was kept for has the verdict "not run yet".
    Introduced in notebook 09.
    """
    paths = [path_of(name, faces) for name in CLAIMS]
    return as_table([files.read_json(path) for path in paths if path.exists()])


def as_table(rows: list[dict]) -> pd.DataFrame:
    """Kept rows, by claim, with what the seminar says and where."""
    known = {row["claim"]: row for row in rows}
    empty, table = {"measured": "", "verdict": NOT_RUN, "data": ""}, []
    for name, c in CLAIMS.items():
        said = {"claim": name, "the seminar says": c.text, "where": c.where, **empty}
        table.append(said | {"notebook": c.notebook} | known.get(name, {}))
    return pd.DataFrame(table).set_index("claim")


def published_claims() -> pd.DataFrame:
    """What the published notebooks kept on FER2013, as `kept_claims` has it.

    Introduced in notebook 09.
    """
    return as_table(published_rows())


def published_rows() -> list[dict]:
    """What the published notebooks kept, a row a claim."""
    return files.read_json(PUBLISHED_CLAIMS)["claims"] if PUBLISHED_CLAIMS.exists() else []


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
    """Where the row of a claim is kept, apart for each data set."""
    return home() / "claims" / faces.fingerprint[:12] / f"{claim}.json"
