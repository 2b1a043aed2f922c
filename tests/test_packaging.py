# SPDX-License-Identifier: Apache-2.0
"""What is installed: kernels with and without a compiler, data files, the command, completions."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import genevecap
from genevecap import kernels

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "genevecap"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

KERNEL = "genevecap.decode._kernel_link"
KERNEL_SOURCE = """\
import cython

@cython.cfunc
@cython.exceptval(check=False)
def _twice(number: cython.int) -> cython.int:
    return 2 * number

def answer() -> tuple[bool, int]:
    return cython.compiled, _twice(21)
"""


def listed_kernels() -> list[str]:
    """The tuple KERNELS of setup.py, read without running it."""
    for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KERNELS":
            return list(ast.literal_eval(node.value))
    raise AssertionError("setup.py has no KERNELS")


def sources_of_kernels() -> list[str]:
    paths = PACKAGE.rglob("_kernel_*.py")
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def test_the_build_knows_every_kernel_and_no_other():
    assert sorted(listed_kernels()) == sorted(sources_of_kernels())


def test_declarations_stand_beside_kernels_or_are_shared_by_a_package():
    # A .pxd without a .py holds what several kernels of its folder and those below it share.
    for path in PACKAGE.rglob("*.pxd"):
        assert path.name.startswith("_kernel_")
        assert list(path.parent.rglob("_kernel_*.py"))


@pytest.mark.parametrize("kernel", listed_kernels())
def test_a_kernel_is_never_run_uncompiled(kernel: str):
    module = kernels.load(kernel)
    if module is None:
        pytest.skip(f"{kernel} is not compiled here")
    assert str(module.__file__).endswith(tuple(EXTENSION_SUFFIXES))


def test_the_environment_can_choose_the_readable_decoder():
    program = "from genevecap.decode import decoder_name; print(decoder_name())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"GENEVECAP_DISABLE_KERNELS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "readable\n"


def test_every_data_file_is_installed():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["*"]
    built = {".py", ".pyc", ".pxd", ".so", ".c", ".html"}
    data = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in built]
    assert data
    assert [
        path.name for path in data if not any(fnmatch(path.name, each) for each in patterns)
    ] == []


def test_the_version_stands_in_one_place():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    try:
        installed = importlib.metadata.version("genevecap")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("genevecap is not installed, it runs from the checkout")
    assert installed == genevecap.__version__


def test_the_command_exists():
    module, _, name = PYPROJECT["project"]["scripts"]["genevecap"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


# --- building, in a project that has one small kernel -----------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    source = folder.joinpath(*KERNEL.split(".")).with_suffix(".py")
    source.parent.mkdir(parents=True)
    source.write_text(KERNEL_SOURCE, "utf-8")
    for package in ("genevecap", "genevecap/decode"):
        (folder / package / "__init__.py").write_text("", "utf-8")
    (folder / "pyproject.toml").write_text(
        "[project]\nname = 'genevecap'\nversion = '0'\n"
        "[tool.setuptools]\npackages = ['genevecap', 'genevecap.decode']\n",
        "utf-8",
    )
    shutil.copy(ROOT / "setup.py", folder)
    return folder


def build(project: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {"GENEVECAP_REQUIRE_KERNELS": "", "GENEVECAP_DISABLE_KERNELS": ""}
    return subprocess.run(
        [sys.executable, "setup.py", "build", *options],
        cwd=project,
        env=os.environ | ours | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def compiled(project: Path) -> list[Path]:
    return [path for path in project.rglob("_kernel_*") if path.suffix in {".so", ".pyd", ".dylib"}]


needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler on this machine"
)


@needs_compiler
def test_a_kernel_is_compiled(project: Path):
    done = build(project, GENEVECAP_REQUIRE_KERNELS="1")
    assert done.returncode == 0, done.stderr
    (library,) = compiled(project)
    program = f"from {KERNEL} import answer; print(answer())"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=library.parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "(True, 42)\n"


def test_without_a_compiler_the_rest_is_built(project: Path):
    done = build(project, CC="/bin/false")
    assert done.returncode == 0, done.stderr
    assert compiled(project) == []
    assert KERNEL in done.stdout
    assert list(project.glob("build/lib*/genevecap/decode/_kernel_link.py"))


@needs_compiler
def test_without_a_compiler_nothing_of_an_earlier_build_is_left(project: Path):
    assert build(project).returncode == 0
    assert len(compiled(project)) == 1
    assert build(project, CC="/bin/false").returncode == 0
    assert compiled(project) == []


def test_a_required_kernel_that_cannot_be_built_is_fatal(project: Path):
    assert build(project, CC="/bin/false", GENEVECAP_REQUIRE_KERNELS="1").returncode != 0


def test_a_kernel_that_cython_refuses_is_left_out(project: Path):
    source = project.joinpath(*KERNEL.split(".")).with_suffix(".py")
    source.write_text(f"{KERNEL_SOURCE}\ndef broken(: pass\n", "utf-8")
    assert build(project).returncode == 0
    assert compiled(project) == []


def test_no_kernel_is_built_where_none_is_wanted(project: Path):
    assert build(project, GENEVECAP_DISABLE_KERNELS="1").returncode == 0
    assert compiled(project) == []
    assert list(project.glob("build/lib/genevecap/decode/__init__.py"))


# --- completions ------------------------------------------------------------------------------


def complete(shell: str, script: str) -> list[str]:
    """The words that a shell offers when `script` has asked for completion."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    scripts = Path(sys.executable).parent
    if not (scripts / "genevecap").exists():
        pytest.skip("genevecap is not installed, it runs from the checkout")
    done = subprocess.run(
        [program, "-c", script],
        cwd=ROOT / "completions",
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_bash_completes_a_command():
    script = """
        source ./genevecap.bash
        COMP_WORDS=(genevecap ins) COMP_CWORD=1
        _genevecap_completion genevecap
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert complete("bash", script) == ["inspect"]


def test_fish_completes_a_command():
    script = "source ./genevecap.fish; complete --do-complete 'genevecap ins'"
    assert complete("fish", script) == ["inspect"]


def test_zsh_completes_a_command():
    # Completion proper needs a terminal; these are the two functions that click's script calls.
    script = """
        compdef() { :; }
        _describe() { print -rl -- ${completions_with_descriptions%%:*}; }
        compadd() { print -rl -- $completions; }
        source ./genevecap.zsh
        words=(genevecap ins) CURRENT=2
        _genevecap_completion
    """
    assert complete("zsh", script) == ["inspect"]
