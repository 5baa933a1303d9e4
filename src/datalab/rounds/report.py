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
    compared = workspace.reports / "comparison.json"
    # a round that learned before models were compared has none
    comparison = read_json(compared) if compared.exists() else None
    proof = prove(workspace, state)
    report = {
        "round": state.number,
        "workspace": workspace.name,
        "made_of": made_of(workspace),
        "images": _images(workspace, state),
        **_of_steps(state),
        "proposal_benefit": _benefit(workspace, state),
        "regions": _origins(workspace, state),
        **_of_people(workspace),
        **_of_model(workspace),
        "training_warnings": _warnings(workspace, state.number),
        "comparison": comparison,
        "proof": proof,
        "next_batch": len(read_table(workspace.next_batch, NEXT_BATCH)),
        "to_adjudicate": len(read_table(workspace.queue, QUEUE)),
        "seconds": state.seconds,
        "addresses": _addresses(workspace, state),
    }
    write_json(workspace.reports / f"round-{state.round_id}.json", report)
    write_trends(workspace)
    parts = [comparison_part(comparison)] if comparison else []
    write_quality_page(workspace, state, [*parts, proof_part(proof)])
    return {}


def _of_steps(state: Round) -> dict[str, Any]:
    return {
        # the one that the tasks were made with; the round may have been opened with another
        "guideline_version": state.facts.get("guideline_version", state.guideline_version),
        **{name: state.facts[name] for name in ("batch", "sam", "proposals", "annotations", "skipped", "annotators")},
        **{name: state.facts.get(name) for name in ("proposal_gate", "versions", "drafts")},
        "quarantined_answers": state.facts.get("quarantined", {}),
        "corrected_answers": state.facts.get("corrected", {}),
    }


def _of_people(workspace: Workspace) -> dict[str, Any]:
    agreement = read_json(workspace.reports / "agreement.json")
    gold = read_json(workspace.reports / "gold.json")["annotators"]
    return {
        "double_labelled_images": agreement["double_labelled_images"],
        "double_labelled_groups": agreement.get("double_labelled_groups", agreement["double_labelled_images"]),
        "agreement": agreement["figures"],
        "agreement_with_model": read_json(workspace.reports / "model_agreement.json")["unseen"]["model"]["agreement"],
        "agreement_verdict": agreement["verdict"],
        "gold": {name: {key: score[key] for key in GOLD_SHOWN} for name, score in gold.items()},
    }


def _of_model(workspace: Workspace) -> dict[str, Any]:
    metrics, slices = (read_json(workspace.reports / f"{name}.json") for name in ("metrics", "slices"))
    return {
        "evaluation": {"miou": metrics["miou"], **{f"iou {name}": one for name, one in metrics["iou"].items()}},
        "test_images": metrics["test_images"],
        "test_groups": metrics.get("test_groups", metrics["test_images"]),
        "leaks": read_json(workspace.reports / "leaks.json"),
        "worse_slices": slices["worse"],
        "slices": slices["slices"],
        "named_slices": slices.get("named", []),
    }


def _addresses(workspace: Workspace, state: Round) -> dict[str, str]:
    settings = Settings.load(workspace.env)
    return {
        "Label Studio": f"{settings.label_studio_url}/projects/{state.facts['project_id']}/data",
        "Prefect": settings.prefect_api_url.removesuffix("/api"),
        "FiftyOne": state.facts["review"],
        "Quality": str(workspace.reports / f"round-{state.round_id}.html"),
    }


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
