# SPDX-License-Identifier: Apache-2.0
"""Rules that hold for the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "genevecap"

MODULE_LINES = 400
KERNEL_LINES = 800

TEXT_SUFFIXES = {".cfg", ".in", ".md", ".pxd", ".py", ".sh", ".toml", ".tsv", ".yaml", ".yml"}

# Where somebody's checkout, home or scratch files are; and where packages are fetched from.
MACHINE_PATH = re.compile(rb"(?<![\w.:/~-])/(?:work|root|home|tmp)(?:/[\w.-]|(?![\w/.-]))")
REGISTRY_HOST = re.compile(
    rb"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|crates\.io|proxy\.golang\.org"
)
MARKDOWN_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")


@cache
def repository_files() -> tuple[Path, ...]:
    """Files that are in the repository, or would be after `git add`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    try:
        listing = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so nothing says which files belong to the repository")
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    return tuple(sorted({path for path in paths if path.is_file()}))


def modules() -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".py" and PACKAGE in path.parents]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def found(pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{relative(path)}: {match.group().decode('latin-1')}"
        for path in repository_files()
        for match in pattern.finditer(path.read_bytes())
    ]


def test_no_file_names_a_path_of_somebodys_machine():
    assert found(MACHINE_PATH) == []


def test_no_file_names_a_package_registry():
    assert found(REGISTRY_HOST) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        # `@` stands for the slash, or this file would break its own rule.
        (b"see @work@main@x", True),
        (b'open("@tmp@x.pcap")', True),
        (b"in @root", True),
        (b"..@work@x", False),
        (b"https:@@example.net@home@x", False),
        (b"tests@tmp@x", False),
        (b"read@write@work", False),
        (b"@tmpfs and @rootfs", False),
    ],
)
def test_pattern_knows_a_machine_path(text: bytes, named: bool):
    assert bool(MACHINE_PATH.search(text.replace(b"@", b"/"))) is named


def test_every_module_is_short():
    too_long = {}
    for path in modules():
        limit = KERNEL_LINES if path.name.startswith("_kernel_") else MODULE_LINES
        lines = len(path.read_text("utf-8").splitlines())
        if lines > limit:
            too_long[relative(path)] = f"{lines} lines, {limit} allowed"
    assert too_long == {}


def test_every_source_file_says_its_licence_first():
    sources = [path for path in repository_files() if path.suffix in {".py", ".pxd", ".sh"}]
    assert sources
    unmarked = []
    for path in sources:
        head = path.read_text("utf-8").splitlines()[:2]
        if head and "# SPDX-License-Identifier: Apache-2.0" not in head:
            unmarked.append(relative(path))
    assert unmarked == []


def test_every_module_postpones_annotations():
    line = "\nfrom __future__ import annotations\n"
    forgetful = []
    for path in modules():
        text = path.read_text("utf-8")
        # A package file may be a docstring and nothing else.
        if len(ast.parse(text).body) > 1 and line not in text:
            forgetful.append(relative(path))
    assert forgetful == []


def test_text_files_end_with_a_newline_and_no_line_with_a_blank():
    careless = []
    for path in repository_files():
        if path.suffix not in TEXT_SUFFIXES:
            continue
        text = path.read_bytes()
        if text and (not text.endswith(b"\n") or text.endswith(b"\n\n")):
            careless.append(f"{relative(path)}: end")
        # An empty last cell of a table is a tab at the end of the line.
        blanks = rb"[ ]+$|\r" if path.suffix == ".tsv" else rb"[ \t]+$|\r"
        for match in re.finditer(blanks, text, re.MULTILINE):
            line = text.count(b"\n", 0, match.start()) + 1
            careless.append(f"{relative(path)}: line {line}")
    assert careless == []


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    pages = {
        path.relative_to(ROOT / "docs").as_posix()
        for path in repository_files()
        if path.suffix == ".md" and ROOT / "docs" in path.parents
    }
    assert pages == named


def test_every_link_between_pages_leads_somewhere():
    broken = []
    for path in repository_files():
        if path.suffix != ".md":
            continue
        broken += [
            f"{relative(path)}: {target}"
            for target in MARKDOWN_LINK.findall(path.read_text("utf-8"))
            if "://" not in target and not (path.parent / target).exists()
        ]
    assert broken == []


def test_every_module_is_named_by_a_test():
    """Lenient: by a test file's name, by its dotted name, or by a test of its package."""
    tests = {
        path: path.read_text("utf-8")
        for path in repository_files()
        if path.suffix == ".py" and ROOT / "tests" in path.parents
    }

    def named(module: Path) -> bool:
        parts = module.relative_to(ROOT).with_suffix("").parts
        mirror = ROOT.joinpath("tests", *parts[1:-1][:1])
        word = re.compile(rf"\b{re.escape(parts[-1])}\b", re.IGNORECASE)
        imported = re.compile(
            rf"{re.escape('.'.join(parts))}\b"
            rf"|from {re.escape('.'.join(parts[:-1]))} import [^\n]*\b{re.escape(parts[-1])}\b"
        )
        return any(
            path.name.startswith(f"test_{parts[-1]}")
            or imported.search(text)
            or (mirror in path.parents and word.search(text))
            for path, text in tests.items()
        )

    # Package files only re-export; kernels are held to the readable decoder by tests of their own.
    own = [path for path in modules() if not path.name.startswith(("__", "_kernel_"))]
    assert own
    assert [relative(path) for path in own if not named(path)] == []
