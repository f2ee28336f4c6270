"""Which task asks for what: built-in sizes, the profile's, the study's, the run's."""

from __future__ import annotations

from dataclasses import replace

from tlbatch.manifests import driver_needs, task_needs
from tlbatch.manifests.needs import deadline_s, parallelism, seconds
from tlbatch.planning import Node
from tlbatch.spec import Study
from tlbatch.spec.resources import Resources, StudyResources

DEFAULTS = StudyResources.model_validate(
    {
        "gpu": 2,
        "cpu": 4,
        "priority_class": "batch",
        "ttl": "1h",
        "labels": {"site": "lab", "cost": "1"},
        "steps": {"report": {"cpu": 2}},
    }
)


def test_the_studys_resources_hold_for_the_steps_that_compute(study: Study, nodes: dict[str, Node]) -> None:
    needs = task_needs(study, nodes["extract:cnn-big"])
    assert (needs.gpu, needs.cpu, needs.shared_memory, needs.shards) == (1, "8", "1Gi", 4)
    assert needs.memory == "64Gi"  # the run's own
    assert needs.node_selector == {"gpu": "a100"}
    assert needs.give_up_after_s == 12 * 3600
    assert needs.labels == {"cost": "42", "team": "vision"}
    assert task_needs(study, nodes["finetune:cnn:0"]).memory == "32Gi"
    assert task_needs(study, nodes["finetune:cnn:0"]).shards == 1


def test_pods_share_a_prepare_where_its_step_says_so(study: Study, nodes: dict[str, Node]) -> None:
    assert task_needs(study, nodes["prepare"]).shards == 1  # the study's are of steps that compute
    defaults = StudyResources(steps={"prepare": Resources(shards=3), "report": Resources(shards=3)})
    assert task_needs(study, nodes["prepare"], defaults).shards == 3
    assert task_needs(study, nodes["report"], defaults).shards == 1


def test_pods_share_evaluations_that_run_networks(study: Study, nodes: dict[str, Node]) -> None:
    """Heads on features are evaluated without one; what a schedule judges are few items."""
    assert task_needs(study, nodes["evaluate:cnn"]).shards == 4
    network = nodes["evaluate:cnn"]
    assert task_needs(study, replace(network, needs={**network.needs, "features": "extract:cnn"})).shards == 1
    assert task_needs(study, replace(network, params={"run_kind": "champion"})).shards == 1


def test_a_control_has_the_resources_of_its_run(study: Study, nodes: dict[str, Node]) -> None:
    assert task_needs(study, nodes["finetune:cnn-big-random:0"]).memory == "64Gi"


def test_data_steps_and_heads_on_features_ask_for_no_gpu(study: Study, nodes: dict[str, Node]) -> None:
    prepare = task_needs(study, nodes["prepare"])
    assert (prepare.gpu, prepare.cpu, prepare.memory, prepare.node_selector, prepare.tolerations) == (0, "1", "3Gi", {}, ())
    assert (prepare.queue, prepare.image_pull_secrets) == ("gpus", ("registry",))
    head = task_needs(study, nodes["finetune:cnn-big:0"])
    assert (head.gpu, head.cpu, head.node_selector) == (0, "8", {})


def test_a_step_can_be_set_by_itself(study: Study, nodes: dict[str, Node]) -> None:
    needs = task_needs(study, nodes["evaluate:cnn"])
    assert (needs.gpu, needs.cpu, needs.memory) == (0, "500m", "32Gi")


def test_a_profiles_defaults_come_before_the_study(study: Study, nodes: dict[str, Node]) -> None:
    needs = task_needs(study, nodes["finetune:cnn:0"], DEFAULTS)
    assert (needs.gpu, needs.cpu, needs.priority_class) == (1, "8", "batch")
    assert needs.labels == {"site": "lab", "cost": "42"}
    assert task_needs(study, nodes["report"], DEFAULTS).cpu == "2"
    assert driver_needs(study, DEFAULTS).priority_class is None


def test_the_driver_is_small_and_has_its_own_queue(study: Study) -> None:
    needs = driver_needs(study)
    assert (needs.gpu, needs.cpu, needs.queue, needs.ttl_s) == (0, "25m", "small", 2 * 86400)
    assert needs.node_selector == {}
    assert needs.image_pull_secrets == ("registry",)


def test_a_driver_of_many_files_gets_more_memory(study: Study, nodes: dict[str, Node]) -> None:
    def asked(memory: str | None) -> StudyResources:
        return study.resources.model_copy(update={"driver_memory": memory})

    mine = study.model_copy(update={"resources": asked("2Gi")})
    assert driver_needs(study).memory == "512Mi", "what tasks get is not the driver's"
    assert driver_needs(study, asked("1Gi")).memory == "1Gi"
    assert driver_needs(mine, asked("1Gi")).memory == "2Gi"
    assert [task_needs(mine, node) for node in nodes.values()] == [task_needs(study, node) for node in nodes.values()]


def test_deadline_and_parallelism(study: Study, nodes: dict[str, Node]) -> None:
    assert deadline_s(study, nodes["finetune:cnn-big:0"]) == 3600
    assert deadline_s(study, nodes["finetune:cnn:0"]) == 2 * 86400
    assert parallelism(study) == 3
    assert [seconds(text) for text in ("90s", "5m", "2h", "7d")] == [90, 300, 7200, 604800]


def test_several_nodes_are_for_what_trains_a_network(study: Study, nodes: dict[str, Node]) -> None:
    many = StudyResources.model_validate({"nodes": 4, "steps": {"evaluate": {"gpu": 2}}})
    several = {name: task_needs(study, node, many) for name, node in nodes.items()}
    assert {name for name, needs in several.items() if needs.nodes == 4} == {
        name for name, needs in several.items() if needs.together
    }
    assert several["finetune:cnn:0"].nodes == several["finetune:cnn-big-random:0"].nodes == 4
    assert several["finetune:cnn-big:0"].nodes == several["prepare"].nodes == several["extract:cnn-big"].nodes == 1


def test_nodes_and_gpus_go_with_the_task_and_are_in_no_key(study: Study, nodes: dict[str, Node]) -> None:
    from tlbatch.manifests.needs import with_limits
    from tlbatch.planning import Plan

    alone = with_limits(Plan("pets", nodes), study).nodes["finetune:cnn:0"]
    assert alone.limits == {"deadline_s": 2 * 86400}
    many = with_limits(Plan("pets", nodes), study, StudyResources.model_validate({"nodes": 2})).nodes["finetune:cnn:0"]
    assert many.limits == {"deadline_s": 2 * 86400, "nodes": 2, "gpu": 1}
    assert many.params == alone.params
