"""Make a workspace for another folder of images: the repository's pipeline with its own classes and data."""

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote

import yaml

from datalab.adapters.dvc import initialise
from datalab.adapters.files import remove_leftovers, remove_leftovers_of, write_bytes, write_text
from datalab.config import LabelClass
from datalab.errors import InputError
from datalab.workspace import Workspace

GRAPH = "dvc.yaml"
OWN = ("params.yaml", ".dvcignore")
GENERIC_FOLDERS = {"images", "train", "val", "test", "img", "data"}
MADE_FOR = ".made-for"
WORKSPACES = "workspaces"
"""Folder of the repository."""
SHARED = ".datalab"
DATA, FORMER_DATA = "/data/?*", "/data/*"
"""To git they are one; DVC takes the former for the folder itself, and finds no .dvc file in it."""
OUTPUTS = (DATA, "!/data/*.dvc", "/models/?*", "!/models/*.dvc", "/reports/plots/?*")
"""What DVC keeps of its stages. It writes such lines itself, but where a stage fails it takes back those of all stages
of that run, also of the ones that were well, and never writes them again: git would take the model in.
"""
IGNORED = ("/src", "/.made-for", "/.env", "/.env.annotators", "/.datalab", ".*.tmp", *OUTPUTS)

WRITTEN = (GRAPH, *OWN, MADE_FOR, ".gitignore", "guidelines/README.md", "guidelines/classes.yaml")
"""What is written among a person's own files."""


def create_workspace(repository: Path, root: Path, classes: Sequence[LabelClass], env: Path) -> Workspace:
    """The workspace at `root`, made where it is missing, kept as it is where it exists.

    It has the repository's dvc.yaml, which follows the code, a params.yaml of its own (to be tuned for its images),
    guidelines made from `classes`, `src` linked to the repository's code (so that the stages' deps are found) and the
    services' `env`, and where no folder is there that of the services' files, so that all workspaces share the
    embeddings kept in it. In the repository these links are relative, so that they outlast its move.
    """
    if not (root / "guidelines" / "classes.yaml").exists():
        _write_guidelines(root / "guidelines", classes)
    _take_graph(repository, root)
    for name in OWN:
        if not (root / name).exists():
            write_bytes(root / name, (repository / name).read_bytes())
    shared = env.parent / SHARED
    shared.mkdir(mode=0o700, parents=True, exist_ok=True)
    _link(root / "src", repository / "src", repository)
    _link(root / ".env", env, repository)
    if (root / SHARED).is_symlink() or not (root / SHARED).exists():
        _link(root / SHARED, shared, repository)
    _ignore(root / ".gitignore")
    initialise(root)
    return Workspace.at(root)


def follow_code(root: Path) -> None:
    """Bring dvc.yaml and .gitignore of a workspace up to the code that its `src` is linked to; others keep theirs.

    Links into a repository that was moved, or copied, with the workspace in it are made anew. InputError where the code
    of a workspace elsewhere is gone.
    """
    if not (root / "src").is_symlink():
        return
    folder = root.resolve().parent
    if folder.name == WORKSPACES and (folder.parent / "src").is_dir() and (folder.parent / GRAPH).is_file():
        for name in ("src", ".env", SHARED):
            if (root / name).is_symlink():
                _link(root / name, folder.parent / name, folder.parent)
    if not (root / "src").exists():
        raise InputError(
            f"{root / 'src'} leads to {(root / 'src').readlink()}, which is gone; link it to datalab's src"
        )
    _take_graph((root / "src").resolve().parent, root)
    _ignore(root / ".gitignore")


def clear_leftovers(workspace: Workspace) -> None:
    """Delete what killed writers left: in folders that are ours alone anything, else what lies beside our files."""
    ours = (workspace.data, workspace.reports, workspace.model.parent, workspace.embedding_cache)
    for folder in (*ours, workspace.training_states):
        remove_leftovers(folder)
    for name in WRITTEN:
        remove_leftovers_of(workspace.root / name)


def claim_folder(root: Path, images: Path) -> None:
    """Keep in the workspace at `root` which folder of images it is for; InputError where that is another one.

    A folder that is gone may have been moved or renamed: the new one takes its place.
    """
    note = root / MADE_FOR
    known = Path(note.read_text(encoding="utf-8").strip()) if note.exists() else images
    if known != images and known.is_dir():
        raise InputError(
            f"{root} is the workspace of {known}, and {images} would get the same name; rename the folder, or add its "
            f"images to that workspace: datalab ingest {quote(str(images))} --workspace {quote(str(root))}"
        )
    if known != images or not note.exists():
        write_text(note, f"{images}\n")


def _take_graph(repository: Path, root: Path) -> None:
    graph = (repository / GRAPH).read_text(encoding="utf-8")
    if not (root / GRAPH).exists() or (root / GRAPH).read_text(encoding="utf-8") != graph:
        write_text(root / GRAPH, graph)


def _write_guidelines(folder: Path, classes: Sequence[LabelClass]) -> None:
    if not classes:
        raise InputError(f"no class is known for {folder.parent}; give masks or a classes.yaml")
    lines = "\n".join(f"- **{item.name}** {item.rule}".rstrip() for item in classes)
    write_text(folder / "README.md", f"# What to mark\n\nMark every object of these classes:\n\n{lines}\n")
    listing = yaml.safe_dump({"classes": [asdict(item) for item in classes]}, sort_keys=False, allow_unicode=True)
    # the last one: where it lies, all of it has been written
    write_text(folder / "classes.yaml", listing)


def _ignore(path: Path) -> None:
    """Have every line of IGNORED in the file; what a person wrote there stays."""
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = [DATA if line == FORMER_DATA else line for line in known]
    missing = [line for line in IGNORED if line not in lines]
    if missing or lines != known:
        write_text(path, "\n".join([*lines, *missing, ""]))


def _link(link: Path, target: Path, repository: Path) -> None:
    """Relative where both are in the repository, so that they move together."""
    here, there = link.parent.resolve(), target.parent.resolve() / target.name
    inside = all(path.is_relative_to(repository.resolve()) for path in (here, there))
    held = Path(os.path.relpath(there, here)) if inside else target
    if link.is_symlink() and link.readlink() == held:
        return
    if link.exists() and not link.is_symlink():
        raise InputError(f"{link} is in the way of a link to {target}; move it")
    link.unlink(missing_ok=True)
    link.symlink_to(held)


def workspace_name(images: Path) -> str:
    """The folder's name, after those above it while they are generic, in letters, digits, dots, dashes."""
    names = [images.name]
    for above in images.parents:
        if names[0] not in GENERIC_FOLDERS:
            break
        names.insert(0, above.name)
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(names)).strip("-.") or "images"
