"""Every training that a notebook shows has one name, and what is published is just these."""

from collections import defaultdict
from dataclasses import replace

import patterns
import publish
import pytest

from fer_utils import experiments, runs
from fer_utils.cross_validation import Fold
from fer_utils.experiments import EXPERIMENTS, Experiment
from fer_utils.recipes import PROFILES, SETTINGS

NAMES = (*SETTINGS, *EXPERIMENTS)
sizes = pytest.mark.parametrize("small", [False, True])
profiles = pytest.mark.parametrize("profile", PROFILES)


def listed(name, *which, **more):
    """An experiment's jobs, one after the other."""
    return [job for group in experiments.jobs(name, *which, **more).values() for job in group]


def identity(job):
    return job.recipe, job.seed, job.fold


# ---------------------------------------------------------------- the jobs


@sizes
@profiles
@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_jobs_that_differ(name, profile, small):
    jobs = listed(name, profile, small)
    assert jobs and len(set(map(identity, jobs))) == len({job.title for job in jobs}) == len(jobs)
    shown = "smoke" if profile == "smoke" else "seminar" if name == "seminar" else profile
    for job in jobs:
        assert job.name.endswith(f"-{shown}")


@sizes
@profiles
def test_a_name_means_one_training_in_all_experiments(profile, small):
    means = defaultdict(set)
    for name in NAMES:
        for job in listed(name, profile, small):
            means[job.title].add(identity(job))
    assert {title: found for title, found in means.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", NAMES)
def test_the_readers_seed_comes_first_and_is_trained_once(name):
    by_label = experiments.jobs(name, "short", small=False)
    for label, jobs in by_label.items():
        seeds = list(dict.fromkeys(job.seed for job in jobs))
        assert seeds[0] == runs.SEED
        for own in (7, 1):
            again = experiments.jobs(name, "short", small=False, seed=own)[label]
            assert again[0].seed == own
            assert len(set(again)) == len(again)
            assert {job.seed for job in again} == {own, *seeds[1:]}
            assert {job.recipe for job in again} == {jobs[0].recipe}


def test_a_model_is_an_experiment_of_one_row():
    ((label, (job,)),) = experiments.jobs("deep", "short", small=True, seed=3).items()
    assert (label, job.title) == ("deep", "deep-short-s3")


def test_each_recipe_of_a_search_is_tried_on_the_same_folds():
    for jobs in experiments.jobs("search", "short", small=False).values():
        assert [job.fold for job in jobs] == [Fold(number, 3, 2400) for number in range(3)]


def test_the_searchs_rows_are_all_its_rates_and_decays():
    rows = [jobs[0].recipe for jobs in experiments.jobs("search", "short", small=False).values()]
    grid = [(rate, decay) for rate in experiments.RATES for decay in experiments.DECAYS]
    assert [(one.learning_rate, one.weight_decay) for one in rows] == grid


def test_the_seminars_own_recipes_are_theirs_at_short_too():
    at_short, at_seminar = (listed("seminar", name, False) for name in ("short", "seminar"))
    assert at_short == at_seminar


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'ladders'.*shallow.*ladder.*seminar"):
        experiments.jobs("ladders", "short", small=False)
    with pytest.raises(ValueError, match="'long'.*smoke.*short.*seminar"):
        experiments.jobs("ladder", "long", small=False)


@sizes
@pytest.mark.parametrize("name", NAMES)
def test_smoke_takes_seconds(name, small):
    for job in listed(name, "smoke", small):
        used = job.fold.images if job.fold else job.recipe.train_images
        assert job.recipe.epochs <= 2 and used <= 192


# ---------------------------------------------------------------- what is published


@pytest.mark.parametrize("kind", ["fer2013", "synthetic"])
def test_published_runs_and_experiments_are_equal(kind):
    wanted = {identity(job): job for job in publish.to_publish(kind)}
    found = {identity(run.job): run for run in runs.published_runs(kind)}
    assert {wanted[one].title for one in wanted.keys() - found.keys()} == set(), "not published"
    assert {found[one].folder.name for one in found.keys() - wanted.keys()} == set(), "not wanted"
    drawn = "-synthetic" if kind == "synthetic" else ""
    for one, job in wanted.items():
        assert found[one].folder.name == job.title + drawn
        assert found[one].job == job


@pytest.mark.parametrize("kind", ["fer2013", "synthetic"])
def test_every_job_of_a_published_experiment_is_published_once(kind):
    to_publish = [identity(job) for job in publish.to_publish(kind)]
    assert len(set(to_publish)) == len(to_publish)
    wanted = {
        identity(job)
        for name, (_, places) in EXPERIMENTS.items()
        if kind in places
        for job in listed(name, "short", kind == "synthetic")
    }
    assert set(to_publish) == wanted


ON_FER2013 = [name for name, (_, places) in EXPERIMENTS.items() if "fer2013" in places]


@pytest.mark.parametrize("name", ON_FER2013)
def test_published_numbers_of_fer2013_are_there_on_any_data(name):
    found = experiments.published(name)
    wanted = experiments.jobs(name, "short", small=False)
    assert {label: [identity(run.job) for run in each] for label, each in found.items()} == {
        label: list(map(identity, each)) for label, each in wanted.items()
    }


# ---------------------------------------------------------------- training


@pytest.fixture
def tiny(monkeypatch, home):
    """An experiment of two recipes, two seeds and two folds; the trainings are counted."""
    recipes = {
        label: replace(patterns.RECIPE, epochs=1, learning_rate=rate)
        for label, rate in (("slow", 1e-3), ("fast", 1e-2))
    }
    made = Experiment(recipes, more=1, folds=(Fold(0), None))
    monkeypatch.setitem(EXPERIMENTS, "tiny", (lambda profile, small: made, ()))
    twin = Experiment({"twin": recipes["slow"]}, folds=(None,))
    monkeypatch.setitem(EXPERIMENTS, "twin", (lambda profile, small: twin, ()))
    trained, train = [], runs.train

    def counted(state, faces):
        trained.append((state.recipe, state.seed))
        return train(state, faces)

    monkeypatch.setattr(runs, "train", counted)
    return trained


def test_training_gives_each_label_its_runs_in_order(tiny):
    faces = patterns.faces()
    found = experiments.train("tiny", faces, "short")
    assert len(tiny) == 8
    wanted = experiments.jobs("tiny", "short", faces.small)
    assert {label: [run.job for run in each] for label, each in found.items()} == wanted
    for label, rate in (("slow", 1e-3), ("fast", 1e-2)):
        assert [run.recipe.learning_rate for run in found[label]] == [rate] * 4
        assert [run.job.seed for run in found[label]] == [42, 42, 1, 1]
        assert [run.job.fold is None for run in found[label]] == [False, True] * 2
    again = experiments.train("tiny", faces, "short")
    assert len(tiny) == 8
    assert {run.origin for each in again.values() for run in each} == {"own run"}
    histories = [[run.history for each in one.values() for run in each] for one in (found, again)]
    assert histories[0] == histories[1]


def test_retrain_trains_again_and_another_seed_only_what_is_new(tiny):
    faces = patterns.faces()
    experiments.train("tiny", faces, "short")
    tiny.clear()
    experiments.train("tiny", faces, "short", retrain=True)
    assert len(tiny) == 8
    tiny.clear()
    experiments.train("tiny", faces, "short", seed=1)
    assert tiny == []
    experiments.train("tiny", faces, "short", seed=5)
    assert {seed for _, seed in tiny} == {5} and len(tiny) == 4


@pytest.mark.parametrize("retrain", [False, True])
def test_one_training_under_two_names_is_trained_once(tiny, retrain):
    faces = patterns.faces()
    jobs = [*listed("tiny", "short", True), *listed("twin", "short", True)] * 2
    found = runs.train_all(jobs, faces, retrain=retrain)
    assert len(tiny) == 8
    assert [run.job for run in found] == jobs
    assert found[8].history == found[1].history and found[8].job.name == "twin-short"
