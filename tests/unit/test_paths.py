"""A path that a file names never leads out of its folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.paths import contained


def test_a_path_below_the_folder_is_returned_resolved(tmp_path):
    assert contained(tmp_path, "sql/./q.sql") == tmp_path.resolve() / "sql" / "q.sql"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/..",
        "~/x",
        "~root/x",
        "a\0b",
        "C:\\x",
        "..\\x",
        "file:///x",
        "s3://b/x",
    ],
)
def test_a_path_out_of_the_folder_is_refused(tmp_path, path):
    with pytest.raises(ValueError):
        contained(tmp_path, path)


def test_a_link_may_stay_inside_and_must_not_lead_out(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "real.sql").touch()
    (folder / "inside.sql").symlink_to("real.sql")
    (folder / "outside").symlink_to(tmp_path)
    assert contained(folder, "inside.sql") == folder.resolve() / "real.sql"
    with pytest.raises(ValueError, match="by a link"):
        contained(folder, "outside/secret")


def test_a_folder_that_only_begins_alike_is_another_folder(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models2").mkdir()
    (tmp_path / "models" / "link").symlink_to(tmp_path / "models2")
    with pytest.raises(ValueError, match="by a link"):
        contained(tmp_path / "models", "link/x")


def test_a_folder_reached_by_a_link_is_a_folder_as_any_other(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "real")
    assert contained(tmp_path / "models", "q.sql") == (tmp_path / "real" / "q.sql").resolve()


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ValueError, match="cannot be followed"):
        contained(tmp_path, "a/x")


PARTS = st.sampled_from(["a", "..", ".", "", "link", "up", "~", "x y", "...", "\0", "/"]) | st.text(
    max_size=5
)


@given(st.lists(PARTS, max_size=6))
def test_what_is_returned_is_always_inside(tmp_path_factory, parts):
    base = tmp_path_factory.getbasetemp().resolve()
    folder = base / "contained"
    if not folder.exists():
        (folder / "a").mkdir(parents=True)
        (folder / "link").symlink_to("a")
        (folder / "a" / "up").symlink_to(base)
    try:
        path = contained(folder, "/".join(parts))
    except ValueError:
        return
    assert path.is_relative_to(folder)
    assert path.resolve() == path
