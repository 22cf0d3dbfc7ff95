"""Train one seed's reference model in other ways, and measure what each does with VAR off and on."""

from tinyguardrail.compute import prepare_process, repeatable

if __name__ == "__main__":
    prepare_process()  # before torch is loaded

import torch
from tokenizers import Tokenizer

from tinyguardrail.files import write_json
from tinyguardrail.params import Params
from tinyguardrail.paths import MOE, RAW, VAR_ABLATE, seed_name
from tinyguardrail.stage import run_seed_stage
from var_moe.ablation import ABLATION_ARMS, PLAIN, PRESET, REFERENCE, arm_record, arm_settings
from var_moe.config import get_config
from var_moe.corpus import END_OF_TEXT, pack, read_documents, split_documents
from var_moe.evaluation import build_wrappers, evaluate_presets
from var_moe.evaluation_text import evaluation_text
from var_moe.reference import build_model, load_model
from var_moe.statistics import collect_statistics
from var_moe.training import train_model


def main(params: Params, seed: int) -> None:
    var = params.var
    settings, train = var.eval, var.train
    repeatable(params.compute.threads)
    tokenizer = Tokenizer.from_file(str(MOE / seed_name(seed) / "tokenizer.json"))
    text = evaluation_text(var, RAW, tokenizer)
    splits = split_documents(read_documents(var.corpus, RAW), train.validation_fraction, train.test_fraction)
    sequences = pack(splits["train"], tokenizer, train.sequence_length, train.steps * train.batch_size)

    found, plain = {}, None
    for arm in ABLATION_ARMS:
        if arm == REFERENCE:
            model = load_model(MOE / seed_name(seed))
        else:
            torch.manual_seed(seed)
            model = build_model(var.model, tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT))
            train_model(model, sequences, arm_settings(train, var.ablate, arm), seed)
            model.to(torch.bfloat16)  # what `load_model` gives
        statistics = collect_statistics(model, text.statistics, settings.batch_size)
        wrappers = build_wrappers(model, statistics, text.thresholds, [get_config(PRESET)])
        baseline, quality = evaluate_presets(wrappers, text.test, settings, skip=False)
        plain = baseline if arm == PLAIN else plain
        found[arm] = arm_record(plain, baseline, quality[PRESET])
        print(f"seed {seed}: {arm}, VAR {found[arm]['perplexity_change']:+.2%}")
    write_json(VAR_ABLATE / f"{seed_name(seed)}.json", {"seed": seed, "preset": PRESET, "arms": found})


if __name__ == "__main__":
    run_seed_stage(main, __doc__)
