"""`datalab …`: options in, one line out; no logic."""

from pathlib import Path

import click

from datalab.cli_gold import gold
from datalab.cli_options import WORKSPACE, OneLineErrors
from datalab.errors import DatalabError
from datalab.workspace import Workspace

SHOWN = 10
"""Files that were refused, with their reasons."""


@click.group(cls=OneLineErrors)
@click.version_option(package_name="datalab")
def main() -> None:
    """Data-centric labeling and active learning for image segmentation.

    Example: datalab up; prefect deployment run label-round
    """


main.add_command(gold)


@main.command()
@click.argument("repository", type=click.Path(path_type=Path), default=Path())
def up(repository: Path) -> None:
    """Start Label Studio, Prefect, MongoDB, the FiftyOne app, click-to-mask and the webhook receiver on this machine.

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
    from datalab.adapters import images  # noqa: PLC0415
    from datalab.config import load_params  # noqa: PLC0415

    place = Workspace.at(workspace)
    report = images.ingest(folder, place, load_params(place.params, "ingest", images.IngestParams))
    click.echo(
        f"{report.found} files: {report.added} added, {report.known} known, {report.exact_duplicates} exact and "
        f"{report.near_duplicates} near duplicates, {report.quarantined} quarantined; {report.ignored} "
        "other files"
    )
    if report.described:
        click.echo(f"{report.described} images are described by metadata.csv")
    reasons = list(images.quarantined(place))
    for line in reasons[:SHOWN]:
        click.echo(f"quarantined: {line}", err=True)
    if len(reasons) > SHOWN:
        click.echo(f"and {len(reasons) - SHOWN} more in {place.rejected}", err=True)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=160, show_default=True, help="How many images (at least 120).")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=20, show_default=True)
def sample(out: Path, count: int, seed: int) -> None:
    """Make the sample images and their exact masks in OUT.

    Example: datalab sample ~/sample
    """
    from datalab.sample.write import write_sample  # noqa: PLC0415

    write_sample(out, count, seed)
    click.echo(f"{out}: images, masks, masks/classes.yaml")


@main.command()
@click.argument("people", type=click.Path(path_type=Path))
@WORKSPACE
def annotators(people: Path, workspace: Path) -> None:
    """Make an account at Label Studio for every e-mail address in PEOPLE, one per line; again adds who is missing.

    Example: datalab annotators people.txt
    """
    from datalab.rounds.accounts import make_accounts, read_people  # noqa: PLC0415

    place, emails = Workspace.at(workspace), read_people(people)
    made, failed = make_accounts(place, emails)
    click.echo(f"{len(made)} of {len(emails)} accounts made; passwords and tokens: {place.accounts}")
    if failed:
        click.echo("\n".join(failed), err=True)
        raise DatalabError(f"{len(failed)} of {len(emails)} accounts are not usable, for the reasons above")


@main.group()
def adjudicate() -> None:
    """What people disagreed about: to a reviewer and back.

    Example: datalab adjudicate push
    """


@adjudicate.command("push")
@WORKSPACE
def adjudicate_push(workspace: Path) -> None:
    """Give the contested images and the audit to the reviewer's project in Label Studio; again adds what is new.

    Example: datalab adjudicate push
    """
    from datalab.rounds.adjudicating import push_queue  # noqa: PLC0415
    from datalab.rounds.progress import terminal_bar  # noqa: PLC0415

    with terminal_bar("push") as progress:
        pushed = push_queue(Workspace.at(workspace), progress)
    click.echo(f"{pushed.queued} images are queued, {pushed.made} of them new: {pushed.url}")


@adjudicate.command("pull")
@WORKSPACE
def adjudicate_pull(workspace: Path) -> None:
    """Take the reviewer's decisions over; `dvc repro` then makes them the consensus.

    Example: datalab adjudicate pull && dvc repro
    """
    from datalab.rounds.adjudicating import pull_queue  # noqa: PLC0415

    decided = pull_queue(Workspace.at(workspace))
    click.echo(f"{decided} images are decided; run dvc repro to make the decisions the consensus")


@main.command()
@WORKSPACE
def review(workspace: Path) -> None:
    """Collect what reviewers said in the FiftyOne app, and bring the app up to date.

    Example: datalab review
    """
    from datalab.rounds.closing import publish  # noqa: PLC0415

    facts = publish(Workspace.at(workspace), None, None)
    click.echo("{collected} reviews collected, {rejected} rejected".format(**facts["collected_reviews"]))
    click.echo(f"{facts['review']}\nviews: {', '.join(facts['views']) or 'none shows an image yet'}")


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
    """Segment Anything's checkpoints for `checkpoint` in params.yaml, and backbones for `train.model`.

    Example: datalab models pull sam_vit_b
    """


@models.command("pull")
@click.argument("name")
def pull_model(name: str) -> None:
    """Download the checkpoint NAME (sam_vit_b, sam_vit_l, sam_vit_h), or the rest of it, and check it.

    Or weights that the models of `train.model` start from: mobilenet_v3_large, resnet50 (torchvision's), and
    efficientnet-b0, mobilenet_v2, resnet34 (the U-Nets').

    Example: datalab models pull sam_vit_b
    """
    from tqdm import tqdm  # noqa: PLC0415

    from datalab.adapters import model_files  # noqa: PLC0415

    with tqdm(desc=name, unit="B", unit_scale=True, disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        path, advice = model_files.pull_model(name, show)
    click.echo(f"{path}\n{advice}")


@models.command("list")
def list_models() -> None:
    """Which checkpoints, backbones and encoders are on this machine.

    Example: datalab models list
    """
    from datalab.adapters import model_files  # noqa: PLC0415

    for name, place in model_files.models_here():
        click.echo(f"{name:18} {place}")
