"""Every modality in turn: the contract tests of this folder run over all of them."""

import sys
from pathlib import Path

import pytest
from examples import EXAMPLES, Sample, write_items

from keras_transfer.inputs import MODALITIES
from keras_transfer.modalities import open_modality


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The modalities of this folder beside those of the package."""
    own = {name: example.module for name, example in EXAMPLES.items() if example.module}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        for name, module in own.items():
            patch.setitem(MODALITIES, name, module)
        yield
        for module in own.values():
            sys.modules.pop(module, None)


@pytest.fixture(scope="module", params=EXAMPLES)
def sample(request, registered, tmp_path_factory) -> Sample:
    """Each modality in turn, with sound items and a damaged one."""
    example, folder = EXAMPLES[request.param], tmp_path_factory.mktemp(request.param) / "items"
    write_items(folder, example)
    (folder / "up" / f"damaged{example.suffix}").write_bytes(example.damaged)
    modality = open_modality(request.param)
    dataset = modality.load_items(str(folder), preparation=example.preparation, val=0.2, test=0.2)
    return Sample(modality, example, folder, dataset)
