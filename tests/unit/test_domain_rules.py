"""Which tests hold the rules of the responsibility matrix, of classification and of looking ahead, rule by rule.

A rule that is changed has its tests here at once; a test that is renamed or gone is noticed.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

# The rule → file (below tests/) and the tests in it that hold the rule.
RULES: dict[str, dict[str, tuple[str, ...]]] = {
    # The responsibility matrix.
    "four levels: business type, level 2, level 3, situation; 7 classes, 54 categories, 13 departments": {
        "unit/classification/test_pack.py": (
            "test_power_pack_has_7_classes_54_categories_and_13_departments",
            "test_named_departments_of_the_source_lead_their_class",
        ),
    },
    "complete packs come with it, and any three-level list becomes one": {
        "unit/classification/test_pack.py": (
            "test_telecom_pack_has_maintenance_and_construction_under_departments_of_their_own",
            "test_city_pack_has_the_seven_departments_and_each_class_is_led_by_its_own",
        ),
        "unit/classification/test_sheet.py": ("test_any_three_level_list_becomes_a_pack",),
    },
    "MECE is checked by a tool": {
        "unit/classification/test_pack.py": (
            "test_a_matrix_that_is_not_mece_is_refused_with_the_wrong_cell_named",
            "test_every_category_has_a_situation_and_every_situation_one_lead_and_an_executing_department",
            "test_everything_wrong_is_said_at_once",
        ),
        "unit/classification/test_route.py": ("test_rule_that_cannot_be_or_is_never_reached_is_a_fault",),
    },
    "a department has an endpoint or an inbox": {
        "integration/dispatch/test_flow.py": ("test_a_department_without_an_endpoint_works_from_its_list",),
    },
    "a version's life: draft, validation, what-if replay, publishing with an effective time, roll back": {
        "integration/classification/test_draft.py": (
            "test_a_version_lives_from_draft_through_what_if_into_force_and_is_rolled_back",
            "test_draft_with_faults_names_them_and_is_not_published",
            "test_draft_that_was_not_tried_out_as_it_is_is_not_published",
            "test_version_comes_in_force_at_its_effective_time_and_says_so_once",
        ),
        "unit/classification/test_what_if.py": (
            "test_ticket_that_goes_elsewhere_stands_in_the_table_and_is_named",
            "test_other_clocks_and_reviews_are_counted",
        ),
    },
    "tickets keep the version that classified them": {
        "integration/classification/test_flow.py": ("test_tickets_keep_the_matrix_version_that_classified_them",),
    },
    "import and export as workbook and YAML": {
        "unit/classification/test_sheet.py": ("test_round_trip_is_exact",),
    },
    "each return carries a reason": {
        "integration/dispatch/test_court.py": (
            "test_a_return_names_the_field_that_is_wrong",
            "test_a_reason_that_is_not_on_the_list_is_refused_with_those_that_are",
        ),
    },
    "the lead department rules: uphold, then reassign; reject, then back and binding": {
        "integration/dispatch/test_court.py": (
            "test_a_return_is_opened_before_the_lead_department",
            "test_an_upheld_return_gives_the_work_order_to_another_department",
            "test_a_rejected_return_goes_back_and_is_binding",
        ),
    },
    "at most one return per work order reaches the executing level: the second goes to the supervisor, for good": {
        "integration/dispatch/test_court.py": (
            "test_at_most_one_return_per_work_order_reaches_the_executing_level",
            "test_returns_count_over_departments",
        ),
        "unit/dispatch/test_order.py": ("test_a_third_return_is_refused_because_the_supervisors_ruling_is_final",),
    },
    "a cell returned often is shown to its owner with the evidence": {
        "integration/dispatch/test_cells.py": (
            "test_a_cell_returned_too_often_is_brought_to_its_owner_once_with_the_evidence",
        ),
        "integration/classification/test_suggestion.py": (
            "test_cell_returned_often_is_put_before_its_owner_and_accepting_it_opens_a_draft",
        ),
    },
    # Classification.
    "situation with probability and the words that spoke for it, departments, urgency": {
        "integration/classification/test_flow.py": ("test_clear_ticket_is_classified_with_all_that_dispatch_needs",),
        "unit/classification/test_classifier.py": (
            "test_probability_is_that_of_the_route_and_the_situation_the_best_in_it",
        ),
    },
    "the business type that the agent chose goes before all": {
        "unit/classification/test_pair.py": ("test_agent_is_never_overruled_without_a_person",),
    },
    "executing departments by place": {
        "unit/classification/test_route.py": (
            "test_longest_beginning_of_the_area_code_wins",
            "test_lead_department_does_not_depend_on_place_or_time",
        ),
    },
    "below the confidence threshold the ticket waits in a review queue": {
        "integration/classification/test_flow.py": (
            "test_below_the_confidence_threshold_a_ticket_waits_in_the_review_queue",
        ),
    },
    "a person decides in one click, and that decision is training data": {
        "integration/classification/test_review.py": (
            "test_decision_is_said_like_any_classification_and_is_training_data",
        ),
        "integration/classification/test_commands.py": ("test_decisions_of_reviewers_are_learned_from",),
    },
    "cold start from the matrix itself": {
        "unit/classification/test_classifier.py": ("test_cold_start_finds_the_situation_of_plain_words",),
    },
    "each model version is evaluated on a hold-out before it may be used and can be rolled back": {
        "unit/classification/test_training.py": ("test_model_learns_and_is_judged_on_groups_it_has_not_seen",),
        "integration/classification/test_commands.py": (
            "test_worse_model_is_kept_but_not_put_in_force_unless_forced",
            "test_trained_model_is_in_force_in_every_process_within_seconds",
        ),
    },
    "no network": {
        "unit/classification/test_classifier.py": ("test_classifying_and_the_cold_start_need_no_network",),
    },
    "object of a complaint: internal or external": {
        "unit/classification/test_rule.py": (
            "test_object_of_a_complaint_is_internal_where_the_hotlines_own_staff_is_named",
        ),
    },
    "not dispatched though it should have been, and passing the buck, are reasons of their own": {
        "unit/classification/test_pack.py": ("test_not_dispatched_and_passing_the_buck_are_situations_of_their_own",),
        "unit/dispatch/test_reason.py": (
            "test_the_default_list_names_not_dispatched_and_passing_the_buck_as_reasons_of_their_own",
        ),
    },
    "grievance risk: wording, repeats, earlier contacts, channel": {
        "unit/classification/test_rule.py": ("test_grievance_risk_is_wording_repeats_channel_customer_and_type",),
        "integration/classification/test_repeat.py": ("test_repeats_raise_the_grievance_risk",),
    },
    "high risk: crisis handling, the supervisor is told at once": {
        "integration/classification/test_repeat.py": ("test_repeats_raise_the_grievance_risk",),
        "integration/classification/test_review.py": (
            "test_high_risk_is_said_once_whether_it_was_high_before_the_decision_or_is_by_it",
        ),
    },
    "repeats: same customer or same place and similar text within a window, with their count": {
        "integration/classification/test_repeat.py": (
            "test_similar_text_of_the_same_customer_within_the_window_is_a_repeat_and_counted",
            "test_same_address_repeats_whoever_calls_and_same_area_only_with_nearly_the_same_words",
            "test_other_matter_other_customer_and_long_ago_are_no_repeats",
        ),
    },
    "repeated and escalated requests get stricter clocks": {
        "unit/sla_timer/test_clock.py": ("test_a_repeat_and_an_escalated_ticket_have_stricter_clocks",),
    },
    # Looking ahead.
    "three outages in 60 days at one place: a proactive ticket before anyone complains": {
        "unit/classification/test_cumulative.py": (
            "test_three_outages_in_60_days_at_one_place_are_a_cumulative_problem_and_older_ones_do_not_count",
        ),
        "integration/classification/test_cumulation.py": (
            "test_three_outages_in_60_days_at_one_place_become_a_proactive_ticket_before_anyone_complains",
            "test_repeats_of_one_customer_about_one_outage_count_once",
            "test_a_hot_event_counts_once",
            "test_a_problem_is_found_once_until_it_is_over",
        ),
        "integration/intake/test_cumulative.py": ("test_a_cumulative_problem_becomes_a_proactive_ticket",),
    },
    "thousands of calls about one outage become one master work order": {
        "integration/classification/test_folding.py": (
            "test_a_storm_of_twenty_thousand_calls_becomes_three_folded_events_with_nobody_elses_tickets",
        ),
        "integration/intake/test_folding.py": ("test_the_master_of_a_folded_hot_event_is_a_ticket",),
    },
    "every member gets the answer; new callers are answered from it; reopening is joint": {
        "integration/dispatch/test_merge.py": (
            "test_one_answer_reaches_every_members_agent_and_members_are_closed_each_by_their_own",
            "test_a_ticket_of_a_folded_event_gets_no_work_order_and_follows_at_once",
            "test_reopening_is_joint",
        ),
    },
    "forecast of complaints from common problems, and what rises needs further supervision": {
        "unit/classification/test_forecast.py": (
            "test_grievances_of_the_coming_week_are_the_mean_of_the_last_weeks_and_nearer_ones_count_more",
            "test_more_than_chance_explains_is_rising_and_less_is_not",
        ),
        "integration/classification/test_forecast.py": (
            "test_grievances_of_the_coming_week_are_told_by_situation_with_the_change",
        ),
    },
    "forecast of load per hour and staffing hint for supervisors (Erlang C)": {
        "unit/classification/test_staffing.py": (
            "test_probability_of_waiting_is_that_of_the_erlang_c_tables",
            "test_the_fewest_agents_who_answer_in_time",
        ),
        "integration/classification/test_forecast.py": ("test_load_and_agents_are_told_hour_by_hour_for_a_place",),
    },
    "similar settled cases are shown to the department with what fixed them": {
        "integration/classification/test_settlement.py": (
            "test_similar_settled_cases_are_shown_to_the_department_with_what_fixed_them",
            "test_a_case_that_was_reopened_is_not_shown_until_another_answer_has_fixed_it",
        ),
    },
}


@cache
def names(file: str) -> frozenset[str]:
    """The tests in a file."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_the_tests_that_are_named_for_it(rule: str) -> None:
    held = [(file, name) for file, tests in RULES[rule].items() for name in tests]
    assert held
    assert [each for each in held if each[1] not in names(each[0])] == []
