"""Print how often a step of each method would wait for an accelerator, on an emulated one.

    python tests/print_waits.py [METHOD ...] [--lines] [--write FILE] [--compare FILE]

Columns: waits of one training step with 4 and with 30 classes, and copies to the device; below, the
waits of `fit_resample` but for those of its guides. `--lines` adds the lines of the package that
wait; `--compare` shows the numbers of a file that `--write` made, of another commit, beside those of
today.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from device_steps import METHODS, SAMPLERS, resample, step  # noqa: E402


def numbers(names: list[str], *, lines: bool) -> dict[str, list[int]]:
    """Return the figures of each method, and print them on the way."""
    found = {}
    for name in names:
        if name in METHODS:
            few, many = (step(name, n_classes=n_classes).log for n_classes in (4, 30))
            found[name] = [few.n_waits, many.n_waits, few.copies.total(), many.copies.total()]
        else:
            many = resample(name)[1]
            found[name] = [many.n_waits_outside("guides")]
        if lines:
            print(f"{name}\n{many.report()}\n")
    return found


def table(found: dict[str, list[int]], before: dict[str, list[int]]) -> str:
    """Return one line a method; with figures of before, those come first."""
    rows = [["step", "waits, 4 classes", "waits, 30", "copies, 4", "copies, 30"]]
    for name, now in found.items():
        old = before.get(name, [])
        cells = [f"{a} -> {b}" for a, b in zip(old, now, strict=True)] if old else map(str, now)
        rows.append([name, *cells])
    return "\n".join(f"{row[0]:34s}" + "".join(f"{cell:>18s}" for cell in row[1:]) for row in rows)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help="names as in the table; all by default")
    parser.add_argument("--lines", action="store_true", help="which lines wait")
    parser.add_argument("--write", type=pathlib.Path, help="keep the figures in a file")
    parser.add_argument("--compare", type=pathlib.Path, help="figures of another commit")
    given = parser.parse_args()
    unknown = set(given.methods) - {*METHODS, *SAMPLERS}
    if unknown:
        parser.error(f"no such method: {sorted(unknown)}. There are {[*METHODS, *SAMPLERS]}")
    found = numbers(given.methods or [*METHODS, *SAMPLERS], lines=given.lines)
    before = json.loads(given.compare.read_text()) if given.compare else {}
    print(table(found, before))
    if given.write:
        given.write.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
