"""The benchmark measures what it names."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from svl import callbacks
from svl.bench import __main__ as bench
from svl.bench import engines, overhead, peers, scale, share, startup, transformer
from svl.bench.section import Section, ratio, spread
from svl.callbacks import AveragedWeights, Feature, Generation, GradientSimilarity, Measurement, Throughput
from svl.training import ReplicaStack

FEW = [
    *("--replicas.seeds", "1", "--replicas.vary", "null", "--trainer.max_steps", "50", "--model.compile", "never"),
    *("--trainer.accelerator", "cpu"),
]


def test_peers_count_replica_steps(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "JAX_PYTHON", tmp_path / "absent")
    moments = iter(range(0, 1000, 2))
    monkeypatch.setattr(peers.time, "perf_counter", lambda: float(next(moments)))
    assert peers.plain_loop(steps=3)() == 3 / 2
    assert peers.stack(4, 5, compile="never")() == 4 * 5 / 2
    assert peers.stack(512, 1, compile="never")() == 512 / 2
    assert peers.jax_scan(4, 5) is None


def test_a_timing_takes_as_many_steps_as_fit_in_its_time(monkeypatch):
    moments = iter(range(1000))
    monkeypatch.setattr(peers.time, "perf_counter", lambda: 1e-2 * next(moments))
    assert peers.stack(2, None, compile="never")() == pytest.approx(2 * 15 / 1e-2)


def test_the_page_gives_ratios_within_a_round():
    rates = {engines.PLAIN: [1.0, 2.0, 4.0], "stack": [10.0, 40.0, 40.0]}
    section = engines.section(rates)
    assert [*section.rows[1]] == ["stack", "40 [10, 40]", "10 [10, 20]", "not measured"]
    assert engines.section(rates | {engines.JAX: [5.0, 5.0, 5.0]}).rows[1][3] == "8 [2, 8]"
    page = bench.page([section, Section("Other", "How.", ("a", "b"), [("1", "2")])])
    assert "| stack | 40 [10, 40] | 10 [10, 20] | not measured |" in page and torch.__version__ in page
    assert page.index("## Engines") < page.index("## Other\n\nHow.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |")
    assert "Not measured: any GPU" in page
    assert spread([3.0, 1.0, 2.0]) == "2 [1, 3]" and ratio([2.0, 9.0], [1.0, 3.0]) == "2.5 [2, 3]"


@pytest.mark.parametrize("size", transformer.SIZES, ids=lambda size: size.width)
def test_the_transformer_of_jax_is_the_one_that_is_measured(size):
    source = Path(transformer.__file__).with_name("jax_transformer_peer.py").read_text()
    plain = size.network((peers.DIM,), 1)
    widths, depth = {p.shape[-1] for p in plain.parameters() if p.dim() > 1}, len(plain.blocks)
    assert widths == {1, size.width, 4 * size.width} and depth == transformer.DEPTH
    assert "4 * WIDTH" in source and plain.blocks[0].attention.heads == size.heads
    weights = [p.numel() for name, p in plain.named_parameters() if "blocks" in name and p.dim() > 1]
    assert size.work == pytest.approx(6 * 32 * 20 * (sum(weights) + 2 * 2 * 20 * size.width))


def test_a_transformers_table_has_what_products_take():
    size = transformer.SIZES[0]
    rates = {transformer.PLAIN: [100.0] * 3, transformer.kernel("x86-64-v3"): [1e9 / size.work] * 3}
    section = transformer.section(size, rates)
    assert section.columns[-1] == "GFLOP / s" and section.rows[1][-1] == "1 [1, 1]"
    assert section.rows[1][0] == "svl, C++ kernel, AVX2" and "width 32" in section.title


def test_a_curve_has_each_value_of_its_axis(monkeypatch):
    made = []

    def stack(replicas, steps, data, network, **engine):
        made.append((replicas, data.batch_size, getattr(data, "size", None), network((20,), 1)))
        return lambda: 2e6

    monkeypatch.setattr(peers, "stack", stack)
    curves = {axis: scale.curve(axis, values, rounds=3) for axis, values in scale.AXES.items()}
    assert all(times == [0.5] * 3 for points in curves.values() for times in points.values())
    assert [one[0] for one in made[:9]] == [*scale.AXES["replicas"]]
    assert {one[1] for one in made} == {*scale.AXES["batch"]}
    assert [one[2] for one in made[-5:]] == [*scale.AXES["size"]]
    assert {(one[3].layers[0].out_features, len(one[3].layers)) for one in made} == {
        *((width, 2) for width in scale.AXES["width"]),
        *((peers.WIDTH, depth) for depth in scale.AXES["depth"]),
    }
    sections = scale.sections(curves, dict.fromkeys(scale.AXES["size"], 512.4))
    assert sections[0].rows[-1] == ["65,536", "0.5 [0.5, 0.5]"]
    assert sections[-1].rows[-1] == ["2^40", "0.5 [0.5, 0.5]", "512"] and "benchmark.png" in sections[0].text
    figure = scale.draw(curves)
    assert [axes.get_xlabel() for axes in figure.axes] == [*list(curves)[:-1], "size of the subset"]


def test_memory_is_that_of_the_process():
    import resource

    assert 50 < scale.peak(2**10) <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 + 1


@pytest.mark.slow
def test_start_up_ends_with_the_first_step(tmp_path):
    seconds = startup.first_step(tmp_path, *FEW)
    assert 0.5 < seconds < 120
    steps = next(iter(tmp_path.glob("quickstart/*/history.csv"))).read_text().splitlines()
    assert len(steps) == 1 + 2  # step 0 and the end of the first batch


@pytest.mark.slow
def test_a_share_is_of_what_is_neither_steps_nor_evaluations():
    clock = share.clock(replicas=2, steps=150, compile="never")
    inside = clock.inside["train_steps"] + clock.inside["test_sums"]
    assert min(*clock.inside.values(), clock.alone) > 0 and inside < clock.fit
    assert clock.share == pytest.approx(1 - inside / clock.fit)


def test_overheads_are_the_callbacks_time_in_that_of_the_steps_between(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(overhead, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    small = {
        "REPLICAS": 2,
        "TRANSFORMER_REPLICAS": 1,
        "STEPS": 2,
        "TRANSFORMER_STEPS": 2,
        "TOTAL_STEPS": 10,
        "SIZE": 256,
    }
    for name, value in small.items():
        monkeypatch.setattr(overhead, name, value)

    def taking(kind, name, seconds):
        method = getattr(kind, name)

        def timed(self, *arguments):
            clock.now += seconds
            return method(self, *arguments)

        monkeypatch.setattr(kind, name, timed)

    taking(ReplicaStack, "train_steps", 0.5)
    taking(GradientSimilarity, "measure", 0.2)
    taking(Feature, "measure", 0.01)
    taking(Throughput, "on_train_batch_end", 0.001)
    found = {one.name: one for one in overhead.overheads(rounds=3)}
    # Four gradients are below 5 % of 80 steps, or 40 measurements.
    expected = {"GradientSimilarity": (0.2, 0.01), "Feature": (0.01, 0.02), "Throughput": (0.001, 0.002)}
    for name, one in found.items():
        seconds, part = expected.get(name, (0, 0))
        assert one.first == pytest.approx(seconds)
        assert one.seconds == pytest.approx([seconds] * 3) and one.shares == pytest.approx([part] * 3)
    section = overhead.section([*found.values()])
    rows = {row[0]: [*row[1:]] for row in section.rows}
    assert rows["`Feature`"] == ["10", "10 [10, 10]", "2 [2, 2]"]
    assert "`GradientSimilarity`, at every 40th measurement" in rows
    assert "| `Feature` | 10 | 10 [10, 10] | 2 [2, 2] |" in bench.page([section])


def test_the_overhead_of_every_callback_is_measured():
    kinds = [getattr(callbacks, name) for name in callbacks.__all__]
    chosen = {kind for kind in kinds if issubclass(kind, Measurement)} - {Measurement} | {Throughput}
    # The first measures the test set once more for each average, the second is for tasks whose answers are written.
    chosen -= {AveragedWeights, Generation}
    assert chosen == {*overhead.OF_MLP, *overhead.OF_TRANSFORMER}


def test_a_round_takes_the_median_of_interleaved_passes():
    said = []

    def peer(name, *rates):
        left = iter(rates)
        return lambda: said.append(name) or next(left)

    found = peers.in_rounds({"a": peer("a", 9, 1, 3, 4, 5, 60), "b": peer("b", 1, 1, 1, 2, 2, 2), "c": None}, 2, 3)
    assert found == {"a": [3, 5], "b": [1, 2]}
    assert said == ["a", "b"] * 6
