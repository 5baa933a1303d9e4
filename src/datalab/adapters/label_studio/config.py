"""The labeling config and the instructions of a project, made from guidelines/."""

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from markdown_it import MarkdownIt

from datalab.adapters.label_studio.attributes import attribute_tool
from datalab.adapters.label_studio.results import BOX, BRUSH, CLICK, IMAGE, NOTICE, POLYGON
from datalab.config import Guidelines, LabelClass

STYLE = (
    "<style>.guidelines ul{list-style:disc} .guidelines ol{list-style:decimal} "
    ".guidelines ul,.guidelines ol{padding-left:1.5em} .guidelines p,.guidelines li{margin:.3em 0} "
    ".guidelines h1,.guidelines h2{margin:1em 0 .3em}</style>"
)
"""Label Studio's own style sheet takes from lists their marks and from paragraphs their distance."""

NOTE = '<Header value="$note" size="5"/>'
"""What a reviewer tells people about a task; on most tasks empty."""

QUESTIONS = "position:sticky;bottom:0;z-index:2;padding:2px 8px;background:var(--color-neutral-background,#fff)"
"""They lie over the lower edge of what is on the screen: below a tall image nobody would see them."""


def labeling_config(guidelines: Guidelines) -> str:
    """Label Studio's XML: the image, and the tools with the classes, their colours, hotkeys and rules.

    Brush and polygon draw; click and box ask SAM for a brush region. Each has a list of classes of its own: one list
    for both would stay with the masks, and people could give them two classes. The notice is where SAM's server tells
    what went wrong; it stands on top, where it is seen, and takes no room while it is empty.
    """
    brush = "".join(_label(item, item.hotkey) for item in guidelines.classes)
    polygon = "".join(_label(item, "") for item in guidelines.classes)
    # tools are smart unless told otherwise: brushes would ask for masks, too
    drawn = f'toName="{IMAGE}" smart="false" opacity="0.5"'
    smart = f'toName="{IMAGE}" smart="true" smartOnly="true"'
    return (
        "<View>\n"
        f'  <TextArea name="{NOTICE}" toName="{IMAGE}" smart="false" editable="false" maxSubmissions="0"/>\n'
        f"  {NOTE}\n"
        f'  <Image name="{IMAGE}" value="$image" zoom="true" zoomControl="true" brightnessControl="true"/>\n'
        '  <View style="display: flex; flex-wrap: wrap; column-gap: 3em">\n'
        '    <View><Header value="Brush" size="6"/>\n'
        f'    <BrushLabels name="{BRUSH}" {drawn}>\n{brush}    </BrushLabels></View>\n'
        '    <View><Header value="Polygon" size="6"/>\n'
        f'    <PolygonLabels name="{POLYGON}" {drawn}>\n{polygon}    </PolygonLabels></View>\n'
        '    <View><Header value="Click (with Alt: not this)" size="6"/>\n'
        f'    <KeyPointLabels name="{CLICK}" {smart} strokeWidth="6">\n{polygon}    </KeyPointLabels></View>\n'
        '    <View><Header value="Box" size="6"/>\n'
        f'    <RectangleLabels name="{BOX}" {smart}>\n{polygon}    </RectangleLabels></View>\n'
        "  </View>\n"
        f"{''.join(_attributes(item) for item in guidelines.classes)}"
        "</View>"
    )


def instructions_html(guidelines: Guidelines, pictures: Mapping[str, str] | None = None) -> str:
    """The guideline pages and the classes' rules as HTML; tags written in a page are shown as text, never passed on.

    `pictures`: path of an example picture below the guidelines to its address. Another picture is shown as its
    description: a page cannot make the browsers of annotators call other servers.
    """
    markdown = MarkdownIt("js-default", {"html": False, "linkify": False})
    known = pictures or {}

    def picture(renderer: Any, tokens: Any, place: int, options: Any, env: Any) -> str:
        said = escape(str(tokens[place].content))
        address = known.get(unquote(str(tokens[place].attrGet("src") or "")))
        return f"[{said}]" if address is None else f'<img alt="{said}" src="{escape(address)}" width="400">'

    markdown.add_render_rule("image", picture)
    pages = [str(markdown.render(text)) for _, text in guidelines.pages]
    rules = "".join(f"<li><b>{escape(item.name)}</b>: {escape(item.rule)}</li>" for item in guidelines.classes)
    version = f"<p><small>Guidelines {guidelines.version}</small></p>"
    return f'{STYLE}<div class="guidelines">{"<hr>".join([*pages, f"<ul>{rules}</ul>"])}{version}</div>'


def _attributes(item: LabelClass) -> str:
    """A choice per attribute, all shown while a region of the class is selected."""
    if not item.attributes:
        return ""
    asked = []
    for attribute in item.attributes:
        values = "".join(f"      <Choice value={quoteattr(value)}/>\n" for value in attribute.values)
        asked.append(
            f'    <Header value={quoteattr(f"{item.name}: {attribute.name}")} size="6"/>\n'
            f'    <Choices name="{attribute_tool(item.id, attribute.name)}" toName="{IMAGE}" perRegion="true"'
            f' choice="single-radio" showInline="true">\n{values}    </Choices>\n'
        )
    return (
        f'  <View visibleWhen="region-selected" whenLabelValue={quoteattr(item.name)} style="{QUESTIONS}">\n'
        f"{''.join(asked)}  </View>\n"
    )


def _label(item: LabelClass, hotkey: str) -> str:
    attributes = {"value": item.name, "background": item.color, "hotkey": hotkey, "hint": item.rule}
    written = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items() if value)
    return f"      <Label {written}/>\n"
