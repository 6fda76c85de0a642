"""The line protocol carries what was sent and survives what was not."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from somatui.workers.protocol import KINDS, Emitter, Message, ProtocolError, parse_job, parse_message

bodies = st.dictionaries(
    st.text(max_size=8).filter(lambda k: k not in ("seq", "at", "kind")),
    st.text(max_size=8) | st.integers(),
    max_size=4,
)


@given(st.integers(0), st.integers(0), st.sampled_from(sorted(KINDS)), bodies)
def test_messages_survive_the_line(seq: int, at: int, kind: str, body: dict[str, object]) -> None:
    message = Message(seq, at, kind, body)  # type: ignore[arg-type]
    assert "\n" not in message.to_line()
    assert parse_message(message.to_line()) == message


@given(st.text(max_size=60) | st.builds(json.dumps, bodies))
def test_other_lines_are_refused_with_the_protocol_s_own_error(line: str) -> None:
    with pytest.raises(ProtocolError):
        parse_message(line)


def test_messages_are_numbered_in_order() -> None:
    out = io.StringIO()
    emitter = Emitter(out)
    emitter.send("hello", version=1)
    emitter.send("done", result={})
    assert [parse_message(line).seq for line in out.getvalue().splitlines()] == [1, 2]


@pytest.mark.parametrize("line", ["", "[]", '{"job":"train","version":1}', '{"job":"score_file","version":2}'])
def test_a_job_for_another_worker_or_version_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError):
        parse_job(line, "score_file")
