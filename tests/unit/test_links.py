"""What README and docs point to is there: pages, sections, pictures, settings, commands, events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from evergreen.alert_spec import WORTH_TELLING, EventName
from evergreen.cli.commands import COMMANDS
from evergreen.settings import VARIABLES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
OF_COMPOSE = {"EVERGREEN_UID", "EVERGREEN_WORKER_CONCURRENCY"}
"""Variables of docker-compose.yaml that are no settings of Evergreen."""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Return what a page links to within the checkout."""
    words = re.sub(r"`[^`\n]*`", "", prose(page))
    return [link for link in LINK.findall(words) if not re.match(r"[a-z]+:", link)]


def sections(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    plain = (LINK.sub("]", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for link in links(page):
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (section and section not in sections(target)):
            found.append(link)
    return found


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `title`, *here*\n[a](page.md#a-title-here) [b](gone.md) [c](#gone) [d](https://x.example)\n"
        "```\n# no title\n[e](gone.md)\n```\n`[f](gone.md)` ![g](gone.png)\n"
    )
    assert broken(page) == ["gone.md", "#gone", "gone.png"]


@each_page
def test_every_link_leads_to_a_page_a_section_or_a_picture(page):
    assert broken(page) == []


def test_pages_link_to_each_other_and_the_readme_leads_to_all():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        pages = {path for target in targets for path in ([target], target.glob("*.md"))[target.is_dir()]}
        ahead += [path for path in pages if path.suffix == ".md" and path not in reached]
    assert set(PAGES) <= reached


def test_the_readme_links_to_every_how_to_and_every_explanation():
    named = {(ROOT / link).resolve() for link in links(ROOT / "README.md")}
    wanted = {*(ROOT / "docs" / "how-to").iterdir(), *(ROOT / "docs" / "explanation").iterdir()}
    assert len(wanted) > 15
    assert sorted(path.name for path in wanted - named) == []


def test_every_picture_is_shown_somewhere():
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert set((ROOT / "docs" / "images").iterdir()) <= shown


@each_page
def test_every_file_of_the_checkout_that_is_named_is_there(page):
    named = re.findall(r"`((?:tests|include/evergreen|deploy)/[\w./-]+\.\w+)`", prose(page))
    made = "deploy/secrets/"  # by `make compose-secrets`; `yours` and NAME are a reader's own
    missing = [path for path in named if not (ROOT / path).exists() and not path.startswith(made)]
    assert [path for path in missing if not re.search("yours|NAME", path)] == []


@each_page
def test_every_setting_command_and_target_that_is_named_is_there(page):
    text = page.read_text(encoding="utf-8")
    settings = set(re.findall(r"\bEVERGREEN_[A-Z]+(?:_[A-Z]+)*\b", text)) - OF_COMPOSE
    assert settings <= {*VARIABLES}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets
    flags = {command.name: {flag for arg in command.args for flag in arg.flags} for command in COMMANDS}
    for name, rest in re.findall(r"`(?:airflow )?evergreen ([a-z][a-z-]*)([^`\n]*)`", text):
        assert name in flags, f"evergreen {name}"
        assert set(re.findall(r"--[a-z-]+", rest)) <= flags[name], f"evergreen {name}{rest}"


@each_page
def test_every_event_that_a_channel_asks_for_is_one(page):
    named = re.findall(r"^.*\bevents: \[([^\]]+)\]", page.read_text(encoding="utf-8"), re.MULTILINE)
    asked = {name.strip() for names in named for name in names.split(",")}
    assert asked <= set(get_args(EventName))


def test_the_how_to_on_people_names_every_event_and_tells_the_usual_from_the_others():
    text = (ROOT / "docs" / "how-to" / "tell-people.md").read_text(encoding="utf-8")
    usual, _, others = text.partition("hears of what needs attention")[2].partition("There are also")
    named = [set(re.findall(r"`([a-z_]+)`", words.partition("\n\n")[0])) for words in (usual, others)]
    assert named == [{*WORTH_TELLING}, set(get_args(EventName)) - {*WORTH_TELLING}]
