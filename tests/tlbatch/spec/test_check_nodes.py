"""resources.nodes where nothing can use several pods: refused, with what can."""

from __future__ import annotations

import pytest

from tlbatch.errors import StudyError
from tlbatch.spec.load import parse_study

STUDY = """
apiVersion: tlbatch/v1
kind: Study
name: pets
dataset: {{url: s3://pets/images}}
runs:
  - name: head
    model: {{backbone: mobilenet_v2}}
    strategy: features
    resources: {{{head}}}
  {more}
resources: {{{study}}}
"""
CNN = "- {name: cnn, model: {scratch: {channels: [4], dense: [8]}}}"


def said(study: str = "", head: str = "", more: str = CNN) -> str:
    try:
        parse_study(STUDY.format(study=study, head=head, more=more))
    except StudyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("study", ["nodes: 4", "nodes: 4, gpu: 8", "steps: {finetune: {nodes: 4}}", "nodes: 1"])
def test_a_network_may_be_trained_by_several_pods_with_gpus_or_without(study: str) -> None:
    assert said(study) == ""


def test_a_step_that_cannot_is_told_what_can() -> None:
    assert "extract is not done by several pods together: use shards" in said("steps: {extract: {nodes: 2}}")
    assert "evaluate is not done by several pods together: use shards" in said("steps: {evaluate: {nodes: 2}}")
    assert "pin is not done by several pods together: only finetune can" in said("steps: {pin: {nodes: 2}}")


def test_a_step_that_pods_cannot_share_is_told_which_can() -> None:
    assert "pin is not shared by pods: prepare, extract, probe, evaluate are" in said("steps: {pin: {shards: 2}}")
    assert said("steps: {evaluate: {shards: 2}, prepare: {shards: 2}, pin: {shards: 1}}") == ""


def test_a_run_that_cannot_is_told_which_strategies_can() -> None:
    assert "features is trained by one process, scratch and finetune by several" in said(head="nodes: 2")
    assert "no run here is trained by several pods: only scratch and finetune are" in said("nodes: 2", more="")
    assert "no run here is trained by several pods" in said("steps: {finetune: {nodes: 2}}", more="")


def test_how_many_is_bounded() -> None:
    assert "nodes" in said("nodes: 0")
    assert "nodes" in said("nodes: 1000")
