"""Prints what a signature of an adapter's folder is of: `quoin adapter 1`, and the digest of its files and its base.

Sign it on the machine that trained the adapter, with the key that the registry trusts; README.md has the commands.
"""

import argparse
import hashlib
import json
from pathlib import Path

CONTENTS = ["adapter_config.json", "adapter_model.safetensors", "adapter_lineage.json"]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def base_digest(folder: Path) -> str:
    """The digest of the only `.safetensors` file, or of the `sha256sum` listing of several."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise SystemExit(f"{folder} holds no .safetensors file")
    if len(weights) == 1:
        return f"sha256:{sha256(weights[0])}"
    listing = "".join(f"{sha256(path)}  {path.name}\n" for path in weights)
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def message(folder: Path, base: str) -> str:
    paths = [folder / name for name in CONTENTS if (folder / name).exists() or name != "adapter_lineage.json"]
    files = [{"name": path.name, "sha256": sha256(path), "bytes": path.stat().st_size} for path in paths]
    content = json.dumps({"base": base, "files": files}, sort_keys=True, separators=(",", ":"))
    return f"quoin adapter 1\nsha256:{hashlib.sha256(content.encode()).hexdigest()}\n"


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("adapter", type=Path, help="folder of the adapter")
    a.add_argument("--base", type=Path, required=True, help="folder of the base model")
    a = a.parse_args()
    print(message(a.adapter, base_digest(a.base)), end="")


if __name__ == "__main__":
    main()
