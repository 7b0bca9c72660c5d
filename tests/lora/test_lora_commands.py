"""`lorasmith inspect`, `resize` and `merge` as they are typed."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tui.cli import main
from tui.commands import lora as commands

NAME = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


@pytest.fixture
def lora(tmp_path):
    def make(name: str, seed: int = 0, **metadata: str):
        rng = np.random.default_rng(seed)
        tensors = {
            f"{NAME}.lora_down.weight": rng.normal(size=(4, 2048)).astype(np.float32),
            f"{NAME}.lora_up.weight": rng.normal(size=(16, 4)).astype(np.float32),
            f"{NAME}.alpha": np.array(2.0, np.float32),
        }
        save_file(tensors, tmp_path / name, metadata=metadata or None)
        return tmp_path / name

    return make


def test_inspect_tells_what_a_file_is(lora, capsys):
    path = lora("a.safetensors", ss_sd_model_name="sd_xl_base_1.0", **{"modelspec.trigger_phrase": "ohwx\x1b[2J cat"})
    assert main(["inspect", str(path)]) == 0
    told = capsys.readouterr().out
    assert "a.safetensors: LoRA for SDXL, 1 module," in told and "rank 4, alpha 2" in told
    assert "ohwx\\x1b[2J cat" in told and "Nothing is odd about it." in told
    assert all(len(line) <= 80 for line in told.splitlines())


def test_inspect_for_programs(lora, capsys):
    assert main(["inspect", "--json", str(lora("a.safetensors"))]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["modules"] == 1 and told["parts"][0]["ranks"] == {"4": 1} and len(told["sha256"]) == 64


def test_rubbish_is_one_sentence_and_exit_code_1(tmp_path, capsys):
    (tmp_path / "a.safetensors").write_text("<html>")
    assert main(["inspect", str(tmp_path / "a.safetensors")]) == 1
    said = capsys.readouterr()
    assert not said.out and "web page" in said.err and "Traceback" not in said.err
    assert main(["inspect", str(tmp_path / "none.safetensors")]) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resize", "a", "--keep", "1.5", "--to", "b"], "not a share above 0"),
        (["resize", "a", "--rank", "0", "--to", "b"], "not a whole number from 1 up"),
        (["merge", "a", "b:x", "--to", "c"], "'x' behind the colon of 'b:x' is no weight"),
        (["resize", "a", "--rank", "2"], "--to"),
    ],
)
def test_mistyped_commands_are_exit_code_2(arguments, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and says in " ".join(capsys.readouterr().err.split())


def test_resize_wants_to_know_to_what(lora, tmp_path, capsys):
    assert main(["resize", str(lora("a.safetensors")), "--to", str(tmp_path / "b.safetensors")]) == 1
    assert "--rank 16" in capsys.readouterr().err


def test_resize_and_merge_by_the_engine(lora, tmp_path, capsys):
    one, two, to = lora("one.safetensors"), lora("t:wo.safetensors", 1), tmp_path / "sum.safetensors"
    assert main(["merge", str(one), f"{two}:-0.5", "--to", str(to)]) == 0
    told = capsys.readouterr().out
    assert "one.safetensors at 1, t:wo.safetensors at -0.5" in " ".join(told.split())
    assert "rank 8; the sum to the last digit" in " ".join(told.split())
    parts = [load_file(path) for path in (one, two, to)]
    dense = [
        float(p[f"{NAME}.alpha"]) / len(p[f"{NAME}.lora_down.weight"])
        * p[f"{NAME}.lora_up.weight"].astype(float) @ p[f"{NAME}.lora_down.weight"]
        for p in parts
    ]  # fmt: skip
    assert np.allclose(dense[2], dense[0] - 0.5 * dense[1], atol=1e-5)
    assert main(["resize", str(to), "--rank", "8", "--to", str(tmp_path / "small.safetensors")]) == 1
    assert "nothing to do" in capsys.readouterr().err and not (tmp_path / "small.safetensors").exists()


@pytest.mark.parametrize("role", ["alpha", "lora_up.weight", "dora_scale"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_odd_and_refused(lora, tmp_path, capsys, role, value):
    path, sound, to = lora("a.safetensors"), lora("b.safetensors", 1), str(tmp_path / "c.safetensors")
    tensors = load_file(path)
    key = f"{NAME}.{role}"
    tensors[key] = np.full_like(tensors.get(key, np.ones((16, 1), np.float32)), value)
    save_file(tensors, path)
    assert main(["inspect", str(path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "not finite" in told and "Nothing is odd" not in told
    for asked in (["resize", str(path), "--rank", "2"], ["merge", str(path), str(sound)]):
        assert main([*asked, "--to", to]) == 1
        assert "not finite" in " ".join(capsys.readouterr().err.split()), asked


@pytest.mark.parametrize(("term", "counts"), [("xterm-256color", True), ("dumb", False)])
def test_the_count_is_not_written_where_no_line_can_be_written_anew(monkeypatch, capsys, term, counts):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", term)
    commands._show_progress("50 of 722 modules")
    commands._show_progress("")
    assert ("50 of 722" in (said := capsys.readouterr().err)) == counts and ("\r" in said) == counts


def test_a_module_with_one_factor_is_said_by_resize_and_merge(lora, tmp_path, capsys):
    path, sound, to = lora("a.safetensors"), lora("b.safetensors", 1), str(tmp_path / "c.safetensors")
    half = "lora_unet_middle_block_1_proj_in"
    save_file(load_file(path) | {f"{half}.lora_up.weight": np.ones((16, 4), np.float32)}, path)
    for asked in (["resize", str(path), "--rank", "2"], ["merge", str(path), str(sound), "--force"]):
        assert main([*asked, "--to", to]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert f"{half} of a.safetensors has only one of its two factors and is left out." in said
