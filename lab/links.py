"""What a notebook links to in its own project.

JupyterLab shows nothing from above the folder that it was started in, VS Code and GitHub look from the notebook's
folder, and GitHub and nbviewer do not show every SVG. So files lie below the notebook's folder, pictures as PNG or JPEG.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from nbformat import NotebookNode

from lab.page import Page

PICTURES = (".png", ".jpg", ".jpeg", ".gif")


def relative(notebook: NotebookNode) -> dict[str, bool]:
    """The files that its texts and outputs name, each with whether it is shown as a picture."""
    page, _ = Page(embed_images=False).from_notebook_node(notebook)
    named: dict[str, bool] = {}
    for element in BeautifulSoup(page, "html.parser").find_all(True):
        for attribute in ("src", "href"):
            address = urlsplit(str(element.get(attribute, "")))
            if address.path and not address.scheme and not address.netloc:
                path = unquote(address.path)
                named[path] = named.get(path, False) or element.name == "img"
    return named


def problems(notebook: NotebookNode, folder: Path) -> list[str]:
    """What would be missing in one of the programs that show a notebook of this folder."""
    found = []
    for name, is_picture in relative(notebook).items():
        path = Path(name)
        if not stays_below(path):
            found.append(f"{name} is outside the notebook's folder: put the file below it")
        elif not _is_spelt_so(folder, path):
            found.append(f"{name} is not there (capital letters count)")
        elif is_picture and path.suffix not in PICTURES:
            found.append(f"{name} is a picture that not every viewer shows: expected one of {', '.join(PICTURES)}")
    return found


def stays_below(path: Path) -> bool:
    return not path.is_absolute() and ".." not in path.parts


def _is_spelt_so(folder: Path, path: Path) -> bool:
    """Whether it is there under exactly this name, on systems that do not mind capital letters too."""
    for part in path.parts:
        if not folder.is_dir() or part not in {child.name for child in folder.iterdir()}:
            return False
        folder /= part
    return True
