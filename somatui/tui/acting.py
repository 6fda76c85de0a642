"""From a key to an act: where the operator stands, why not, the confirm panel, the call, and a sentence on its end.

It knows the registry and no action by name; what the chain makes of it is the agent's.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from somatui.agent.client import AgentError, AgentGone
from somatui.domain.actions import Action, Context
from somatui.domain.ids import IdError
from somatui.domain.money import AmountError, soma_exact
from somatui.tui.format import bytes_text

if TYPE_CHECKING:
    from somatui.tui.console import SomatuiApp

BACK_SECONDS = 60.0
ENDS = {"job.start": "started", "job.stop": "stopped", "job.restart": "started again"}
"""How an answer to a method reads where it is not the end of the matter."""
SILENT = frozenset({"intent", "digest", "ok"})
"""What an answer holds for the journal and not for the eye."""


def sentence(text: str) -> str:
    """`text` as a sentence: a capital first, a full stop last."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def refused(action: Action, reason: str) -> str:
    """Why an act cannot be done, with its name in front unless it begins with it."""
    name = action.word or action.name
    return reason if reason.lower().startswith(name) else f"{name}: {reason}"


def outcome(title: str, method: str, answer: Any) -> str:
    """What came of an act, in one sentence, out of the agent's answer: amounts, counts and short words."""
    result = answer.get("result", answer) if isinstance(answer, dict) else {}
    found = [_told(name, value) for name, value in result.items()] if isinstance(result, dict) else []
    told = ", ".join(part for part in found if part)
    end = ENDS.get(method, "done")
    return sentence(f"{title}: {end}, {told}" if told else f"{title}: {end}")


def _told(name: str, value: Any) -> str:
    label = name.removesuffix("_shannons").removesuffix("_id").replace("_", " ")
    if isinstance(value, bool) or value in (None, "") or name in SILENT:
        return ""
    if name.endswith("_shannons"):
        return f"{label} {soma_exact(int(value))} SOMA"
    if isinstance(value, list):
        return f"{len(value)} {label.removesuffix('s') if len(value) == 1 else label}"
    if name == "size":
        return f"{label} {bytes_text(int(value))}"
    if isinstance(value, float):
        return f"{label} {value:.6g}"
    if isinstance(value, int) or (isinstance(value, str) and len(value) <= 24):
        return f"{label} {value}"
    return ""


class Operator:
    """The operator's hand: begins acts for the app and says how they end."""

    def __init__(self, app: SomatuiApp) -> None:
        self._app = app

    def begin(self, action: Action, context: Context | None) -> None:
        """Do `action`, or say why not; what signs is shown in full and asked for first."""
        if context is None or not self._app.world.connected:
            self._app.say(self._app.world.trouble or "Not connected to the agent yet.", "warn")
            return
        try:
            reason = action.unavailable(context)
            if reason is not None:
                self._app.say(refused(action, reason), "warn")
                return
            method, params = action.call(context)
        except (IdError, AmountError, ValueError) as wrong:
            self._app.say(refused(action, str(wrong)), "warn")
            return
        if action.asks(context):
            self._ask(action, context, method, params)
        else:
            self._start(action.name.capitalize(), method, params)

    def _ask(self, action: Action, context: Context, method: str, params: dict[str, Any]) -> None:
        from somatui.tui.screens.confirm import ConfirmScreen

        screen = ConfirmScreen(action, replace(context), self._app.link, params)

        def decided(go: bool | None) -> None:
            if go:
                self._start(screen.title_text, method, params)
            else:
                self._app.say(f"{screen.title_text}: not done, nothing was sent.", "muted")

        self._app.push_screen(screen, decided)

    def _start(self, title: str, method: str, params: dict[str, Any]) -> None:
        key = {"key": uuid.uuid4().hex} if method == "act" else {}
        self._app.say(f"{title}: under way…", "accent")
        self._app.run_worker(self._send(title, method, params | key), group="acts", exit_on_error=False)

    async def _send(self, title: str, method: str, params: dict[str, Any]) -> None:
        """Call the agent. An act whose answer was lost is asked for again under its own key: it acts once."""
        try:
            try:
                answer = await self._app.link.call(method, **params)
            except AgentGone:
                if "key" not in params:
                    raise
                self._app.say(f"{title}: the agent went away; asking again when it is back, it acts only once.", "warn")
                if not await self._app.link.back(BACK_SECONDS):
                    raise
                answer = await self._app.link.call(method, **params)
        except AgentError as refusal:
            self._app.say(f"{title}: {refusal.message}", "bad")
        except (AgentGone, OSError) as gone:
            self._app.say(f"{title}: {gone}", "bad")
        except Exception as defect:
            self._app.say(f"{title}: the console met something unforeseen ({type(defect).__name__}).", "bad")
            raise
        else:
            self._app.say(outcome(title, method, answer), "good")
