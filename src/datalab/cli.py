"""`datalab …`: options in, one line out; no logic."""

import getpass
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


@main.group()
def gold() -> None:
    """Images whose truth is known: they tell how well people label.

    Example: datalab gold list
    """


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as exc:  # a number without a name, as in a container
        raise DatalabError("the system has no user name for you; say who you are: --by NAME") from exc


BY = click.option("--by", default=_user_name, show_default="your user name", help="Who says so.")
REASON = click.option("--reason", required=True, help="Kept with the change.")


@gold.command("list")
@WORKSPACE
def list_gold(workspace: Path) -> None:
    """Every gold image: in use or not, what is on it, how often it was shown, and why it is in its state.

    Example: datalab gold list
    """
    from datalab.rounds.living_gold import gold_overview  # noqa: PLC0415

    for row in gold_overview(Workspace.at(workspace)).to_dict("records"):
        seen = f"{row['rounds']} rounds, {row['people']} people"
        click.echo(f"{row['image_id']}  {row['state']:9}  {seen}  {row['classes']}  {row['reason']}".rstrip())


@gold.command("add")
@click.argument("image_ids", nargs=-1, metavar="[IMAGE]...")
@click.option("--masks", type=click.Path(path_type=Path), help="Exact masks; without them what a reviewer decided.")
@click.option("--classes", type=click.Path(path_type=Path), help="classes.yaml of the masks, if not beside them.")
@click.option("--count", default=8, show_default=True, help="How many, where no IMAGE is named.")
@REASON
@BY
@WORKSPACE
def add_to_gold(
    image_ids: tuple[str, ...],
    masks: Path | None,
    classes: Path | None,
    count: int,
    reason: str,
    by: str,
    workspace: Path,
) -> None:
    """Make images gold, from exact masks or from what a reviewer decided; they leave the training data.

    Example: datalab gold add --count 5 --reason "night images were missing"
    """
    from datalab.rounds.living_gold import add_gold, decided_truth  # noqa: PLC0415
    from datalab.rounds.opening import Source, read_source_truth  # noqa: PLC0415

    place = Workspace.at(workspace)
    truth = decided_truth(place) if masks is None else read_source_truth(place, Source(masks=masks, classes=classes))
    click.echo("\n".join(add_gold(place, truth, image_ids, count, by, reason)))


@gold.command("retire")
@click.argument("image_ids", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--disputed", is_flag=True, help="Its truth is wrong: nobody is judged by it, earlier rounds included.")
@REASON
@BY
@WORKSPACE
def retire_gold(image_ids: tuple[str, ...], disputed: bool, reason: str, by: str, workspace: Path) -> None:
    """Show gold images no more; nothing is deleted, and they stay out of training.

    Example: datalab gold retire 0123456789abcdef --disputed --reason "the cup is a bowl"
    """
    from datalab.rounds.living_gold import Change, record  # noqa: PLC0415

    record(Workspace.at(workspace), image_ids, Change("disputed" if disputed else "retired", reason, by))


@gold.command("contest")
@click.argument("image_ids", nargs=-1, required=True, metavar="IMAGE...")
@REASON
@BY
@WORKSPACE
def contest_gold(image_ids: tuple[str, ...], reason: str, by: str, workspace: Path) -> None:
    """Say that the truth of gold images is wrong: nobody is judged by them until `uphold` or `retire`.

    Example: datalab gold contest 0123456789abcdef --by ann@example.org --reason "there are two cups"
    """
    from datalab.rounds.living_gold import Change, record  # noqa: PLC0415

    record(Workspace.at(workspace), image_ids, Change("contested", reason, by))


@gold.command("uphold")
@click.argument("image_ids", nargs=-1, required=True, metavar="IMAGE...")
@REASON
@BY
@WORKSPACE
def uphold_gold(image_ids: tuple[str, ...], reason: str, by: str, workspace: Path) -> None:
    """Say that contested or retired gold images are right: they are in use again.

    Example: datalab gold uphold 0123456789abcdef --reason "looked at by two experts"
    """
    from datalab.rounds.living_gold import Change, record  # noqa: PLC0415

    record(Workspace.at(workspace), image_ids, Change("upheld", reason, by))
