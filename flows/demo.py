"""One labeling round from nothing to the review app, on the sample images or on any folder.

python flows/demo.py
python flows/demo.py --images photos --masks masks
"""

import os
from pathlib import Path

import click
from rich.console import Console

from datalab.adapters.dvc import initialise
from datalab.adapters.files import read_json
from datalab.adapters.images import search_images
from datalab.adapters.mask_classes import read_classes_file
from datalab.adapters.mask_folder import read_classes
from datalab.adapters.workspaces import claim_folder, create_workspace, workspace_name
from datalab.cli_options import errors_in_one_line
from datalab.config import LabelClass, load_guidelines
from datalab.errors import InputError, NothingLeftError
from datalab.rounds.labeling import simulate, where_to_label
from datalab.rounds.opening import Source, read_source_truth
from datalab.rounds.report import read_report
from datalab.rounds.state import NOT_LEARNED, load_round
from datalab.rounds.summary import summary_table
from datalab.sample.write import write_sample
from datalab.services.processes import past_proxies
from datalab.services.stack import up
from datalab.settings import Settings
from datalab.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE_IMAGES = 160
SAMPLE_SEED = 20
CONSOLE = Console()


@click.command()
@click.option("--images", type=click.Path(path_type=Path), help="Folder of images; default: the sample images.")
@click.option("--masks", type=click.Path(path_type=Path), help="Exact masks of those images: PNGs or class folders.")
@click.option("--classes", type=click.Path(path_type=Path), help="classes.yaml, if it does not lie beside the masks.")
@click.option("--annotators", type=click.Choice(["simulated", "people"]), help="Default: simulated where masks exist.")
def main(images: Path | None, masks: Path | None, classes: Path | None, annotators: str | None) -> None:
    """Run one whole labeling round and leave the servers up.

    Example: python flows/demo.py --images photos --masks masks
    """
    with errors_in_one_line():
        run(images, masks, classes, annotators)


def run(images: Path | None, masks: Path | None, classes: Path | None, annotators: str | None) -> None:
    """What `main` does, with errors left to the caller."""
    check_folders(images, masks, classes)
    if annotators == "simulated" and images is not None and masks is None:
        raise InputError("simulated annotators draw from exact masks; pass MASKS=folder too, or leave ANNOTATORS out")
    people = annotators == "people" or (images is not None and masks is None)
    up(REPOSITORY)
    workspace, source = prepare(images, masks, classes)
    try:
        number = run_flow(workspace, source)
    except NothingLeftError as exc:
        if any(workspace.reports.glob("round-*.json")):  # rounds that were too small to learn from have none
            CONSOLE.print(summary_table(read_report(workspace, None)))
        say(str(exc))
        return
    if load_round(workspace, number).due == "label":
        if people:
            say(where_to_label(workspace, load_round(workspace, number)))
            return
        simulate(workspace, load_round(workspace, number), read_source_truth(workspace, source))
        run_flow(workspace, Source())  # its images were taken in before
    state = load_round(workspace, number)
    if NOT_LEARNED in state.facts:
        say(state.facts[NOT_LEARNED])
        return
    CONSOLE.print(summary_table(read_json(workspace.reports / f"round-{number:04d}.json")))


def say(text: str) -> None:
    """Print it as it is: brackets of paths and classes are no markup, and commands have to be copied in one piece."""
    CONSOLE.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def run_flow(workspace: Workspace, source: Source) -> int:
    """Run label-round in this process against the started server; returns the round's number."""
    environment = past_proxies(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    os.environ["PREFECT_API_URL"] = Settings.load(workspace.env).prefect_api_url
    # bars and `main` tell the terminal what happens; the log is in the Prefect UI
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ["DO_NOT_TRACK"] = "1"  # the server sends nothing, and the client would still print a notice
    from label_round import label_round  # noqa: PLC0415  (prefect reads its settings on import)

    images, masks, classes = (
        str(path.resolve()) if path else "" for path in (source.images, source.masks, source.classes)
    )
    return int(label_round(str(workspace.root), images, masks, classes))


def check_folders(images: Path | None, masks: Path | None, classes: Path | None) -> None:
    """Fail before anything is started."""
    if images is None and (masks is not None or classes is not None):
        raise InputError("masks and classes belong to a folder of images; pass IMAGES=folder too")
    for name, path in (("IMAGES", images), ("MASKS", masks)):
        if path is not None and not path.is_dir():
            raise InputError(f"{name}={path} is no folder; check the path")
    for path in (images, masks, classes):
        if path is not None:
            check_name(path)
    if images is not None:
        search_images(images, Workspace.at(REPOSITORY))
        if (root := workspace_root(images)).exists():
            claim_folder(root, images.resolve())
    if classes is not None and not classes.is_file():
        raise InputError(f"CLASSES={classes} is no file; check the path")


def check_name(path: Path) -> None:
    """It is noted in the workspace, and told to the server as JSON: both are text."""
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError as exc:
        raise InputError(f"the name of {str(path)!r} is no UTF-8 text; rename it") from exc


def prepare(images: Path | None, masks: Path | None, classes: Path | None) -> tuple[Workspace, Source]:
    """The workspace of these images: the repository itself for the sample, else one under workspaces/."""
    if images is None:
        sample = REPOSITORY / ".datalab" / "sample"
        if not sample.exists():
            write_sample(sample, SAMPLE_IMAGES, SAMPLE_SEED)
        # one that came as a zip is no git repository, and DVC asks for one
        initialise(REPOSITORY)
        return Workspace.at(REPOSITORY), Source(sample / "images", sample / "masks")
    known = read_classes(masks, classes) if masks is not None else guessed_classes(classes)
    workspace = create_workspace(REPOSITORY, workspace_root(images), known, REPOSITORY / ".env")
    claim_folder(workspace.root, images.resolve())
    names = load_guidelines(workspace.guidelines).names
    if (masks or classes) and [item.name for item in known] != names:
        say(f"the classes of {workspace.guidelines} hold: {', '.join(names)}; change them there")
    return workspace, Source(images, masks, classes)


def workspace_root(images: Path) -> Path:
    """Where the workspace of a folder lies; with the repository's name it would share its project and dataset."""
    name = workspace_name(images.resolve())
    return REPOSITORY / "workspaces" / (f"{name}-images" if name == REPOSITORY.name else name)


def guessed_classes(classes_file: Path | None) -> tuple[LabelClass, ...]:
    """Without masks people need names: those of a classes.yaml, else one class `object`."""
    if classes_file is not None:
        return read_classes_file(classes_file)
    return (LabelClass(id=1, name="object", color="#e69f00", rule="Every object of interest."),)


if __name__ == "__main__":
    main()
