"""Captioners of the real classes, with random weights and so small that a caption takes milliseconds.

Each is saved to a folder as its maker saves it (configuration, weights, processor, tokenizer), so that the product
loads it through the same code as the one from the hub.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

WORDS = ("a", "the", "woman", "man", "dog", "red", "in", "on", "with", "sitting", "standing", "park", "photo", "of")
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_blip(folder: Path) -> Path:
    torch.manual_seed(0)
    # BLIP's beginning has a number that its tokenizer does not know, as in the real one.
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = BertTokenizer(vocab={word: at for at, word in enumerate(vocabulary)})
    text = dict(vocab_size=len(vocabulary) + 2, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                intermediate_size=32, encoder_hidden_size=32, bos_token_id=len(vocabulary),
                eos_token_id=2, pad_token_id=0, sep_token_id=3, is_decoder=True)  # fmt: skip
    vision = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32,
                  patch_size=8)  # fmt: skip
    config = BlipConfig(text_config=text, vision_config=vision, projection_dim=32)
    model = _lively(BlipForConditionalGeneration(config))
    with torch.no_grad():  # it never falls silent at once
        model.text_decoder.cls.predictions.bias[:5] = -1e4
        model.text_decoder.cls.predictions.decoder.bias[:5] = -1e4
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(pictures, tokenizer).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def tiny_blip2(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = _tokenizer(["<pad>", "<s>", "</s>", "<unk>", "<image>"], pad="<pad>", bos="<s>", eos="</s>")
    vision = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32,
                  patch_size=8)  # fmt: skip
    qformer = dict(vocab_size=64, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                   encoder_hidden_size=32)  # fmt: skip
    text = dict(model_type="opt", vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, ffn_dim=32,
                num_attention_heads=2, word_embed_proj_dim=32, max_position_embeddings=256, bos_token_id=1,
                eos_token_id=2, pad_token_id=0)  # fmt: skip
    config = Blip2Config(vision_config=vision, qformer_config=qformer, text_config=text, num_query_tokens=4,
                         image_token_index=tokenizer.convert_tokens_to_ids("<image>"))  # fmt: skip
    model = _lively(Blip2ForConditionalGeneration(config))
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    Blip2Processor(pictures, tokenizer, num_query_tokens=4).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def tiny_florence(folder: Path) -> Path:
    torch.manual_seed(0)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
    places = [f"<loc_{at}>" for at in range(10)]  # of a thousand; a random model would say nothing else
    tokenizer = _tokenizer([*special, *places], pad="<pad>", bos="<s>", eos="</s>", image_token="<image>")
    vision = dict(depths=[1, 1, 1, 1], embed_dim=[16, 16, 16, 16], num_heads=[2, 2, 2, 2], num_groups=[2, 2, 2, 2],
                  projection_dim=32, window_size=4, max_position_embeddings=20)  # fmt: skip
    text = BartConfig(vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1,
                      max_position_embeddings=256, encoder_attention_heads=2, decoder_attention_heads=2,
                      encoder_ffn_dim=32, decoder_ffn_dim=32,
                      pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2)  # fmt: skip
    image = tokenizer.convert_tokens_to_ids("<image>")
    config = Florence2Config(text_config=text.to_dict(), vision_config=vision, image_token_id=image,
                             is_encoder_decoder=True)  # fmt: skip
    model = _lively(Florence2ForConditionalGeneration(config))
    pictures = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False, resample=3)
    pictures.image_seq_length = 5
    Florence2Processor(pictures, tokenizer, post_processor_config=_FLORENCE_TASKS).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def tiny_qwen(folder: Path) -> Path:
    """Qwen2.5-VL; its video processor, which needs torchvision, is left out as a plain installation would."""
    torch.manual_seed(0)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
               "<|video_pad|>"]  # fmt: skip
    tokenizer = _tokenizer(special, pad="<|endoftext|>", eos="<|im_end|>")
    tokenizer.chat_template = CHAT
    number = tokenizer.convert_tokens_to_ids
    text = dict(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
                num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048,
                bos_token_id=number("<|endoftext|>"), eos_token_id=number("<|im_end|>"),
                pad_token_id=number("<|endoftext|>"),
                rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3],
                                 "rope_theta": 10000.0})  # fmt: skip
    vision = dict(depth=2, hidden_size=32, intermediate_size=32, num_heads=2, out_hidden_size=32, patch_size=14,
                  window_size=56, fullatt_block_indexes=[1])  # fmt: skip
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, image_token_id=number("<|image_pad|>"),
                              video_token_id=number("<|video_pad|>"), vision_start_token_id=number("<|vision_start|>"),
                              vision_end_token_id=number("<|vision_end|>"))  # fmt: skip
    model = _lively(Qwen2_5_VLForConditionalGeneration(config))
    model.generation_config.eos_token_id = number("<|im_end|>")
    model.generation_config.pad_token_id = number("<|endoftext|>")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pictures = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=112 * 112)
    pictures.save_pretrained(folder)
    # As the hub's folders have it: the plain name of the picture processor, and the processor's own.
    settings = folder / "preprocessor_config.json"
    said = json.loads(settings.read_text("utf-8"))
    said |= {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    settings.write_text(json.dumps(said), encoding="utf-8")
    return folder


def _lively(model: torch.nn.Module) -> torch.nn.Module:
    """Larger weights than a fresh model has, so that what it says depends on the picture."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
    return model.eval()


def _tokenizer(special: list[str], **named: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that can say everything, as those of GPT-2, BART, OPT and Qwen."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate([*special, *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    if "bos" in named:
        ends = [(named[name], vocabulary[named[name]]) for name in ("bos", "eos")]
        whole = f"{named['bos']} $A {named['eos']}"
        inner.post_processor = processors.TemplateProcessing(single=whole, special_tokens=ends)
    extra = {"image_token": named["image_token"]} if "image_token" in named else {}
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=named["pad"],
        eos_token=named["eos"],
        bos_token=named.get("bos"),
        extra_special_tokens=extra,
    )
    made.add_special_tokens({"additional_special_tokens": [word for word in special if word not in named.values()]})
    return made


_FLORENCE_TASKS = {
    "ocr": {"pattern": r"(.+?)<loc_(\d+)><loc_(\d+)><loc_(\d+)><loc_(\d+)>", "area_threshold": 0.0},
    "phrase_grounding": {"banned_grounding_tokens": []},
    "pure_text": {},
    "description_with_bboxes": {},
    "description_with_polygons": {},
    "polygons": {},
    "bboxes": {},
    "description_with_bboxes_or_polygons": {},
}
