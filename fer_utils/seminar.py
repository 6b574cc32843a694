"""The seminar paper as data: its numbers, its tables and its claims, read from seminar.toml.

Source: Greblo's seminar on FER2013. Nothing here is measured by this project.
"""

from types import SimpleNamespace

from fer_utils import read_toml

PAPER = read_toml("seminar")
ACCURACY, RECALL = PAPER["accuracy"], PAPER["recall"]  # in percent
CLASS_COUNTS, SEMINAR_CLASS_COUNTS = PAPER["class_counts"], PAPER["seminar_class_counts"]
TEST_SIZES, HYPERPARAMETERS = tuple(PAPER["test_sizes"]), PAPER["hyperparameters"]
# By .id: .text, .where (section or table), .notebook (that judges it), .rule (before measuring)
# and .of, the claim that it is a part of.
RULE = PAPER["rule_of_numbers"]  # of an accuracy
CLAIMS = {}
for name, claim in PAPER["claims"].items():
    CLAIMS[name] = SimpleNamespace(**{"id": name, "of": name, "rule": RULE} | claim)
