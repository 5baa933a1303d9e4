"""What training tells while it goes on: curves for `dvc plots`, written by dvclive."""

import shutil
from pathlib import Path
from types import TracebackType

from dvclive import Live

from datalab.adapters.segmenter_schedule import Look


class _Curves(Live):  # type: ignore[misc]  # the library has no types
    """dvclive without its look at the repository."""

    def _init_dvc(self) -> None:
        """Nothing: no experiment is saved here, and in a repository without a commit the original fails."""


class TrainingLog:
    """A folder with the curves of one run; no time is in it, so that the same run gives the same bytes."""

    def __init__(self, folder: Path) -> None:
        """What an earlier run left in `folder` goes."""
        shutil.rmtree(folder, ignore_errors=True)
        self._live = _Curves(str(folder), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)

    def __enter__(self) -> "TrainingLog":
        """Nothing is written before the first look."""
        return self

    def add(self, look: Look) -> None:
        """One point on every curve that has a value there."""
        self._live.step = look.step
        self._live.log_metric("loss", look.loss)
        if look.validation_miou is not None:
            self._live.log_metric("validation_miou", look.validation_miou)
        self._live.make_summary()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._live.end()
