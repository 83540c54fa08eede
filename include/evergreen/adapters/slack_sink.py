"""Messages in Slack, by incoming webhook or by bot token, which threads.

Both are one POST of JSON. Slack's own client is not used: it follows redirects with the token in hand,
bounds neither the whole of a request nor the size of an answer, and logs the webhook's URL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from evergreen.alert_spec import SlackChannel
from evergreen.alerts.channels import channel_of
from evergreen.alerts.letter_words import Words, header_key, words_of
from evergreen.alerts.slack_blocks import blocks_of, fallback_of
from evergreen.connections import Connection, Connections
from evergreen.errors import BadConfiguration
from evergreen.http_post import USUAL_LIMITS, Answer, Limits, NoAnswer, post, utc_now
from evergreen.outbox import Letter, Receipt, SinkRefused, SinkUnavailable
from evergreen.redaction import hide

METADATA_TYPE = "evergreen_message"
BASE_URL = "https://slack.com/api/"
WEBHOOK_HOST = "hooks.slack.com/services"

_THREAD_GONE = frozenset({"thread_not_found", "cannot_reply_to_message"})
_TOKEN = "put a valid bot token (xoxb-…) into the connection's password"  # noqa: S105
_CHANNEL = "correct the channel, and invite the bot there"
_SCOPE = "give the bot the scope chat:write, and install its app again"
_FAULT = "this is a fault of Evergreen: please report it"
_NEVER: Mapping[str, str] = {
    **dict.fromkeys(("account_inactive", "invalid_auth", "not_authed"), _TOKEN),
    **dict.fromkeys(("token_expired", "token_revoked"), _TOKEN),
    **dict.fromkeys(("channel_not_found", "is_archived", "not_in_channel"), _CHANNEL),
    **dict.fromkeys(("missing_scope", "no_permission", "restricted_action"), _SCOPE),
    **dict.fromkeys(("invalid_blocks", "msg_blocks_too_long", "msg_too_long", "no_text"), _FAULT),
}
"""What to do about those of the API's errors that do not pass by themselves."""


@dataclass(frozen=True, slots=True)
class SlackSink:
    """Posts to a channel."""

    connections: Connections
    limits: Limits = USUAL_LIMITS
    clock: Callable[[], datetime] = utc_now

    def send(self, letter: Letter) -> Receipt:
        """Post the letter; a bot's receipt names the thread for what follows.

        Raises:
            SinkUnavailable: no answer, or one that says later.
            SinkRefused: an answer that says never: a revoked token or webhook, no such channel.
            BadConfiguration: the connection is missing or of another kind, or a bot has no channel.
        """
        channel = channel_of(letter.message.channel)
        if not isinstance(channel, SlackChannel):
            raise TypeError("not Slack")
        connection = self.connections(channel.connection)
        where = f"Slack by {channel.connection!r}"
        words = words_of(letter, data_values=channel.data_values)
        line = _Line(self.limits, connection.extra.get("proxy") or None)
        try:
            if connection.conn_type == "slackwebhook":
                content = {"text": fallback_of(words, threaded=False), **_parts(words)}
                answer = line.post(_webhook_url(connection, where), content)
                _judge_webhook(answer, self.clock(), where)
                return Receipt()
            if connection.conn_type == "slack":
                return self._by_bot(connection, channel, letter, words, line)
        except NoAnswer as exc:
            raise SinkUnavailable(f"Slack did not answer: {exc}", where=where) from None
        except ValueError:
            raise _no_url(where) from None
        raise BadConfiguration(
            "the connection is not to Slack",
            where=where,
            got=connection.conn_type,
            allowed="slackwebhook, slack",
            fix="change the connection's type",
        )

    def _by_bot(
        self,
        connection: Connection,
        channel: SlackChannel,
        letter: Letter,
        words: Words,
        line: _Line,
    ) -> Receipt:
        where = f"Slack by {channel.connection!r}"
        if channel.channel is None:
            fix = 'write channel: "#name" beside the connection in the file'
            raise BadConfiguration("a bot must be told where to post", where=where, fix=fix)
        bot = _Bot(_token(connection, where), _base_url(connection, where), channel.channel, line)
        where = f"{where} to {channel.channel}"
        thread = letter.thread
        said = bot.say(words, letter.message.key, thread)
        if said.error in _THREAD_GONE:
            thread, said = None, bot.say(words, letter.message.key, None)
        said.judge(self.clock(), where)
        return Receipt(thread or said.ts)


@dataclass(frozen=True, slots=True)
class _Line:
    """The way to the server."""

    limits: Limits
    proxy: str | None

    def post(self, url: str, content: Mapping[str, Any], **headers: str) -> Answer:
        body = json.dumps(content, ensure_ascii=False).encode()
        head = {"content-type": "application/json; charset=utf-8", **headers}
        return post(url, body, head, self.limits, proxy=self.proxy)


@dataclass(frozen=True, slots=True)
class _Bot:
    """A bot in a channel."""

    token: str
    base_url: str
    channel: str
    line: _Line

    def say(self, words: Words, key: str, thread: str | None) -> _Said:
        content = {
            "channel": self.channel,
            "text": fallback_of(words, threaded=thread is not None),
            "metadata": {"event_type": METADATA_TYPE, "event_payload": {"key": header_key(key)}},
            "parse": "none",
            "link_names": False,
            **({} if thread is None else {"thread_ts": thread}),
            **_parts(words),
        }
        url = f"{self.base_url.rstrip('/')}/chat.postMessage"
        return _Said(self.line.post(url, content, authorization=f"Bearer {self.token}"))


class _Said:
    """What Slack's API answered. `error` is None for a yes, and empty for what is no answer of Slack."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        try:
            data = json.loads(answer.text)
        except ValueError:
            data = None
        said = data if isinstance(data, dict) else {}
        yes = answer.status == 200 and said.get("ok") is True
        self.error = None if yes else str(said.get("error") or "")
        self.ts = str(said["ts"]) if said.get("ts") else None

    def judge(self, now: datetime, where: str) -> None:
        answer, error = self._answer, self.error
        if error is None:
            return
        if error in _NEVER:
            fix = _NEVER[error]
            raise SinkRefused("Slack refused the message", where=where, got=error, fix=fix)
        raise SinkUnavailable(
            "Slack could not take the message now",
            where=where,
            got=answer.brief,
            retry_after_seconds=answer.retry_after_seconds(now),
        )


def _parts(words: Words) -> dict[str, Any]:
    return {
        "blocks": blocks_of(words),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _token(connection: Connection, where: str) -> str:
    token = (connection.password or "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise BadConfiguration("the connection holds no bot token", where=where, fix=_TOKEN)
    return token


def _base_url(connection: Connection, where: str) -> str:
    return _checked(str(connection.extra.get("base_url") or BASE_URL), where)


def _webhook_url(connection: Connection, where: str) -> str:
    """Return the webhook's URL, put together as Airflow's own hook does."""
    token = (connection.password or "").strip()
    if not token:
        fix = "put what follows https://hooks.slack.com/services/ into the connection's password"
        raise BadConfiguration("the connection holds no webhook token", where=where, fix=fix)
    if "://" in token:
        url = token
    else:
        host = connection.host or WEBHOOK_HOST
        base = host if "://" in host else f"{connection.schema or 'https'}://{host}"
        if connection.port and urlsplit(base).port is None:
            parts = urlsplit(base)
            base = parts._replace(netloc=f"{parts.netloc}:{connection.port}").geturl()
        url = f"{base.rstrip('/')}/{token.lstrip('/')}"
    hide(url)
    hide(urlsplit(url).path)
    return _checked(url, where)


def _checked(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and url.isprintable()
    except ValueError:
        usable = None
    if not usable:
        raise _no_url(where)
    return url


def _no_url(where: str) -> BadConfiguration:
    fix = "correct its host and schema; it begins with https://"
    return BadConfiguration("the connection's address is no URL", where=where, fix=fix)


def _judge_webhook(answer: Answer, now: datetime, where: str) -> None:
    a_page = answer.text.lstrip().startswith("<")
    if answer.status == 200 and not a_page:
        return
    if answer.status in {200, 408, 425, 429} or answer.status >= 500:
        raise SinkUnavailable(
            "a web page answered instead of Slack; is there a proxy in between?"
            if answer.status == 200
            else "Slack could not take the message now",
            where=where,
            got=None if a_page else answer.brief,
            retry_after_seconds=answer.retry_after_seconds(now),
        )
    fix = "make a new incoming webhook in Slack and put it into the connection"
    if 300 <= answer.status < 400:
        fix = "redirects are not followed: correct the connection's host"
    elif answer.status == 400:
        fix = _FAULT
    raise SinkRefused("Slack refused the message", where=where, got=answer.brief, fix=fix)
