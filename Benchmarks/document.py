"""The sections of docs/performance.md, each written by what measures it."""

import pathlib

PATH = pathlib.Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def section(title, text, path=PATH):
    """Replaces what is below `## title`, or adds it at the end; the rest of the page stays as it is."""
    page = path.read_text() if path.exists() else "# Performance\n"
    parts = page.split("\n## ")
    new = f"{title}\n\n{text.strip()}\n"
    for number, part in enumerate(parts[1:], 1):
        if part.split("\n", 1)[0].strip() == title:
            parts[number] = new
            break
    else:
        parts[-1] = parts[-1].rstrip("\n") + "\n"
        parts.append(new)
    path.write_text("\n## ".join(parts))


def read(title, path=PATH):
    """A section with its title, to be kept by who writes the whole page; empty without one."""
    if not path.exists():
        return ""
    for part in path.read_text().split("\n## ")[1:]:
        if part.split("\n", 1)[0].strip() == title:
            return f"\n## {part.rstrip()}\n"
    return ""
