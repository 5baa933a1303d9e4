"""Against a real HTTP server on this machine that breaks off, lies, or does not know ranges."""

import errno
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from datalab.adapters import checkpoints
from datalab.adapters.checkpoints import OFFICIAL, Official, check_official, checkpoint_path, pull
from datalab.adapters.sam import load_sam, model_version
from datalab.cli import main
from datalab.errors import InputError, ServiceError

CONTENT = bytes(range(256)) * 40
PIECE = checkpoints.PIECE
FILE = Official("model.pth", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@dataclass
class Server:
    """What it serves, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    status: int = 200
    page: bytes = b""
    """A proxy's, which answers in the server's stead."""
    part: tuple[int, dict[str, str]] | None = None
    """Status and headers, for whoever asks for a part."""
    leads_to: str = ""
    """Where a redirect sends everybody."""
    tells_length: bool = True
    breaks: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off."""
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if state.page:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(state.page)
                return
            if state.leads_to or (asked and state.part):
                status, headers = (302, {"Location": state.leads_to}) if state.leads_to else state.part or (0, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.ranges else 0
            rest = state.content[start:]
            self.send_response(206 if start and state.status == 200 else state.status)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            if state.tells_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: state.breaks.pop(0)] if state.breaks else rest)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setattr(checkpoints, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(checkpoints, "PIECE", 1000)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}"
        yield state
        running.shutdown()
        thread.join()


def test_a_file_comes_whole_and_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = pull(FILE, tmp_path / "cache", lambda done, total: seen.append((done, total)), server.url)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [one.name for one in path.parent.iterdir()] == ["model.pth"]
    pull(FILE, tmp_path / "cache", source=server.url)
    assert server.asked == [None]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.breaks = [4000, 3000]
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000-", "bytes=7000-"]


def test_the_next_call_goes_on_too_and_nothing_unfinished_has_the_name(server: Server, tmp_path: Path) -> None:
    server.breaks = [5000, 0, 0]
    with pytest.raises(ServiceError, match=r"run the same command again, or fetch the file .* put it at .*model\.pth"):
        pull(FILE, tmp_path, source=server.url)
    assert not (tmp_path / "model.pth").exists()
    server.asked.clear()
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-"]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.breaks = [5000]
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "part",
    [
        (416, {}),
        (206, {}),
        (206, {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}),
        (206, {"Content-Type": "multipart/byteranges; boundary=a"}),
    ],
)
def test_a_server_that_has_not_the_part_is_asked_for_the_whole(
    server: Server, tmp_path: Path, part: tuple[int, dict[str, str]]
) -> None:
    (tmp_path / ".model.pth.part").write_bytes(CONTENT[:5000])
    server.part = part
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-", None]


def test_what_is_there_stays_where_the_whole_does_not_come_either(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".model.pth.part").write_bytes(CONTENT[:5000])
    server.part, server.status = (416, {}), 403
    with pytest.raises(ServiceError, match="HTTP 403"):
        pull(FILE, tmp_path, source=server.url)
    assert (tmp_path / ".model.pth.part").read_bytes() == CONTENT[:5000]


def test_a_connection_that_breaks_again_and_again_gets_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PIECE", PIECE)
    server.content = CONTENT * 20
    server.breaks = [70_000] * 3
    large = Official("large.pth", len(server.content), hashlib.sha256(server.content).hexdigest())
    assert pull(large, tmp_path, source=server.url).read_bytes() == server.content


@pytest.mark.parametrize("address", ["http://[::1/x", "http://.x/", "ftp://host/x"])
def test_a_redirect_to_no_address_is_one_line(server: Server, tmp_path: Path, address: str) -> None:
    server.leads_to = address
    with pytest.raises(ServiceError, match=r"cannot be downloaded \(it leads to no web address\)"):
        pull(FILE, tmp_path, source=server.url)
    assert len(server.asked) == 1


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT + b"more"])
def test_other_bytes_are_thrown_away(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    server.tells_length = False
    with pytest.raises(InputError, match="official file"):
        pull(FILE, tmp_path, source=server.url)
    assert not (tmp_path / "model.pth").exists()
    server.content = CONTENT
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT


def test_a_proxys_page_is_told_and_spoils_nothing(server: Server, tmp_path: Path) -> None:
    server.breaks = [5000, 0, 0]
    with pytest.raises(ServiceError, match="run the same command again"):
        pull(FILE, tmp_path, source=server.url)
    server.page = b"<html>Who are you?</html>"
    server.asked.clear()
    with pytest.raises(
        InputError, match=r"gave some bytes of text/html.*, not the official file of 10240; is there a proxy"
    ) as told:
        pull(FILE, tmp_path, source=server.url)
    assert "\n" not in str(told.value)
    server.page = b""
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-", "bytes=5000-"]


@pytest.mark.parametrize("left", [0, 5000])
def test_a_file_of_another_length_is_not_written(server: Server, tmp_path: Path, left: int) -> None:
    (tmp_path / ".model.pth.part").write_bytes(CONTENT[:left])
    server.content = CONTENT + b"more"
    with pytest.raises(InputError, match=r"gave \d+ bytes of no type, not the official file of 10240"):
        pull(FILE, tmp_path, source=server.url)
    # a part of another file is none
    assert server.asked == (["bytes=5000-", None] if left else [None])
    assert (tmp_path / ".model.pth.part").read_bytes() == CONTENT[:left]


@pytest.mark.parametrize("left", [b"<html>", CONTENT[:-1] + b"x", CONTENT + b"more"])
def test_what_does_not_go_on_to_the_file_begins_again(server: Server, tmp_path: Path, left: bytes) -> None:
    (tmp_path / ".model.pth.part").write_bytes(left)
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT
    assert server.asked[-1] is None


def test_an_altered_file_in_the_cache_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(CONTENT[:-1] + b"x")
    assert pull(FILE, tmp_path, source=server.url).read_bytes() == CONTENT


def test_a_missing_file_and_no_network_are_one_line(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(ServiceError, match=r"cannot be downloaded \(HTTP 404\)"):
        pull(FILE, tmp_path, source=server.url)
    assert len(server.asked) == 1
    with pytest.raises(ServiceError, match=r"cannot be downloaded \(no connection\)") as caught:
        pull(FILE, tmp_path, source="http://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told_before_anything_is_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are needed; free some"):
        pull(Official("huge.pth", 10**18, ""), tmp_path, source=server.url)
    assert server.asked == []


def test_two_pulls_do_not_write_one_file(server: Server, tmp_path: Path) -> None:
    with (
        checkpoints._held(tmp_path / ".model.pth.part"),
        pytest.raises(InputError, match="written by another pull"),
    ):
        pull(FILE, tmp_path, source=server.url)


def test_a_name_finds_its_file_and_an_altered_one_never_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="run: datalab models pull sam_vit_b"):
        checkpoint_path("sam_vit_b")
    file = tmp_path / "models" / OFFICIAL["sam_vit_b"].file
    file.parent.mkdir()
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 64, 64, 768)}, file)
    assert checkpoint_path("sam_vit_b") == file
    for checkpoint in ("sam_vit_b", str(file)):
        with pytest.raises(
            InputError, match=r"is not the official file: it has .* delete it and run: datalab models pull"
        ):
            load_sam(checkpoint)
        with pytest.raises(InputError, match="is not the official file"):
            model_version(checkpoint)


def test_a_published_name_whose_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^SAM checkpoint .*\.pth cannot be read: No such file or directory$"):
        check_official(tmp_path / OFFICIAL["sam_vit_b"].file)


def test_a_path_is_a_whole_one_or_begins_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.pth").write_bytes(b"abc")
    assert checkpoint_path("~/mine.pth") == checkpoint_path(str(tmp_path / "mine.pth")) == tmp_path / "mine.pth"
    with pytest.raises(InputError, match=r"give sam\.checkpoint the whole path of the \.pth file") as told:
        checkpoint_path("mine.pth")
    assert "\n" not in str(told.value)
    for missing in ("~/none.pth", "sam_vit_x"):
        with pytest.raises(InputError, match=r"does not exist; set sam\.checkpoint to the whole path"):
            checkpoint_path(missing)
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(InputError, match=r"folder\.pth is a folder; set sam\.checkpoint to the whole path"):
        checkpoint_path(str(tmp_path / "folder.pth"))


@pytest.mark.parametrize(
    ("checkpoint", "told"),
    [
        ("~nobody-of-this-machine/x.pth", "whom this machine does not know; give sam.checkpoint the whole path"),
        (f"/{'a' * 5000}.pth", "cannot be looked at: File name too long; set sam.checkpoint to the whole path"),
    ],
)
def test_a_path_that_the_system_refuses_is_one_line(checkpoint: str, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)) as refused:
        checkpoint_path(checkpoint)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_cache_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file/models cannot be written: Not a directory; set DATALAB_CACHE") as told:
        pull(FILE, tmp_path / "file" / "models", source=server.url)
    assert "\n" not in str(told.value)


def test_a_disk_that_is_full_meanwhile_is_one_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "_append", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device; set DATALAB_CACHE"):
        pull(FILE, tmp_path, source=server.url)


def test_only_files_with_an_official_name_have_to_be_official(tmp_path: Path) -> None:
    (tmp_path / "mine.pth").write_bytes(b"abc")
    check_official(tmp_path / "mine.pth")


def test_the_published_sizes_fit_their_names() -> None:
    assert all(official.file.startswith(name) for name, official in OFFICIAL.items())
    assert all(len(official.sha256) == 64 for official in OFFICIAL.values())


@pytest.mark.slow
def test_the_command_fetches_and_lists(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATALAB_CACHE", str(tmp_path))
    monkeypatch.setitem(OFFICIAL, "sam_vit_b", FILE)
    monkeypatch.setattr(checkpoints, "SOURCE", server.url)
    before = CliRunner().invoke(main, ["models", "list"])
    assert "sam_vit_b          not here" in before.output
    pulled = CliRunner().invoke(main, ["models", "pull", "sam_vit_b"])
    assert pulled.exit_code == 0, pulled.output
    assert str(tmp_path / "models" / "model.pth") in pulled.output
    assert "checkpoint: sam_vit_b" in pulled.output
    after = CliRunner().invoke(main, ["models", "list"])
    assert f"sam_vit_b          {tmp_path / 'models' / 'model.pth'}" in after.output
    failed = CliRunner().invoke(main, ["models", "pull", "sam_vit_z"])
    assert failed.exit_code != 0
    server.status = 404
    monkeypatch.setitem(OFFICIAL, "sam_vit_b", Official("other.pth", 9, ""))
    failed = CliRunner().invoke(main, ["models", "pull", "sam_vit_b"])
    assert failed.exit_code == 1
    assert "error: " in failed.output
