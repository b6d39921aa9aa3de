"""From a strategy and the number of items to the phases of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_transfer.inputs import Augmenter, Json, Strength, open_modality
from keras_transfer.recipe import Phase, Strategy

if TYPE_CHECKING:
    import keras

    from keras_transfer.data import Split

# Items of each class below which fine-tuning rarely beats a head on frozen features, and from which the whole backbone
# may be tuned.
_FEW, _MANY = 20, 500
_LARGE = 1e7  # items x features above which a head is stepped to, in batches


@dataclass(frozen=True)
class Plan:
    """How a classifier trains, with nothing left open.

    Attributes:
        strategy: never `"auto"`.
        phases: what trains, one after another.
        augmenter: draws the views of training items.
        views: how many views of each training item are computed, where frozen layers are below.
    """

    strategy: Strategy
    phases: tuple[Phase, ...]
    augmenter: Augmenter
    views: int


def make_plan(
    model: "keras.Model",
    train: "Split",
    *,
    strategy: Strategy = "auto",
    phases: Sequence[Phase] | None = None,
    epochs: int | None = None,
    gradual: bool = False,
    pretrained: bool = True,
    augmentation: Strength = "auto",
    views: int | None = None,
    rank: int | None = None,
    ema: float | None = None,
    n_items: int | None = None,
) -> Plan:
    """Chooses what is left open for this model and data.

    Args:
        model: the classifier; which of its layers are marked as trainable may change.
        train: the training split.
        strategy: as for `fit`.
        phases: as for `fit`.
        epochs: as for `fit`.
        gradual: as for `fit`.
        pretrained: as for `fit`.
        augmentation: as for `fit`.
        views: as for `fit`.
        rank: as for `fit`.
        ema: as for `fit`.
        n_items: how many items train, where others than those of `train` do.
    """
    from keras_transfer.models import stages
    from keras_transfer.training.views import plan_views
    from keras_transfer.training.workers import worker_count

    n_items, modality = n_items or len(train), open_modality(train.preparer.modality)
    strategy = resolve_strategy(strategy, n_items, len(train.class_names), pretrained, modality.many)
    if phases is None:
        depth = len(stages(model))
        own = {**modality.tuning(strategy, depth), **({"rank": rank} if rank is not None else {})}
        # Not before fine-tuning, which goes less far from a solved head (food10: docs/next.md).
        alone = strategy == "feature-extraction" and epochs is None and worker_count(model.distribute_strategy) == 1
        solved = alone and solvable(model, n_items)
        phases = make_phases(strategy, stage_count=depth, n_items=n_items, gradual=gradual, own=own, solved=solved)
    phases = with_epochs(phases, epochs)
    if ema is not None:
        phases = tuple(phase if phase.frozen else phase.model_copy(update={"ema": ema}) for phase in phases)
    augmenter, views = plan_views(model, phases, train, augmentation, views, n_items)
    return Plan(strategy, phases, augmenter, views)


def resolve_strategy(strategy: Strategy, n_items: int, classes: int, pretrained: bool, many: int = _MANY) -> Strategy:
    """`"auto"` made concrete: feature extraction for few items, light fine-tuning for some, full for many.

    Args:
        strategy: what was asked for.
        n_items: training items.
        classes: classes.
        pretrained: whether the backbone has pretrained weights; without them only training from scratch makes sense.
        many: items of each class from which all of the backbone trains.

    >>> [resolve_strategy("auto", n, 10, True) for n in (100, 2000, 50_000)]
    ['feature-extraction', 'fine-tuning', 'full']
    """
    if strategy != "auto":
        return strategy
    if not pretrained:
        return "scratch"
    if n_items < _FEW * classes:
        return "feature-extraction"
    return "fine-tuning" if n_items < many * classes else "full"


def make_phases(
    strategy: Strategy,
    *,
    stage_count: int,
    n_items: int | None = None,
    gradual: bool = False,
    own: Mapping[str, Json] | None = None,
    solved: bool = False,
) -> tuple[Phase, ...]:
    """The phases of a concrete strategy.

    The head always comes first and is trained to convergence; what is unfrozen after it trains at a tenth of the rate
    or less.

    Args:
        strategy: anything but `"auto"`.
        stage_count: stages of the backbone.
        n_items: training items; few of them get smaller batches, so that an epoch still has a dozen steps and more.
        gradual: unfreeze from the top down, one stage a phase, instead of all at once (Howard & Ruder 2018).
        own: fields of the phase that trains the backbone, where they are the modality's own.
        solved: whether the head is solved (`training.linear`) instead of stepped to.

    Returns:
        One to `stage_count + 1` phases.

    >>> [phase.name for phase in make_phases("fine-tuning", stage_count=5)]
    ['frozen', 'fine-tuning']
    """
    head = Phase(
        name="frozen",
        epochs=40,
        learning_rate=3e-3,
        optimizer="lbfgs" if solved else "adamw",
        weight_decay=1.0,  # a linear layer on a thousand features and more memorizes few items
        schedule="cosine",
        warmup=0.05,
        batch_size=_batch_size(64, n_items),
        patience=5,
    )
    tuning = Phase(
        name="fine-tuning",
        stages=1,
        epochs=4,
        learning_rate=6e-4,
        beta_2=0.99,  # four epochs with it reach what five with 0.999 do (docs/next.md)
        schedule="cosine",
        warmup=0.1,
        batch_size=_batch_size(32, n_items),
        patience=4,
        monitor="val_accuracy",  # cross-entropy grows with confidence while fine-tuning still gains accuracy
    )
    if strategy == "feature-extraction":
        return (head,)
    if strategy == "scratch":
        everything = {"name": "scratch", "stages": "all", "batchnorm": True, "epochs": 60, "learning_rate": 2e-3}
        settled = {"beta_2": 0.999, "patience": 20}  # BatchNorm's statistics settle late
        return (tuning.model_copy(update=everything | settled | dict(own or {})),)
    changes: dict[str, Json] = {}
    if strategy == "full":
        changes = {"stages": "all", "layer_decay": 0.7, "epochs": 5, "beta_2": 0.999}
    elif strategy in ("lora", "bitfit", "adapter"):
        changes = {"name": strategy, "method": strategy, "stages": "all", "learning_rate": 1e-3, "beta_2": 0.999}
    tuning = tuning.model_copy(update=changes | dict(own or {}))
    if gradual:
        deepest = stage_count if tuning.stages == "all" else int(tuning.stages or 1)
        depths = range(1, max(deepest, min(3, stage_count)) + 1)
        each = {"layer_decay": 1.0} if strategy == "full" else {}
        return (head, *(tuning.model_copy(update={"name": f"fine-tuning {n}", "stages": n, **each}) for n in depths))
    return (head, tuning)


def with_epochs(phases: Sequence[Phase], epochs: int | None) -> tuple[Phase, ...]:
    """The phases after the head's, or the head's where it is alone, with at most `epochs`; None leaves them alone.

    Half of them must be without improvement before a phase ends early: its rates fall until the last one.

    >>> [phase.epochs for phase in with_epochs(make_phases("fine-tuning", stage_count=5), 2)]
    [40, 2]
    """
    alone = all(phase.frozen for phase in phases)
    if epochs is None:
        return tuple(phases)

    def changed(phase: Phase) -> Phase:
        patience = phase.patience if phase.frozen else max(phase.patience, epochs // 2)
        return phase.model_copy(update={"epochs": epochs, "patience": patience})

    return tuple(phase if phase.frozen and not alone else changed(phase) for phase in phases)


def solvable(model: "keras.Model", n_items: int) -> bool:
    """Whether the head is one Dense layer, and its features of all items small.

    Args:
        model: a classifier. Its backbone is frozen.
        n_items: how many items.
    """
    from keras_transfer.training.linear import linear_head

    dense = linear_head(model)
    return dense is not None and n_items * dense.kernel.shape[0] <= _LARGE


def _batch_size(usual: int, n_items: int | None) -> int:
    """A power of two: `usual`, or less where fewer than 16 such batches make an epoch."""
    if n_items is None:
        return usual
    return min(usual, max(4, 1 << ((n_items - 1) // 16).bit_length()))
