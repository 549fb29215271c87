"""Kafka's jars are exactly those of the lock file, however the download goes."""

import gc
import hashlib
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import jar
from deploy.local.jar import JarError

CONTENT = b"not really a jar"
LINE = f"{hashlib.sha256(CONTENT).hexdigest()}  org.example:thing:1.0\n"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A Maven repository on the loopback: its folder and its address."""
    folder = tmp_path / "repository"
    (folder / "org/example/thing/1.0").mkdir(parents=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder / "org/example/thing/1.0/thing-1.0.jar", f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # jgo leaves the connection of a refusal open
        gc.collect()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lock = tmp_path / "kafka.lock"
    lock.write_text(f"# a comment\n{LINE}")
    monkeypatch.setattr(jar, "LOCK", lock)
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def test_missing_or_damaged_jar_is_fetched_from_the_mirror(repository: tuple[Path, str], cache: Path) -> None:
    file, address = repository
    file.write_bytes(CONTENT)
    said: list[str] = []
    for damage in (None, b"", CONTENT[:5]):
        if damage is not None:
            (cache / "thing-1.0.jar").write_bytes(damage)
        assert jar.ensure(cache, address, said.append) == [cache / "thing-1.0.jar"]
        assert (cache / "thing-1.0.jar").read_bytes() == CONTENT
    assert len(said) == 6
    file.unlink()
    jar.ensure(cache, address, said.append)
    assert len(said) == 6  # whole already: nothing was asked


def test_jar_with_another_hash_is_refused_and_not_kept(repository: tuple[Path, str], cache: Path) -> None:
    file, address = repository
    file.write_bytes(CONTENT + b"!")
    with pytest.raises(JarError, match=r"thing-1\.0\.jar is not the file"):
        jar.ensure(cache, address, lambda _: None)
    assert list(cache.iterdir()) == []


def test_absent_jar_names_the_way_out(repository: tuple[Path, str], cache: Path) -> None:
    with pytest.raises(JarError, match="ZHIDA_MAVEN_MIRROR"):
        jar.ensure(cache, repository[1], lambda _: None)
    assert list(cache.iterdir()) == []


def test_cache_is_the_users_and_falls_back_to_the_place(tmp_path: Path) -> None:
    fallback = tmp_path / "place"
    assert jar.cache_folder({"XDG_CACHE_HOME": str(tmp_path / "x")}, fallback) == tmp_path / "x/zhida/kafka"
    assert jar.cache_folder({"HOME": str(tmp_path)}, fallback) == tmp_path / ".cache/zhida/kafka"
    assert jar.cache_folder({"HOME": str(tmp_path / "absent")}, fallback) == fallback
    (tmp_path / "file").touch()
    assert jar.cache_folder({"XDG_CACHE_HOME": str(tmp_path / "file")}, fallback) == fallback
    assert jar.cache_folder({}, fallback) == fallback


def test_lock_names_the_whole_broker() -> None:
    jars = jar.locked(jar.LOCK.read_text())
    assert len(jars) == 46
    assert all(len(each.sha256) == 64 for each in jars)
    assert {f"{each.group}:{each.artifact}:{each.version}" for each in jars} >= {jar.BROKER, jar.LOGGING}
