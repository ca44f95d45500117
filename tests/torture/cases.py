"""Forty ways to break a run, and the tests that try each."""

from __future__ import annotations

import dataclasses

_HERE = "tests/torture/test_"
_KILL = _HERE + "process.py::test_"
_END = _HERE + "interrupts.py::test_while_"
_DAMAGE = _HERE + "damage.py::test_"
_INPUT = _HERE + "inputs.py::test_"
_COMMAND = _HERE + "commands.py::test_"
_CHECKPOINT = "tests/checkpoint/test_checkpoint.py::test_"
_EXTEND = "tests/experiments/test_extend.py::test_"
_FUZZ = _HERE + "fuzz.py::test_"
_IDENTITY = "tests/checkpoint/test_identity.py::test_"
_FORMAT = "tests/compat/test_formats.py::test_"
_LOOP = "tests/training/test_loop.py::test_"
_STEP = "tests/training/test_step.py::test_"
_SPIKE = "tests/training/test_spikes.py::test_"
_FOLDER = "tests/training/test_run_folder.py::test_"
_WRITER = "tests/training/test_writers.py::test_"
_CLEAN = "tests/data/test_clean.py::test_"
_VALUE = "tests/data/test_values.py::test_"
_TABLE = "tests/data/sources/test_tables.py::test_"
_PICTURE = "tests/data/test_pictures.py::test_"
_STORE = "tests/data/test_store.py::test_"
_BOUNDS = "tests/data/test_bounds.py::test_"
_HOUSE = "tests/test_house.py::test_"


@dataclasses.dataclass(frozen=True)
class Case:
  """One way to break a run.

  Attributes:
    what: is done.
    tests: 'file::function' of those that try it.
  """

  what: str
  tests: tuple[str, ...]


def _case(what: str, *tests: str) -> Case:
  return Case(what, tests)


PARTS = {
  "Process and host": range(1, 11),
  "Storage": range(11, 24),
  "Numbers": range(24, 28),
  "Data": range(28, 37),
  "Config, devices, security": range(37, 41),
}

CASES = {
  1: _case(
    "SIGKILL at random moments, then the same command again",
    f"{_KILL}killed_and_asked_to_stop_it_ends_the_same",
    f"{_KILL}killed_often_it_ends_the_same",
    f"{_LOOP}killed_anywhere_it_ends_the_same",
    f"{_LOOP}calls_of_several_steps_end_the_same_after_kills",
  ),
  2: _case(
    "SIGTERM at random steps, then the same command again",
    f"{_KILL}killed_and_asked_to_stop_it_ends_the_same",
    f"{_KILL}asked_to_stop_often_it_ends_the_same",
    f"{_LOOP}asked_to_stop_it_saves_and_goes_on_the_same",
  ),
  3: _case(
    "SIGTERM while compiling, evaluating, measuring, preparing data",
    f"{_END}data_are_prepared",
    f"{_END}the_first_step_is_compiled",
    f"{_END}valid_is_asked",
    f"{_END}the_end_is_measured",
    f"{_HERE}interrupts.py::test_a_command_ends_in_one_line",
    f"{_EXTEND}a_signal_leaves_a_whole_run_or_none",
    f"{_EXTEND}a_signal_leaves_whole_answers",
  ),
  4: _case(
    "A second signal", f"{_KILL}killed_and_asked_to_stop_it_ends_the_same"
  ),
  5: _case(
    "SIGTERM to the whole process group",
    f"{_KILL}all_processes_of_a_run_are_asked_at_once",
  ),
  6: _case(
    "The maker of batches dies (it is a thread: there are no workers)",
    f"{_LOOP}an_error_of_the_pipeline_names_its_step",
    f"{_LOOP}killed_anywhere_it_ends_the_same",
  ),
  7: _case(
    "One of two hosts is killed, then both are started again",
    f"{_KILL}one_of_two_hosts_is_killed_and_the_other_does_not_hang",
  ),
  8: _case(
    "One of two hosts is asked to stop",
    f"{_KILL}two_hosts_stop_together_and_go_on",
  ),
  9: _case(
    "Go on with another mesh",
    f"{_LOOP}a_run_goes_on_in_another_layout",
    f"{_CHECKPOINT}any_mesh_reads_what_another_wrote",
    f"{_HERE}meshes.py::test_saved_on_4_by_2_a_run_goes_on_elsewhere",
  ),
  10: _case(
    "The clock jumps back a day, again and again",
    f"{_DAMAGE}the_clock_goes_back_a_day_at_every_look",
  ),
  11: _case(
    "One bit flipped in each file of a checkpoint",
    f"{_DAMAGE}each_file_has_a_bit_flipped_and_the_end_is_the_same",
    f"{_CHECKPOINT}each_damaged_file_is_noticed",
    f"{_CHECKPOINT}a_damaged_checkpoint_is_set_aside",
  ),
  12: _case(
    "Each file of a checkpoint truncated, emptied, deleted",
    f"{_DAMAGE}each_file_is_cut_or_lost_and_the_end_is_the_same",
  ),
  13: _case(
    "No checkpoint is whole",
    f"{_CHECKPOINT}all_damaged_never_begins_at_0",
    f"{_CHECKPOINT}only_set_aside_ones_never_begin_at_0",
    f"{_CHECKPOINT}an_explicit_step_never_falls_back",
    f"{_CHECKPOINT}a_step_of_a_run_without_checkpoints_does_not_begin_at_0",
    f"{_CHECKPOINT}only_whole_ones_count",
  ),
  14: _case(
    "Disk full during a save",
    f"{_CHECKPOINT}a_failed_write_is_told_at_once",
    f"{_LOOP}a_failed_save_ends_the_run_at_once",
    f"{_DAMAGE}a_disk_that_is_full_and_then_is_not",
    f"{_STORE}a_full_disk",
  ),
  15: _case(
    "Disk full under logs and metrics",
    f"{_WRITER}a_full_disk_is_told_once",
    f"{_WRITER}a_full_disk_under_json_lines",
  ),
  16: _case(
    "A folder that cannot be made or written",
    f"{_FOLDER}a_file_in_the_way",
    f"{_FOLDER}a_name_too_long",
    f"{_CHECKPOINT}a_folder_that_cannot_be_made",
    f"{_DAMAGE}a_disk_that_is_read_only",
    "tests/core/test_host.py::test_a_folder_that_cannot_be_written_is_told_once",
  ),
  17: _case(
    "Two runs in one folder; the lock of a dead one",
    f"{_FOLDER}a_second_run_is_told_who_is_there",
    f"{_FOLDER}the_lock_of_a_killed_run_is_taken_over",
  ),
  18: _case(
    "Foreign files and half-written folders beside checkpoints",
    f"{_CHECKPOINT}foreign_things_are_ignored_and_rubbish_is_cleaned",
  ),
  19: _case(
    "Checkpoints copied elsewhere, or without their last file",
    f"{_CHECKPOINT}the_newest_comes_back",
    f"{_CHECKPOINT}reading_a_damaged_or_missing_checkpoint",
    f"{_STORE}can_be_moved",
  ),
  20: _case(
    "A checkpoint of an older or a later format",
    f"{_FORMAT}an_old_run_answers_as_it_did",
    f"{_FORMAT}training_goes_on_from_it_once_the_data_are_accepted",
    f"{_FORMAT}nothing_of_it_is_changed",
    f"{_FORMAT}what_would_mean_something_else_is_refused",
    f"{_IDENTITY}a_later_format_asks_for_an_upgrade",
  ),
  21: _case(
    "A vocabulary of another size, order or content",
    f"{_IDENTITY}another_identity_is_named",
    f"{_IDENTITY}a_vocabulary_names_the_parameter_made_for_it",
  ),
  22: _case(
    "Other, missing, renamed leaves; another type",
    f"{_IDENTITY}other_leaves_are_told",
    f"{_IDENTITY}parameters_of_another_shape",
    f"{_IDENTITY}types_of_numbers_change_only_on_request",
    f"{_IDENTITY}nothing_else_is_cast",
  ),
  23: _case(
    "Data, config or seed changed since the checkpoint",
    f"{_IDENTITY}another_identity_is_named",
    f"{_IDENTITY}what_may_change",
    f"{_FORMAT}what_changed_in_the_data_is_told",
  ),
  24: _case(
    "A batch that is not finite",
    f"{_STEP}a_non_finite_step_changes_no_bit",
    f"{_LOOP}a_bad_batch_is_skipped_and_told",
    f"{_SPIKE}the_products_of_bad_steps_are_written",
  ),
  25: _case(
    "Only batches that are not finite",
    f"{_LOOP}only_bad_batches_end_the_run",
  ),
  26: _case(
    "Batches whose loss is far too high",
    f"{_SPIKE}a_high_loss_is_not_applied_and_the_end_is_as_good",
    f"{_SPIKE}a_step_above_the_limit_changes_no_bit",
    f"{_SPIKE}many_high_losses_do_not_raise_the_limit",
    f"{_SPIKE}a_run_goes_back_and_takes_other_batches",
    f"{_SPIKE}interrupted_it_goes_back_to_the_same_place",
    f"{_SPIKE}a_run_goes_back_to_one_checkpoint_only_so_often",
  ),
  27: _case(
    "Nobody asks, nothing is known, nothing is right",
    f"{_STEP}an_empty_batch_has_a_finite_loss",
    "tests/objectives/test_softmax.py::test_nothing_to_answer_costs_nothing",
    "tests/objectives/test_multilabel.py::test_nothing_to_answer_costs_nothing",
    "tests/evaluation/test_evaluate.py::test_nobody_to_ask",
    "tests/evaluation/test_evaluate.py::test_nobody_takes_an_item_with_tags",
    "tests/evaluation/test_evaluate.py::test_broken_scores_are_worth_nothing",
    "tests/serving/test_answers.py::test_a_new_person_and_nobody",
  ),
  28: _case(
    "Ids that are unknown, negative, too large",
    f"{_INPUT}strange_ids_are_names_like_others",
    f"{_BOUNDS}a_product_that_does_not_exist",
    f"{_BOUNDS}a_number_of_64_bits_is_not_cut",
    f"{_BOUNDS}classes_of_people",
    f"{_BOUNDS}tags_of_posts",
  ),
  29: _case(
    "A history longer than the model reads; a million events",
    f"{_INPUT}a_million_events_of_one_person",
    f"{_INPUT}longer_logs_take_no_more_memory",
  ),
  30: _case(
    "Events twice, unsorted, at one time, at impossible times",
    f"{_INPUT}events",
    f"{_CLEAN}order_is_by_person_then_time_then_file",
    f"{_CLEAN}repeated_events_become_one_with_all_tags",
    f"{_CLEAN}seconds_are_not_lost",
    f"{_VALUE}milliseconds_are_told_not_guessed",
  ),
  31: _case(
    "Absurd prices",
    f"{_INPUT}prices",
    "tests/data/test_encodings.py::test_absurd_prices_move_nothing",
    "tests/data/test_encodings.py::test_numbers_are_always_bounded",
  ),
  32: _case(
    "CSV: quotes, encodings, columns, line ends; a fuzzer at all readers",
    f"{_INPUT}csv",
    f"{_INPUT}csv_that_is_only_unusual",
    f"{_INPUT}csv_headers",
    f"{_TABLE}csv_survives_anything",
    f"{_TABLE}csv_header_is_good_or_told",
    f"{_FUZZ}a_fuzzer_finds_nothing",
  ),
  33: _case(
    "Texts of megabytes, emoji, right to left, combining marks",
    f"{_INPUT}texts",
    f"{_TABLE}csv_cell_of_ten_megabytes",
    "tests/data/test_text.py::test_megabytes_cost_no_more_than_a_long_text",
    "tests/data/test_text.py::test_changes_nothing_the_second_time",
  ),
  34: _case(
    "JSONL: broken lines, repeated keys, depth, digits; any bytes",
    f"{_INPUT}jsonl",
    f"{_TABLE}jsonl_survives_anything",
  ),
  35: _case(
    "Pictures that are missing, broken, huge, of other kinds",
    f"{_PICTURE}what_cannot_be_read",
    f"{_PICTURE}any_byte_may_be_wrong",
    f"{_PICTURE}the_limit_is_checked_before_decoding",
    f"{_PICTURE}memory_is_bounded",
    f"{_PICTURE}missing_and_strange_files",
    f"{_PICTURE}other_colours",
    f"{_PICTURE}turned_as_the_camera_says",
  ),
  36: _case(
    "Shards that are damaged, empty or missing; only bad rows",
    f"{_STORE}every_damaged_file_is_named",
    f"{_TABLE}parquet_that_is_damaged",
    f"{_TABLE}parquet_with_a_byte_flipped_is_read_or_told",
    f"{_INPUT}only_bad_rows_stop_with_their_reasons",
    f"{_INPUT}refused_rows_are_kept_beside_the_data",
  ),
  37: _case(
    "Slips in a config, before JAX starts, in 2 seconds",
    f"{_COMMAND}a_slip_is_one_line_before_jax_starts",
    f"{_COMMAND}every_slip_is_one_line_before_jax_starts",
    f"{_COMMAND}a_config_that_is_not_there",
    "tests/test_build.py::test_a_wrong_value_is_one_line",
    "tests/test_build.py::test_a_config_is_checked_without_jax",
  ),
  38: _case(
    "Sizes that do not fit the devices",
    "tests/sharding/test_mesh.py::test_sizes_that_do_not_fit_name_both_numbers",
    "tests/sharding/test_place.py::test_rows_that_do_not_divide",
    "tests/sharding/test_rules.py"
    "::test_a_size_that_does_not_divide_names_both_numbers",
    "tests/sharding/test_rules.py"
    "::test_devices_that_would_repeat_work_are_told",
  ),
  39: _case(
    "Hostile files",
    f"{_COMMAND}arrays_with_objects_in_them_are_not_read",
    f"{_COMMAND}a_table_opens_no_file_elsewhere",
    f"{_COMMAND}a_config_with_code_in_it_is_only_text",
    f"{_COMMAND}names_of_leaves_are_no_paths",
    f"{_HOUSE}nothing_read_can_run",
    f"{_HOUSE}unsafe_sees",
  ),
  40: _case(
    "Other versions, locks without hashes, no network; import alone",
    "tests/core/test_versions.py"
    "::test_check_names_the_package_its_range_and_the_fix",
    f"{_HOUSE}lock_names_hashes_and_nothing_else",
    f"{_COMMAND}an_altered_hash_is_not_installed",
    "tests/data/sources/test_movielens_100k.py"
    "::test_no_network_says_what_to_do_by_hand",
    "tests/data/sources/test_movielens_100k.py::test_another_wheel_is_refused",
    "tests/test_imports.py::test_importing_touches_no_device_file_or_network",
  ),
}
