"""Parts of a round's page about the model: against the one before, and whether the next batch pays."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from datalab.adapters.plot_curve import draw_learning_curve


def comparison_part(comparison: Mapping[str, Any]) -> Markup:
    """HTML of section `comparison` of a report; whatever it holds is shown as text."""
    return _rendered("comparison", comparison=comparison)


def proof_part(proof: Mapping[str, Any]) -> Markup:
    """HTML of section `proof` of a report, its picture inside; whatever the section holds is shown as text."""
    picture = "data:image/png;base64," + base64.b64encode(draw_learning_curve(proof)).decode("ascii")
    return _rendered("proof", proof=proof, picture=picture)


def _rendered(name: str, **content: Any) -> Markup:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = (files("datalab.adapters") / "templates" / f"{name}.html.j2").read_text("utf-8")
    return Markup(environment.from_string(template).render(**content))
