"""A model of the user's own as a finished run, so that whatever a run can be asked, it can be asked too."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.geometry import LEGACY
from keras_transfer.jobs.finish import Clock, RunFacts, result_of, save_run_model
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import modality_of, open_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe, make_recipe
from keras_transfer.run import begin, open_run, read_result

if TYPE_CHECKING:
    from keras_transfer.models.silent import OwnModelOptions

OWN = "own model"
"""What `result.json` calls the strategy and the phase of a model that was not trained here."""


def run_of(path: Path, data: str | None, **options: "Unpack[OwnModelOptions]") -> tuple[Path, str | None]:
    """The run that a command works on, and where its items are now.

    Args:
        path: a run directory; or a model of the user's own, which is adopted, and keeps `data` from then on.
        data: of a run, where its items are now; of a model, items for it.
        **options: as for `adopt`.

    Raises:
        InputError: as `adopt`; or an option for models was given with a run.
    """
    if is_model(path):
        return adopt(path, data, **options), None
    for option, value in options.items():
        if value is not None:
            raise InputError(
                f"--{option.replace('_', '-')} is for a .keras of your own; the run {path} has its own: leave it out."
            )
    return path, data


def is_model(path: str | Path) -> bool:
    """Whether a path is a model of the user's own and not a run directory."""
    path = Path(path)
    return path.is_file() or (path / "saved_model.pb").is_file()


def adopt(
    model: str | Path,
    data: str | None,
    folder: str | Path | None = None,
    *,
    allow_bad: bool = False,
    **options: "Unpack[OwnModelOptions]",
) -> Path:
    """Makes a run directory of a `.keras` file: the model as one of ours, its items, its scores on the test part.

    Nothing is trained. The class names are those of a `labels.txt` beside the file, else the data's, in the plain text
    order in which Keras's own loaders count them. What the options leave open, the modality chooses from the training
    items, see `keras_transfer.modalities.Modality.adopt`.

    Args:
        model: the file.
        data: labelled items, as for `keras_transfer.load`: its training part calibrates, its test part proves.
        folder: the run directory; `runs/DATA-MODEL-HASH` unless given. One that was made of this file already is taken
            as it is.
        allow_bad: go on though more than 5% of the items cannot be used.
        **options: what the file does not say of its inputs.

    Returns:
        The run directory.

    Raises:
        InputError: the file is no classifier that the modality adopts, there are no items, or their classes are not the
            model's.
    """
    from keras_transfer.evaluation.keras_file import check_keras
    from keras_transfer.models import read_inputs
    from keras_transfer.models.silent import geometry_of_file

    path = Path(model)
    check_keras(path)
    if data is None:
        raise InputError(
            f"{path} is a model of your own: say with --data where labelled items for it are. Their training "
            "part calibrates int8, their test part proves every file."
        )
    fitted = geometry_of_file(path, read_inputs(path), options.pop("geometry", None))
    recipe = make_recipe(
        data=data,
        model=str(path),
        model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        backbone=path.stem,
        weights="none",
        geometry=fitted or LEGACY,
        allow_bad=allow_bad or None,
        class_names=_class_names(path, data),
        baselines="none",
        **options,
    )
    run = Path(folder) if folder is not None else _run_folder(recipe)
    with open_run(run, recipe):
        if read_result(run) is None:
            _adopt(recipe, run, [] if fitted is not None else [_fitted_note(path)])
    return run


def _run_folder(recipe: Recipe) -> Path:
    """Where the run of a model of the user's own goes: `runs/DATA-MODEL-HASH`."""
    source = Path(recipe.data.source).stem.replace(":", "-") or "data"
    return Path("runs") / f"{source}-{recipe.backbone}-{(recipe.model.file_sha256 or '')[:6]}"


def _fitted_note(model: Path) -> str:
    return (
        f"{model} does not say how pictures are fitted to it: {LEGACY.describe()}. Keras's own loaders squash the "
        "whole picture: if they fed it, add --geometry squash."
    )


def _class_names(model: Path, data: str) -> tuple[str, ...] | None:
    """The classes in the order of the model's outputs; None where the data's own order is all that is known."""
    from keras_transfer.evaluation.opening import names_beside

    named = names_beside(model)
    if named is not None:
        return tuple(named)
    if not Path(data).exists():  # a data set by name, which has an order of its own
        return None
    listing = modality_of(data).list_source(data)
    return None if listing.numbered else tuple(sorted({name for entry in listing.entries for name in entry.labels}))


def _adopt(recipe: Recipe, run: Path, notes: list[str]) -> None:
    from keras_transfer.evaluation import load_keras, metrics, predict_split
    from keras_transfer.evaluation.hints import beats_chance
    from keras_transfer.exporters.heads import two_columns
    from keras_transfer.models.graph import model_inputs

    name = recipe.model.file or ""
    clock = Clock(run)
    with clock.part("model"):
        loaded = load_keras(name)
    with clock.part("data"):
        data = load_data(recipe, run)
        notes += _test_notes(recipe)
    with clock.part("model"):
        model, recipe = open_modality(data.train.preparer.modality).adopt(loaded, recipe, data)
        begin(run, recipe)
        save_run_model(run, two_columns(model) if model.output_shape[1] == 1 else model, data)
        model = load_keras(run / "model.keras")  # as every later command finds it
    with clock.part("evaluation"):
        test = data.test.stored(model_inputs(model))
        scores = metrics(test.labels, predict_split(model, test), data.class_names)
        test.close()
    if not beats_chance(scores):
        notes.append(
            f"{name} does no better than chance on the test items ({scores['accuracy']:.1%} right). Is "
            f"{', '.join(data.class_names[:5])} the order of its classes? A labels.txt beside it says another."
        )
    for note in notes:
        say(f"Note: {note}")
    facts: RunFacts = {"strategy": OWN, "kept": OWN, "views": 1, "phases": []}
    write_json(
        run / "result.json", result_of(recipe, data, data.test.spec(model_inputs(model)), clock, facts, scores, notes)
    )
    say(f"{name} is the run {run} from here on, which every command takes.")


def _test_notes(recipe: Recipe) -> list[str]:
    """What to know where the test items were drawn here, perhaps from those that the model was trained on."""
    source = recipe.data.source
    if not Path(source).exists() or modality_of(source).list_source(source).splits & {"test"}:
        return []
    return [
        f"{recipe.data.source} has no test/ of its own: a part is drawn from it. If the model was trained on these "
        "items, its accuracy here flatters it; what a file loses against it is right all the same."
    ]
