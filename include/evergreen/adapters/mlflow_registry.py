"""Names versions in MLflow's model registry; aliases say which one serves.

The ledger decides who is champion; the alias follows it. Aliases: `champion` serves, `challenger` wants
to, `previous` served before the champion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from evergreen.errors import ChampionMoved, ModelRefused, StoreUnavailable
from evergreen.failpoints import failpoint
from evergreen.names import name_problem
from evergreen.ports import Registered
from evergreen.redaction import redact
from evergreen.results import Candidate, Version
from evergreen.serving.tracking import answering, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
KEY_TAG = "evergreen.candidate_key"
MODEL_ID_TAG = "evergreen.model_id"
RUN_TAG = "evergreen.run_key"
_PAGE = 1000


class MlflowRegistry:
    """The registry at MLflow's tracking URI."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    def register(self, name: str, candidate: Candidate, tags: Mapping[str, str]) -> Version:
        """Return the version of the candidate, registering it where it is not yet; alias challenger.

        Safe to repeat. The alias is left alone where the version is the champion already.

        Raises:
            ModelRefused: the registry holds a version of this key that is not the candidate.
            StoreUnavailable: the registry did not answer.
        """
        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            _make_name(client, name)
            wanted = {k: redact(v) for k, v in tags.items()} | {KEY_TAG: candidate.key}
            found = _find(client, name, candidate.key)
            if found is None:
                # Tags come with the creation: a version is never without the key it is found by.
                run = client.get_run(candidate.run_id)
                found = client.create_model_version(
                    name,
                    candidate.model.uri,
                    run_id=candidate.run_id,
                    tags=wanted,
                    model_id=run.data.tags.get(MODEL_ID_TAG),
                )
                failpoint("register.version_created")
            elif (found.run_id, found.source) != (candidate.run_id, candidate.model.uri):
                raise ModelRefused(
                    "a version of this candidate's key is of another run or other files",
                    where=f"registered model {name!r}, version {found.version}",
                    got=f"run {found.run_id}, {found.source}",
                    allowed=f"run {candidate.run_id}, {candidate.model.uri}",
                    fix="delete that version in the registry; a retry registers the right one",
                )
            number = int(found.version)
            for tag in wanted.items() - found.tags.items():
                client.set_model_version_tag(name, str(number), *tag)
            aliases = _aliases(client, name)
            if number not in (aliases.get(CHAMPION), aliases.get(CHALLENGER)):
                _set_alias(client, name, CHALLENGER, number)
                failpoint("register.aliased")
        return Version(name, number, candidate.key, candidate.model)

    def champion(self, name: str) -> int | None:
        """Return the number under the alias champion, or None.

        Raises:
            StoreUnavailable: the registry did not answer.
        """
        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            return _aliases(client, name).get(CHAMPION)

    def registered(self) -> Iterator[Registered]:
        """Yield every version that Evergreen registered, of all models.

        Raises:
            StoreUnavailable: the registry did not answer.
        """
        client, token = open_client(self._tracking_uri), None
        with answering(self._tracking_uri):
            while True:
                models = client.search_registered_models(max_results=_PAGE, page_token=token)
                for model in models:
                    if name_problem(model.name) is None:
                        yield from _versions(client, model)
                token = models.token
                if not token:
                    return

    def holds(self, version: Version) -> bool:
        """Return whether the version is there, registered for its candidate.

        Raises:
            StoreUnavailable: the registry did not answer.
        """
        client = open_client(self._tracking_uri)
        with answering(self._tracking_uri):
            found = _find(client, version.name, version.candidate_key)
        return found is not None and int(found.version) == version.number

    def move_champion(self, version: Version, expected: int | None) -> None:
        """Point the alias champion at `version` where it points at `expected` (or already there).

        MLflow has no compare-and-set: the alias is read, compared, set and read back. What two writers
        at the same instant could still do is kept out by the ledger, which decided first.

        Raises:
            ChampionMoved: the alias points at neither.
            StoreUnavailable: the registry did not answer or did not keep the alias.
        """
        client = open_client(self._tracking_uri)
        name, number = version.name, version.number
        with answering(self._tracking_uri):
            aliases = _aliases(client, name)
            now = aliases.get(CHAMPION)
            if now not in (number, expected):
                raise ChampionMoved(
                    "the alias champion is not where it was when the comparison was made",
                    where=f"registered model {name!r}",
                    got=now,
                    allowed=f"{expected} or {number}",
                    fix="compare again: clear the task evaluate and what follows",
                )
            # First, for once the champion has moved nobody can tell any more whom it replaced.
            if expected not in (None, number, aliases.get(PREVIOUS)):
                _set_alias(client, name, PREVIOUS, expected)
            if now != number:
                _set_alias(client, name, CHAMPION, number)
                failpoint("release.alias_moved")
            aliases = _aliases(client, name)
            if aliases.get(CHAMPION) != number:
                raise StoreUnavailable(
                    "the registry did not keep the alias champion",
                    where=f"registered model {name!r}",
                    got=aliases.get(CHAMPION),
                    allowed=str(number),
                )
            if aliases.get(CHALLENGER) == number:
                client.delete_registered_model_alias(name, CHALLENGER)


def _make_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    if _registered(client, name) is None:
        try:
            client.create_registered_model(name)
        except MlflowException:
            if _registered(client, name) is None:  # else another process was faster
                raise


def _registered(client: MlflowClient, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as exc:
        if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _versions(client: MlflowClient, model: Any) -> Iterator[Registered]:
    """Yield what Evergreen registered of one registered model; its name is one that a model may have."""
    aliases: dict[int, list[str]] = {}
    for alias, number in sorted(model.aliases.items()):
        aliases.setdefault(int(number), []).append(alias)
    token = None
    while True:
        page: Any = client.search_model_versions(
            f"name = '{model.name}'", max_results=_PAGE, page_token=token
        )
        for one in page:
            if KEY_TAG in one.tags:
                number = int(one.version)
                run_key, named = one.tags.get(RUN_TAG), tuple(aliases.get(number, ()))
                yield Registered(model.name, number, one.tags[KEY_TAG], run_key, named)
        token = page.token
        if not token:
            return


def _find(client: MlflowClient, name: str, key: str) -> Any:
    where = f"name = '{name}' and tags.`{KEY_TAG}` = '{key}'"
    versions = client.search_model_versions(where, order_by=["version_number ASC"], max_results=1)
    return versions[0] if versions else None


def _aliases(client: MlflowClient, name: str) -> dict[str, int]:
    registered = _registered(client, name)
    return {} if registered is None else {k: int(v) for k, v in registered.aliases.items()}


def _raced(exc: BaseException) -> bool:
    """Two first settings of an alias at once: one of them breaks the table's primary key."""
    return "IntegrityError" in str(exc) or "UNIQUE constraint" in str(exc)


@retry(
    retry=retry_if_exception(_raced),
    stop=stop_after_attempt(5),
    wait=wait_random_exponential(multiplier=0.05, max=1),
    reraise=True,
)
def _set_alias(client: MlflowClient, name: str, alias: str, number: int | None) -> None:
    client.set_registered_model_alias(name, alias, str(number))
