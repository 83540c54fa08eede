"""The fake and the local target keep the same promises; then what only files can go through."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from evergreen.adapters.local_target import LocalTarget
from evergreen.errors import ArtefactDamaged, BadConfiguration, StoreUnavailable
from tests.contracts.deployer import DeployerContract, pointer_of, release_of
from tests.fakes.deployer import FakeDeployer


class TestFakeDeployer(DeployerContract):
    @pytest.fixture
    def deployer(self):
        return FakeDeployer()

    def break_writes(self, deployer, monkeypatch):
        deployer.unavailable = True


class TestLocalTarget(DeployerContract):
    @pytest.fixture
    def deployer(self, tmp_path):
        return LocalTarget(tmp_path / "releases")

    def break_writes(self, deployer, monkeypatch):
        def full(handle):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", full)

    def test_the_pointer_says_what_a_scorer_must_know(self, deployer):
        deployer.deploy(release_of(1), 1)
        digest = f"{1:064x}"
        assert json.loads((deployer.folder / "delay.json").read_text()) == {
            "schema_version": 1,
            "name": "delay",
            "version": 1,
            "model": {
                "uri": "store/models/1",
                "digest": digest,
                "artefacts": [{"name": "model.skops", "sha256": digest, "size": 10}],
            },
            "features": [
                {"name": "origin", "type": "string"},
                {"name": "distance", "type": "int64"},
            ],
            "classes": ["0", "1"],
            "task": "classification",
            "as_of": "2013-03-01T00:00:00Z",
            "run_key": "delay/run-1",
            "fence": 1,
        }

    def test_a_repeated_release_leaves_the_file_itself_alone(self, deployer):
        deployer.deploy(release_of(1), 1)
        before = (deployer.folder / "delay.json").stat()
        deployer.deploy(release_of(1), 1)
        after = (deployer.folder / "delay.json").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_a_full_disk_leaves_no_part_of_a_new_pointer(self, deployer, monkeypatch):
        deployer.deploy(release_of(1), 1)
        before = (deployer.folder / "delay.json").read_bytes()
        self.break_writes(deployer, monkeypatch)
        with pytest.raises(StoreUnavailable, match="No space left on device"):
            deployer.deploy(release_of(2), 2)
        assert sorted(path.name for path in deployer.folder.iterdir()) == [".delay.lock", "delay.json"]
        assert (deployer.folder / "delay.json").read_bytes() == before

    def test_a_folder_that_cannot_be_made_is_an_error_that_may_pass(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreUnavailable, match="could not be written"):
            LocalTarget(tmp_path / "file").deploy(release_of(1), 1)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"schema_version": 2}',
            b'{"schema_version": 1, "name": "delay"}',
        ],
        ids=["empty", "half", "list", "null", "binary", "deep", "newer", "lacking"],
    )
    def test_a_file_that_is_no_pointer_is_damaged(self, deployer, content):
        deployer.folder.mkdir()
        (deployer.folder / "delay.json").write_bytes(content)
        with pytest.raises(ArtefactDamaged, match="damaged") as caught:
            deployer.serving("delay")
        assert len(str(caught.value)) < 2000

    def test_every_shortened_pointer_is_damaged(self, deployer):
        deployer.deploy(release_of(1), 1)
        path = deployer.folder / "delay.json"
        whole = path.read_bytes()
        for length in range(0, len(whole) - 2, 20):
            path.write_bytes(whole[:length])
            with pytest.raises(ArtefactDamaged):
                deployer.serving("delay")

    def test_the_pointer_of_another_model_is_damaged(self, deployer):
        deployer.deploy(release_of(1, "arrival"), 1)
        (deployer.folder / "arrival.json").rename(deployer.folder / "delay.json")
        with pytest.raises(ArtefactDamaged, match="names the model 'arrival'"):
            deployer.serving("delay")

    def test_a_damaged_pointer_is_written_anew_by_the_next_release(self, deployer):
        deployer.deploy(release_of(1), 1)
        (deployer.folder / "delay.json").write_text("{")
        deployer.deploy(release_of(1), 1)
        assert deployer.serving("delay") == pointer_of(release_of(1))

    def test_a_folder_in_the_pointer_s_place_cannot_be_read(self, deployer):
        (deployer.folder / "delay.json").mkdir(parents=True)
        with pytest.raises(StoreUnavailable, match="could not be read"):
            deployer.serving("delay")
        with pytest.raises(StoreUnavailable, match="could not be written"):
            deployer.deploy(release_of(1), 1)

    def test_a_link_that_leads_out_is_neither_read_nor_written(self, deployer, tmp_path):
        outside = tmp_path / "outside.json"
        outside.write_text("mine")
        deployer.folder.mkdir()
        (deployer.folder / "delay.json").symlink_to(outside)
        with pytest.raises(ArtefactDamaged, match="leads out"):
            deployer.serving("delay")
        with pytest.raises(ArtefactDamaged, match="leads out"):
            deployer.deploy(release_of(1), 1)
        assert outside.read_text() == "mine"

    @pytest.mark.parametrize("name", ["../delay", "a/b", "", "Delay", "a__b", "dags", "x" * 64, "a\0"])
    def test_a_name_that_no_model_may_have_touches_no_file(self, deployer, name):
        with pytest.raises(BadConfiguration, match="no model may have this name"):
            deployer.serving(name)
        with pytest.raises(BadConfiguration, match="no model may have this name"):
            deployer.deploy(replace(release_of(1), name=name), 1)
        assert not deployer.folder.exists()

    def test_a_reader_beside_a_writer_never_sees_a_part(self, deployer):
        deployer.deploy(release_of(1), 1)
        writer = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from pathlib import Path\n"
                "from evergreen.adapters.local_target import LocalTarget\n"
                "from tests.contracts.deployer import release_of\n"
                "target = LocalTarget(Path(sys.argv[1]))\n"
                "for turn in range(300): target.deploy(release_of(turn % 2 + 1), 1)",
                str(deployer.folder),
            ]
        )
        seen = set()
        while writer.poll() is None:
            seen.add(deployer.serving("delay").version)
        assert writer.returncode == 0
        assert seen <= {1, 2}
        assert deployer.serving("delay") == pointer_of(release_of(2))
