"""The report of a round: what its steps and the DVC stages found, in one JSON file."""

from collections import Counter
from typing import Any

from datalab.adapters.files import read_json, read_table, write_json
from datalab.adapters.page_parts import comparison_part, proof_part
from datalab.errors import InputError
from datalab.rounds.page import write_quality_page
from datalab.rounds.progress import Progress
from datalab.rounds.proof import prove
from datalab.rounds.proof_inputs import left_the_tests
from datalab.rounds.provenance import made_of
from datalab.rounds.state import Round
from datalab.rounds.trends import write_trends
from datalab.settings import Settings
from datalab.tables import ANNOTATED_REGIONS, CATALOG, NEXT_BATCH, QUEUE, REJECTED
from datalab.workspace import Workspace

GOLD_SHOWN = ("f1", "mean_iou", "outline_offset_px", "action", "advice")


def write_report(workspace: Workspace, state: Round, progress: Progress) -> dict[str, Any]:
    """Write reports/round-NNNN.json, the trend of the slices, and the quality page, round-NNNN.html."""
    settings = Settings.load(workspace.env)
    agreement = read_json(workspace.reports / "agreement.json")
    gold = read_json(workspace.reports / "gold.json")["annotators"]
    metrics = read_json(workspace.reports / "metrics.json")
    compared = workspace.reports / "comparison.json"
    # a round that learned before models were compared has none
    comparison = read_json(compared) if compared.exists() else None
    slices = read_json(workspace.reports / "slices.json")
    report = {
        "round": state.number,
        "workspace": workspace.name,
        # the one that the tasks were made with; the round may have been opened with another
        "guideline_version": state.facts.get("guideline_version", state.guideline_version),
        "made_of": made_of(workspace),
        "images": _images(workspace, state),
        "batch": state.facts["batch"],
        "sam": state.facts["sam"],
        "proposals": state.facts["proposals"],
        "proposal_gate": state.facts.get("proposal_gate"),
        "proposal_benefit": _benefit(workspace, state),
        "annotations": state.facts["annotations"],
        "skipped": state.facts["skipped"],
        "versions": state.facts.get("versions"),
        "drafts": state.facts.get("drafts"),
        "quarantined_answers": state.facts.get("quarantined", {}),
        "corrected_answers": state.facts.get("corrected", {}),
        "annotators": state.facts["annotators"],
        "regions": _origins(workspace, state),
        "double_labelled_images": agreement["double_labelled_images"],
        "double_labelled_groups": agreement.get("double_labelled_groups", agreement["double_labelled_images"]),
        "agreement": agreement["figures"],
        "agreement_with_model": read_json(workspace.reports / "model_agreement.json")["unseen"]["model"]["agreement"],
        "agreement_verdict": agreement["verdict"],
        "gold": {name: {key: score[key] for key in GOLD_SHOWN} for name, score in gold.items()},
        "evaluation": {"miou": metrics["miou"], **{f"iou {name}": one for name, one in metrics["iou"].items()}},
        "test_images": metrics["test_images"],
        "test_groups": metrics.get("test_groups", metrics["test_images"]),
        "training_warnings": _warnings(workspace, state.number),
        "leaks": read_json(workspace.reports / "leaks.json"),
        "comparison": comparison,
        "worse_slices": slices["worse"],
        "slices": slices["slices"],
        "named_slices": slices.get("named", []),
        "proof": prove(workspace, state),
        "next_batch": len(read_table(workspace.next_batch, NEXT_BATCH)),
        "to_adjudicate": len(read_table(workspace.queue, QUEUE)),
        "seconds": state.seconds,
        "addresses": {
            "Label Studio": f"{settings.label_studio_url}/projects/{state.facts['project_id']}/data",
            "Prefect": settings.prefect_api_url.removesuffix("/api"),
            "FiftyOne": state.facts["review"],
            "Quality": str(workspace.reports / f"round-{state.round_id}.html"),
        },
    }
    write_json(workspace.reports / f"round-{state.round_id}.json", report)
    write_trends(workspace)
    parts = [comparison_part(comparison)] if comparison else []
    write_quality_page(workspace, state, [*parts, proof_part(report["proof"])])
    return {}


def read_report(workspace: Workspace, number: int | None) -> dict[str, Any]:
    """The report of a round, of the newest one that has a report where `number` is None."""
    # of the reports themselves: a commit has them, and no round.json
    paths = sorted(workspace.reports.glob("round-[0-9]*.json" if number is None else f"round-{number:04d}.json"))
    if paths:
        report: dict[str, Any] = read_json(paths[-1])
        return report
    which = "no report yet" if number is None else f"no report of round {number}"
    raise InputError(f"{workspace.reports} has {which}; finish a round first")


def _warnings(workspace: Workspace, number: int) -> list[str]:
    """What training warned of (one of an earlier version did not say), and of test images that it learned from."""
    path, moved = workspace.reports / "train.json", left_the_tests(workspace, number)
    told = list(read_json(path).get("warnings", [])) if path.exists() else []
    return told if moved is None else [*told, moved]


def _images(workspace: Workspace, state: Round) -> dict[str, int]:
    catalog = read_table(workspace.catalog, CATALOG)
    kinds = Counter(read_table(workspace.rejected, REJECTED)["kind"]) if workspace.rejected.exists() else Counter()
    return {
        "total": len(catalog),
        "added": int(state.facts.get("ingest", {}).get("added", 0) + state.facts.get("added_before", 0)),
        "exact_duplicates": kinds["exact_duplicate"],
        "near_duplicates": int((catalog["duplicate_group"] != catalog["image_id"]).sum()),
        "quarantined": kinds["quarantined"],
    }


def _benefit(workspace: Workspace, state: Round) -> dict[str, Any]:
    """Figures of this round and of all rounds; none for a round opened before tasks without proposals existed."""
    found = read_json(workspace.reports / "proposals.json")
    return {"round": found["rounds"].get(state.round_id), "all": found["all"]}


def _origins(workspace: Workspace, state: Round) -> dict[str, int]:
    """How many regions of the round were proposals left untouched, edited ones, and drawn by hand."""
    regions = read_table(workspace.regions, ANNOTATED_REGIONS)
    counts = regions[regions["round_id"] == state.round_id]["origin"].value_counts()
    return {str(origin): int(count) for origin, count in counts.items()}
