"""Google's MLOps levels, each as the points that a repository must prove to be on it.

After "MLOps: Continuous delivery and automation pipelines in machine learning". Level 0 is work by
hand and asks for nothing; a level is reached when all of its points and those below it are proved.
"""

from ci.scoring.point import Point

LEVEL_1 = (
    Point(
        "steps",
        "Experiments run as a pipeline of modular steps",
        (
            "tests/test_architecture.py::test_stages_do_not_import_one_another",
            "tests/test_main_job.py::test_a_second_run_has_nothing_to_do_and_says_so",
        ),
    ),
    Point(
        "symmetry",
        "Development and production run the same pipeline",
        (
            "tests/ci/jenkins/test_rehearsed.py::test_main_leads_from_the_database_to_production_over_empty_workspaces",
        ),
    ),
    Point(
        "training",
        "New data trains a new model without a person",
        (
            "tests/test_main_job.py::test_one_late_row_is_seen",
            "tests/ci/jenkins/test_jenkinsfile.py::test_on_main_every_stage_runs_in_the_order_of_the_table",
        ),
    ),
    Point(
        "data",
        "Data is validated before training",
        (
            "tests/model/data/test_contract.py::test_too_many_broken_rows_stop_the_stage_with_a_table_of_reasons",
            "stage:prepare",
        ),
    ),
    Point(
        "model",
        "The model is validated against the live one",
        (
            "tests/test_main_job.py::test_a_worse_challenger_is_held_and_the_live_one_stays",
            "stage:gate",
        ),
    ),
    Point(
        "features",
        "Training and serving take their features from one place",
        (
            "tests/model/data/test_dataset.py::test_states_equal_the_pure_function_row_by_row",
            "tests/serving/gateway/test_app.py::test_a_known_shopper_gets_what_the_model_answers_to_their_history",
        ),
    ),
    Point(
        "metadata",
        "Every run's data, code, parameters and results are on record",
        (
            "tests/ci/test_export.py::test_the_card_tells_where_it_comes_from",
            "tests/ci/rollout/test_targets.py::test_the_ledger_was_told_of_every_rollout",
        ),
    ),
    Point(
        "delivery",
        "A validated model becomes a served one by itself",
        (
            "tests/ci/rollout/test_targets.py::test_the_first_release_answers_and_leaves_its_evidence",
        ),
    ),
)
LEVEL_2 = (
    Point(
        "source",
        "The pipeline's own code is under version control and checked at every push",
        (
            "check:ruff",
            "check:types",
            "tests/ci/checking/test_project.py::test_the_repository_is_clean",
        ),
    ),
    Point(
        "tests",
        "The pipeline's steps are tested, alone and together",
        (
            "tests/model/test_history.py::test_state_by_hand",
            "tests/model/rungs/test_neural.py::test_a_loss_that_is_not_a_number_stops_by_name",
            "tests/test_main_job.py::test_the_first_run_releases_and_answers",
        ),
    ),
    Point(
        "packages",
        "Builds give packages that can be made again",
        (
            "tests/ci/releasing/test_packages.py::test_equal_packages_are_an_equal_layer",
            "tests/ci/test_image_contents.py::test_the_served_answers_are_the_golden_ones",
        ),
    ),
    Point(
        "compatibility",
        "A model is proved to run on its server before it serves",
        (
            "tests/model/bundle/test_session.py::test_the_lock_and_the_image_name_one_minor",
            "tests/ci/test_export.py::test_every_engine_equals_the_trained_model_for_every_shopper",
            "tests/ci/rollout/test_targets.py::test_a_release_that_answers_otherwise_than_its_card_is_undone",
        ),
    ),
    Point(
        "staging",
        "Releases go to staging by themselves, to production when a person agrees",
        (
            "tests/ci/jenkins/test_rehearsed.py::test_main_leads_from_the_database_to_production_over_empty_workspaces",
            "tests/ci/jenkins/test_jenkinsfile.py::test_whoever_waits_for_a_person_holds_neither_agent_nor_lock",
        ),
    ),
    Point(
        "load",
        "The service is tested under load while it changes",
        ("tests/ci/rollout/test_targets.py::test_a_switch_loses_nothing_and_never_goes_back",),
    ),
    Point(
        "registry",
        "A registry knows every model and which of them serves where",
        (
            "tests/ci/test_registry.py::test_promote_moves_one_environment_only_and_is_idempotent",
            "tests/ci/test_export.py::test_the_bundle_is_registered_and_stored_by_its_digest",
        ),
    ),
    Point(
        "monitoring",
        "What the live model does is measured and triggers training or an experiment",
        missing="`bin/ci monitor`: quality, drift and skew of the served model",
    ),
)
LEVELS = {1: LEVEL_1, 2: LEVEL_2}
