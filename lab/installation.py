"""All that is installed, in order. Each step is done once and costs nothing when it has been done."""

from lab import jupyter, kernelspec, program, rust


def install() -> None:
    rust.require()
    rust.install_std_sources()
    program.install()
    jupyter.install()
    kernelspec.install()
