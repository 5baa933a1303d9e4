"""The labeling config and the instructions of a project."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from datalab.adapters.label_studio.config import instructions_html, labeling_config
from datalab.config import Attribute, Guidelines, LabelClass

HOSTILE = "a<b> & \"c\" 'd' é"
NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1)
CLASSES = (
    LabelClass(1, "coin", "#e69f00", rule="One whole coin.", hotkey="1"),
    LabelClass(2, HOSTILE, "#56b4e9", rule="<script>alert(1)</script>"),
)


def guidelines(*pages: str) -> Guidelines:
    return Guidelines(CLASSES, tuple((f"{place}.md", page) for place, page in enumerate(pages)), "v123", "o456")


def test_every_class_has_each_tool_in_its_colour() -> None:
    root = ElementTree.fromstring(labeling_config(guidelines()))
    assert root.find(".//Image").attrib["value"] == "$image"  # type: ignore[union-attr]
    tools = {"BrushLabels": "mask", "PolygonLabels": "polygon", "KeyPointLabels": "click", "RectangleLabels": "box"}
    for tag, name in tools.items():
        tool = root.find(f".//{tag}")
        assert tool is not None
        assert (tool.attrib["name"], tool.attrib["toName"]) == (name, "image")
        labels = [(label.attrib["value"], label.attrib["background"]) for label in tool.findall("Label")]
        assert labels == [("coin", "#e69f00"), (HOSTILE, "#56b4e9")]


def test_what_a_reviewer_said_has_its_place() -> None:
    (header,) = [
        one
        for one in ElementTree.fromstring(labeling_config(guidelines())).iter("Header")
        if "$" in one.attrib["value"]
    ]
    assert header.attrib["value"] == "$note"


@given(NAMES)
def test_any_name_survives_the_xml(name: str) -> None:
    config = labeling_config(Guidelines((LabelClass(1, name, "#000000"),), (), "v", "o"))
    assert [label.get("value") for label in ElementTree.fromstring(config).iter("Label")] == [name] * 4


def test_a_hotkey_picks_the_brush_alone() -> None:
    root = ElementTree.fromstring(labeling_config(guidelines()))
    keyed = {
        tool: [label.get("hotkey") for label in root.findall(f".//{tool}/Label")]
        for tool in ("BrushLabels", "PolygonLabels")
    }
    assert keyed == {"BrushLabels": ["1", None], "PolygonLabels": [None, None]}


def test_points_and_boxes_only_ever_ask_for_a_mask() -> None:
    root = ElementTree.fromstring(labeling_config(guidelines()))
    asking = [tool.attrib["name"] for tool in root.iter() if tool.get("smart") == "true"]
    assert asking == ["click", "box"]
    assert all(root.find(f".//*[@name='{name}']").get("smartOnly") == "true" for name in asking)  # type: ignore[union-attr]


def test_the_rule_is_the_hint() -> None:
    root = ElementTree.fromstring(labeling_config(guidelines()))
    assert [label.get("hint") for label in root.findall(".//BrushLabels/Label")] == [item.rule for item in CLASSES]


def test_the_pages_are_rendered_and_the_version_stands_below() -> None:
    html = instructions_html(guidelines("# Coins\n\n- **whole** coins\n\n| a |\n|---|\n| 1 |", "second"))
    assert "<h1>Coins</h1>" in html
    assert "<td>1</td>" in html
    assert "<li><strong>whole</strong> coins</li>" in html
    assert html.index("second") > html.index("whole")
    assert "Guidelines v123" in html


def test_no_page_rule_or_name_brings_in_tags_or_scripts() -> None:
    page = "<script>alert(1)</script>\n\n<img src=x onerror=alert(2)> [click](javascript:alert(3)) `<b>`"
    html = instructions_html(guidelines(page))
    for tag in ("<script", "<img", "<b>`", 'href="javascript'):
        assert tag not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "a&lt;b&gt; &amp; &quot;c&quot;" in html


def test_attributes_are_asked_of_regions_of_their_class_alone() -> None:
    item = LabelClass(7, HOSTILE, "#e69f00", attributes=(Attribute("state", ("whole", 'bro"ken')),))
    root = ElementTree.fromstring(labeling_config(Guidelines((item,), (), "v", "o")))
    (choices,) = root.iter("Choices")
    assert (choices.get("name"), choices.get("perRegion")) == ("attribute_7_state", "true")
    assert [choice.get("value") for choice in choices] == ["whole", 'bro"ken']
    (shown,) = [view for view in root.iter("View") if view.get("visibleWhen") == "region-selected"]
    assert shown.get("whenLabelValue") == HOSTILE


def test_example_pictures_come_from_the_server_and_nowhere_else() -> None:
    page = (
        "![a <good> one](good%20one.png) ![x](http://evil.test/a.png) ![y](../secret.png) ![z](data:image/png;base64,A)"
    )
    html = instructions_html(guidelines(page), {"good one.png": "/data/local-files/?d=w/g/good%20one.png"})
    assert html.count("<img") == 1
    assert '<img alt="a &lt;good&gt; one" src="/data/local-files/?d=w/g/good%20one.png" width="400">' in html
    assert "[x]" in html
    assert "evil.test" not in html
    assert "secret.png" not in html
