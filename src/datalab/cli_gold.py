"""`datalab gold …`: options in, lines out; no logic."""

from pathlib import Path

import click

from datalab.cli_options import BY, REASON, WORKSPACE
from datalab.workspace import Workspace


@click.group()
def gold() -> None:
    """Images whose truth is known: they tell how well people label.

    Example: datalab gold list
    """


@gold.command("list")
@WORKSPACE
def list_gold(workspace: Path) -> None:
    """Every gold image: in use or not, what is on it, how often it was shown, and why it is in its state.

    Example: datalab gold list
    """
    from datalab.rounds.living_gold import gold_overview  # noqa: PLC0415

    rows = gold_overview(Workspace.at(workspace)).to_dict("records")
    if not rows:
        click.echo("no image is gold yet; datalab gold add makes some, from masks or from what a reviewer decided")
    for row in rows:
        seen = f"{row['rounds']} rounds, {row['people']} people"
        click.echo(f"{row['image_id']}  {row['state']:9}  {seen}  {row['classes']}  {row['reason']}".rstrip())


@gold.command("add")
@click.argument("image_ids", nargs=-1, metavar="[IMAGE]...")
@click.option("--masks", type=click.Path(path_type=Path), help="Exact masks; without them what a reviewer decided.")
@click.option("--classes", type=click.Path(path_type=Path), help="classes.yaml of the masks, if not beside them.")
@click.option(
    "--count", type=click.IntRange(min=1), default=8, show_default=True, help="How many, where no IMAGE is named."
)
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
    from datalab.rounds.gold_truth import decided_truth  # noqa: PLC0415
    from datalab.rounds.living_gold import add_gold  # noqa: PLC0415
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
