"""Shape of the guard, in the form that `from_pretrained` reads."""

from typing import Any

from transformers import PreTrainedConfig

from tinyguardrail.data.labels import INTENTS
from tinyguardrail.model.auto_module import SavedWithAutoModule, in_auto_module
from tinyguardrail.model.model_files import MODEL_TYPE


class GuardConfig(SavedWithAutoModule, PreTrainedConfig):
    """Configuration of `GuardForSequenceClassification`.

    The defaults are all-MiniLM-L6-v2's where the two models share a part.

    Args:
        vocab_size: kept word pieces.
        hidden_size, num_attention_heads, intermediate_size: as in MiniLM.
        max_position_embeddings: tokens of one window; also the number of position vectors.
        chars_per_token: characters of each token that the character CNN sees.
        char_table_size: rows of the hashed code-point table.
        char_dim, char_filters, char_kernel_sizes: the CNN; `char_filters` per kernel width.
        fast_layers: transformer layers that every text passes.
        deep_layers: layers that go on from there, for the texts that the router sends on.
        num_experts, num_experts_per_text: experts of each deep layer, and how many a text uses.
        router_hidden: width of the router's hidden layer.
        router_threshold: score at or above which `logits` are the deep branch's.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        vocab_size: int = 8000,
        hidden_size: int = 384,
        num_attention_heads: int = 12,
        intermediate_size: int = 1536,
        max_position_embeddings: int = 192,
        chars_per_token: int = 20,
        char_table_size: int = 4096,
        char_dim: int = 32,
        char_filters: int = 64,
        char_kernel_sizes: list[int] | tuple[int, ...] = (2, 3, 4, 5),
        fast_layers: int = 4,
        deep_layers: int = 2,
        num_experts: int = 24,
        num_experts_per_text: int = 2,
        router_hidden: int = 64,
        router_threshold: float = 0.5,
        dropout: float = 0.1,
        layer_norm_eps: float = 1e-12,
        **kwargs: Any,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.chars_per_token = chars_per_token
        self.char_table_size = char_table_size
        self.char_dim = char_dim
        self.char_filters = char_filters
        self.char_kernel_sizes = list(char_kernel_sizes)
        self.fast_layers = fast_layers
        self.deep_layers = deep_layers
        self.num_experts = num_experts
        self.num_experts_per_text = num_experts_per_text
        self.router_hidden = router_hidden
        self.router_threshold = router_threshold
        self.dropout = dropout
        self.layer_norm_eps = layer_norm_eps
        kwargs.setdefault("id2label", dict(enumerate(INTENTS)))
        kwargs.setdefault("label2id", {intent: index for index, intent in enumerate(INTENTS)})
        kwargs["auto_map"] = {
            "AutoConfig": in_auto_module("GuardConfig"),
            "AutoModelForSequenceClassification": in_auto_module("GuardForSequenceClassification"),
        }
        super().__init__(**kwargs)
