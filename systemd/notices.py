"""Prints the licence notices of every Rust crate that is linked into the binary.

    systemd/notices.py > rust-crates.txt

A list first (name, version, licence), then each distinct notice once with the crates that carry it.
"""

import json
import pathlib
import subprocess
import sys

NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def output(*command: str) -> str:
    """What a command prints; its failure ends this script."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def linked() -> set[tuple[str, str]]:
    """Name and version of the crates that end up in the binary: no build tools, no macros, no tests."""
    tree = output("cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}")
    words = (line.split() for line in tree.splitlines() if line)
    return {(name, version.removeprefix("v")) for name, version, *_ in words if name != "gridwatch"}


def main() -> None:
    wanted = linked()
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1"))
    packages = sorted((p for p in metadata["packages"] if (p["name"], p["version"]) in wanted), key=lambda p: p["name"])
    if len(packages) < len(wanted):
        sys.exit("error: some linked crates have no metadata")
    print("Rust crates linked into gridwatch\n")
    carriers: dict[str, list[str]] = {}
    for package in packages:
        crate = f"{package['name']} {package['version']}"
        print(f"{crate:40} {package['license'] or 'see its notice'}")
        folder = pathlib.Path(package["manifest_path"]).parent
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name.upper().startswith(NAMES):
                text = path.read_text(encoding="utf-8", errors="replace").strip()
                carriers.setdefault(text, []).append(crate)
    for text, crates in carriers.items():
        print("\n" + "=" * 100 + "\n" + ", ".join(dict.fromkeys(crates)) + "\n\n" + text)


if __name__ == "__main__":
    main()
