"""Finding, checking and downloading files, without a network: the addresses are local files."""

import hashlib
import re
from pathlib import Path

import pytest

from ltresample.datasets._fetch import RemoteFile, data_folder, find_file

CONTENT = b"two words\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "server" / "words.txt"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def remote(source):
    return RemoteFile("words.txt", SHA256, [source.as_uri()])


def test_download_then_cache(source, remote, tmp_path):
    home = tmp_path / "home"
    place = find_file(remote, dataset="words", data_home=home)
    assert place == home / "words" / "words.txt"
    assert place.read_bytes() == CONTENT
    assert [p.name for p in place.parent.iterdir()] == ["words.txt"]
    source.unlink()
    assert find_file(remote, dataset="words", data_home=home, download_if_missing=False) == place


def test_next_address_is_tried(remote, tmp_path):
    dead = (tmp_path / "nowhere").as_uri()
    remote = remote._replace(urls=[dead, *remote.urls])
    assert find_file(remote, dataset="words", data_home=tmp_path / "home").is_file()


def test_local_folder_is_used_as_it_is(source, remote, tmp_path):
    home = tmp_path / "home"
    assert find_file(remote, dataset="words", path=source.parent, data_home=home) == source
    assert not home.exists()


@pytest.mark.parametrize("where", ["path", "data_home"])
def test_missing_file_is_named(remote, tmp_path, where):
    kwargs = {where: tmp_path, "download_if_missing": False}
    place = tmp_path / "words.txt" if where == "path" else tmp_path / "words" / "words.txt"
    message = (
        f"words.txt of words is missing. Got no file at {place}. Put the file there, pass path= "
        f"with the folder that holds it, or allow the download from {remote.urls[0]}."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        find_file(remote, dataset="words", **kwargs)


def test_path_never_downloads(remote, tmp_path):
    with pytest.raises(FileNotFoundError, match="Got no file at"):
        find_file(remote, dataset="words", path=tmp_path / "empty")


def test_wrong_content_on_disk_is_refused(source, remote):
    source.write_bytes(CONTENT.replace(b"\n", b"\r\n"))
    got = hashlib.sha256(source.read_bytes()).hexdigest()
    message = f"{source} does not hold the expected content. Got SHA-256 {got}, expected {SHA256}."
    with pytest.raises(ValueError, match=re.escape(message)):
        find_file(remote, dataset="words", path=source.parent)


def test_wrong_download_leaves_nothing_behind(source, remote, tmp_path):
    source.write_bytes(b"<html>please log in</html>")
    home = tmp_path / "home"
    with pytest.raises(OSError, match=rf"SHA-256 is \w+, expected {SHA256}"):
        find_file(remote, dataset="words", data_home=home)
    assert list((home / "words").iterdir()) == []


def test_offline_error_says_where_to_put_the_file(remote, source, tmp_path):
    source.unlink()
    place = tmp_path / "home" / "words" / "words.txt"
    with pytest.raises(OSError) as err:
        find_file(remote, dataset="words", data_home=tmp_path / "home")
    text = str(err.value)
    assert text.startswith(f"words.txt cannot be downloaded. Got {remote.urls[0]}: ")
    assert text.endswith(
        f"Fetch it on a machine with a connection and put it at {place}, or pass path= with the "
        "folder that holds it."
    )


def test_data_folder_follows_argument_environment_and_home(monkeypatch, tmp_path):
    monkeypatch.delenv("LTRESAMPLE_DATA", raising=False)
    assert data_folder() == Path.home() / "ltresample_data"
    monkeypatch.setenv("LTRESAMPLE_DATA", str(tmp_path / "env"))
    assert data_folder() == tmp_path / "env"
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder("~/mine") == Path.home() / "mine"
