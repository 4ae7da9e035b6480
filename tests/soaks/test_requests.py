"""Requests are written atomically from the target's template, and recorded with their outcome."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.base.errors import UsageError
from chaos.plan.request_template import template_of
from chaos.record.work import Submit
from chaos.soaks.requests import RequestSubmitter
from tests.soaks.ground import Ground


def test_a_probe_has_the_fields_of_the_template(ground: Ground) -> None:
    submitter = RequestSubmitter(ground.workspace, ground.target.work, ground.history)
    name = submitter.probe("after f001")
    request = ground.request(name)
    assert request["request_type"] == "selfplay"
    assert request["source"] == "soak_probe"
    assert request["sequence_number"] == 1
    assert request["reason"] == f"probe {name}"
    assert request["parameters"] == {"episodes": 1, "policy_conditioned": True}
    assert [(op.id, op.outcome) for op in ground.ops("submit")] == [(name, "ok")]
    assert [path.name for path in ground.queue.iterdir() if path.is_file()] == [name]


def test_a_request_that_cannot_be_written_is_a_failed_operation(
    ground: Ground, tmp_path: Path
) -> None:
    """A file is at the path of the queue's folder."""
    (tmp_path / "no_folder").write_text("")
    queue = replace(ground.target.work, submit=Submit(folder="no_folder"))
    RequestSubmitter(tmp_path, queue, ground.history).probe("x")
    assert [op.outcome for op in ground.ops("submit")] == ["fail"]


def test_one_template_may_serve_all_types(ground: Ground) -> None:
    queue = replace(ground.target.work, kinds={}, body={"t": "{type}"})
    assert template_of(queue, "selfplay") == {"t": "{type}"}


@pytest.mark.parametrize("template", [{}, {"t": "{typo}"}, {"deep": [{"t": "{typo}"}]}])
def test_a_template_with_an_unknown_placeholder_is_rejected_before_the_run(
    ground: Ground, template: dict[str, object]
) -> None:
    queue = replace(ground.target.work, kinds={"selfplay": template})
    with pytest.raises(UsageError) as caught:
        template_of(queue, "selfplay")
    assert "selfplay" in caught.value.place
    assert caught.value.next_step
