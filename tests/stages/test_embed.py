import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from segment_anything.modeling import Sam
from torch._dynamo.utils import counters

from datalab.adapters.embedding_cache import image_hash
from datalab.adapters.files import read_json, read_table, write_json, write_table
from datalab.adapters.image_vectors import VECTORS, compute_image_vector, kept_vectors
from datalab.stages.embed import Params, run
from datalab.tables import CATALOG

EAGER = Params(compile_from=0)


def catalog_of(folder: Path, names: str) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for place, name in enumerate(names):
        Image.new("RGB", (40, 30), (40 * place, 90, 120)).save(folder / "images" / f"{name}.png")
    rows = [(name, f"{name}.png", name, 40, 30, "0", name) for name in names]
    write_table(folder / "catalog.parquet", pd.DataFrame(rows, columns=list(CATALOG)))
    return folder / "catalog.parquet"


@pytest.mark.slow
def test_only_what_is_missing_is_embedded(tmp_path: Path) -> None:
    out = tmp_path / "embeddings"
    run(catalog_of(tmp_path, "ab"), tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    first = (out / "a.npy").stat().st_mtime_ns
    run(catalog_of(tmp_path, "abc"), tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    assert {path.stem for path in out.glob("*.npy")} == {"a", "b", "c"}
    assert (out / "a.npy").stat().st_mtime_ns == first
    assert np.load(out / "c.npy").dtype == np.float16


def test_how_far_it_is_is_told_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(catalog_of(tmp_path, "ab"), tmp_path / "images", tmp_path / "cache", tmp_path / "embeddings", "small", EAGER)
    assert capsys.readouterr().err.startswith("embed 0/2\n")
    run(catalog_of(tmp_path, "abc"), tmp_path / "images", tmp_path / "cache", tmp_path / "embeddings", "small", EAGER)
    assert capsys.readouterr().err.startswith("check embeddings 0/2\nembed 0/1\n")


def test_without_the_cache_what_is_there_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(checkpoint: str) -> None:
        raise AssertionError("the model was loaded")

    out = tmp_path / "embeddings"
    catalog = catalog_of(tmp_path, "ab")
    run(catalog, tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr("datalab.stages.embed.load_sam", refuse)
    run(catalog, tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    assert {path.stem for path in out.glob("*.npy")} == {"a", "b"}


def test_what_left_the_catalog_and_what_another_checkpoint_made_goes(tmp_path: Path) -> None:
    out = tmp_path / "embeddings"
    run(catalog_of(tmp_path, "ab"), tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    write_json(out / "index.json", {"model_version": "another"})
    (out / "a.npy").write_bytes(b"old")
    run(catalog_of(tmp_path, "a"), tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    assert [path.stem for path in out.glob("*.npy")] == ["a"]
    assert np.load(out / "a.npy").shape == (128, 16, 16)
    assert read_json(out / "index.json")["model_version"].startswith("sam-small-")


@pytest.mark.parametrize("names", ["", "a"])
def test_nothing_to_do_is_fine(tmp_path: Path, names: str) -> None:
    for _ in range(2):
        run(
            catalog_of(tmp_path, names),
            tmp_path / "images",
            tmp_path / "cache",
            tmp_path / "embeddings",
            "small",
            EAGER,
        )
    assert len(list((tmp_path / "embeddings").glob("*.npy"))) == len(names)


def test_another_workspace_of_this_machine_encodes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(folder: str) -> None:
        run(tmp_path / "catalog.parquet", tmp_path / "images", tmp_path / "cache", tmp_path / folder, "small", EAGER)

    def refuse(checkpoint: str) -> None:
        raise AssertionError("the model was loaded")

    catalog_of(tmp_path, "ab")
    embed("one")
    monkeypatch.setattr("datalab.stages.embed.load_sam", refuse)
    embed("two")
    for name in "ab":
        np.testing.assert_array_equal(
            np.load(tmp_path / "one" / f"{name}.npy"), np.load(tmp_path / "two" / f"{name}.npy")
        )


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"old", None])
def test_a_damaged_embedding_is_made_again_and_the_others_are_kept(tmp_path: Path, damage: bytes | None) -> None:
    out = tmp_path / "embeddings"

    def embed() -> None:
        run(catalog_of(tmp_path, "ab"), tmp_path / "images", tmp_path / "cache", out, "small", EAGER)

    embed()
    sound, other = (out / "a.npy").read_bytes(), (out / "b.npy").stat().st_mtime_ns
    # written in place, so that the cache's own file is damaged with it
    (out / "a.npy").write_bytes(sound[:-40] + sound[-39:] if damage is None else damage)
    embed()
    assert (out / "a.npy").read_bytes() == sound
    assert (out / "b.npy").stat().st_mtime_ns == other


@pytest.mark.slow
def test_several_at_a_time_are_embedded_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_of(tmp_path, "abcde")
    run(catalog, tmp_path / "images", tmp_path / "cache", tmp_path / "one", "small", EAGER)
    monkeypatch.setattr("datalab.stages.embed.encoded_at_once", lambda: 3)
    run(catalog, tmp_path / "images", tmp_path / "other", tmp_path / "three", "small", EAGER)
    for name in "abcde":
        one, three = (np.load(tmp_path / folder / f"{name}.npy").astype(np.float32) for folder in ("one", "three"))
        np.testing.assert_allclose(three, one, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("compile_from", "graphs"), [(4, 0), (3, 1)])
def test_many_images_have_the_encoder_compiled_once_and_are_embedded_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compile_from: int, graphs: int
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    torch._dynamo.reset()
    counters.clear()
    catalog = catalog_of(tmp_path, "abc")
    run(catalog, tmp_path / "images", tmp_path / "cache", tmp_path / "eager", "small", EAGER)
    params = Params(compile_from=compile_from)
    run(catalog, tmp_path / "images", tmp_path / "other", tmp_path / "compiled", "small", params)
    assert counters["stats"]["unique_graphs"] == graphs
    for name in "abc":
        eager, compiled = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("eager", "compiled"))
        np.testing.assert_allclose(compiled.astype(np.float32), eager.astype(np.float32), atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("compile_from", "is_compiled"), [(0, False), (1, True), (2, True), (3, False)])
def test_images_that_were_embedded_for_another_workspace_are_no_reason_to_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compile_from: int, is_compiled: bool
) -> None:
    compiled: list[Sam] = []
    embedded(tmp_path, "abc")
    monkeypatch.setattr("datalab.stages.embed.compile_encoder", compiled.append)
    catalog, images, cache = catalog_of(tmp_path, "abcde"), tmp_path / "images", tmp_path / "cache"
    run(catalog, images, cache, tmp_path / "other", "small", Params(compile_from))
    assert bool(compiled) is is_compiled


def embedded(folder: Path, names: str) -> Path:
    """The output, once these images are embedded."""
    run(catalog_of(folder, names), folder / "images", folder / "cache", folder / "embeddings", "small", EAGER)
    return folder / "embeddings"


def assert_kept(folder: Path, names: str) -> None:
    """The vectors kept are those of these images, to the bit."""
    rows = read_table(folder / "catalog.parquet", CATALOG).to_dict("records")
    kept = kept_vectors(folder / "embeddings")
    assert sorted(kept) == sorted(names)
    for row in rows:
        np.testing.assert_array_equal(kept[row["image_id"]], compute_image_vector(row, folder / "embeddings"))


def test_the_vector_of_each_image_is_kept(tmp_path: Path) -> None:
    out = embedded(tmp_path, "ab")
    assert_kept(tmp_path, "ab")
    first = (out / VECTORS).stat().st_mtime_ns
    embedded(tmp_path, "ab")
    assert (out / VECTORS).stat().st_mtime_ns == first
    embedded(tmp_path, "bc")
    assert_kept(tmp_path, "bc")
    embedded(tmp_path, "c")
    assert_kept(tmp_path, "c")


@pytest.mark.parametrize("damage", [None, b"", b"cut short"])
def test_lost_vectors_are_computed_again_without_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    def refuse(checkpoint: str) -> None:
        raise AssertionError("the model was loaded")

    path = embedded(tmp_path, "ab") / VECTORS
    good = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    monkeypatch.setattr("datalab.stages.embed.load_sam", refuse)
    embedded(tmp_path, "ab")
    assert path.read_bytes() == good


def test_vectors_of_another_checkpoint_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = embedded(tmp_path, "ab")
    vectors = kept_vectors(out)
    monkeypatch.setattr("datalab.stages.embed.model_version", lambda _: "another")
    monkeypatch.setattr(
        "datalab.stages.embed.embed_images", lambda _, some: [np.ones((5, 4, 4), dtype=np.float16) for _ in some]
    )
    embedded(tmp_path, "ab")
    assert_kept(tmp_path, "ab")
    assert len(kept_vectors(out)["a"]) == 10
    assert len(vectors["a"]) == 256


@pytest.mark.slow
def test_a_killed_run_leaves_no_vector_of_what_it_was_to_make_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    out = embedded(tmp_path, "ab")
    shutil.rmtree(tmp_path / "cache")
    (out / "a.npy").write_bytes(b"damaged")
    with monkeypatch.context() as patch:
        patch.setattr("datalab.stages.embed.embed_images", killed)
        with pytest.raises(KeyboardInterrupt):
            embedded(tmp_path, "ab")
    assert kept_vectors(out).keys() == {"b"}
    embedded(tmp_path, "ab")
    assert_kept(tmp_path, "ab")


@pytest.mark.slow
def test_an_image_with_other_bytes_under_the_same_id_is_embedded_anew(tmp_path: Path) -> None:
    out = embedded(tmp_path, "ab")
    before, other = np.load(out / "a.npy"), (out / "b.npy").stat().st_mtime_ns
    Image.new("RGB", (40, 30), (250, 250, 250)).save(tmp_path / "images" / "a.png")
    run(tmp_path / "catalog.parquet", tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    assert not np.array_equal(np.load(out / "a.npy"), before)
    assert (out / "b.npy").stat().st_mtime_ns == other
    assert_kept(tmp_path, "ab")


def test_an_image_put_back_after_a_kill_is_embedded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    out = embedded(tmp_path, "a")
    before, image = np.load(out / "a.npy"), (tmp_path / "images" / "a.png").read_bytes()
    Image.new("RGB", (40, 30), (250, 250, 250)).save(tmp_path / "images" / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr("datalab.stages.embed.compute_image_vector", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "catalog.parquet", tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    (tmp_path / "images" / "a.png").write_bytes(image)
    run(tmp_path / "catalog.parquet", tmp_path / "images", tmp_path / "cache", out, "small", EAGER)
    np.testing.assert_array_equal(np.load(out / "a.npy"), before)


def test_unchanged_images_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: Path) -> str:
        read.append(path.stem)
        return image_hash(path)

    catalog = catalog_of(tmp_path, "ab")
    monkeypatch.setattr("datalab.adapters.image_hashes.image_hash", counted)
    for _ in range(2):
        run(catalog, tmp_path / "images", tmp_path / "cache", tmp_path / "embeddings", "small", EAGER)
    assert sorted(read) == ["a", "b"]
