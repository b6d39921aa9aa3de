"""Writes `result.schema.json`: python docs/schema.py"""

import json
from pathlib import Path

from keras_transfer.schemas import json_schema

if __name__ == "__main__":
    text = json.dumps(json_schema(), indent=2) + "\n"
    Path(__file__).with_name("result.schema.json").write_text(text)
