"""All that is installed, in order. Each step is done once and costs nothing when it has been done."""

from lab import evcxr, jupyter, rust


def install() -> None:
    rust.require()
    rust.install_std_sources()
    evcxr.install()
    jupyter.install()
    evcxr.install_kernelspec()
