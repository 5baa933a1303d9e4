import gc
import hashlib
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from datalab.adapters import backbones
from datalab.adapters.backbones import backbone_path, pull_backbone, read_backbone, starting_weights
from datalab.adapters.segmenter_models import new_network
from datalab.adapters.segmenter_network import NetworkSize
from datalab.adapters.segmenter_torchvision import BACKBONES, TorchvisionSegmenter
from datalab.cli import main
from datalab.errors import InputError, ServiceError

LIGHT = "lraspp_mobilenet_v3_large"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file named after its content, as torchvision names its own."""
    torch.save({"a": torch.arange(3.0)}, tmp_path / "weights")
    digest = hashlib.sha256((tmp_path / "weights").read_bytes()).hexdigest()
    monkeypatch.setitem(backbones.FILES, "resnet50", f"resnet50-{digest[:8]}.pth")
    (tmp_path / "weights").rename(tmp_path / backbones.FILES["resnet50"])
    return tmp_path


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """The address of a server that sends each of its guests these bytes and hangs up; None: that says nothing."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(None)  # it would be as impatient as its guests, and hang up at the same moment
            self.request.recv(4096)
            if answer is None:
                self.request.recv(1)  # until the other side gives up
            else:
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_what_is_pulled_is_read_back(hub: Path, published: Path) -> None:
    assert read_backbone("resnet50") is None
    path = pull_backbone("resnet50", published.as_uri())
    assert path.parent == hub
    found = read_backbone("resnet50")
    assert found is not None
    assert found["a"].tolist() == [0, 1, 2]
    assert pull_backbone("resnet50", "http://nowhere.invalid") == path


def test_other_bytes_are_refused_and_not_kept(hub: Path, published: Path) -> None:
    (published / backbones.FILES["resnet50"]).write_bytes(b"something else")
    with pytest.raises(InputError, match="is not what torchvision published"):
        pull_backbone("resnet50", published.as_uri())
    assert not list(hub.iterdir())


def test_no_connection_is_one_line(hub: Path, published: Path) -> None:
    with pytest.raises(ServiceError, match=r"cannot be downloaded .* put the file at .*resnet50") as caught:
        pull_backbone("resnet50", (published / "none").as_uri())
    assert "\n" not in str(caught.value)
    assert not list(hub.iterdir())


def test_a_connection_that_breaks_off_is_one_line(hub: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*given: object, **named: object) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(torch.hub, "download_url_to_file", break_off)
    with pytest.raises(ServiceError, match=r"cannot be downloaded \(Connection reset by peer\); put the file at"):
        pull_backbone("resnet50", published.as_uri())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", r"Remote end closed connection without response"),
        (b"SSH-2.0-hello\r\n", r"SSH-2\.0-hello"),
        (b"HTTP/1.1 404 None Here\r\n\r\n", r"None Here"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", r"invalid literal .*'abc'"),
        (b"HTTP/1.1 302 Moved\r\nLocation: http://[::1\r\n\r\n", r"Invalid IPv6 URL"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nxxx", r"IncompleteRead.*"),
        (None, r"timed out"),
    ],
)
def test_a_server_that_answers_nonsense_or_nothing_is_one_line(
    hub: Path, published: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None, told: str
) -> None:
    monkeypatch.setattr(backbones, "TIMEOUT_S", 0.2)
    message = rf"cannot be downloaded \({told}\); put the file at \S+ yourself$"
    with answering(answer) as url, pytest.raises(ServiceError, match=message) as caught:
        pull_backbone("resnet50", url)
    assert "\n" not in str(caught.value)
    assert not list(hub.iterdir())
    assert socket.getdefaulttimeout() is None
    del caught
    gc.collect()  # urllib leaves what it opened to the collector, which would blame another test


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_file_that_ends_too_early_is_said_to(hub: Path, published: Path) -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nPK") as url,
        pytest.raises(InputError, match="broke off or is not what torchvision published; try again"),
    ):
        pull_backbone("resnet50", url)
    assert not list(hub.iterdir())


def test_a_folder_that_cannot_be_written_is_one_line(hub: Path, published: Path) -> None:
    hub.parent.write_bytes(b"")
    with pytest.raises(InputError, match=r"checkpoints cannot be written: Not a directory; set TORCH_HOME to a folder"):
        pull_backbone("resnet50", published.as_uri())


@pytest.mark.parametrize("terminal", [True, False])
def test_a_download_shows_a_bar_on_a_terminal(
    hub: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    pull_backbone("resnet50", published.as_uri())
    assert ("100%" in capsys.readouterr().err) is terminal


def test_a_damaged_file_is_refused(hub: Path, published: Path) -> None:
    path = pull_backbone("resnet50", published.as_uri())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged; delete it, and to have it anew run: datalab models pull"):
        read_backbone("resnet50")


def test_what_a_model_starts_from_is_said(hub: Path, published: Path) -> None:
    assert starting_weights("embedding_decoder", True) == (None, "SAM's image encoder, as it is")
    assert starting_weights("fcn_resnet50", False) == (None, "from scratch: train.pretrained is false")
    weights, said = starting_weights("fcn_resnet50", True)
    assert weights is None
    assert said.endswith("are not on this machine; to have them run: datalab models pull resnet50")
    pull_backbone("resnet50", published.as_uri())
    weights, said = starting_weights("fcn_resnet50", True)
    assert weights is not None
    assert said == f"from ImageNet: {backbones.FILES['resnet50']}"


@pytest.mark.slow
@pytest.mark.parametrize(("model", "name"), [(LIGHT, "mobilenet_v3_large"), ("fcn_resnet50", "resnet50")])
def test_a_model_takes_the_weights_of_the_classification_network(model: str, name: str) -> None:
    from torchvision import models

    assert BACKBONES[model] == name
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        weights = getattr(models, name)(weights=None).state_dict()
    size = NetworkSize(channels=6, classes=3, width=16, members=2, model=model)
    scratch, warm = (new_network(size, 0, [], start) for start in (None, weights))
    assert isinstance(warm, TorchvisionSegmenter)
    assert isinstance(scratch, TorchvisionSegmenter)
    first = next(iter(weights.values()))
    assert torch.equal(next(iter(warm.backbone.parameters())), first)
    assert not torch.equal(next(iter(scratch.backbone.parameters())), first)
    pairs = zip(warm.classifier.state_dict().values(), scratch.classifier.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.slow
def test_the_command_pulls_and_lists(hub: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "SOURCE", published.as_uri())
    assert "resnet50           not here" in CliRunner().invoke(main, ["models", "list"]).output
    unknown = CliRunner().invoke(main, ["models", "pull", "resnet5"])
    assert isinstance(unknown.exception, SystemExit)
    assert "sam_vit_h, mobilenet_v3_large, resnet50" in unknown.output
    pulled = CliRunner().invoke(main, ["models", "pull", "resnet50"])
    assert pulled.output.startswith(str(backbone_path("resnet50")))
    assert f"resnet50           {backbone_path('resnet50')}" in CliRunner().invoke(main, ["models", "list"]).output
