from io import StringIO

from rich.console import Console

from datalab.services.progress import progress_lines


def test_brackets_in_a_path_are_no_markup() -> None:
    out = StringIO()
    with progress_lines(Console(file=out, width=100)) as report:
        report("label-studio", "failed: see /data/[old]/logs [/new]")
    assert "failed: see /data/[old]/logs [/new]" in out.getvalue()
