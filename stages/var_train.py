"""Train the reference mixture of experts of one seed on the corpus's training split."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import torch

from tinyguardrail.files import atomic_folder
from tinyguardrail.params import Params
from tinyguardrail.paths import MOE, RAW, seed_name
from tinyguardrail.stage import run_seed_stage
from var_moe.corpus import END_OF_TEXT, pack, read_documents, split_documents, train_tokenizer
from var_moe.reference import build_model, save_model
from var_moe.training import train_model


def main(params: Params, seed: int) -> None:
    settings = params.var.train
    repeatable(params.compute.threads)
    torch.manual_seed(seed)

    documents = read_documents(params.var.corpus, RAW)
    training = split_documents(documents, settings.validation_fraction, settings.test_fraction)["train"]
    tokenizer = train_tokenizer(training[: settings.tokenizer_documents], params.var.model.vocab_size)
    needed = settings.steps * settings.batch_size
    sequences = pack(training, tokenizer, settings.sequence_length, needed)

    model = build_model(params.var.model, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
    losses = train_model(model, sequences, settings, seed)
    with atomic_folder(MOE / seed_name(seed)) as folder:
        save_model(model, tokenizer, folder)
    print(f"seed {seed}: {len(losses)} steps, loss {losses[0]:.2f} -> {losses[-1]:.2f} nats per token")


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
