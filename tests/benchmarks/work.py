"""Training work that a test accuracy takes: multiply-adds × images × epochs of published runs."""

from fer_utils import runs
from fer_utils.models import ARCHITECTURES, multiply_adds
from fer_utils.recipes import SETTINGS
from tests.benchmarks.drawn import TRAINING
from tests.benchmarks.measure import Row, compared

ACCURACIES = (61.76, 70.0)  # percent; the first is the seminar's deeper
UNIT = "10¹² mult.-adds"


def rows():
    """The cheapest run that reaches each accuracy, and what the seminar's deeper network took."""
    seminar = multiply_adds(ARCHITECTURES["deeper"]) * TRAINING * SETTINGS["deeper"][2] / 1e12
    known = runs.published_runs()
    for wanted in ACCURACIES:
        name = f"training work to {wanted:.2f} %, forwards"
        reached = [run for run in known if accuracy(run) >= wanted]
        if not reached:
            note = f"no published run, best {max(map(accuracy, known)):.2f}"
            yield Row(name, None, seminar, UNIT, None, "a run", False, note)
            continue
        best = min(reached, key=work)
        seeds = [run for run in known if run.recipe == best.recipe and run.job.fold is None]
        lowest = min(map(accuracy, seeds))
        note = f"{best.folder.name}, {len(seeds)} seeds from {lowest:.2f}"
        yield compared(name, work(best) / 1e12, seminar, UNIT, note=note)


def accuracy(run: runs.Run) -> float:
    """On the test images, in percent; 0 where it was not measured."""
    if not (run.folder / "metrics.json").exists():
        return 0.0
    return 100 * run.published_metrics().get("test", {}).get("accuracy", 0.0)


def work(run: runs.Run) -> int:
    """Multiply-adds forwards; with those backwards it is three times that."""
    images = run.recipe.train_images or TRAINING
    return multiply_adds(run.recipe.architecture) * images * len(run.history)
