"""`datalab …`: options in, one line out; no logic."""

import sys
from pathlib import Path
from typing import Any

import click

from datalab.errors import DatalabError
from datalab.workspace import Workspace

WORKSPACE = click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default="this folder",
    help="Folder with params.yaml, dvc.yaml and guidelines/.",
)


class OneLineErrors(click.Group):
    """What the user can put right is one line and exit code 1; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DatalabError as exc:
            click.secho(f"error: {exc}", fg="red", err=True)
            sys.exit(1)


@click.group(cls=OneLineErrors)
@click.version_option(package_name="datalab")
def main() -> None:
    """Data-centric labeling and active learning for image segmentation.

    Example: datalab up; prefect deployment run label-round
    """


@main.command()
@click.argument("repository", type=click.Path(path_type=Path), default=Path())
def up(repository: Path) -> None:
    """Start Label Studio, Prefect, MongoDB and the FiftyOne app on this machine.

    Example: datalab up
    """
    from datalab.services.stack import up as start  # noqa: PLC0415  (keeps --help fast)

    for name, address in start(repository.resolve()).shown().items():
        click.echo(f"{name:14} {address}")


@main.command()
@click.argument("repository", type=click.Path(path_type=Path), default=Path())
def down(repository: Path) -> None:
    """Stop what `datalab up` started.

    Example: datalab down
    """
    from datalab.services.stack import down as stop  # noqa: PLC0415

    stopped = stop(repository.resolve())
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@main.command()
@click.argument("repository", type=click.Path(path_type=Path), default=Path())
def status(repository: Path) -> None:
    """Which servers run, and where.

    Example: datalab status
    """
    from datalab.services.stack import status as look  # noqa: PLC0415

    for service in look(repository.resolve()):
        click.echo(f"{service.name:14} {'up' if service.healthy else 'down':5} {service.address}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@WORKSPACE
def ingest(folder: Path, workspace: Path) -> None:
    """Take the images of FOLDER into the catalog; again adds nothing.

    Example: datalab ingest ~/photos
    """
    from datalab.adapters.images import IngestParams  # noqa: PLC0415
    from datalab.adapters.images import ingest as take_in  # noqa: PLC0415
    from datalab.config import load_params  # noqa: PLC0415

    place = Workspace.at(workspace)
    report = take_in(folder, place, load_params(place.params, "ingest", IngestParams))
    click.echo(
        f"{report.found} files: {report.added} added, {report.known} known, {report.exact_duplicates} exact and "
        f"{report.near_duplicates} near duplicates, {report.quarantined} quarantined (see {place.rejected})"
    )


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=160, show_default=True, help="How many images (at least 120).")
@click.option("--seed", default=20, show_default=True)
def sample(out: Path, count: int, seed: int) -> None:
    """Make the sample images and their exact masks in OUT.

    Example: datalab sample ~/sample
    """
    from datalab.sample.write import write_sample  # noqa: PLC0415

    write_sample(out, count, seed)
    click.echo(f"{out}: images, masks, masks/classes.yaml")


@main.command()
@click.argument("number", type=int, required=False)
@WORKSPACE
def summary(number: int | None, workspace: Path) -> None:
    """Print the summary of a round, the newest by default.

    Example: datalab summary 1
    """
    from rich.console import Console  # noqa: PLC0415

    from datalab.rounds.report import read_report  # noqa: PLC0415
    from datalab.rounds.summary import summary_table  # noqa: PLC0415

    Console().print(summary_table(read_report(Workspace.at(workspace), number)))


@main.group()
def models() -> None:
    """Official Segment Anything checkpoints for `checkpoint` in params.yaml.

    Example: datalab models pull sam_vit_b
    """


@models.command("pull")
@click.argument("name")
def pull_model(name: str) -> None:
    """Download the checkpoint NAME (sam_vit_b, sam_vit_l, sam_vit_h), or the rest of it, and check it.

    Example: datalab models pull sam_vit_b
    """
    from tqdm import tqdm  # noqa: PLC0415

    from datalab.adapters import checkpoints  # noqa: PLC0415

    official = checkpoints.official_of(name)
    with tqdm(total=official.bytes, desc=official.file, unit="B", unit_scale=True, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.update(done - bar.n)

        path = checkpoints.pull(official, checkpoints.cache_folder(), show, checkpoints.SOURCE)
    click.echo(f"{path}\nset checkpoint: {name} in the sections proposals and embed of params.yaml to use it")


@models.command("list")
def list_models() -> None:
    """Which checkpoints are on this machine.

    Example: datalab models list
    """
    from datalab.adapters.checkpoints import OFFICIAL, cache_folder  # noqa: PLC0415

    for name, official in OFFICIAL.items():
        path = cache_folder() / official.file
        there = path.is_file() and path.stat().st_size == official.bytes
        click.echo(f"{name:12} {path if there else f'not here ({official.bytes / 1e6:,.0f} MB)'}")
