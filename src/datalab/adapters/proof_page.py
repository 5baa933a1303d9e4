"""The part of a round's page about the learning curve, the stopping rule and the random control."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from datalab.adapters.plot_curve import draw_learning_curve


def proof_part(proof: Mapping[str, Any]) -> Markup:
    """HTML of section `proof` of a report, its picture inside; whatever the section holds is shown as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("datalab.adapters") / "templates" / "proof.html.j2").read_text("utf-8"))
    picture = "data:image/png;base64," + base64.b64encode(draw_learning_curve(proof)).decode("ascii")
    return Markup(template.render(proof=proof, picture=picture))
