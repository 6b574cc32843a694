"""A run is trained once, found again by what decides its numbers, and published as it is."""

import csv
import json
from dataclasses import replace

import numpy as np
import patterns
import publish
import pytest
import safetensors.torch
import torch
from patterns import train_or_load

from fer_utils import (
    ROOT,
    data,
    evaluation,
    files,
    models,
    recipes,
    runs,
    seminar,
    synthetic,
    training,
)
from fer_utils.cross_validation import Fold
from fer_utils.models import Plain
from fer_utils.runs import Job, RunError

SHORT = replace(patterns.RECIPE, epochs=2)
SPLITS = ("validation", "test")


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def faces():
    return patterns.faces(texture=30)


@pytest.fixture
def official(monkeypatch):
    """The patterns, taken for FER2013's official split."""
    made = patterns.faces(texture=30)
    counts = dict(zip(data.SPLITS, made.counts().tolist(), strict=True))
    monkeypatch.setattr(data, "CLASS_COUNTS", counts)
    assert made.official
    return made


@pytest.fixture
def no_training(monkeypatch):
    """Call it, and from then on a training fails the test."""

    def forbidden(*arguments):
        raise AssertionError("trained again")

    return lambda: monkeypatch.setattr(runs, "train", forbidden)


def copy_under_other_fingerprint(faces):
    """The same pictures and split, decoded a little otherwise, as another copy on the web."""
    return patterns.faces(images=faces.images ^ 1)


# ---------------------------------------------------------------- train or load


def test_a_run_is_trained_once_then_loaded(faces, home, no_training, capsys):
    first = train_or_load(SHORT, faces)
    assert first.origin == "trained now"
    assert len(list(home.glob("runs/*/run.json"))) == 1
    no_training()
    second = train_or_load(SHORT, faces)
    assert second.origin == "own run" and second.recipe == SHORT and second.job.seed == 42
    assert second.history == first.history
    assert "own run" in capsys.readouterr().out.splitlines()[-1]
    for name, value in first.model().state_dict().items():
        assert torch.equal(value, second.model().state_dict()[name])


def test_one_plain_line_an_epoch(faces, capsys):
    train_or_load(SHORT, faces)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Training tiny-short on ")
    assert [line[:11] for line in lines[1:3]] == ["epoch   1/2", "epoch   2/2"]
    assert all("validation accuracy" in line and "left" in line for line in lines[1:3])
    assert lines[3].startswith("tiny-short, seed 42: trained now, 2 epochs")


def test_the_run_gives_what_the_training_had(faces):
    run = train_or_load(SHORT, faces, seed=3)
    state = training.start(SHORT, faces, 3)
    assert len(list(training.train(state, faces))) == 2
    model = run.model()
    assert not model.training
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert run.filters.shape == (3, 4, 3, 3) and run.filters.dtype == np.float32
    assert np.array_equal(run.filters, torch.stack(state.filters).numpy())
    assert run.history[-1]["validation_accuracy"] == state.history[-1]["validation_accuracy"]


def test_the_folder_of_a_finished_run_holds_no_checkpoint(faces):
    run = train_or_load(SHORT, faces)
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"run.json", "weights.safetensors", "filters.safetensors"}
    assert run.record["fingerprint"] == faces.fingerprint
    assert run.record["training_version"] == training.TRAINING_VERSION
    known = {"date", "seconds", "device", "machine", "threads", "versions", "revision"}
    assert known == set(run.provenance)


def test_a_network_without_convolutions_has_no_filters(faces):
    run = train_or_load(replace(SHORT, architecture=Plain(hidden=(8,))), faces)
    assert not (run.folder / "filters.safetensors").exists()
    assert run.model()(torch.zeros(1, 1, 48, 48)).shape == (1, 7)


@pytest.mark.parametrize(
    "changed",
    [
        dict(learning_rate=0.5),
        dict(epochs=3),
        dict(shift=0),
        dict(train_images=50),
        dict(architecture=Plain(((4, 5), (6, 3)), (12,))),
    ],
)
def test_another_recipe_is_another_identity(faces, changed):
    assert Job("a", replace(SHORT, **changed)).key(faces) != Job("a", SHORT).key(faces)


def test_seed_data_fold_and_version_are_in_the_identity_and_the_name_is_not(faces, monkeypatch):
    known = Job("a", SHORT, 1).key(faces)
    assert Job("other", SHORT, 1).key(faces) == known
    assert Job("a", SHORT, 2).key(faces) != known
    assert Job("a", SHORT, 1, Fold(0)).key(faces) != known
    assert Job("a", SHORT, 1, Fold(0)).key(faces) != Job("a", SHORT, 1, Fold(1)).key(faces)
    assert Job("a", SHORT, 1).key(patterns.faces(seed=9)) != known
    monkeypatch.setattr(runs, "TRAINING_VERSION", training.TRAINING_VERSION + 1)
    assert Job("a", SHORT, 1).key(faces) != known


def test_one_changed_pixel_or_split_is_other_data(faces):
    pixel, split = faces.images.copy(), faces.splits.copy()
    pixel[5, 7, 7] ^= 1
    split[0] = "test"
    prints = {patterns.faces(images=pixel).fingerprint, patterns.faces(splits=split).fingerprint}
    assert len(prints | {faces.fingerprint}) == 3


def test_a_run_of_the_same_identity_is_found_under_another_name(faces, no_training):
    train_or_load(SHORT, faces)
    no_training()
    run = train_or_load(SHORT, faces, name="renamed")
    assert run.origin == "own run" and run.job.name == "renamed"
    with pytest.raises(AssertionError, match="trained again"):
        train_or_load(SHORT, faces, seed=5)


def test_retrain_trains_again_and_forgets_the_old_metrics(faces, no_training):
    first = train_or_load(SHORT, faces)
    first.metrics("validation", faces)
    again = train_or_load(SHORT, faces, retrain=True)
    assert again.origin == "trained now" and again.folder == first.folder
    assert not (again.folder / "metrics.json").exists()
    no_training()
    assert train_or_load(SHORT, faces).origin == "own run"
    with pytest.raises(AssertionError, match="trained again"):
        train_or_load(SHORT, faces, retrain=True)


def test_more_training_images_than_there_are_means_all(faces):
    """Else a one-cycle schedule would be cut off before its rate has fallen."""
    run = train_or_load(replace(SHORT, train_images=9999), faces)
    whole = train_or_load(SHORT, faces)
    assert run.history[-1]["learning_rate"] == whole.history[-1]["learning_rate"]
    assert run.history[-1]["validation_loss"] == whole.history[-1]["validation_loss"]


def test_train_images_counts_what_is_trained_on(faces):
    run = train_or_load(replace(SHORT, train_images=64, epochs=8), faces)
    assert run.history[-1]["learning_rate"] < 0.1 * SHORT.learning_rate, "the cycle came to its end"


# ---------------------------------------------------------------- metrics


def check_consistent(metrics):
    """The metrics of one split agree with one another."""
    confusion = np.array(metrics["confusion"])
    n, right = confusion.sum(), confusion.trace()
    recall = confusion.diagonal() / confusion.sum(1)
    f1 = 2 * confusion.diagonal() / (confusion.sum(0) + confusion.sum(1))
    assert confusion.shape == (7, 7) and metrics["n"] == n
    assert metrics["accuracy"] == pytest.approx(right / n)
    assert metrics["recall"] == pytest.approx(recall)
    assert metrics["balanced_accuracy"] == pytest.approx(recall.mean())
    assert metrics["macro_f1"] == pytest.approx(f1.mean())
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(metrics["correct"]), np.uint8))
    assert len(bits) == -(-n // 8) * 8 and bits.sum() == right and not bits[n:].any()
    right_clean = metrics["accuracy_clean"] * metrics["n_clean"]
    assert 0 < metrics["n_clean"] <= n and right_clean == pytest.approx(round(right_clean))
    assert right - (n - metrics["n_clean"]) <= round(right_clean) <= right


@pytest.mark.parametrize("split", SPLITS)
def test_metrics_are_those_of_the_model(faces, split):
    run = train_or_load(SHORT, faces)
    measured = run.metrics(split, faces)
    check_consistent(measured)
    images, labels = faces.split(split)
    right = evaluation.predict(run.model(), images).argmax(1) == labels
    assert measured["n"] == 42 and measured["accuracy"] == right.mean()
    assert run.correct(split, faces).dtype == bool
    assert np.array_equal(run.correct(split, faces), right)


def test_metrics_are_measured_once(faces, monkeypatch):
    run = train_or_load(SHORT, faces)
    kept = run.metrics("validation", faces)
    monkeypatch.setattr(runs, "measure", None)
    assert train_or_load(SHORT, faces).metrics("validation", faces) == kept
    assert set(files.read_json(run.folder / "metrics.json")) == {"validation"}


def test_test_is_measured_only_when_asked_for(faces):
    run = train_or_load(SHORT, faces)
    run.metrics("validation", faces)
    assert "test" not in json.dumps(run.record) + (run.folder / "metrics.json").read_text("utf-8")


def test_metrics_on_other_data_are_kept_apart(faces, home):
    run, other = train_or_load(SHORT, faces), patterns.faces(seed=9, texture=30)
    here = run.metrics("validation", faces)
    there = run.metrics("validation", other)
    assert run.metrics("validation", faces) == here
    expected = evaluation.predict(run.model(), other.split("validation")[0]).argmax(1)
    assert there["accuracy"] == (expected == other.split("validation")[1]).mean()
    assert len(list(home.glob("runs/elsewhere/*.json"))) == 1


def test_the_clean_accuracy_leaves_out_what_training_has_seen(faces):
    images = faces.images.copy()
    validation = np.flatnonzero(faces.splits == "validation")
    images[validation[:10]] = images[:10]  # ten leaks
    leaky = patterns.faces(images=images)
    run = train_or_load(SHORT, leaky)
    measured = run.metrics("validation", leaky)
    check_consistent(measured)
    assert measured["n_clean"] == 32
    assert measured["accuracy_clean"] == run.correct("validation", leaky)[10:].mean()


# ---------------------------------------------------------------- publishing


@pytest.fixture
def listed(monkeypatch):
    """A function: these jobs are what is published, and the weights of the first are shipped."""

    def list_them(*jobs):
        monkeypatch.setattr(publish, "to_publish", lambda kind: list(jobs))

    monkeypatch.setattr(publish, "WITH_WEIGHTS", ("tiny-short",))
    list_them(Job("tiny-short", SHORT), Job("tiny-short", SHORT, 7))
    return list_them


def publish_two(official):
    train_or_load(SHORT, official)
    train_or_load(SHORT, official, seed=7)
    return publish.publish_runs(official)


def test_published_folders_and_their_files(official, listed):
    folders = publish_two(official)
    assert [folder.name for folder in folders] == ["tiny-short", "tiny-short-s7"]
    common = {"run.json", "metrics.json", "filters.safetensors"}
    assert {path.name for path in folders[0].iterdir()} == common | {
        "weights.safetensors",
        "calibration.json",
    }
    assert {path.name for path in folders[1].iterdir()} == common, "another seed ships no weights"
    record = json.loads((folders[0] / "run.json").read_text("utf-8"))
    assert record["data"] == "fer2013" and record["fingerprint"] == official.fingerprint


def test_published_weights_are_float16_and_the_metrics_are_theirs(official, listed):
    folder = publish_two(official)[0]
    stored = safetensors.torch.load_file(folder / "weights.safetensors")
    assert {value.dtype for value in stored.values() if value.ndim > 1} == {torch.float16}
    assert stored["1.running_mean"].dtype == torch.float32
    filters = safetensors.torch.load_file(folder / "filters.safetensors")["filters"]
    assert filters.dtype == torch.float16

    run = runs.published_run(Job("a", SHORT), official)
    model = run.model()
    assert next(model.parameters()).dtype == torch.float32, "computed in float32"
    for split in SPLITS:
        images, labels = official.split(split)
        right = evaluation.predict(model, images).argmax(1) == labels
        published = run.published_metrics()[split]
        check_consistent(published)
        assert published["accuracy"] == right.mean()
        assert np.array_equal(run.correct(split, official), right)


def test_the_temperature_of_published_weights_is_the_likeliest_on_validation(official, listed):
    publish_two(official)
    run = runs.published_run(Job("a", SHORT), official)
    images, labels = official.split("validation")

    def loss(temperature):
        shares = evaluation.predict(run.model(), images, temperature=temperature)
        return -np.log(shares[np.arange(len(labels)), labels]).mean()

    best = min((round(0.3 + number / 100, 2) for number in range(270)), key=loss)
    assert abs(run.temperature - best) < 0.015
    assert runs.published_run(Job("a", SHORT, 7), official).temperature == 1


def test_results_csv_has_a_row_a_run(official, listed):
    folder = publish_two(official)[0]
    with open(runs.PUBLISHED / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [(row["name"], row["seed"], row["epochs"]) for row in rows]
    assert found == [("tiny-short", "42", "2"), ("tiny-short", "7", "2")]
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert float(rows[0]["test_accuracy"]) == round(metrics["test"]["accuracy"], 5)
    assert int(rows[0]["multiply_adds"]) == models.multiply_adds(SHORT.architecture)


def test_a_published_run_without_weights_shows_its_numbers_and_says_what_it_lacks(
    official, listed, monkeypatch
):
    monkeypatch.setattr(publish, "WITH_WEIGHTS", ())
    publish_two(official)
    run = runs.published_run(Job("a", SHORT), official)
    check_consistent(run.metrics("test", official))
    assert run.correct("test", official).shape == (42,)
    with pytest.raises(RunError, match="tiny-short is published without weights.*RETRAIN = True"):
        run.model()
    copied = copy_under_other_fingerprint(official)
    check_consistent(run.metrics("test", copied))
    with pytest.raises(RunError, match="tiny-short is published without weights"):
        run.correct("test", copied)  # image by image it would be compared in the wrong order
    other = runs.published_run(Job("a", SHORT, 7), official)
    for faces in (official, copied):
        pair = runs.paired(run, other, "test", faces)
        assert np.array_equal(pair, [r.correct("test", official) for r in (run, other)])


def test_a_reader_without_the_run_gets_the_published_one(
    official, listed, home, monkeypatch, no_training
):
    publish_two(official)
    monkeypatch.setenv("FER_HOME", str(home.parent / "reader"))
    no_training()
    run = train_or_load(SHORT, official)
    assert run.origin == "published run" and "published run of 20" in run.describe()
    copied = copy_under_other_fingerprint(official)
    assert train_or_load(SHORT, copied).origin == "published run", "same split, other decoder"
    with pytest.raises(AssertionError, match="trained again"):
        train_or_load(SHORT, official, retrain=True)


def test_an_own_run_comes_before_the_published_one(official, listed):
    publish_two(official)
    assert train_or_load(SHORT, official).origin == "own run"
    assert train_or_load(replace(SHORT, epochs=3), official).origin == "trained now"


def test_a_published_run_is_offered_on_the_official_split_only(official, listed):
    publish_two(official)
    moved = official.splits.copy()
    moved[0] = "test"
    assert runs.published_run(Job("a", SHORT), patterns.faces(splits=moved)) is None
    assert runs.published_run(Job("a", SHORT, 8), official) is None
    assert runs.published_run(Job("a", replace(SHORT, epochs=3)), official) is None
    assert runs.published_run(Job("a", SHORT)).folder.name == "tiny-short", (
        "its numbers show on any data"
    )


def test_other_copies_of_the_data_are_evaluated_afresh(official, listed, home):
    publish_two(official)
    run, other = runs.published_run(Job("a", SHORT)), copy_under_other_fingerprint(official)
    before = (run.folder / "metrics.json").read_bytes()
    measured = run.metrics("test", other)
    right = evaluation.predict(run.model(), other.split("test")[0]).argmax(1)
    assert measured["accuracy"] == (right == other.split("test")[1]).mean()
    assert (run.folder / "metrics.json").read_bytes() == before
    assert len(list((home / "runs" / "elsewhere").iterdir())) == 1
    run.metrics("test", other)
    assert len(list((home / "runs" / "elsewhere").iterdir())) == 1, "kept once measured"
    with open(run.folder / "run.json", "a") as file:
        file.write("\n")  # published again, after another training
    run.metrics("test", other)
    assert len(list((home / "runs" / "elsewhere").iterdir())) == 2, "measured afresh"


def test_runs_of_no_experiment_and_on_other_data_are_not_published(official, listed):
    train_or_load(replace(SHORT, epochs=1), official, name="mine")
    train_or_load(SHORT, patterns.faces(seed=9))
    assert publish.publish_runs(official) == []
    assert [folder.name for folder in publish_two(official)] == ["tiny-short", "tiny-short-s7"]


def test_a_fold_is_published_as_its_record_alone_and_offered_on_other_copies(
    official, listed, home, monkeypatch, no_training
):
    jobs = [Job("search-short", SHORT, 42, Fold(number)) for number in range(3)]
    listed(*jobs)
    made = runs.train_all(jobs, official)
    folders = publish.publish_runs(official)
    assert [folder.name for folder in folders] == [f"search-short-fold{k}" for k in range(3)]
    assert {path.name for folder in folders for path in folder.iterdir()} == {"run.json"}
    assert (runs.PUBLISHED / "results.csv").read_text("utf-8").strip() == "", "no row for a fold"
    monkeypatch.setenv("FER_HOME", str(home.parent / "reader"))
    no_training()
    found = runs.train_all(jobs, copy_under_other_fingerprint(official))
    assert [run.history for run in found] == [run.history for run in made]
    with pytest.raises(AssertionError, match="trained again"):
        runs.train_all([Job("search-short", SHORT, 42, Fold(0, 3, 100))], official)


def test_a_fold_that_a_notebook_looks_into_ships_its_weights_and_no_metrics(official, listed):
    job = Job("tiny-short", SHORT, 42, Fold(1))
    listed(job)
    (run,) = runs.train_all([job], official)
    (folder,) = publish.publish_runs(official)
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "weights.safetensors", "filters.safetensors"
    }  # fmt: skip
    images, _ = job.fold.cut(official).split("validation")
    shipped = evaluation.predict(runs.load_run(folder, "published run").model(), images)
    assert np.abs(shipped - evaluation.predict(run.model(), images)).max() < 0.01


def test_publishing_again_replaces_and_keeps_what_is_not_here(official, listed, home, monkeypatch):
    before = [run.read_bytes() for folder in publish_two(official) for run in [folder / "run.json"]]
    assert publish.publish_runs(official) == [], "nothing has changed"
    monkeypatch.setenv("FER_HOME", str(home.parent / "other machine"))
    train_or_load(SHORT, official, retrain=True)
    assert [folder.name for folder in publish.publish_runs(official)] == ["tiny-short"]
    paths = sorted(runs.PUBLISHED.glob("*/run.json"))
    after = [path.read_bytes() for path in paths]
    assert after[0] != before[0] and after[1] == before[1]


def test_only_the_official_split_and_drawn_faces_are_published(faces):
    train_or_load(SHORT, faces)
    with pytest.raises(RunError, match="official split"):
        publish.publish_runs(faces)


def test_runs_on_drawn_faces_are_published_apart(official, listed, home, monkeypatch, no_training):
    publish_two(official)
    splits = official.splits.copy()
    splits[0] = "test"
    drawn = replace(patterns.faces(seed=9, texture=30, splits=splits), source="synthetic")
    own = train_or_load(SHORT, drawn)
    results = (runs.PUBLISHED / "results.csv").read_bytes()
    monkeypatch.setattr(publish, "WITH_WEIGHTS", ())
    publish.publish_runs(drawn)
    assert (runs.PUBLISHED / "results.csv").read_bytes() == results, "a table of FER2013 alone"
    assert [run.folder.name for run in runs.published_runs("synthetic")] == ["tiny-short-synthetic"]
    assert [run.folder.name for run in runs.published_runs()] == ["tiny-short", "tiny-short-s7"]

    monkeypatch.setenv("FER_HOME", str(home.parent / "reader"))
    no_training()
    run = train_or_load(SHORT, drawn)
    assert run.folder.name == "tiny-short-synthetic" and run.history[:-1] == own.history[:-1]
    shipped = {"validation_accuracy": run.metrics("validation", drawn)["accuracy"]}
    assert run.history[-1] == own.history[-1] | shipped, "of the weights as shipped"
    check_consistent(run.metrics("test", drawn))
    with pytest.raises(RunError, match="without weights"):
        run.model()
    assert train_or_load(SHORT, official).folder.name == "tiny-short"
    newer = replace(drawn, fingerprint="synthetic-99")
    assert runs.published_run(Job("a", SHORT), newer) is None, "faces of another version"


# ---------------------------------------------------------------- what the repository ships

SHIPPED = sorted(path.parent for path in (ROOT / "data" / "published").glob("*/run.json"))
DRAWN = synthetic.faces(seed=0)[1:]
COUNTS = {
    "fer2013": {split: list(counts) for split, counts in seminar.CLASS_COUNTS.items()},
    "synthetic": {split: np.bincount(DRAWN[0][DRAWN[1] == split]).tolist() for split in SPLITS},
}
ALLOWED = {
    "calibration.json",
    "run.json",
    "metrics.json",
    "weights.safetensors",
    "filters.safetensors",
}


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_run_is_consistent_and_holds_no_label_and_no_picture(folder):
    assert {path.name for path in folder.iterdir()} <= ALLOWED
    run = runs.load_run(folder, "published run")
    assert [row["epoch"] for row in run.history] == list(range(1, run.recipe.epochs + 1))
    fields = "name recipe seed fold training_version fingerprint data history provenance files"
    assert set(run.record) == set(fields.split())
    if run.job.fold:
        shipped = run.job.name in publish.WITH_WEIGHTS
        weights = {"weights.safetensors", "filters.safetensors"} if shipped else set()
        assert {path.name for path in folder.iterdir()} == {"run.json"} | weights
        return
    assert set(run.published_metrics()) == set(SPLITS)
    for split in SPLITS:
        metrics = run.published_metrics()[split]
        known = "n accuracy balanced_accuracy macro_f1 recall confusion correct"
        assert set(metrics) == {*known.split(), "n_clean", "accuracy_clean"}
        check_consistent(metrics)
        rows = np.sum(metrics["confusion"], axis=1).tolist()
        assert rows == COUNTS[run.record["data"]][split], "not FER2013's official split"
    # The last epoch's accuracy, but for the rounding of weights to float16.
    last = run.history[-1]["validation_accuracy"]
    assert run.published_metrics()["validation"]["accuracy"] == pytest.approx(last, abs=0.002)
    if run.recipe.architecture.convolutions:
        filters, kernel = run.recipe.architecture.convolutions[0]
        assert run.filters.shape == (run.recipe.epochs + 1, filters, kernel, kernel)
    if (folder / "weights.safetensors").exists():
        run.model()


@pytest.mark.skipif(not SHIPPED, reason="nothing is published yet")
def test_shipped_results_agree_with_their_folders():
    with open(SHIPPED[0].parent / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shipped = [runs.load_run(folder, "published run") for folder in SHIPPED]
    on_fer2013 = [
        run for run in shipped if run.record["data"] == "fer2013" and run.job.fold is None
    ]
    expected = [
        {
            name: str(round(value, 5) if isinstance(value, float) else value)
            for name, value in publish.results_row(run).items()
        }
        for run in on_fer2013
    ]
    assert rows == expected, "the table holds the runs on FER2013, no others"
    identities = {(run.recipe, run.job.seed, run.job.fold, run.record["data"]) for run in shipped}
    assert len(identities) == len(shipped), "two shipped runs are the same training"


def test_nothing_else_is_shipped_but_tables_and_text():
    published = ROOT / "data" / "published"
    files = [path for path in published.rglob("*") if path.is_file()]
    others = [path for path in files if path.parent not in SHIPPED]
    assert {path.suffix for path in others} <= {".csv", ".json", ".md"}
    for path in others:
        assert path.stat().st_size < 500_000, path


def test_the_model_cards_code_runs(monkeypatch):
    monkeypatch.setattr(runs, "PUBLISHED", ROOT / "data" / "published")
    card = (runs.PUBLISHED / "MODEL_CARD.md").read_text("utf-8")
    names = {}
    exec(card.partition("```python\n")[2].partition("```")[0], names)
    assert names["probabilities"].shape == (5, 7)


@pytest.mark.parametrize("model", ["fully_connected", "deeper"])
def test_the_networks_that_notebooks_look_into_ship_for_drawn_faces(model, monkeypatch):
    monkeypatch.setattr(runs, "PUBLISHED", ROOT / "data" / "published")
    drawn = data.load("synthetic")
    job = Job(model, recipes.recipe(model, "short", drawn.small))
    run = runs.published_run(job, drawn)
    right = evaluation.predict(run.model(), drawn.split("validation")[0]).argmax(1)
    told = run.published_metrics()["validation"]["accuracy"]
    assert np.mean(right == drawn.split("validation")[1]) == pytest.approx(told, abs=0.005)


@pytest.fixture
def real_faces(real_data, shared_home, monkeypatch):
    """FER2013, decoded once for all tests."""
    monkeypatch.setenv("FER_HOME", str(shared_home))
    return data.load(real_data)


@pytest.mark.parametrize(
    "folder",
    [folder for folder in SHIPPED if (folder / "weights.safetensors").exists()],
    ids=lambda folder: folder.name,
)
def test_shipped_weights_give_their_published_numbers(folder, real_faces):
    """Within three images a split. Of large networks each eighth image is evaluated."""
    run = runs.load_run(folder, "published run")
    if run.job.fold:
        images, labels = run.job.fold.cut(real_faces).split("validation")
        right = np.sum(evaluation.predict(run.model(), images).argmax(1) == labels)
        told = run.history[-1]["validation_accuracy"] * len(labels)
        assert right == pytest.approx(told, abs=10), "held out, of nine thousand and more"
        return
    faces = data.load("synthetic") if run.record["data"] == "synthetic" else real_faces
    model, step = run.model(), 1 if models.multiply_adds(run.recipe.architecture) < 1e8 else 8
    for split in SPLITS:
        images, labels = faces.split(split)
        published = np.frombuffer(bytes.fromhex(run.published_metrics()[split]["correct"]), "u1")
        published = np.unpackbits(published, count=len(labels)).astype(bool)[::step]
        right = evaluation.predict(model, images[::step]).argmax(1) == labels[::step]
        assert np.sum(right != published) <= 3, split
