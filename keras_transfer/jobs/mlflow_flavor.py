"""LiteRT files as a flavor of MLflow: its registry keeps them, its scoring server runs them, both by our preparation.

`mlflow.pyfunc.load_model(uri).predict(frame)` takes a column `item`, the bytes of an item as they lie in its file (in
JSON as base64; of a text its UTF-8). It gives `label`, `confidence`, `rejected` (none of these; False where the file
has no score of it) and `scores`, in the order of the class names that stand in the model's metadata. The package must
be installed where a model is loaded.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.operations.registry import Registry, Version, aliases, find, history, open_version, versions
from keras_transfer.run import read_run

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model

    from keras_transfer.evaluation import Classifier

FLAVOR = "litert"
ITEM = "item"
_ID, _NUMBER = "keras_transfer.id", "keras_transfer.version"  # tags of a version


def save_model(file: str | Path, path: str | Path, *, mlflow_model: "Model | None" = None) -> None:
    """Writes a LiteRT file as a model of MLflow.

    Args:
        file: a `.tflite` of this package.
        path: the folder to write to.
        mlflow_model: what MLflow knows of it already.

    Raises:
        InputError: MLflow is missing, or the file does not say how items become its inputs.
    """
    require("mlflow", "mlflow", "The flavor of MLflow")
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Schema

    from keras_transfer import __version__

    classifier = _open(file)
    model = mlflow_model or Model()
    outputs = [ColSpec(DataType.string, "label"), ColSpec(DataType.double, "confidence")]
    outputs += [ColSpec(DataType.boolean, "rejected"), ColSpec(Array(DataType.double), "scores")]
    model.signature = ModelSignature(Schema([ColSpec(DataType.binary, ITEM)]), Schema(outputs))
    model.metadata = {"class_names": classifier.class_names, "inputs": classifier.inputs.to_dict()}
    model.add_flavor(FLAVOR, file=f"data/{Path(file).name}", modality=classifier.inputs.modality)
    mlflow.pyfunc.save_model(
        path,
        loader_module=__name__,
        data_path=str(file),
        mlflow_model=model,
        pip_requirements=[f"keras-transfer=={__version__}"],
    )


def publish(registry: Registry, reference: str, uri: str) -> int:
    """Brings a version of the registry to one of MLflow, and gives the aliases there to the versions that have them.

    Args:
        registry: of ours.
        reference: such as `cats@champion`.
        uri: of MLflow's server, or of its database.

    Returns:
        The number of the version there; what is there already stays.

    Raises:
        InputError: MLflow is missing or cannot be reached, or the version recommends no LiteRT file.
    """
    require("mlflow", "mlflow", "Publishing to MLflow")
    import mlflow
    from mlflow.exceptions import MlflowException

    version = find(registry, reference)
    run = open_version(registry, reference)
    recommended = read_run(run)[1]["recommended"] or ""
    if not recommended.endswith(".tflite"):
        raise InputError(f"{reference} recommends no LiteRT file: export some, and add the run again.")
    try:
        mlflow.set_tracking_uri(uri)
        there = _numbers_there(version["name"])
        if version["id"] not in there:
            there[version["id"]] = _log(version, run, run / recommended)
        ids = {one["version"]: one["id"] for one in versions(registry, version["name"])}
        for alias, number in aliases(history(registry, version["name"])).items():
            if ids[number] in there:
                mlflow.MlflowClient().set_registered_model_alias(version["name"], alias, str(there[ids[number]]))
    except MlflowException as error:
        raise InputError(f"MLflow at {uri} refuses: {in_one_line(error)}") from error
    return there[version["id"]]


def _numbers_there(name: str) -> dict[str, int]:
    """The versions that MLflow has: the hash of their content -> their number there."""
    import mlflow

    found = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    return {one.tags[_ID]: int(one.version) for one in found if _ID in one.tags}


def _log(version: Version, run: Path, file: Path) -> int:
    """Logs a version's file with its proof, model card and lineage; returns its number in MLflow's registry."""
    import mlflow
    from mlflow.models import Model

    name, lineage = version["name"], version["lineage"]
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name=f"{name}@{version['version']}"):
        mlflow.log_params({"parent": lineage["parent"], "items": version["data"]["items"]})
        mlflow.log_metric("test_accuracy", version["accuracy"])
        for path in (file.with_suffix(".json"), run / "report.md", run / "recipe.yaml", run / "result.json"):
            if path.is_file():
                mlflow.log_artifact(str(path))
        logged = Model.log(None, sys.modules[__name__], registered_model_name=name, name="model", file=file)
    number, client = str(logged.registered_model_version), mlflow.MlflowClient()
    client.set_model_version_tag(name, number, _NUMBER, str(version["version"]))
    client.set_model_version_tag(name, number, _ID, version["id"])  # last: by it the version counts as published
    return int(number)


class LiteRTModel:
    """What `mlflow.pyfunc` calls: a classifier of items as they lie in files."""

    def __init__(self, classifier: "Classifier") -> None:
        self.classifier = classifier

    def predict(self, frame: "pd.DataFrame", params: object = None) -> "pd.DataFrame":
        """Answers for the column `item`.

        Args:
            frame: with the bytes of items.
            params: none are known.

        Raises:
            MlflowException: an item cannot be read; the server then answers 400.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        from keras_transfer.evaluation import predict_files

        names = self.classifier.class_names
        sources = [(f"row {index}", bytes(content)) for index, content in enumerate(frame[ITEM])]
        rows = []
        for one in predict_files(self.classifier, sources, len(names)):
            if one.problem:
                raise MlflowException.invalid_parameter_value(f"{one.path}: {one.problem}")
            scores = dict(one.top)
            rows.append((one.label, one.confidence, one.rejected, [scores[name] for name in names]))
        return pd.DataFrame(rows, columns=["label", "confidence", "rejected", "scores"])


def _load_pyfunc(path: str) -> LiteRTModel:
    """What `mlflow.pyfunc.load_model` asks of this module."""
    return LiteRTModel(_open(path))


def _open(file: str | Path) -> "Classifier":
    from keras_transfer.evaluation import open_classifier

    classifier = open_classifier(file)
    if classifier.preparer is None:
        raise InputError(f"{file} does not say how items become its inputs: give a file of `keras-transfer export`.")
    return classifier
