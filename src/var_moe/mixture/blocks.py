"""Where a mixture of experts keeps its routers: the layers VAR works on, and their rule.

Mixtral, OLMoE, Qwen2-MoE and Qwen3-MoE of transformers share one shape: `layer.mlp` with a
`gate` (softmax over all experts, then the top k) and stacked `experts`. Qwen models may have
dense layers between, and a shared expert beside; VAR touches neither.
"""

from dataclasses import dataclass

from torch import nn

from tinyguardrail_common.errors import UserError

ROUTERS = ("MixtralTopKRouter", "OlmoeTopKRouter", "Qwen2MoeTopKRouter", "Qwen3MoeTopKRouter")


@dataclass(frozen=True)
class Routing:
    """The rule that all routers of a model share."""

    layers: int  # with experts; dense layers are not counted
    num_experts: int
    top_k: int
    normalized: bool  # the chosen weights are scaled to sum 1, else they stay probabilities


def moe_blocks(model: nn.Module) -> list[nn.Module]:
    """The mixture-of-experts blocks in the order of the layers.

    Raises:
        UserError: there is none, or one whose router follows another rule.
    """
    layers = getattr(getattr(model, "model", None), "layers", ())
    mixtures = [layer.mlp for layer in layers if hasattr(getattr(layer, "mlp", None), "gate")]
    blocks = [block for block in mixtures if hasattr(block, "experts")]
    if not blocks:
        raise UserError(f"{type(model).__name__} has no mixture-of-experts layer at model.layers[i].mlp")
    for block in blocks:
        name = type(block.gate).__name__.removeprefix("VAR")
        if name not in ROUTERS:
            raise UserError(f"{name} is not supported; routers that are: {', '.join(ROUTERS)}")
    return blocks


def routing_of(model: nn.Module) -> Routing:
    """The routing rule of a model.

    Raises:
        UserError: as `moe_blocks`.
    """
    blocks = moe_blocks(model)
    gate = blocks[0].gate
    normalized = bool(getattr(gate, "norm_topk_prob", True))  # Mixtral has no such switch: it always does
    return Routing(len(blocks), gate.num_experts, gate.top_k, normalized)


def check_length(model: nn.Module, length: int) -> None:
    """Refuse sequences that the model has no positions for.

    Raises:
        UserError: `length` tokens are more than `max_position_embeddings`.
    """
    longest = model.config.max_position_embeddings
    if length > longest:
        raise UserError(f"sequences of {length} tokens exceed the model's {longest} positions")
