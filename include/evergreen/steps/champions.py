"""Who is champion for rows up to an instant: what scoring and the watch ask of the ledger."""

from __future__ import annotations

from datetime import datetime

from evergreen.results import Release, from_json
from evergreen.workspace import Workspace


def champion_at(workspace: Workspace, model: str, instant: datetime) -> Release | None:
    """Return the release with the newest data before an instant, however much later it was made.

    So a backfilled run of a past window meets the version that was champion of that time. A version of
    the very instant was tested on the rows up to it, or learnt from them: it answers only what follows.
    """
    found: Release | None = None
    for entry in workspace.ledger.entries(model=model, kind="release"):
        release = from_json(Release, entry.body)
        if release.as_of < instant and (found is None or release.as_of >= found.as_of):
            found = release
    return found
