"""The Transformer against PyTorch's own layers, formulas written by hand, and closed forms."""

import inspect
import math
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from svl.errors import SettingError
from svl.models import Transformer
from svl.models.transformer import Attention, Block
from svl.optim import SGD
from svl.replicas import Replicas
from svl.tasks import InContextRegression
from svl.training.groups import ParameterGroup, stack_hyper

WIDTH, HEADS, POSITIONS = 24, 3, 7


def randomised(module):
    """Every parameter away from its initial value, the norms' scales and shifts too."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def stream():
    return torch.randn(5, POSITIONS, WIDTH)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("ratio", [4.0, 1.5])
def test_a_block_is_pytorch_s_encoder_layer(stream, causal, ratio):
    block = randomised(Block(WIDTH, HEADS, ratio, causal, "none"))
    hidden = int(ratio * WIDTH)
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, hidden, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    attention = block.attention
    for part in ("weight", "bias"):
        projections = [getattr(one, part).data for one in (attention.q, attention.k, attention.v)]
        getattr(layer.self_attn, f"in_proj_{part}").data.copy_(torch.cat(projections))
        for theirs, ours in (
            (layer.self_attn.out_proj, attention.out),
            (layer.linear1, block.up),
            (layer.linear2, block.down),
            (layer.norm1, block.attention_norm),
            (layer.norm2, block.feed_forward_norm),
        ):
            getattr(theirs, part).data.copy_(getattr(ours, part).data)
    mask = nn.Transformer.generate_square_subsequent_mask(POSITIONS) if causal else None
    torch.testing.assert_close(block(stream), layer(stream, mask, is_causal=causal), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_attention_is_the_formula(stream, norm, causal):
    attention = randomised(Attention(WIDTH, HEADS, causal, norm)).double()
    x, d_head = stream.double(), WIDTH // HEADS

    def normalised(rows, scale):
        if norm == "layer":
            rows = (rows - rows.mean(-1, keepdim=True)) / (rows.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
            return rows * scale.weight + scale.bias
        if norm == "rms":
            rows = rows / (rows.square().mean(-1, keepdim=True) + torch.finfo(rows.dtype).eps).sqrt()
            return rows * scale.weight
        return rows

    read = torch.zeros_like(x)
    for head in range(HEADS):
        rows = slice(head * d_head, (head + 1) * d_head)
        q, k, v = (x @ one.weight[rows].T + one.bias[rows] for one in (attention.q, attention.k, attention.v))
        logits = normalised(q, attention.q_norm) @ normalised(k, attention.k_norm).transpose(-1, -2) / d_head**0.5
        if causal:
            logits = logits.masked_fill(torch.ones(POSITIONS, POSITIONS).triu(1).bool(), -math.inf)
        read[..., rows] = logits.softmax(-1) @ v
    expected = read @ attention.out.weight.T + attention.out.bias
    torch.testing.assert_close(attention(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_normalised_queries_and_keys_forget_the_size_of_their_weights(stream, norm):
    attention = Attention(WIDTH, HEADS, qk_norm=norm).double()
    before = attention.queries_and_keys(100 * stream.double())
    for layer in (attention.q, attention.k):
        layer.weight.data *= 50
        layer.bias.data *= 50
    for q, same in zip(before, attention.queries_and_keys(100 * stream.double()), strict=True):
        torch.testing.assert_close(q, same, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(q.square().mean(-1), torch.ones(q.shape[:-1]).double(), rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("norm", ["none", "rms"])
def test_an_encoder_without_positions_is_permutation_equivariant(norm):
    network = randomised(Transformer((POSITIONS,), 2, width=WIDTH, heads=HEADS, qk_norm=norm, readout="all"))
    x, order = torch.randn(4, POSITIONS), torch.randperm(POSITIONS)
    difference = network(x[:, order]) - network(x)[:, order]
    assert difference.abs().max() > 1e-2
    network.positions.data.zero_()
    torch.testing.assert_close(network(x[:, order]), network(x)[:, order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("later", range(1, POSITIONS))
def test_a_later_token_changes_no_earlier_output_of_a_decoder(later):
    settings = {"width": WIDTH, "heads": HEADS, "readout": "all"}
    decoder = randomised(Transformer((POSITIONS, 3), 2, causal=True, **settings))
    encoder = randomised(Transformer((POSITIONS, 3), 2, causal=False, **settings))
    x = torch.randn(4, POSITIONS, 3)
    changed = x.clone()
    changed[:, later] += 1
    moved = (decoder(changed) - decoder(x)).abs().amax((0, 2))
    assert moved[:later].max() < 1e-6
    assert moved[later:].min() > 1e-4
    assert (encoder(changed) - encoder(x)).abs().amax((0, 2)).min() > 1e-4


@pytest.mark.parametrize(("causal", "depth"), [(False, 1), (True, 3)])
def test_readouts_are_the_last_the_mean_or_all_of_the_positions(causal, depth):
    networks = {
        readout: Transformer((POSITIONS,), 3, width=WIDTH, heads=HEADS, depth=depth, causal=causal, readout=readout)
        for readout in ("last", "mean", "all")
    }
    weights = randomised(networks["all"]).state_dict()
    networks["last"].load_state_dict(weights)
    networks["mean"].load_state_dict(weights)
    x = torch.randn(4, POSITIONS)
    outputs = networks["all"](x)
    assert outputs.shape == (4, POSITIONS, 3)
    torch.testing.assert_close(networks["last"](x), outputs[:, -1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(networks["mean"](x), outputs.mean(1), rtol=1e-5, atol=1e-5)


def test_a_whole_network_is_tokens_and_positions_through_blocks_norm_and_head():
    network = randomised(Transformer((POSITIONS, 3), 2, width=WIDTH, heads=HEADS, readout="all"))
    x = torch.randn(4, POSITIONS, 3)
    tokens = x @ network.embed.weight.T + network.embed.bias + network.positions
    stream = network.blocks[1](network.blocks[0](tokens))
    centred = stream - stream.mean(-1, keepdim=True)
    normed = centred / (stream.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    expected = (normed * network.norm.weight + network.norm.bias) @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)


def test_a_vector_is_a_sequence_of_tokens_of_one_coordinate():
    vector = randomised(Transformer((POSITIONS,), 2, width=WIDTH, heads=HEADS))
    tokens = Transformer((POSITIONS, 1), 2, width=WIDTH, heads=HEADS)
    tokens.load_state_dict(vector.state_dict())
    x = torch.randn(4, POSITIONS)
    torch.testing.assert_close(vector(x), tokens(x[..., None]), rtol=0, atol=0)


def test_a_discrete_token_is_its_row_of_the_table():
    discrete = randomised(Transformer((POSITIONS,), 2, vocabulary=11, width=WIDTH, heads=HEADS))
    one_hot = Transformer((POSITIONS, 11), 2, width=WIDTH, heads=HEADS)
    table = discrete.state_dict()
    one_hot.load_state_dict({**table, "embed.weight": table["embed.weight"].T, "embed.bias": torch.zeros(WIDTH)})
    x = torch.randint(11, (4, POSITIONS))
    torch.testing.assert_close(discrete(x), one_hot(nn.functional.one_hot(x, 11).float()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("blocks.*.attention.q.*", 6),
        ("blocks.*.attention.[qk].weight", 6),
        ("blocks.0.attention.v.*", 2),
        ("*.attention.out.weight", 3),
        ("blocks.?.attention.[qk]_norm.*", 6),
        ("blocks.*.up.*", 6),
        ("positions", 1),
        ("embed.*", 2),
        ("head.*", 2),
    ],
)
def test_groups_can_name_the_parts(pattern, count):
    names = [name for name, _ in Transformer((5,), 1, width=8, heads=2, depth=3, qk_norm="rms").named_parameters()]
    hyper = stack_hyper(names, SGD(0.1), {"part": ParameterGroup(pattern, lr=0.5)}, Replicas(1))
    chosen = [name for name in names if hyper.group[name] == "part"]
    assert len(chosen) == count
    assert all(hyper.rule[name]["lr"].item() == (0.5 if name in chosen else 0.1) for name in names)


def closed_form(positions, token_dim, outputs, width, depth, hidden, d_head, norm, vocabulary=None):
    attention = 4 * (width**2 + width) + {"none": 0, "rms": 2, "layer": 4}[norm] * d_head
    feed_forward = width * hidden + hidden + hidden * width + width
    embed = vocabulary * width if vocabulary else token_dim * width + width
    ends = embed + positions * width + 2 * width + width * outputs + outputs
    return depth * (attention + feed_forward + 4 * width) + ends


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3)),
    st.sampled_from([0.5, 1.0, 2.75, 4.0]),
    st.sampled_from(["none", "layer", "rms"]),
    st.sampled_from([None, 1, 13]),
    st.booleans(),
)
def test_the_number_of_parameters(shape, heads_and_depth, ratio, norm, vocabulary, causal):
    (positions, dim, outputs), (heads, d_head, depth) = shape, heads_and_depth
    width = 2 * heads * d_head
    inputs = (positions,) if vocabulary or dim == 1 else (positions, dim)
    network = Transformer(inputs, outputs, vocabulary, width, depth, heads, ratio, causal, norm, "last")
    expected = closed_form(positions, dim, outputs, width, depth, round(ratio * width), 2 * d_head, norm, vocabulary)
    assert size(network) == expected


def test_gpt_2_s_shape_has_the_published_size_with_its_token_table():
    """Kotha et al. 2025, appendix B.1: 22.4 M, counting GPT-2's token table, which continuous tokens never read."""
    network = Transformer((81, 20), 1, width=256, depth=12, heads=8, causal=True, readout="all")
    assert size(network) == closed_form(81, 20, 1, 256, 12, 1024, 32, "none") == 9_504_001
    assert round((size(network) + 50_257 * 256) / 1e6, 1) == 22.4


def test_initial_linear_layers_are_pytorch_s_and_positions_small():
    network = Transformer((400, 3), 5, width=32, depth=1, heads=4, qk_norm="rms")
    for layer in (network.blocks[0].attention.q, network.blocks[0].down, network.head, network.embed):
        bound = layer.in_features**-0.5
        assert 0.9 * bound < layer.weight.abs().max() <= bound
    assert network.positions.std().item() == pytest.approx(0.02, rel=0.05)
    assert (network.blocks[0].attention.q_norm.weight == 1).all()


@pytest.mark.parametrize(
    ("setting", "given"),
    [
        *product(["width", "depth", "heads"], [0, -1, True, 2.0, "4", None]),
        ("heads", 3),
        ("heads", 128),
        *product(["feed_forward_ratio"], [0.0, -1.0, 0.007, math.nan, math.inf]),
        *product(["qk_norm"], ["batch", "", "RMS"]),
        *product(["readout"], ["first", "", "ALL"]),
    ],
)
def test_what_cannot_be_is_refused(setting, given):
    past_the_import_hook = inspect.unwrap(Transformer.__init__)
    with pytest.raises(SettingError) as error:
        past_the_import_hook(Transformer.__new__(Transformer), (6,), 1, **{setting: given})
    assert error.value.key == setting
    assert error.value.given is given


def test_the_shipped_config_of_gpt2_has_its_shape():
    parts = yaml.safe_load((Path(__file__).parents[2] / "configs/in_context_regression/gpt2.yaml").read_text())
    task = InContextRegression(**parts["data"]["init_args"]["task"]["init_args"])
    network = Transformer(task.input_shape, task.output_dim, **parts["model"]["network"]["init_args"])
    assert size(network) == 9_504_001
