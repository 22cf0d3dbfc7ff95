"""Train the reference mixture of experts: `python stages/var_train.py --seed 0`."""

from var_moe.environment import apply_process_settings

apply_process_settings()

import argparse  # noqa: E402

import torch  # noqa: E402

from tinyguardrail.files import atomic_folder  # noqa: E402
from tinyguardrail.params import load_params  # noqa: E402
from tinyguardrail.paths import MOE, RAW, seed_name  # noqa: E402
from var_moe.corpus import END_OF_TEXT, pack, read_documents, split_documents, train_tokenizer  # noqa: E402
from var_moe.training import build_model, save_model, set_deterministic, train_model  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    seed = parser.parse_args().seed
    params = load_params()
    settings = params.var.train
    set_deterministic(seed, params.compute.threads)

    documents = read_documents(params.var.corpus, RAW)
    training = split_documents(documents, settings.validation_fraction, settings.test_fraction)["train"]
    tokenizer = train_tokenizer(training[: settings.tokenizer_documents], params.var.model.vocab_size)
    needed = settings.steps * settings.batch_size
    sequences = torch.from_numpy(pack(training, tokenizer, settings.sequence_length, needed))

    model = build_model(params.var.model, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
    losses = train_model(model, sequences, settings, seed)
    with atomic_folder(MOE / seed_name(seed)) as folder:
        save_model(model, tokenizer, folder)
    print(f"seed {seed}: {len(losses)} steps, loss {losses[0]:.2f} -> {losses[-1]:.2f} nats per token")


if __name__ == "__main__":
    main()
