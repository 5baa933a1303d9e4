"""Where things lie in a workspace: the folder with params.yaml, dvc.yaml and guidelines/.

Stages get their paths from dvc.yaml; these names serve the flow, the command line and the review app. That the two
agree is held by tests/test_architecture.py.
"""

from dataclasses import dataclass
from pathlib import Path

from datalab.errors import InputError

BASE = ("params.yaml", "dvc.yaml", "guidelines/classes.yaml")
"""What makes a folder a workspace."""
GIVE = "--workspace FOLDER, or of a flow -p workspace=FOLDER"
"""How a person says which workspace is meant."""


@dataclass(frozen=True)
class Workspace:
    """One labeling project on disk."""

    root: Path

    @classmethod
    def at(cls, folder: Path) -> "Workspace":
        """The workspace at `folder`; InputError where params.yaml, dvc.yaml or guidelines/ is missing."""
        try:
            root = folder.resolve()
            missing = [name for name in BASE if not (root / name).is_file()]
        except (OSError, RuntimeError) as exc:  # a name too long, links that go in a circle
            why = getattr(exc, "strerror", None) or "its links go in a circle"
            raise InputError(f"{folder} is no datalab workspace: {why}; give another one: {GIVE}") from exc
        if missing:
            raise InputError(f"{root} is no datalab workspace: {missing[0]} is missing; go to one, or give it: {GIVE}")
        return cls(root)

    @property
    def name(self) -> str:
        """The folder's name, used for the Label Studio project and the FiftyOne dataset."""
        return self.root.name

    @property
    def env(self) -> Path:
        """Addresses and secrets of the running services."""
        return self.root / ".env"

    @property
    def accounts(self) -> Path:
        """Annotators with their passwords and tokens, for their owner's eyes; ignored by git as .env is.

        They are of the one Label Studio that all workspaces share, so beside the .env that these are linked to.
        """
        own = self.root / ".env.annotators"
        return own if own.exists() else self.env.resolve().parent / own.name

    @property
    def params(self) -> Path:
        """Every number a person may turn."""
        return self.root / "params.yaml"

    @property
    def guidelines(self) -> Path:
        """Classes and pages for annotators."""
        return self.root / "guidelines"

    @property
    def data(self) -> Path:
        """The folder of all data."""
        return self.root / "data"

    @property
    def images(self) -> Path:
        """Ingested images, named by content."""
        return self.data / "images"

    @property
    def catalog(self) -> Path:
        """Table CATALOG."""
        return self.data / "catalog.parquet"

    @property
    def metadata(self) -> Path:
        """Table METADATA; empty where no metadata.csv was taken in."""
        return self.data / "metadata.parquet"

    @property
    def rejected(self) -> Path:
        """Table REJECTED."""
        return self.data / "rejected.parquet"

    @property
    def gold(self) -> Path:
        """Table GOLD; absent where nobody has given ground truth."""
        return self.data / "gold.parquet"

    @property
    def gold_events(self) -> Path:
        """Table GOLD_EVENTS."""
        return self.data / "gold_events.parquet"

    @property
    def rounds(self) -> Path:
        """One folder per round, append-only."""
        return self.data / "rounds"

    @property
    def rounds_aside(self) -> Path:
        """States of rounds that a checkout has taken the tables of; neither DVC nor git has them."""
        return self.data / "rounds_aside"

    @property
    def embeddings(self) -> Path:
        """SAM image embeddings, one file per image."""
        return self.data / "embeddings"

    @property
    def embedding_cache(self) -> Path:
        """SAM image embeddings by content and model, shared by the workspaces of this machine."""
        return self.root / ".datalab" / "embeddings"

    @property
    def training_states(self) -> Path:
        """Where trainings that were killed go on, shared as the embeddings are."""
        return self.root / ".datalab" / "training"

    @property
    def regions(self) -> Path:
        """Table ANNOTATED_REGIONS of all rounds."""
        return self.data / "regions.parquet"

    @property
    def attributes(self) -> Path:
        """Table ATTRIBUTES of all rounds."""
        return self.data / "attributes.parquet"

    @property
    def ratings(self) -> Path:
        """Table RATINGS of all rounds."""
        return self.data / "ratings.parquet"

    @property
    def consensus(self) -> Path:
        """Table CONSENSUS."""
        return self.data / "consensus.parquet"

    @property
    def adjudication(self) -> Path:
        """Table ADJUDICATION."""
        return self.data / "adjudication.parquet"

    @property
    def decisions(self) -> Path:
        """Table DECISIONS; empty until a reviewer has decided something."""
        return self.data / "decisions.parquet"

    @property
    def review_journal(self) -> Path:
        """What reviewers said in the app, one JSON object per line, written before anything else happens."""
        return self.data / "review-journal.jsonl"

    @property
    def reviews(self) -> Path:
        """Table REVIEWS: journal and tags, collected; empty until a reviewer has said something."""
        return self.data / "reviews.parquet"

    @property
    def view_slices(self) -> Path:
        """Table SLICES of the views that reviewers saved as slices; empty until there is one."""
        return self.data / "view_slices.parquet"

    @property
    def rejected_reviews(self) -> Path:
        """Table REJECTED_REVIEWS."""
        return self.data / "rejected-reviews.parquet"

    @property
    def first_labels(self) -> Path:
        """Table FIRST_LABELS."""
        return self.data / "first_labels.parquet"

    @property
    def disagreement(self) -> Path:
        """Where people disagree, <image_id>.png."""
        return self.data / "disagreement"

    @property
    def label_errors(self) -> Path:
        """Table LABEL_ERRORS."""
        return self.data / "label_errors.parquet"

    @property
    def surprise(self) -> Path:
        """Table SURPRISE."""
        return self.data / "surprise.parquet"

    @property
    def queue(self) -> Path:
        """Table QUEUE: what a reviewer should look at."""
        return self.data / "queue.parquet"

    @property
    def dataset(self) -> Path:
        """index.parquet (table DATASET) and masks/<image_id>.png."""
        return self.data / "dataset"

    @property
    def predictions(self) -> Path:
        """The model's label maps, <image_id>.png."""
        return self.data / "predictions"

    @property
    def scores(self) -> Path:
        """Table SCORES."""
        return self.data / "scores.parquet"

    @property
    def next_batch(self) -> Path:
        """Table NEXT_BATCH."""
        return self.data / "next_batch.parquet"

    @property
    def confusions(self) -> Path:
        """Table CONFUSIONS of the newest model."""
        return self.data / "confusions.parquet"

    @property
    def champion(self) -> Path:
        """Folder with the model of the round before, and with the round that it is compared in."""
        return self.data / "champion"

    @property
    def champion_predictions(self) -> Path:
        """The champion's label maps of the test images, <image_id>.png."""
        return self.data / "champion_predictions"

    @property
    def model(self) -> Path:
        """The trained segmenter."""
        return self.root / "models" / "segmenter.safetensors"

    @property
    def sam_decoder(self) -> Path:
        """SAM's mask decoder adapted to this workspace; without weights where the official one is to be used."""
        return self.root / "models" / "sam_decoder.safetensors"

    @property
    def reports(self) -> Path:
        """Metrics, plots and round summaries."""
        return self.root / "reports"

    def round_folder(self, number: int) -> Path:
        """Folder of one round, e.g. data/rounds/0001."""
        return self.rounds / f"{number:04d}"
