"""Sends a message to a webhook, or one that says it is a test; the address itself is a secret and is never repeated."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

from somatui.asking import Trouble, ask
from somatui.domain.report import Line, Report

TEXT = "somatui: this is a test message. Alerts of your profile will arrive here."


def body(text: str) -> bytes:
    """What goes to a webhook: Slack, Mattermost and Telegram read `text`, Discord reads `content`.

    Names of files and models are in it that others may have chosen: nothing there calls a whole channel or is a link.
    """
    plain = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    plain = plain.replace("<", "‹").replace(">", "›").replace("@", "@\u200b")
    return json.dumps({"text": plain, "content": plain, "allowed_mentions": {"parse": []}}).encode()


def check(url: str, limit_s: float = 10, text: str = TEXT) -> Report:
    """One line named webhook, ok where the message was taken. Raises nothing."""
    return Report((_tried(url, limit_s, text),))


def _bad(detail: str, cure: str, ms: int = 0) -> Line:
    return Line("webhook", "bad", detail, cure, ms)


def _tried(url: str, limit_s: float, text: str) -> Line:
    if not url:
        return Line(
            "webhook",
            "skipped",
            "No webhook is given, so alerts stay in the console",
            "enter one to get them elsewhere",
        )
    if re.search(r"[\s'\"]", url):
        return _bad("The webhook's address has a space, a line end or quotes in it", "paste it again without them")
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        return _bad("The webhook is no https address", "copy it from the channel's integration page, https:// and all")
    found = ask(
        url, method="POST", headers={"Content-Type": "application/json"}, data=body(text), limit_s=limit_s, follow=False
    )
    if isinstance(found, Trouble):
        return _bad(f"The webhook is not reached: {found.detail[:1].lower()}{found.detail[1:]}", found.cure)
    if 200 <= found.status < 300:
        return Line("webhook", "ok", f"The message was taken by {address.hostname}", "see that it arrived", found.ms)
    if 300 <= found.status < 400:
        return _bad(f"The webhook sends elsewhere ({found.status})", "enter the address where it ends", found.ms)
    if found.status in (401, 403):
        return _bad(f"The webhook refuses the message ({found.status})", "make a new one: its secret part is wrong or "
                    "was revoked", found.ms)  # fmt: skip
    if found.status in (404, 410):
        return _bad(
            f"The webhook does not exist any more ({found.status})",
            "make a new one in the channel's settings",
            found.ms,
        )
    if found.status == 405:
        return _bad("The address takes no messages (405)", "enter the webhook, not the channel's page", found.ms)
    if found.status == 429:
        return Line("webhook", "warn", "The webhook asks for patience (429)", "try again in a minute", found.ms)
    if 400 <= found.status < 500:
        return _bad(f"The webhook does not understand the message ({found.status})", "use one that takes JSON with "
                    "text or content, such as Slack's, Discord's or Mattermost's", found.ms)  # fmt: skip
    return _bad(f"The webhook's server fails ({found.status})", "try again later; the fault is on its side", found.ms)
