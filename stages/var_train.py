"""Train the reference mixture of experts of one seed on the corpus's training split."""

from tinyguardrail_common.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

from tinyguardrail_common.files import atomic_folder
from tinyguardrail_paper.settings.params import Params
from tinyguardrail_paper.settings.paths import MOE, RAW, seed_name
from tinyguardrail_paper.settings.stage import SEED, run_stage
from var_moe.reference.corpus import read_splits, train_tokenizer
from var_moe.reference.model import save_model
from var_moe.reference.training import train_reference


def main(params: Params, seed: int) -> None:
    var = params.var
    repeatable(params.compute.threads)
    training = read_splits(var, RAW)["train"]
    tokenizer = train_tokenizer(training[: var.train.tokenizer_documents], var.model.vocab_size)
    model, losses = train_reference(var, training, tokenizer, seed)
    with atomic_folder(MOE / seed_name(seed)) as folder:
        save_model(model, tokenizer, folder)
    print(f"seed {seed}: {len(losses)} steps, loss {losses[0]:.2f} -> {losses[-1]:.2f} nats per token")


if __name__ == "__main__":
    run_stage(main, __doc__, seed=SEED)
