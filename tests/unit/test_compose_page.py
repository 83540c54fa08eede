"""What the how-to on compose tells people to type for a backup brings back what was there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.integration.compose import read

PAGE = Path("docs/how-to/run-with-compose.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## 6. Back up") : PAGE.index("## 7.")]
BACKUP, RESTORE = re.findall(r"```\n(.*?)```", SECTION, re.DOTALL)


def of_volumes(block: str) -> str:
    """Return the one command of a block that runs in a container of `volumes`, in one line."""
    lines = block.replace("\\\n", " ").splitlines()
    (command,) = (
        line for line in lines if line.startswith("docker compose run") and " volumes " in line
    )
    return command


@pytest.mark.parametrize("block", [BACKUP, RESTORE], ids=["backup", "restore"])
def test_the_volumes_are_read_and_written_by_their_owner_and_the_archive_by_the_shell(block):
    service = read()["services"]["volumes"]
    assert "EVERGREEN_UID" in service["entrypoint"][1], "whoever that is owns the volumes"
    assert service["cap_drop"] == ["ALL"], "so root may not do what the owner may"
    command = of_volumes(block)
    assert '--user "$EVERGREEN_UID:0"' in command
    assert block.index(". ./.env") < block.index("$EVERGREEN_UID")
    assert " -T " in command, "no terminal stands between the archive and the shell"
    assert "--file - " in command
    assert "--volume " not in command, "a folder of the caller's is none that the owner may write to"


def test_a_restore_brings_back_what_the_backup_took_with_what_s3_keeps_beside_an_objects_bytes(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    for place in (before, after):
        for name in ("store", "home", "logs", "postgres"):
            (place / name).mkdir(parents=True)
    kept = before / "store" / "evergreen" / "object"
    kept.parent.mkdir()
    kept.write_bytes(b"bytes")
    (before / "home" / "pointer").write_text("3")
    attributes = _mark(kept)

    _type(of_volumes(BACKUP), before, tmp_path)
    _type(of_volumes(RESTORE), after, tmp_path)
    again = after / "store" / "evergreen" / "object"
    assert again.read_bytes() == b"bytes"
    assert (after / "home" / "pointer").read_text() == "3"
    if attributes:
        assert os.getxattr(again, "user.etag") == b"of the object"


def _mark(path: Path) -> bool:
    """Give a file an extended attribute, and return whether this disk keeps any."""
    try:
        os.setxattr(path, "user.etag", b"of the object")
    except OSError:
        return False
    return True


def _type(command: str, volumes: Path, folder: Path) -> None:
    """Run in a shell what the container would run, on folders that stand in for its volumes."""
    inside = re.sub(r"^docker compose run .*? volumes ", "tar ", command)
    here = inside.replace("/volumes", shlex.quote(str(volumes)))
    subprocess.run(here, shell=True, cwd=folder, check=True)
