"""`result.json` and the proofs are what `keras_transfer.schemas` and `docs/result.schema.json` say."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from keras_transfer.schemas import Result, json_schema

DOCS = Path(__file__).parents[1] / "docs"


def test_the_schema_in_the_documents_is_the_present_one():
    assert json.loads((DOCS / "result.schema.json").read_text()) == json_schema(), "run python docs/schema.py"


def test_a_result_that_lacks_a_field_is_refused():
    with pytest.raises(ValidationError, match="recommended"):
        TypeAdapter(Result).validate_python({"backbone": "mobilenet_v2"}, strict=True)
