"""The labeling config and the instructions of a project, made from guidelines/."""

from xml.sax.saxutils import quoteattr

from markdown_it import MarkdownIt

from datalab.adapters.label_studio.results import BRUSH, IMAGE, POLYGON
from datalab.config import Guidelines


def labeling_config(guidelines: Guidelines) -> str:
    """Label Studio's XML: the image, a brush and a polygon tool with the classes, their colours and hotkeys."""
    brush = "\n".join(_label(item.name, item.color, item.hotkey) for item in guidelines.classes)
    polygon = "\n".join(_label(item.name, item.color, "") for item in guidelines.classes)
    return (
        "<View>\n"
        f'  <Image name="{IMAGE}" value="$image" zoom="true" zoomControl="true" brightnessControl="true"/>\n'
        f'  <BrushLabels name="{BRUSH}" toName="{IMAGE}" opacity="0.5">\n{brush}\n  </BrushLabels>\n'
        f'  <PolygonLabels name="{POLYGON}" toName="{IMAGE}" opacity="0.5">\n{polygon}\n  </PolygonLabels>\n'
        "</View>"
    )


def instructions_html(guidelines: Guidelines) -> str:
    """The guideline pages as HTML; tags written in a page are shown as text, never passed on."""
    markdown = MarkdownIt("js-default", {"html": False, "linkify": False})
    pages = [str(markdown.render(text)) for _, text in guidelines.pages]
    return f"{'<hr>'.join(pages)}<p><small>Guidelines {guidelines.version}</small></p>"


def _label(name: str, color: str, hotkey: str) -> str:
    shortcut = f" hotkey={quoteattr(hotkey)}" if hotkey else ""
    return f"    <Label value={quoteattr(name)} background={quoteattr(color)}{shortcut}/>"
