"""What annotators get to see, made from the guidelines."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from datalab.adapters.label_studio.config import instructions_html, labeling_config
from datalab.config import Guidelines, LabelClass

NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1)


def guidelines(*classes: LabelClass, pages: tuple[tuple[str, str], ...] = ()) -> Guidelines:
    return Guidelines(classes=classes, pages=pages, version="0123456789ab", ontology_hash="ba9876543210")


def labels(config: str, tool: str) -> list[dict[str, str]]:
    return [dict(label.attrib) for label in ElementTree.fromstring(config).findall(f"{tool}/Label")]


def test_the_image_has_a_brush_and_a_polygon_tool() -> None:
    view = ElementTree.fromstring(labeling_config(guidelines(LabelClass(1, "coin", "#e69f00"))))
    assert [(tool.tag, tool.get("name"), tool.get("toName")) for tool in view] == [
        ("Image", "image", None),
        ("BrushLabels", "mask", "image"),
        ("PolygonLabels", "polygon", "image"),
    ]
    assert view[0].get("value") == "$image"


def test_both_tools_have_the_classes_and_colours_and_the_brush_the_hotkeys() -> None:
    config = labeling_config(
        guidelines(LabelClass(1, "coin", "#e69f00", "Whole.", "1"), LabelClass(2, "cup", "#56b4e9"))
    )
    coin, cup = {"value": "coin", "background": "#e69f00"}, {"value": "cup", "background": "#56b4e9"}
    assert labels(config, "BrushLabels") == [{**coin, "hotkey": "1"}, cup]
    assert labels(config, "PolygonLabels") == [coin, cup]


@given(NAMES)
def test_any_name_survives_the_xml(name: str) -> None:
    config = labeling_config(guidelines(LabelClass(1, name, "#000000")))
    assert labels(config, "BrushLabels")[0]["value"] == name


def test_a_name_cannot_add_a_tag() -> None:
    name = """a<b>&"'/><Style>"""
    config = labeling_config(guidelines(LabelClass(1, name, "#000000")))
    assert "<Style>" not in config
    assert labels(config, "PolygonLabels") == [{"value": name, "background": "#000000"}]


def test_pages_follow_one_another_as_html_and_end_with_the_version() -> None:
    pages = (("README.md", "# What\n\n*Coins* and:\n\n| a | b |\n|---|---|\n| 1 | 2 |"), ("edges.md", "Edges"))
    html = instructions_html(guidelines(pages=pages))
    assert html.startswith("<h1>What</h1>\n<p><em>Coins</em> and:</p>\n<table>")
    assert "<hr><p>Edges</p>" in html
    assert html.endswith("Guidelines 0123456789ab</small></p>")


def test_html_and_scripts_in_a_page_are_shown_never_passed_on() -> None:
    text = "<script>alert(1)</script>\n\n[link](javascript:alert(1)) and <img src=x onerror=alert(1)>"
    html = instructions_html(guidelines(pages=(("README.md", text),)))
    assert "<script" not in html
    assert "<img" not in html
    assert "href" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
