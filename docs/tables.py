"""Fills tables from the benchmarks' CSV files, between `<!-- NAME.csv -->` and `<!-- end -->`.

python docs/tables.py
"""

import csv
import re
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = (
    *(
        DOCS / f"{name}.md"
        for name in ("results", "training", "text", "backbones", "audio", "series", "operations", "search")
    ),
    *sorted((DOCS.parent / "pretraining").rglob("README.md")),
)
LEFT_OUT = {"exit", "phases", "kept"}


def table(match: re.Match[str]) -> str:
    """The CSV file that a mark names, as a Markdown table."""
    with (DOCS / "results" / match[1]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name not in LEFT_OUT]
    lines = [columns, ["---"] * len(columns), *([row[name] for name in columns] for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"<!-- {match[1]} -->\n{text}\n<!-- end -->"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(re.sub(r"<!-- (\w+\.csv) -->.*?<!-- end -->", table, page.read_text(), flags=re.S))
