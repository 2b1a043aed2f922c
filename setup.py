# SPDX-License-Identifier: Apache-2.0
# Builds the compiled kernels; everything else is said in pyproject.toml.
#
# A kernel is a Python file in Cython's pure-Python mode (`_kernel_*.py`, declarations in a `.pxd`
# beside it).  Kernels are optional: where Cython or a C compiler is missing or fails, the package
# installs without them and decodes with the readable decoder, which gives the same results.
#
#   GENEVECAP_REQUIRE_KERNELS=1  a kernel that cannot be built fails the installation
#   GENEVECAP_DISABLE_KERNELS=1  build none (at run time: use none)
from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = (
    "genevecap.capture._kernel_records",
    "genevecap.decode._kernel_link",
    "genevecap.decode._kernel_network",
    "genevecap.decode._kernel_transport",
    "genevecap.decode._kernel_security",
    "genevecap.decode._kernel_tunnels",
    "genevecap.decode._kernel_gre",
    "genevecap.decode._kernel_walk",
    "genevecap.decode._kernel_driver",
    "genevecap.analysis._kernel_services",
    "genevecap.analysis._kernel_answers",
    "genevecap.analysis._kernel_findings",
    "genevecap.analysis._kernel_inner_flows",
    "genevecap.analysis._kernel_options",
    "genevecap.analysis._kernel_merge",
    "genevecap.analysis._kernel_tables",
    "genevecap.analysis._kernel_replays",
    "genevecap.analysis._kernel_content",
    "genevecap.analysis._kernel_tls_records",
    "genevecap.analysis._kernel_halves",
    "genevecap.analysis._kernel_connections",
    "genevecap.analysis.linking._kernel_matching",
)

DIRECTIVES = {"language_level": 3}
"""Of the whole build.  What a kernel needs beyond it stands in its own first lines."""

REQUIRED = os.environ.get("GENEVECAP_REQUIRE_KERNELS") == "1"
DISABLED = os.environ.get("GENEVECAP_DISABLE_KERNELS") == "1"


def source_of(kernel: str) -> Path:
    """Return the path of a kernel's source, relative to the project's root."""
    return Path(*kernel.split(".")).with_suffix(".py")


def extensions() -> list[Extension]:
    """Return one extension for each kernel; none where the environment asks for none."""
    if DISABLED:
        return []
    return [
        Extension(
            kernel,
            sources=[str(source_of(kernel))],
            extra_compile_args=["-O3"] if os.name == "posix" else [],
            optional=not REQUIRED,
        )
        for kernel in KERNELS
        if source_of(kernel).exists()
    ]


class BuildKernels(build_ext):
    """Translate each kernel with Cython, compile it, and leave no stale one where that fails."""

    def run(self) -> None:
        """Build all kernels and say at the end which could not be built, and why."""
        self.failures: dict[str, str] = {}
        # An installation shows what this compiler can do now, whatever an earlier build left
        # behind; only `build_ext --inplace` (make kernels) keeps what is still up to date.
        self.force = bool(self.force) or not self.inplace
        super().run()
        if self.failures:
            print(
                "genevecap: the readable decoder will be used, since these kernels were not built:"
            )
            for name, reason in self.failures.items():
                print(f"  {name}: {reason}")

    def build_extension(self, ext: Extension) -> None:
        """Build one kernel; on failure remove the output of an earlier build."""
        sources = ext.sources
        try:
            ext.sources = [self.translate(ext)]
            super().build_extension(ext)
        # Any failure at all (compiler, Cython, their absence) has the same remedy.
        except Exception as error:
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)
            if REQUIRED:
                raise
            self.failures[ext.name] = f"{type(error).__name__}: {error}".splitlines()[0]
        finally:
            ext.sources = sources

    def translate(self, ext: Extension) -> str:
        """Return the path of the C file that Cython makes of a kernel, outside the source tree."""
        from Cython.Build import cythonize

        build_folder = Path(self.build_temp, "cython")
        earlier = (build_folder / source_of(ext.name)).with_suffix(".c")
        # Cython compares the times of sources and declarations, but not of these directives.
        stale = earlier.exists() and earlier.stat().st_mtime < Path("setup.py").stat().st_mtime
        (translated,) = cythonize(
            [Extension(ext.name, sources=ext.sources)],
            build_dir=str(build_folder),
            compiler_directives=DIRECTIVES,
            force=bool(self.force) or stale,
            quiet=True,
        )
        return str(translated.sources[0])

    def copy_extensions_to_source(self) -> None:
        """Put kernels in place for an editable installation; those that failed are not there."""
        built = [ext for ext in self.extensions if ext.name not in self.failures]
        for name in self.failures:
            self.in_place(name).unlink(missing_ok=True)
        everything, self.extensions = self.extensions, built
        try:
            super().copy_extensions_to_source()
        finally:
            self.extensions = everything

    def in_place(self, name: str) -> Path:
        """Return where the compiled kernel stands beside its source."""
        return source_of(name).parent / Path(self.get_ext_filename(name)).name


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
