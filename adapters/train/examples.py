"""What the scripts that invent training examples share: their arguments, and a file of one example a line."""

import argparse
import json
from pathlib import Path


def arguments(description: str) -> argparse.ArgumentParser:
    a = argparse.ArgumentParser(description=description)
    a.add_argument("--count", type=int, default=600)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--out", type=Path, required=True)
    return a


def write(out: Path, examples):
    out.write_text("".join(json.dumps(example) + "\n" for example in examples))
