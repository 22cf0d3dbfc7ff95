"""The guard among the Auto classes of transformers: import this, and `from_pretrained` knows it.

A copy is saved beside every model, named by `auto_map`. `trust_remote_code=True` runs that copy,
which is this import of the installed package and nothing else.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from tinyguardrail.model.configuration import GuardConfig
from tinyguardrail.model.modeling import GuardForSequenceClassification
from tinyguardrail.model.tokenization import GuardTokenizer

AutoConfig.register(GuardConfig.model_type, GuardConfig, exist_ok=True)
AutoModelForSequenceClassification.register(GuardConfig, GuardForSequenceClassification, exist_ok=True)
AutoTokenizer.register(GuardConfig, GuardTokenizer, exist_ok=True)
