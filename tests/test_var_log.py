"""A log of decisions can be replayed from table and token ids, and tampering with either shows."""

import hashlib
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyguardrail_common.errors import UserError
from var_model import LAYERS, LENGTH, chained, tiny_model, tiny_table, token_ids
from var_moe.routing.routing_log import LogError, RoutingLog, pack, unpack
from var_moe.routing.table import LEARNED, RoutingTable
from var_moe.routing.verification import verify
from var_moe.routing.wrapper import VARMixtralWrapper


@pytest.fixture(scope="module")
def table():
    return tiny_table(tiny_model())


@pytest.fixture(scope="module")
def log(table, tmp_path_factory):
    """Prefill, padding, embeddings, and decoding with beams, all in one log."""
    path = tmp_path_factory.mktemp("log") / "routing.log"
    with VARMixtralWrapper(tiny_model(), table, log_path=path) as wrapper, torch.inference_mode():
        wrapper(input_ids=token_ids(4, seed=5))
        mask = torch.ones(3, LENGTH, dtype=torch.int64)
        mask[0, :5] = 0
        wrapper(input_ids=token_ids(3, seed=6), attention_mask=mask)
        wrapper(inputs_embeds=wrapper.model.get_input_embeddings()(token_ids(2)))
        wrapper.reset()
        prompt = token_ids(2, seed=9)[:, :5]
        wrapper.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6, num_beams=3, do_sample=False
        )
    return path


def tampered(log, tmp_path, change):
    """A copy of the log with its lines changed."""
    path = tmp_path / "tampered.log"
    path.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))
    return path


def test_a_log_as_written_holds(log, table):
    found = verify(log, table)
    decided = table.plan(token_ids(4, seed=5)).routes != LEARNED
    assert found.tokens == 4 * LENGTH + (3 * LENGTH - 5) + 2 * LENGTH + 2 * 5 * 3 + 5 * 6
    assert found.forward_passes == 3 + 6
    assert found.records == found.forward_passes + 3  # header, reset and end
    assert found.replayed_calls + found.learned_calls == found.tokens * LAYERS
    assert found.replayed_calls > decided.sum()
    assert found.learned_calls > 2 * LENGTH * LAYERS


def test_the_log_is_one_chain_of_sha256(log):
    head = ""
    for number, line in enumerate(log.read_text().splitlines()):
        written, body = line.split(" ", 1)
        head = hashlib.sha256((head + body).encode()).hexdigest()
        assert written == head
        assert json.loads(body)["record"] == number


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_the_log_is_caught(log, table, tmp_path, position, bit):
    content = bytearray(log.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path = tmp_path / "flipped.log"
    path.write_bytes(content)
    with pytest.raises(LogError, match="record"):
        verify(path, table)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_the_table_is_caught(table, tmp_path, position, bit):
    path = tmp_path / "table.safetensors"
    table.save(path)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"no intact routing table|does not match its hash"):
        RoutingTable.load(path)


def test_a_record_changed_dropped_or_moved_is_named(log, table, tmp_path):
    cases = {
        "record 2: its hash": lambda lines: [*lines[:2], lines[2].replace(b"shape", b"shapf"), *lines[3:]],
        "record 3: its hash": lambda lines: [*lines[:3], *lines[4:]],
        "record 1: its hash": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        "record 0: its hash": lambda lines: lines[1:],
        "ends after record 3": lambda lines: lines[:4],
        "record 4: the line is cut off": lambda lines: [*lines[:4], lines[4][:80]],
        "stands after the closing record": lambda lines: [*lines, lines[-1]],
        "record 0, the header": lambda lines: [],
    }
    for message, change in cases.items():
        with pytest.raises(LogError, match=message):
            verify(tampered(log, tmp_path, change), table)


def test_a_forged_chain_does_not_make_decisions_follow(log, table, tmp_path):
    def other_decisions(lines):
        body = json.loads(lines[2][65:])
        body["decisions"] = "0" * 64
        return chained([*lines[:2], b"0" * 64 + b" " + json.dumps(body).encode() + b"\n", *lines[3:]])

    with pytest.raises(LogError, match="record 2: its decisions do not follow"):
        verify(tampered(log, tmp_path, other_decisions), table)

    def other_tokens(lines):
        body = json.loads(lines[1][65:])
        ids = unpack(body["tokens"], "<i4", (4, LENGTH))
        ids[0, 0] = (ids[0, 0] + 1) % 40
        body["tokens"] = pack(ids)
        return chained([lines[0], b"0" * 64 + b" " + json.dumps(body).encode() + b"\n", *lines[2:]])

    with pytest.raises(LogError, match="record 1: its decisions do not follow"):
        verify(tampered(log, tmp_path, other_tokens), table)


def test_the_closing_hash_noted_elsewhere_shows_a_forged_chain(log, table, tmp_path):
    head = verify(log, table).head
    assert verify(log, table, head=head).head == head
    forged = tampered(log, tmp_path, lambda lines: chained([*lines[:3], *_renumbered(lines[4:], 3)]))
    assert verify(forged, table).records == verify(log, table).records - 1
    with pytest.raises(LogError, match="this is another log"):
        verify(forged, table, head=head)


def _renumbered(lines, first):
    for number, line in enumerate(lines, start=first):
        body = json.loads(line[65:]) | {"record": number}
        yield b"0" * 64 + b" " + json.dumps(body).encode() + b"\n"


def test_a_log_of_another_table_is_refused(log):
    with pytest.raises(LogError, match="record 0: the log is of table"):
        verify(log, tiny_table(tiny_model(), single_share=0.7))


def test_an_open_log_is_verified_as_far_as_it_goes(table, tmp_path):
    path = tmp_path / "open.log"
    wrapper = VARMixtralWrapper(tiny_model(), table, log_path=path)
    with torch.inference_mode():
        wrapper(input_ids=token_ids(2))
    wrapper._recorder.log._file.flush()
    with pytest.raises(LogError, match="ends after record 1 without a closing record"):
        verify(path, table)
    assert verify(path, table, whole=False).forward_passes == 1
    wrapper.close()
    wrapper.close()
    assert verify(path, table).forward_passes == 1


def test_a_pass_that_fails_is_not_in_the_log(table, tmp_path):
    path = tmp_path / "failed.log"
    model = tiny_model()
    with VARMixtralWrapper(model, table, log_path=path) as wrapper, torch.inference_mode():
        broken = model.model.norm.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            wrapper(input_ids=token_ids(2))
        broken.remove()
        wrapper(input_ids=token_ids(3))
    assert verify(path, table).tokens == 3 * LENGTH


def test_a_log_is_never_overwritten(log, table):
    before = log.read_bytes()
    with pytest.raises(ValueError, match="never overwritten"):
        VARMixtralWrapper(tiny_model(), table, log_path=log)
    assert log.read_bytes() == before


def test_a_closed_log_takes_no_record(tmp_path):
    log = RoutingLog(tmp_path / "closed.log", {})
    log.close()
    with pytest.raises(ValueError, match="is closed"):
        log.append("call", {})
    with pytest.raises(ValueError, match="is missing"):
        verify(tmp_path / "none.log", None)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20))
def test_packing_keeps_the_values(values):
    tensor = torch.tensor(values, dtype=torch.int32)
    assert torch.equal(unpack(pack(tensor), "<i4", (len(values),)), tensor)
