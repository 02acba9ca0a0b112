"""The files of the project, as the house tests read them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (
    "pushpilot.lib",
    "tenants",
    "campaigns.channels",
    "campaigns",
    "delivery.providers",
    "delivery",
    "reports",
    "pushpilot",
)


def committed_files(root: Path = ROOT) -> list[Path]:
    """What git has or would take: everything that is not ignored, present on disk."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = (
        subprocess.run(command, cwd=root, capture_output=True, check=True)
        .stdout.decode()
        .split("\0")
    )
    return [root / name for name in sorted(set(names)) if name and (root / name).is_file()]


def modules(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module of the layers; migrations are Django's."""
    for package in sorted({layer.split(".")[0] for layer in LAYERS}):
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            if "migrations" not in parts:
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def layer_of(module: str) -> int | None:
    """The position of a module's layer, from the left; None for what is not ours."""
    for position, layer in enumerate(LAYERS):
        if layer != "pushpilot" and (module == layer or module.startswith(f"{layer}.")):
            return position
    return len(LAYERS) - 1 if module == "pushpilot" or module.startswith("pushpilot.") else None
