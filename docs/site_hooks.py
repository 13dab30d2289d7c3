"""MkDocs hooks: the site has the repository's own pages at their own paths, so that one link works in both places.

Pages are the Markdown files that `nav` in mkdocs.yml names, or the notebook in the place of a Markdown file. Each file
that a page links to, a picture or a source file, is copied beside them. The pages of the API reference are made from
the packages of `shiftnet_tf`.
"""

import json
import re
from pathlib import Path
from urllib.parse import unquote

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "shiftnet_tf"
API = "API"  # title of the part of `nav` that is made here
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def api_pages():
    """Return the API reference: Markdown by path in the site, a page for each package of shiftnet_tf."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if any(part.startswith("_") for part in parts):
            continue  # __init__.py gathers names of other modules, which have their own place
        package = parts[1] if len(parts) > 2 else "other"
        modules.setdefault(package, []).append(".".join(parts))
    order = sorted(modules, key=lambda package: (package == "other", package))
    return {f"api/{package}.md": _page(package, modules[package]) for package in order}


def _page(package, modules):
    title = "Other modules" if package == "other" else f"shiftnet_tf.{package}"
    return f"# {title}\n\n" + "\n\n".join(f"::: {module}" for module in modules) + "\n"


def notebook_pages(paths):
    """Return the pages that are notebooks: Markdown by path in the site, with the code and a link to the file."""
    notebooks = {path: (ROOT / path).with_suffix(".ipynb") for path in paths if not (ROOT / path).exists()}
    return {path: _notebook(notebook) for path, notebook in notebooks.items() if notebook.exists()}


def _notebook(path):
    fence = {"markdown": "{}", "code": "```python\n{}\n```"}
    cells = json.loads(path.read_text("utf-8"))["cells"]
    title, *texts = (fence[cell["cell_type"]].format("".join(cell["source"])) for cell in cells)
    return "\n\n".join([title, f'[Download the notebook]({path.name} "notebook")', *texts]) + "\n"


def on_config(config):
    """Fill in the API part of `nav`."""
    for part in config.nav:
        if API in part:
            titles = {path: Path(path).stem for path in api_pages()}
            part[API] = [{title: path} for path, title in titles.items()]
    return config


def on_files(files, config):
    """Add the pages of `nav`, the API reference and the files that pages link to."""
    paths = list(_paths(config.nav))
    made = api_pages() | notebook_pages(paths)
    pages = [path for path in paths if path not in made]
    linked = sorted({link for page in pages for link in _links(page)} - set(pages))
    found = [File.generated(config, path, abs_src_path=str(ROOT / path)) for path in (*pages, *linked)]
    for file in found:
        if file.src_uri == "docs/browser/README.md":  # its folder has an index.html of its own
            file.dest_uri = "docs/browser/readme/index.html"
    found += [File.generated(config, path, content=text) for path, text in made.items()]
    return Files([*files, *found])


def on_page_markdown(markdown, **_):
    """Lead links to a notebook to its page."""
    return markdown.replace(".ipynb)", ".md)")


def _paths(nav):
    """Yield the paths that a part of `nav` names."""
    for item in nav:
        for value in item.values():
            yield from [value] if isinstance(value, str) else _paths(value)


def _links(page):
    """Yield the files of the repository that a page links to, relative to its root."""
    for target in LINK.findall((ROOT / page).read_text("utf-8")):
        path = ((ROOT / page).parent / unquote(target)).resolve()
        if "://" not in target and path.is_file():
            yield path.relative_to(ROOT).as_posix()
