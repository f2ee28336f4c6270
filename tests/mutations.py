"""What breaks the promises of the design (§8): for each a change of the code, and the test that must fail with it.

``tests/test_promises.py`` makes each change in a copy of the tree (TLBATCH_CHAOS=1) and runs that one test. A change whose
text is not there any more is to be written anew, for the code as it is then.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """``was`` stands exactly once in ``file``; with ``now`` in its place the promise does not hold, and ``test`` must fail."""

    promise: int
    test: str
    file: str
    was: str
    now: str


MUTATIONS = (
    # 1: nothing twice
    Mutation(
        1,
        "tests/tlbatch/execution/test_driver.py::test_runs_everything_once_and_then_nothing",
        "tlbatch/execution/driver.py",
        "        if manifest is None:\n            return False\n        work.ref",
        "        if manifest is None or state == CACHED:\n            return False\n        work.ref",
    ),
    Mutation(
        1,
        "tests/jobs/test_extract.py::test_ten_more_images_are_ten_forward_passes",
        "jobs/extraction/cached_rows.py",
        "if notes.get(image_id) == note}",
        "if notes.get(image_id) != note}",
    ),
    Mutation(
        1,
        "tests/tlbatch/store/test_artifacts.py::test_the_digest_covers_names_and_contents_only",
        "tlbatch/store/artifacts.py",
        'lines = "".join(',
        'lines = json.dumps(self.made, sort_keys=True) + "".join(',
    ),
    # 2: killed and resumed equals uninterrupted
    Mutation(
        2,
        "tests/jobs/training/test_trainer.py::test_stopped_and_resumed_equals_uninterrupted",
        "jobs/training/trainer.py",
        "        restore_optimizer(self.optimizer, snapshot.tensors)\n",
        "",
    ),
    Mutation(
        2,
        "tests/jobs/training/test_trainer.py::test_stopped_and_resumed_equals_uninterrupted",
        "jobs/training/trainer.py",
        '            seed_layers(self.recipe.seed, "layers", place.epoch, place.step)\n',
        "",
    ),
    Mutation(
        2,
        "tests/jobs/training/test_trainer.py::test_stopped_and_resumed_equals_uninterrupted",
        "jobs/training/trainer.py",
        "        self._stages.train_mode(self.phases.batch_norm, self.recipe.train.at_once)\n        while place.step",
        "        if place.step == 0:\n"
        "            self._stages.train_mode(self.phases.batch_norm, self.recipe.train.at_once)\n        while place.step",
    ),
    Mutation(
        2,
        "tests/jobs/training/test_trainer.py::test_stopped_and_resumed_equals_uninterrupted",
        "jobs/training/trainer.py",
        "        self._stages.freeze(self.phases.at(self._names, place.epoch))\n",
        "        self._stages.freeze(self.phases.at(self._names, place.epoch if place.step == 0 else 9))\n",
    ),
    Mutation(
        2,
        "tests/jobs/training/test_trainer.py::test_stopped_and_resumed_equals_uninterrupted",
        "jobs/training/trainer.py",
        '        self.place = Place.from_json(snapshot.place["trainer"])\n',
        '        self.place = Place.from_json({**snapshot.place["trainer"], "step": 0})\n',
    ),
    Mutation(
        2,
        "tests/jobs/training/test_trainer.py::test_the_best_epoch_before_a_stop_is_kept",
        "jobs/training/trainer.py",
        '        self._best = {name: tensor.to(self.device) for name, tensor in part("best.").items()}\n',
        "",
    ),
    Mutation(
        2,
        "tests/jobs/training/test_learning.py::test_stopped_and_resumed_equals_uninterrupted",
        "jobs/training/trainer.py",
        "            indices = self._samplers[role].batch(place.epoch, place.step)\n",
        "            indices = self._samplers[role].batch(place.epoch, place.step)\n"
        "            indices = indices[torch.randperm(len(indices))]\n",
    ),
    # 3: frozen means frozen
    Mutation(
        3,
        "tests/jobs/models/test_network.py::test_frozen_stages_are_bit_identical_statistics_too",
        "jobs/models/network.py",
        "        self.eval()\n        keep =",
        "        self.train()\n        keep =",
    ),
    Mutation(
        3,
        "tests/jobs/models/test_network.py::test_frozen_stages_are_bit_identical_statistics_too",
        "jobs/models/network.py",
        "                parameter.requires_grad_(stage.name in self._unfrozen)\n",
        "                parameter.requires_grad_(True)\n",
    ),
    Mutation(
        3,
        "tests/jobs/models/test_network.py::test_frozen_stages_are_in_eval_mode_whole",
        "jobs/models/network.py",
        "        self.eval()\n        keep =",
        "        self.train()\n        for part in self.modules():\n"
        "            part.train(not isinstance(part, _BatchNorm))\n        keep =",
    ),
    Mutation(
        3,
        "tests/jobs/models/test_network.py::test_batch_norm_of_trained_stages_keeps_its_statistics_in_small_batches",
        "jobs/models/network.py",
        "batch_size < SMALL_BATCH)",
        "batch_size < 2)",
    ),
    Mutation(
        3,
        "tests/jobs/test_finetune.py::test_frozen_stages_are_those_of_the_weights_to_the_bit",
        "jobs/models/network.py",
        "        self.eval()\n        keep =",
        "        self.train()\n        keep =",
    ),
    # 4: the weights' own preprocessing
    Mutation(
        4,
        "tests/tlbatch/backbones/test_preprocessing.py::test_a_run_that_says_nothing_is_fed_as_its_weights_were_trained",
        "tlbatch/kinds/image.py",
        "own.get(name, SCRATCH_INPUT[name])",
        "SCRATCH_INPUT[name]",
    ),
    Mutation(
        4,
        "tests/jobs/kinds/image/test_pixels.py::test_caffe_is_bgr_minus_the_mean_in_bytes",
        "jobs/kinds/image/pixels.py",
        'settings["channels"] == "bgr"',
        "False",
    ),
    Mutation(
        4,
        "tests/jobs/kinds/image/test_pixels.py::test_crop_is_torchvisions_resize_and_centre_crop",
        "jobs/kinds/image/pixels.py",
        "    short = int(size / crop + 1e-6)\n",
        "    short = size\n",
    ),
    Mutation(
        4,
        "tests/jobs/test_finetune.py::test_the_model_file_gives_the_validation_logits_again",
        "jobs/training/items.py",
        "feed_of(settings).normaliser(settings)",
        "lambda pixels: pixels.float() / 255",
    ),
    Mutation(
        4,
        "tests/jobs/reporting/test_sentences.py::test_pixels_are_not_taken_for_layers",
        "tlbatch/backbones/preprocessing.py",
        "if name in own and resolved[name] != own[name]:",
        "if name not in own:",
    ),
    Mutation(
        4,
        "tests/tlbatch/backbones/test_preprocessing.py::test_what_a_run_says_is_done_and_named_and_nothing_else",
        "tlbatch/backbones/preprocessing.py",
        '"interpolation": "interpolation", ',
        "",
    ),
    # 5: no leak
    Mutation(
        5,
        "tests/jobs/kinds/image/test_near_duplicates.py::test_no_test_image_of_an_augmented_export_has_a_copy_in_train",
        "jobs/kinds/image/candidates.py",
        "yield self.start + row, self.columns[slice(*np.searchsorted(self.rows, [row, row + 1]))]",
        "yield self.start + row, self.columns[slice(*np.searchsorted(self.rows, [row, row + 1]))][:3]",
    ),
    Mutation(
        5,
        "tests/jobs/kinds/image/test_near_duplicates.py::test_no_test_image_of_an_augmented_export_has_a_copy_in_train",
        "jobs/kinds/image/thumbnails.py",
        "itertools.product((False, True), repeat=3))",
        "itertools.product((False,), (False, True), (False, True)))",
    ),
    Mutation(
        5,
        "tests/jobs/data/test_split.py::test_copies_stay_together_and_counts_stay_exact",
        "jobs/data/split_groups.py",
        '("dup", entry.dup), ',
        "",
    ),
    Mutation(
        5,
        "tests/jobs/data/test_split.py::test_one_picture_in_many_files_is_in_one_part",
        "jobs/data/split_groups.py",
        '("id", entry.id), ',
        "",
    ),
    Mutation(
        5,
        "tests/jobs/data/test_split.py::test_groups_stay_together_when_every_image_has_one",
        "jobs/data/split_groups.py",
        ', ("group", entry.group)',
        "",
    ),
    Mutation(
        5,
        "tests/jobs/metrics/test_summary.py::test_groups_widen_the_intervals",
        "jobs/statistics/bootstrap.py",
        "np.unique(groups, return_index",
        "np.unique(np.arange(len(groups)), return_index",
    ),
    Mutation(
        5,
        "tests/jobs/training/test_sources.py::test_a_source_that_is_the_target_trains_what_the_target_trains",
        "jobs/training/split_data.py",
        "    held_back = {entry.id for entry in index} - {entry.id for entry in target.train}\n",
        "    held_back: set[str] = set()\n",
    ),
    Mutation(
        5,
        "tests/jobs/data/test_source_split.py::test_what_the_target_holds_back_does_not_train",
        "jobs/data/source_split.py",
        "        if any(entry.id in held_back for entry in unit.entries):\n",
        "        if all(entry.id in held_back for entry in unit.entries):\n",
    ),
    # 6: no silent winner
    Mutation(
        6,
        "tests/jobs/statistics/test_permutation.py::test_twelve_groups_of_ten_are_twelve_units",
        "jobs/statistics/units.py",
        "numbered(groups))\n    return np.asarray(np.rint",
        "np.arange(np.shape(right_a)[-1]))\n    return np.asarray(np.rint",
    ),
    Mutation(
        6,
        "tests/jobs/statistics/test_differences.py::test_holm_against_an_example_worked_by_hand",
        "jobs/statistics/corrections.py",
        "(len(p_values) - rank) * p_values[place]))\n        adjusted",
        "p_values[place]))\n        adjusted",
    ),
    Mutation(
        6,
        "tests/jobs/reporting/test_sentences.py::test_what_the_correction_takes_back_is_said",
        "jobs/reporting/contrasts.py",
        "NOT_SHOWN if self.p_adjusted >= LEVEL",
        "NOT_SHOWN if self.accuracy.p >= LEVEL",
    ),
    Mutation(
        6,
        "tests/jobs/statistics/test_score.py::test_interval_and_test_agree_alone_and_in_a_family",
        "jobs/statistics/differences.py",
        "low, high = score.interval(LEVEL, p)\n    return Difference(",
        "low, high = score.interval(LEVEL, score.p())\n    return Difference(",
    ),
    Mutation(
        6,
        "tests/jobs/reporting/test_sentences.py::test_one_seed_is_a_model_three_are_a_method",
        "jobs/statistics/differences.py",
        "METHOD_SEEDS = 3",
        "METHOD_SEEDS = 4",
    ),
    Mutation(
        6,
        "tests/jobs/reporting/test_sentences.py::test_two_seeds_are_not_yet_a_method",
        "jobs/statistics/differences.py",
        "METHOD_SEEDS = 3",
        "METHOD_SEEDS = 2",
    ),
    Mutation(
        6,
        "tests/jobs/reporting/test_sentences.py::test_a_study_that_does_not_beat_no_labels_says_so_first",
        "jobs/reporting/sentences.py",
        "if zero is not None and not beats:",
        "if zero is not None and zero.verdict not in (BETTER, NOT_SHOWN):",
    ),
    # 7: the test set is touched once
    Mutation(
        7,
        "tests/jobs/test_finetune.py::test_test_images_are_never_read",
        "jobs/training/split_data.py",
        "train, validation = (split.train, split.validation) if fold",
        "train, validation = (split.train, split.test) if fold",
    ),
    Mutation(
        7,
        "tests/jobs/test_evaluate.py::test_temperature_comes_from_validation_images_alone",
        "jobs/evaluation/scores.py",
        "temperature = fit_temperature(val_logits, val_labels)",
        "temperature = fit_temperature(np.concatenate([val_logits, logits[0]]), np.concatenate([val_labels, labels]))",
    ),
    Mutation(
        7,
        "tests/jobs/reporting/test_sentences.py::test_the_best_run_is_named_by_validation_not_by_test",
        "jobs/reporting/validation.py",
        "key=lambda run: standing(run).order",
        "key=lambda run: -float((run.probabilities(run.seeds[0]).argmax(axis=1) == run.labels).mean())",
    ),
    Mutation(
        7,
        "tests/jobs/promotion/test_decide.py::test_without_a_champion_the_best_on_validation_is_the_first",
        "jobs/promotion/candidates.py",
        "return min(runs[min(runs, key=standing)]",
        "return max(runs[max(runs, key=standing)]",
    ),
    Mutation(
        7,
        "tests/jobs/reporting/test_sentences.py::test_seen_in_pretraining_is_said_and_warned_of",
        "jobs/reporting/sentences.py",
        "        *seen_sentence(sources),\n",
        "",
    ),
    # 8: a bad file costs one line
    Mutation(
        8,
        "tests/jobs/test_prepare.py::test_a_hostile_folder",
        "jobs/kinds/image/decode.py",
        "    except Exception as error:  # decoders raise",
        "    except OSError as error:  # decoders raise",
    ),
    Mutation(
        8,
        "tests/jobs/kinds/image/test_decode.py::test_exif_rotation_is_applied",
        "jobs/kinds/image/decode.py",
        "in range(2, 9)",
        "in range(0)",
    ),
    Mutation(
        8,
        "tests/jobs/test_prepare.py::test_too_many_bad_files_end_it_with_the_first_few_named",
        "jobs/preparation/reading.py",
        "        _check_share(self._bad, len(self.files), self._params.max_bad, where)\n",
        "",
    ),
    # 9: what is read is verified
    Mutation(
        9,
        "tests/tlbatch/store/test_artifacts.py::test_a_file_whose_hash_differs_sets_the_manifest_aside",
        "tlbatch/store/artifacts.py",
        "return path.stat().st_size == entry.size and file_sha256(path) == entry.sha256",
        "return path.stat().st_size == entry.size",
    ),
    Mutation(
        9,
        "tests/tlbatch/store/test_artifacts.py::test_a_bit_flipped_on_the_way_gives_up_no_artifact",
        "tlbatch/store/artifacts.py",
        "if hashlib.sha256(data).hexdigest() == entry.sha256:",
        "if data:",
    ),
    *(
        Mutation(
            9,
            test,
            "tlbatch/store/artifacts.py",
            "        while True:\n            path = self.path(name)\n            try:",
            "        if (there := self.store.local_path(self.manifest.files[name].path)) is not None:\n"
            "            return there.read_bytes()[offset : offset + size]\n"
            "        while True:\n            path = self.path(name)\n            try:",
        )
        for test in (
            "tests/tlbatch/store/test_artifacts.py::test_a_file_whose_hash_differs_sets_the_manifest_aside",
            "tests/studies/test_main_job.py::test_one_bit_of_a_stored_jpeg_is_noticed_and_remade",
        )
    ),
    Mutation(
        9,
        "tests/jobs/training/test_resuming.py::test_a_damaged_checkpoint_falls_back_and_ends_at_the_same_bytes",
        "jobs/context.py",
        "if file_sha256(target) != sha256:",
        "if not target.stat().st_size:",
    ),
    Mutation(
        9,
        "tests/tlbatch/store/test_documents.py::test_damaged_pins_are_never_absent_pins",
        "tlbatch/store/documents.py",
        "        data, etag = store.get_with_etag(name)\n    except NotFoundError:\n        return None, None\n"
        "    return decoded(store.url, name, data, decode, way_out), etag\n",
        "        data, etag = store.get_with_etag(name)\n        return decoded(store.url, name, data, decode, way_out), etag\n"
        "    except (NotFoundError, DamagedError):\n        return None, None\n",
    ),
    # 10: a champion's number is honest however often it was asked
    Mutation(
        10,
        "tests/jobs/promotion/test_verdict.py::test_what_luck_gave_the_champion_a_challenger_need_not_beat",
        "jobs/promotion/verdict.py",
        "gain = estimate.gain + luck",
        "gain = estimate.gain",
    ),
    Mutation(
        10,
        "tests/jobs/promotion/test_verdict.py::test_many_small_losses_add_up",
        "jobs/promotion/verdict.py",
        "        return FALLEN\n",
        "        return None\n",
    ),
    Mutation(
        10,
        "tests/jobs/promotion/test_verdict.py::test_a_class_that_is_shown_to_lose_refuses_a_better_whole",
        "jobs/promotion/verdict.py",
        "return row.p <= rule.harm_level(classes)",
        "return row.p <= rule.harm_level(classes) / 100",
    ),
    Mutation(
        10,
        "tests/jobs/promotion/test_verdict.py::test_no_single_image_breaks_a_bound_and_that_is_said",
        "jobs/promotion/verdict.py",
        "row.loss > bound + 1e-12 and row.p <= rule.bound_level(classes)",
        "row.loss > bound + 1e-12",
    ),
    Mutation(
        10,
        "tests/jobs/data/test_freshness.py::test_the_oldest_leave_to_train_and_no_image_judges_that_has_trained",
        "jobs/data/freshness.py",
        "key=lambda pins: (-max(pin.since for pin in pins), pins)",
        "key=lambda pins: (max(pin.since for pin in pins), pins)",
    ),
    Mutation(
        10,
        "tests/jobs/data/test_freshness.py::test_a_share_of_what_is_new_judges_and_does_not_train",
        "jobs/data/freshness.py",
        "        if trained or entry.id in held",
        "        if entry.id in held",
    ),
    # 11: one truth
    Mutation(
        11,
        "tests/tlbatch/datasets/test_one_walk.py::test_nothing_else_walks_folders",
        "tlbatch/init.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nfrom pathlib import Path\n\nSEEN = list(Path('nowhere').rglob('*'))\n",
    ),
    Mutation(
        11,
        "tests/tlbatch/store/test_documents.py::test_all_json_of_a_store_is_read_in_one_place",
        "tlbatch/schedules/pins.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nimport json\n\nREAD = json.loads('[]')\n",
    ),
    # 12: every error is a sentence
    Mutation(
        12,
        "tests/tlbatch/spec/test_hostile_yaml.py::test_hostile_texts_are_sentences_soon",
        "tlbatch/schema/yamltree.py",
        "    except (ValueError, OverflowError, RecursionError) as problem:",
        "    except OverflowError as problem:",
    ),
    Mutation(
        12,
        "tests/tlbatch/spec/test_hostile_yaml.py::test_an_alias_bomb_is_counted_by_its_text",
        "tlbatch/schema/yamltree.py",
        "if self.nodes > MAX_NODES or self.text > MAX_TEXT:",
        "if self.nodes > MAX_NODES:",
    ),
    Mutation(
        12,
        "tests/tlbatch/test_cli.py::test_a_missing_folder_is_a_sentence",
        "tlbatch/cli.py",
        "    if debug:\n",
        "    if debug or code == 2:\n",
    ),
    Mutation(
        12,
        "tests/jobs/test_refusals.py::test_torchs_refusals_are_sentences",
        "jobs/refusals.py",
        "    frames = traceback.extract_tb(error.__traceback__)\n",
        "    frames = traceback.extract_tb(error.__traceback__)[:1]\n",
    ),
)
