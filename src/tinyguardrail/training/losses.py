"""What the guard is trained on: focal losses of both branches, three of routing, an optional energy."""

import torch
from torch.nn import functional

MIDPOINT = 0.5  # score that training treats as the line between the branches
SHARPNESS = 10.0  # slope of the soft count of scores over that line


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, alpha: float, gamma: float) -> torch.Tensor:
    """Focal loss of each text (Lin et al. 2017, 1708.02002, eq. 5): (B, L), (B,) -> (B,)."""
    cross_entropy = functional.cross_entropy(logits.float(), labels, reduction="none")
    return alpha * (1 - torch.exp(-cross_entropy)) ** gamma * cross_entropy


def threat_logits(logits: torch.Tensor, benign: int) -> torch.Tensor:
    """Benign against any threat, (B, L) -> (B, 2); softmax keeps the probability of benign."""
    logits = logits.float()
    threats = torch.cat((logits[:, :benign], logits[:, benign + 1 :]), dim=-1)
    return torch.stack((logits[:, benign], threats.logsumexp(-1)), dim=-1)


def router_loss(
    router_logits: torch.Tensor, fast_loss: torch.Tensor, deep_loss: torch.Tensor, deep_share: float
) -> torch.Tensor:
    """Cross-entropy against "is this among the texts that gain most from the deep branch?".

    The gain is the fast branch's loss minus the deep one's; the targets are the
    `deep_share` of the batch with the largest positive gain. All arguments (B,) -> scalar.
    """
    gain = (fast_loss - deep_loss).detach()
    wanted = max(1, round(deep_share * len(gain)))
    line = gain.topk(wanted).values[-1]
    target = ((gain >= line) & (gain > 0)).to(router_logits.dtype)
    return functional.binary_cross_entropy_with_logits(router_logits, target)


def ratio_loss(router_logits: torch.Tensor, deep_share: float) -> torch.Tensor:
    """Squared distance of the (softly counted) deep share of a batch from the wanted one."""
    scores = torch.sigmoid(router_logits)
    share = torch.sigmoid(SHARPNESS * (scores - MIDPOINT)).mean()
    return (share - deep_share) ** 2


def balance_loss(gate_probabilities: torch.Tensor, chosen_experts: torch.Tensor) -> torch.Tensor:
    """Load balancing of the experts (Fedus et al. 2021, 2101.03961, eq. 4), mean over layers.

    Args:
        gate_probabilities: (layers, B, experts)
        chosen_experts: (layers, B, num_experts_per_text)

    Returns:
        A scalar, 1 when every expert of every layer carries the same load.
    """
    experts = gate_probabilities.shape[-1]
    load = functional.one_hot(chosen_experts, experts).float().mean((1, 2))  # (layers, experts)
    importance = gate_probabilities.float().mean(1)  # (layers, experts)
    return experts * (load * importance).sum(-1).mean()


def energy_loss(logits: torch.Tensor, labels: torch.Tensor, benign: int, margin: float) -> torch.Tensor:
    """Hinge on the threat energy of benign texts (after Liu et al. 2020, 2010.03759): a scalar.

    The threat energy is the log-sum-exp of the threat logits less the benign logit, which is the
    log-odds of a threat; on benign texts it shall lie below `-margin`. 0 without benign texts.

    Args:
        logits: (B, L)
        labels: (B,)
        benign: id of the benign label.
        margin: log-odds that a benign text shall keep from the even ones.
    """
    mine = threat_logits(logits[labels == benign], benign)
    return functional.relu(mine[:, 1] - mine[:, 0] + margin).square().sum() / max(1, len(mine))
