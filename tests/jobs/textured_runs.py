"""Runs of the small task of `tests/training`, as a job leaves them."""

from PIL import Image

from keras_transfer.jobs.finish import Clock, finish, phase_entry, save_run_model
from keras_transfer.jobs.parts import load_data
from keras_transfer.recipe import make_recipe
from keras_transfer.run import open_run
from keras_transfer.training import fit


def write(folder, images, labels=None):
    """Pictures as files, in class folders where there are labels."""
    for number, pixels in enumerate(images):
        path = folder / (labels[number] if labels is not None else "") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def make_run(folder, data, model, **options):
    """A finished run of pictures of 32 pixels, by a network of the caller's."""
    recipe = make_recipe(
        data=str(data), backbone="mobilenet", image_size=32, augmentation="none", formats=["float32"], tolerance=0.9,
        baselines="none", **options,
    )  # fmt: skip
    with open_run(folder, recipe) as run:
        data = load_data(recipe, run)
        history = fit(model, data, phases=recipe.training.phases, augmentation="none", checkpoints=run / "checkpoints")
        save_run_model(run, model, data)
        rows = [phase_entry(phase.name, phase.rows, phase.val_accuracy) for phase in history.phases]
        facts = {"strategy": recipe.training.strategy, "kept": history.kept, "views": 1, "phases": rows}
        finish(run, recipe, data, model, Clock(run), facts)
    return run
