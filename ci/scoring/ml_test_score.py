"""The 28 tests of the ML Test Score (Breck et al., 2017), each with its proof here."""

from ci.scoring.point import Point

SECTIONS = {
    "data": "features and data",
    "model": "model development",
    "infra": "infrastructure",
    "monitor": "monitoring",
}
# What a final score means: above the number, up to the next.
BANDS = (
    (5.0, "exceptional automated testing and monitoring"),
    (3.0, "strong automated testing and monitoring, fit for mission-critical systems"),
    (2.0, "reasonably tested; more of it may be automated"),
    (1.0, "a first pass at productionisation; more investment may be needed"),
    (0.0, "not untested, but serious holes in reliability are possible"),
    (-1.0, "more a research project than a production system"),
)

DATA = (
    Point(
        "data-1",
        "Feature expectations are captured in a schema",
        (
            "tests/model/data/test_contract.py::test_a_broken_row_goes_to_the_quarantine_with_every_reason",
            "tests/model/data/test_contract.py::test_too_many_broken_rows_stop_the_stage_with_a_table_of_reasons",
            "stage:prepare",
        ),
    ),
    Point(
        "data-2",
        "All features are beneficial",
        missing="an ablation: what is lost without event types, ages, frequent items, price",
    ),
    Point(
        "data-3",
        "No feature's cost is too much",
        missing="a table of each feature's memory, latency and upkeep, held to a budget",
    ),
    Point(
        "data-4",
        "Features adhere to meta-level requirements",
        (
            "tests/model/data/test_contract.py::test_a_broken_row_goes_to_the_quarantine_with_every_reason",
            "tests/ci/test_config.py::test_a_normalised_column_that_no_model_reads_is_an_error",
            "tests/model/data/test_fingerprint.py::test_order_and_unread_columns_do_not_matter",
            "stage:prepare",
        ),
    ),
    Point(
        "data-5",
        "The data pipeline has appropriate privacy controls",
        missing="`bin/ci erase`: a shopper's request for deletion reaches log, features and next "
        "model (so far only the gate's per-shopper scores are pseudonyms)",
    ),
    Point(
        "data-6",
        "New features can be added quickly",
        missing="a test that adds one feature, from a column of the log to the served answer",
    ),
    Point(
        "data-7",
        "All input feature code is tested",
        (
            "tests/model/test_history.py::test_state_by_hand",
            "tests/model/data/test_dataset.py::test_states_equal_the_pure_function_row_by_row",
            "tests/model/data/test_items.py::test_a_z_score_has_the_vocabularys_mean_and_a_missing_value_is_zero",
            "tests/model/bundle/test_signatures.py::test_every_input_reaches_the_model",
        ),
    ),
)
MODEL = (
    Point(
        "model-1",
        "Every model specification is reviewed and submitted to a repository",
        (
            "tests/ci/jenkins/test_jenkinsfile.py::test_a_change_is_checked_and_judged_and_nothing_else",
            "tests/ci/test_export.py::test_the_card_tells_where_it_comes_from",
        ),
        missing="a refusal to release a commit that nobody reviewed: so far the host of the code "
        "has to ask for reviews",
        worth=0.5,
    ),
    Point(
        "model-2",
        "Offline and online metrics correlate",
        missing="a comparison of the gate's NDCG with what shoppers did, over several releases",
    ),
    Point(
        "model-3",
        "All hyperparameters have been tuned",
        missing="`bin/ci tune`: a recorded search (so far shares, decay and ridge alone are chosen "
        "on the validation window)",
    ),
    Point(
        "model-4",
        "The impact of model staleness is known",
        missing="a staleness curve: trained at one day, judged on later and later windows",
    ),
    Point(
        "model-5",
        "A simpler model is not better",
        (
            "tests/ci/judging/test_judge.py::test_a_simpler_rung_that_does_better_holds",
            "tests/test_own_model.py::test_a_closed_form_that_is_better_holds_it_back",
            "stage:gate",
        ),
    ),
    Point(
        "model-6",
        "Model quality is sufficient on all important data slices",
        (
            "tests/ci/judging/test_judge.py::test_harm_to_one_slice_is_held_though_the_whole_gains",
            "tests/ci/judging/test_clauses.py::test_a_slice_holds_only_beyond_its_margin_and_beyond_chance",
            "stage:gate",
        ),
    ),
    Point(
        "model-7",
        "The model is tested for considerations of inclusion",
        missing="slices by groups that the shop names (regions, small sellers) with a rule of "
        "parity: the gate's slices are activity, novelty, category and price",
    ),
)
INFRA = (
    Point(
        "infra-1",
        "Training is reproducible",
        (
            "tests/model/rungs/test_transformer.py::test_the_same_seed_gives_the_same_metrics",
            "tests/model/rungs/test_ladder.py::test_linear_gives_equal_weights_every_time",
            "tests/model/bundle/test_export.py::test_equal_weights_give_equal_files",
        ),
    ),
    Point(
        "infra-2",
        "Model specifications are unit tested",
        (
            "tests/model/rungs/test_neural.py::test_back_propagation_of_the_ten_node_network_by_hand",
            "tests/model/rungs/test_transformer.py::test_a_position_sees_only_its_past",
            "tests/model/rungs/test_transformer.py::test_training_beats_the_start_and_is_recorded",
            "tests/model/rungs/test_neural.py::test_a_killed_training_goes_on_to_the_same_result",
        ),
    ),
    Point(
        "infra-3",
        "The ML pipeline is integration tested",
        (
            "tests/test_main_job.py::test_the_first_run_releases_and_answers",
            "tests/ci/jenkins/test_rehearsed.py::test_main_leads_from_the_database_to_production_over_empty_workspaces",
        ),
    ),
    Point(
        "infra-4",
        "Model quality is validated before the model is served",
        (
            "tests/test_main_job.py::test_a_worse_challenger_is_held_and_the_live_one_stays",
            "tests/ci/stages/test_deploy.py::test_what_the_gate_did_not_promote_stays_out",
            "stage:evaluate",
            "stage:gate",
        ),
    ),
    Point(
        "infra-5",
        "The model can be debugged step by step on a single example",
        missing="`bin/ci explain`: one shopper's answer, from the events through each layer",
    ),
    Point(
        "infra-6",
        "Models are canaried before they serve",
        (
            "tests/ci/rollout/test_targets.py::test_a_release_that_answers_otherwise_than_its_card_is_undone",
            "tests/e2e/test_rollouts.py::test_a_release_that_answers_500_is_undone_and_the_second_host_never_sees_it",
        ),
    ),
    Point(
        "infra-7",
        "Serving models can be rolled back",
        (
            "tests/ci/rollout/test_targets.py::test_a_rollback_loses_nothing",
            "tests/test_main_job.py::test_rollback_returns_to_the_former_release_without_build_or_registry",
        ),
    ),
)
MONITOR = (
    Point(
        "monitor-1",
        "Dependency changes result in notification",
        missing="a message to those who answer when a column of the source or a pinned package "
        "changes (so far the build fails and says so in its log)",
    ),
    Point(
        "monitor-2",
        "Data invariants hold in training and serving inputs",
        missing="`bin/ci monitor`: the data contract applied to what the gateway is asked",
    ),
    Point(
        "monitor-3",
        "Training and serving features compute the same values",
        missing="`bin/ci monitor`: inputs logged while serving, compared with recomputed ones (so "
        "far parity is judged before a release, not while it serves)",
    ),
    Point(
        "monitor-4",
        "Models are not too stale",
        missing="`bin/ci monitor`: an alert on the age of the live model",
    ),
    Point(
        "monitor-5",
        "The model is numerically stable",
        (
            "tests/model/rungs/test_neural.py::test_a_loss_that_is_not_a_number_stops_by_name",
            "tests/ci/judging/test_judge.py::test_one_user_without_a_number_blocks_by_name",
            "tests/model/rungs/test_ladder.py::test_files_keep_every_score_and_strangers_get_finite_ones",
        ),
    ),
    Point(
        "monitor-6",
        "Training speed, latency, throughput and memory have not regressed",
        (
            "tests/ci/test_gate_cli.py::test_a_slowed_bundle_is_held",
            "tests/ci/judging/test_clauses.py::test_a_budget_holds_also_a_first_release",
            "tests/model/rungs/test_neural.py::test_the_clock_ends_a_training_that_is_slower_than_planned",
            "stage:gate",
        ),
    ),
    Point(
        "monitor-7",
        "Prediction quality on served data has not regressed",
        missing="`bin/ci monitor`: served lists joined with later purchases, compared with the "
        "gate's figures",
    ),
)
TESTS = {"data": DATA, "model": MODEL, "infra": INFRA, "monitor": MONITOR}


def band_of(score: float) -> str:
    """What a final score means, as the paper puts it."""
    return next(text for above, text in BANDS if score > above)
