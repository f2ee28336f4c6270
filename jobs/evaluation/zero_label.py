"""A backbone's own classifier, or a CLIP network's texts, on the study's classes: what training has to beat (§8.6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from jobs.context import Context
from jobs.evaluation.described import class_probabilities, judge_unseen, sentence_of
from jobs.evaluation.files import write_predictions
from jobs.evaluation.images import load_dataset
from jobs.evaluation.label_errors import judge_without_labels, suspects_documents
from jobs.evaluation.outputs import choose_place, grouped_probabilities, load_fed, whole_outputs
from jobs.evaluation.prompted import build_prompted
from jobs.evaluation.scores import ScoredOutputs, metrics_document, written
from jobs.evaluation.stopwatch import Stopwatch
from jobs.evaluation.trained import sentence
from jobs.explain.gallery import Shown, write_gallery
from jobs.extraction.classifiers import Classifiers, open_pretrained
from jobs.extraction.extractor import fold
from jobs.metrics.calibration import Temperature, softmax
from jobs.models.building import build_classifier
from jobs.models.pretrained import load_pretrained, located
from jobs.statistics.predictions import Floats, Predictions
from tlbatch import nouns
from tlbatch.contracts.evaluation import EvaluateZeroLabelParams

SEED = "0"


def evaluate_zero_label(context: Context) -> None:
    """Everything that jobs.evaluate lists, for ``run_kind: zero_label``; there is no temperature and no map to look into."""
    device, watch, params = choose_place(context), Stopwatch(), context.read_params(EvaluateZeroLabelParams)
    dataset = load_dataset(context)
    print(f"{len(dataset.test)} test {nouns.items()}, {len(dataset.classes)} classes, no labels used", flush=True)
    classifier, fed = _classifier(context, params, device), load_fed(dataset, params.input, 1)
    with watch("outputs"):
        found = whole_outputs(context, lambda outputs: outputs.of(classifier, fed, "no labels")[:, 0])
    if found is None:
        return
    outputs, computed = found
    if computed:
        context.made["images_per_s"] = watch.rate("outputs", computed)
    probabilities = written(_probabilities(context, params, outputs, dataset.classes))
    predictions = Predictions(dataset.labels, probabilities, dataset.groups)
    said = ScoredOutputs(predictions, None, Temperature(None, "no labels are used, so none to fit a temperature on"), None)
    write_predictions(context, dataset.test, dataset.classes, {SEED: said})
    with watch("metrics"):
        document = metrics_document({SEED: said}, dataset.classes, params.metrics)
    if unseen := _unseen(params):
        document["described"] = judge_unseen(predictions, dataset.classes, unseen)
        print(sentence_of(document["described"]), flush=True)
    suspects, document["suspects"] = suspects_documents(dataset, judge_without_labels(dataset, said))
    context.write_json("metrics.json", document)
    context.write_json("suspects.json", suspects)
    with watch("gallery"):
        ids, paths = [entry.id for entry in dataset.test], [entry.path for entry in dataset.test]
        shown = Shown(
            predictions,
            ids,
            paths,
            dataset.classes,
            lambda i: fed.load(fed.wanted[i]),
            params.input,
            network=None,
            device=device,
        )
        write_gallery(context, shown, SEED)
    context.made["seconds_by_part"] = watch.seconds
    print(sentence(document), flush=True)


def _classifier(context: Context, params: EvaluateZeroLabelParams, device: torch.device) -> Classifiers:
    backbone = params.backbone.as_json()
    pretrained = load_pretrained(context, backbone)
    head: nn.Module = nn.Identity()
    if params.prompted is None:
        network = fold(lambda: build_classifier(backbone, pretrained))
    else:
        prompted = build_prompted(backbone, pretrained, params.prompted.prompts)
        network, head = fold(lambda: prompted.tower), prompted.head
    return open_pretrained(network, head, params.input, params.precision, device, context.threads)


def _probabilities(context: Context, params: EvaluateZeroLabelParams, outputs: Floats, classes: Sequence[str]) -> Floats:
    """[n, c]"""
    asked = params.described
    if params.prompted is not None:
        order = list(params.prompted.prompts)
        return softmax(outputs[:, [order.index(name) for name in classes]])
    if asked is None:
        return grouped_probabilities(outputs, params.mapping, classes)
    vectors = None if asked.vectors is None else located(context, "vectors", asked.vectors)
    return class_probabilities(outputs, params.mapping, classes, asked, vectors)


def _unseen(params: EvaluateZeroLabelParams) -> tuple[str, ...]:
    """Classes that are judged apart, all classes being possible answers."""
    asked = params.described or params.prompted
    return () if asked is None else asked.unseen
