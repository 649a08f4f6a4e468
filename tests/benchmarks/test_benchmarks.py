"""The benchmark harness: it measures, compares, and notices wrong results."""

from __future__ import annotations

import xml.etree.ElementTree

import pytest

from benchmarks import between, floor
from benchmarks.__main__ import main
from benchmarks.contract import Claim, parse
from benchmarks.measuring import Outcome
from benchmarks.plot import draw
from benchmarks.rounds import Figures, Standing
from benchmarks.table import show
from benchmarks.workloads import WORKLOADS, find_workload


def figures(name: str, **by_contestant: float) -> Figures:
    standings = {contestant: Standing(contestant, 100, figure, figure, figure) for contestant, figure in by_contestant.items()}
    return Figures(find_workload(name), standings, {})


def test_one_command_measures_a_workload_and_checks_its_results(capsys):
    assert main(["--quick", "--only", "waiting-async"]) == 0
    printed = capsys.readouterr().out
    assert "olympipe_ng " in printed
    assert "of what arithmetic allows" in printed


def test_every_claim_names_contestants_of_its_workload():
    for workload in WORKLOADS:
        for claim in workload.claims:
            assert {claim.ours, *claim.against} <= {*workload.contestants, "ideal"}, workload.name


def test_a_claim_is_made_against_the_best_of_several():
    measured = figures("ints", **{"olympipe_ng": 80.0, "queue_chain+chunk=512": 100.0, "queue_chain+chunk=2048": 160.0})
    assert measured.ratio(find_workload("ints").claims[1]) == pytest.approx(0.5)


def test_where_less_is_better_the_verdict_turns_round():
    assert "goal reached" in show(figures("latency", olympipe_ng=0.5, queue_chain=1.0))
    assert "NOT REACHED" in show(figures("latency", olympipe_ng=1.5, queue_chain=1.0))


def test_what_was_not_measured_is_not_claimed():
    assert figures("ints", olympipe_ng=1.0).ratio(Claim("", ("queue_chain",))) is None


def test_lost_order_and_lost_items_are_told_apart():
    outcome = Outcome(in_order="a", in_any_order="b")
    assert outcome.compared_with(("a", "b")).trouble == ""
    assert outcome.compared_with(("c", "b")).trouble == "out of order"
    assert outcome.compared_with(("c", "d")).trouble == "wrong results"


def test_a_contestant_is_a_peer_with_options():
    assert parse("queue_chain+chunk=512,spawn") == ("queue_chain", {"chunk": "512", "spawn": ""})


def test_the_plot_is_a_drawing_with_a_line_for_each_contestant():
    sizes = [figures(f"size-{size}", olympipe_ng=1e5 / size, queue_chain=1e4 / size) for size in (16, 1024, 65536)]
    drawing = xml.etree.ElementTree.fromstring(draw(sizes))
    assert len(drawing.findall(".//{*}polyline")) == 2


def test_the_floor_is_measured_for_delay_and_start(monkeypatch, capsys):
    for name, value in (("ROUNDS", 1), ("ITEMS", 3)):
        monkeypatch.setattr(floor, name, value)
    floor.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["delay of a slow stream", "start and end"]
    assert all(float(line.rpartition(" ")[2]) > 0 for line in lines)


def test_what_runs_between_items_is_measured_for_a_loop_and_for_c(monkeypatch, capsys):
    for name, value in (("ROUNDS", 1), ("SETTLING", 1), ("TURNS", 1000), ("BYTES", 1000)):
        monkeypatch.setattr(between, name, value)
    between.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]  # step, "behind", what, milliseconds, "ms", ratio
    assert [(step, what) for step, _, what, *_ in lines] == [
        (step, what) for step in ("python_loop", "digest") for what in ("nothing", "hand_over", "varied")
    ]
    assert all(float(line[3]) > 0 for line in lines)
