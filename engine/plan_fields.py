"""What every field of the plan means: the one table that the wizard, plan files and the docs speak from.

The types stand in `engine.plan`; the bounds, words and advice stand here and nowhere else.
`engine.plan_values` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["basic", "advanced"]


@dataclass(frozen=True)
class PlanField:
    """One field of the plan in words and bounds; `key` is "section.name", as in the plan file."""

    key: str
    short: str  # a few words, the comment in a plan file; empty where the name says it all
    meaning: str  # one sentence
    level: Level = "advanced"
    higher: str = ""  # what a higher value does; empty where there is no higher
    lower: str = ""
    advice: str = ""  # the recommendation
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above_low: bool = False  # low itself is not allowed
    choices: tuple[tuple[str, str], ...] = ()  # (value as written, what it does)
    pattern: str = ""  # a text must match it whole
    form: str = ""  # what the pattern asks for, in words
    known_as: tuple[str, ...] = ()  # names in other trainers, for suggestions


_BASIC: Level = "basic"

_SUBJECT = (
    PlanField(
        "subject.kind", "what is trained",
        "What is trained: it sets sensible defaults and how results are judged.",
        _BASIC, advice="Choose what the LoRA shall be called for.",
        choices=(
            ("person", "one human being"), ("character", "a drawn or invented figure"),
            ("animal", "one animal"), ("object", "one thing"), ("style",
            "a way of drawing or photographing"),
            ("concept", "a pose, situation, garment or idea"),
        ),
    ),
    PlanField(
        "subject.instance_prompt", "the trigger alone: the word that calls it",
        "The word that calls what was trained; with the class prompt it stands in for a missing caption.",
        _BASIC, advice="A rare word or a look-alike's name; two or three tokens, no everyday word.",
        known_as=("trigger", "instance_token", "token", "trigger_word", "keyword"),
    ),
    PlanField(
        "subject.class_prompt", "the everyday word for it, e.g. woman, dog, vase",
        "The everyday word for what is trained; the base's knowledge of it is built upon.",
        _BASIC, advice="The plainest noun that fits; a style takes a word such as \"style\".",
        known_as=("class", "class_token", "class_tokens"),
    ),
)  # fmt: skip

_PICTURES = (
    PlanField(
        "pictures.folders", "", "The folders (or .zip files) that hold the training pictures.", _BASIC,
        advice="10 to 100 varied pictures; one folder is usual.", known_as=("train_data_dir", "images",
        "datasets"),
    ),
    PlanField(
        "pictures.folders.path", "from this file's folder, or absolute",
        "Where the pictures lie: a folder or a .zip.",
        _BASIC, known_as=("image_dir", "folder", "dir"),
    ),
    PlanField(
        "pictures.folders.repeats", "how often each picture is taken in an epoch",
        "How often each picture is taken in one epoch.", _BASIC,
        higher="Longer epochs: more training between two checkpoints.",
        lower="Shorter epochs: checkpoints lie closer together.",
        advice="auto: chosen so that ten epochs come to about 1,500 to 3,000 picture-steps.",
        low=1, high=10000, known_as=("num_repeats", "repeat"),
    ),
    PlanField(
        "pictures.leave_out", "pictures that are not trained, by their names in the folder",
        "Pictures that stay in their folder and take no part in the training.",
        advice="Blurred, doubled or odd ones; the files themselves are not touched.", known_as=("exclude", "excluded"),
    ),
    PlanField(
        "pictures.resolution", "auto: the base's own, 1024 for SDXL",
        "The side of the square whose area the pictures are fitted to, in their own shape.", _BASIC,
        higher="Finer detail; memory and time grow with its square.",
        lower="Less memory and time, softer detail: 768 takes just over half, 512 a quarter.",
        advice="The base's own 1024; 768 or 512 to save memory, never below.", unit="px", low=32, high=2048,
        known_as=("max_resolution", "size"),
    ),
    PlanField(
        "pictures.bucketing", "keep each picture's shape",
        "Whether pictures keep their shape (buckets of equal area).",
        advice="On; off crops every picture to a square.", known_as=("enable_bucket", "buckets"),
    ),
    PlanField(
        "pictures.bucket_step", "auto: the base's own, 64 for SDXL",
        "The grid the sides of a bucket are rounded to.",
        higher="Fewer buckets, a little more cropped away.", lower="More buckets, less cropped away.",
        advice="auto; SDXL needs a multiple of 32.", unit="px", low=8, high=256,
        known_as=("bucket_reso_steps",),
    ),
    PlanField(
        "pictures.min_side", "shortest side of a bucket", "The shortest side a bucket may have.",
        higher="Very long pictures are cropped more.",
        lower="Very long pictures keep more of their length.",
        advice="auto: a quarter of the resolution.", unit="px", low=32, high=2048, known_as=("min_bucket_reso",),
    ),
    PlanField(
        "pictures.max_side", "longest side of a bucket", "The longest side a bucket may have.",
        higher="Very long pictures keep more of their length.",
        lower="Very long pictures are cropped more.",
        advice="auto: twice the resolution.", unit="px", low=32, high=4096, known_as=("max_bucket_reso",),
    ),
    PlanField(
        "pictures.upscale", "enlarge pictures smaller than their bucket",
        "Whether pictures smaller than their bucket are enlarged.",
        advice="Off: enlarged pictures teach their blur.", known_as=("bucket_no_upscale",),
    ),
    PlanField(
        "pictures.flip", "train the mirror image too", "Whether each picture is also trained mirrored.",
        advice="Off for faces, lettering and anything that is not the same mirrored.",
        known_as=("flip_aug",),
    ),
    PlanField(
        "pictures.background", "behind transparent pictures",
        "The colour that transparent pictures are laid on.",
        advice="#ffffff, unless the subject is white.", pattern=r"#[0-9a-fA-F]{6}",
        form='a colour such as "#ffffff"',
    ),
    PlanField(
        "pictures.hold_out", "kept out of training, for the validation loss",
        "How many pictures are kept out of training and used for the validation loss.",
        higher="A steadier validation loss, fewer pictures to learn from.",
        lower="More to learn from, a noisier validation loss; 0: none.",
        advice="auto: a tenth from 20 pictures on, none below.", unit="pictures", low=0, high=10000,
        known_as=("validation_split",),
    ),
)  # fmt: skip

_REGULARIZATION = (
    PlanField(
        "regularization.folders", "",
        "Folders of class pictures, which keep the class word from being drawn as the subject.",
        advice="Optional; useful where \"a woman\" without the trigger must stay any woman.",
        known_as=("reg_data_dir", "class_pictures"),
    ),
    PlanField(
        "regularization.folders.path", "class pictures, not of the subject",
        "Where class pictures lie: a folder or a .zip.",
    ),
    PlanField(
        "regularization.prior_prediction", "no pictures: the class prompt stays as the base draws it",
        "Whether the class prompt is held to what the untouched base predicts, without class pictures.",
        advice="Optional, in place of class pictures: nothing to draw, no disk, steps about 2.4 times as long.",
        known_as=("diff_output_preservation", "dop", "prior", "prior_preservation", "with_prior_preservation"),
    ),
    PlanField(
        "regularization.ratio", "class pictures, or prior predictions, for each training picture",
        "How many class pictures (or prior predictions) an epoch takes for each training picture and repeat.",
        higher="The class word is kept better; longer epochs.", lower="Shorter epochs, less protection.",
        advice="1: twice as long an epoch with class pictures, 2.4 times with prior prediction.", low=0, high=100,
    ),
    PlanField(
        "regularization.weight", "their weight in the loss",
        "How much a class picture, or a prior prediction, counts in the loss.",
        higher="The class word is kept better, the subject learnt more slowly.",
        lower="The subject is learnt faster, the class word drifts.", advice="1.", low=0, high=1000,
        known_as=("prior_loss_weight", "diff_output_preservation_multiplier"),
    ),
)  # fmt: skip

_CAPTIONS = (
    PlanField(
        "captions.extension", "of the caption file beside a picture",
        "How the caption file beside a picture ends.",
        advice=".txt, or .caption.", pattern=r"\.[A-Za-z0-9][A-Za-z0-9._-]{0,30}",
        form='an ending such as ".txt"',
        known_as=("caption_extension", "caption_ext"),
    ),
    PlanField(
        "captions.prefix", "put before every caption", "Text put before every caption.",
        advice="Empty, unless the captions lack the trigger.", known_as=("caption_prefix",),
    ),
    PlanField(
        "captions.shuffle", "reorder comma-separated tags",
        "Whether the comma-separated parts of a caption are reordered.",
        advice="On for tags, off for sentences.", known_as=("shuffle_caption", "shuffle_tags"),
    ),
    PlanField(
        "captions.keep_tokens", "parts at the front that stay there when shuffling",
        "How many comma-separated parts at the front stay where they are when the rest is shuffled.",
        higher="More of the caption keeps its order.", lower="More of the caption is shuffled.",
        advice="1, so that the trigger stays in front.", unit="parts", low=0, high=100,
    ),
    PlanField(
        "captions.dropout", "share of pictures trained without a caption",
        "The share of picture-steps trained with an empty caption.",
        higher="The look seeps into pictures drawn without the trigger.", lower="The caption decides more.",
        advice="0; 0.05 to 0.1 for a style.", low=0, high=1, known_as=("caption_dropout_rate",
        "caption_dropout"),
    ),
    PlanField(
        "captions.max_tokens", "longer captions are cut there, and that is said",
        "The longest caption in tokens, in chunks of 75.",
        higher="Long captions are read to their end, a little slower.", lower="Long captions are cut.",
        advice="75, or what your longest caption needs.", unit="tokens",
        choices=(("75", "one chunk"), ("150", "two chunks"), ("225", "three chunks")),
        known_as=("max_token_length",),
    ),
)  # fmt: skip

_BASE = (
    PlanField(
        "base.model", "an SDXL .safetensors file, a diffusers folder or a hub name",
        "The SDXL model that is trained on.", _BASIC,
        advice="The model you will draw with, or sdxl-1.0 for a LoRA that works on most.",
        known_as=("pretrained_model_name_or_path", "checkpoint", "path"),
    ),
    PlanField(
        "base.vae", "empty: the base's own", "A VAE to use in place of the base's own.",
        advice="Empty; it changes how pictures are read, not what is trained.",
    ),
    PlanField(
        "base.prediction", "what the base predicts; auto: read from it", "What the base predicts.",
        advice="auto; a wrong value trains noise.", known_as=("v_parameterization", "prediction_type"),
        choices=(
            ("auto", "read from the base"), ("epsilon", "the noise, as SDXL 1.0"),
            ("v_prediction", "the velocity, as some fine-tunes"),
        ),
    ),
    PlanField(
        "base.zero_terminal_snr", "auto: read from the base",
        "Whether the noise schedule ends in pure noise, as some v-prediction bases were trained.",
        advice="auto; only with v-prediction.",
    ),
)  # fmt: skip

_NETWORK = (
    PlanField(
        "network.targets", "which layers are trained", "Which layers of the UNet are trained.",
        advice="transformer: what most SDXL LoRAs are.", known_as=("network_module", "algo", "preset"),
        choices=(
            ("transformer",
            "the linear layers of the transformers: 722 modules, 170 MB at rank 32 in 16 bits"),
            ("attention", "the attention only: 560 modules, 93 MB; learns less, changes less"),
            ("locon", "LoCon: the transformers and the convolutions, 788 modules, 197 MB; texture, for styles"),
        ),
    ),
    PlanField(
        "network.rank", "how much can be learnt; the file grows with it", "How much the adapter can hold.",
        _BASIC,
        higher="More detail of the pictures is held, wanted or not; larger file, more memory.",
        lower="Smaller file, harder to overtrain; fine detail may be missing.",
        advice="32; 16 is often enough for an object, 64 for a rich style.", low=1, high=1024,
        known_as=("network_dim", "dim", "lora_rank", "r", "linear"),
    ),
    PlanField(
        "network.alpha", "scales the update by alpha/rank",
        "What the update is scaled by, divided by the rank.",
        higher="Every step changes more: like a higher learning rate.",
        lower="Every step changes less: alpha 1 at rank 32 learns 32 times more slowly.",
        advice='"rank": the learning rate then means what it says.', low=0, high=4096, above_low=True,
        known_as=("network_alpha", "lora_alpha", "linear_alpha"),
    ),
    PlanField(
        "network.conv_rank", "rank of the convolutions",
        "The rank of the convolution layers (targets = locon).",
        higher="More texture is held; larger file.", lower="Less texture is held.",
        advice="Half the rank, or less.",
        low=1, high=1024, known_as=("conv_dim", "conv"),
    ),
    PlanField(
        "network.conv_alpha", "alpha of the convolutions",
        "The alpha of the convolution layers (targets = locon).",
        higher="Convolutions change more with every step.", lower="Convolutions change less.",
        advice='"rank": the same as conv_rank.', low=0, high=4096, above_low=True,
    ),
    PlanField(
        "network.rslora", "scale by alpha/sqrt(rank)", "Whether the update is scaled by alpha/sqrt(rank).",
        advice="Off; on makes high ranks learn faster, so lower alpha or the rate with it.",
        known_as=("rs_lora", "use_rslora"),
    ),
    PlanField(
        "network.dora", "experimental; several programs ignore it",
        "Whether magnitude and direction are trained apart.",
        advice="Off: A1111, InvokeAI and diffusers drop a part of such a file.", known_as=("use_dora",
        "dora_wd"),
    ),
    PlanField(
        "network.dropout", "on the adapter's inner values",
        "The share of the adapter's inner values left out in each step.",
        higher="Harder to overtrain, learns more slowly.", lower="Learns faster.",
        advice="0; 0.1 with few pictures.",
        low=0, high=0.95, known_as=("network_dropout",),
    ),
    PlanField(
        "network.train_text_encoders", "", "Whether the text encoders are trained as well.",
        advice="Off: SDXL learns well without; on takes more memory and overtrains sooner.",
        known_as=("train_text_encoder", "network_train_unet_only"),
    ),
)  # fmt: skip

_OPTIMIZER = (
    PlanField(
        "optimizer.name", "auto: adamw8bit on CUDA, adamw elsewhere", "What moves the weights.",
        advice="auto.", known_as=("optimizer", "optimizer_type", "type"),
        choices=(
            ("auto", "adamw8bit on CUDA, adamw elsewhere"), ("adamw8bit", "AdamW with its state in 8 bits"),
            ("adamw", "AdamW, full precision"), ("adafactor", "little memory, a stated rate"),
            ("lion8bit", "a quarter of AdamW's state; wants a fifth of its rate"),
            ("prodigy", "finds its own rate; learning_rate is 1"),
        ),
    ),
    PlanField(
        "optimizer.learning_rate", "auto: what suits the optimizer, 1e-4 for AdamW",
        "How far each step moves the weights.",
        _BASIC, higher="Learns in fewer steps, overtrains sooner; too high breaks pictures.",
        lower="Learns more slowly and more evenly; too low learns nothing in the time given.",
        advice="1e-4; 1e-4 to 3e-4 is usual for AdamW.", low=0, high=10, above_low=True,
        known_as=("lr", "unet_lr", "rate"),
    ),
    PlanField(
        "optimizer.text_encoder_learning_rate", "auto: half the UNet's",
        "The rate of the first text encoder (CLIP-L).",
        higher="The trigger is learnt faster, other words drift.",
        lower="Words stay as the base knows them.",
        advice="auto: half the UNet's.", low=0, high=10, above_low=True,
        known_as=("text_encoder_lr", "text_encoder_lr1", "te_lr"),
    ),
    PlanField(
        "optimizer.text_encoder_2_learning_rate", "auto: a quarter of the UNet's",
        "The rate of the second text encoder (OpenCLIP bigG).",
        higher="The trigger is learnt faster, other words drift.",
        lower="Words stay as the base knows them.",
        advice="auto: a quarter of the UNet's.", low=0, high=10, above_low=True,
        known_as=("text_encoder_lr2",),
    ),
    PlanField(
        "optimizer.weight_decay", "", "How strongly weights are pulled back to zero.",
        higher="Holds the LoRA closer to the base.", lower="Leaves it free.", advice="0.01.", low=0,
        high=10,
    ),
    PlanField(
        "optimizer.scheduler", "how the rate changes over the run",
        "How the learning rate changes over the run.",
        advice="constant: every checkpoint is then comparable.", known_as=("lr_scheduler",),
        choices=(
            ("constant", "stays"), ("cosine", "falls to zero along a cosine"), ("linear",
            "falls to zero evenly"),
            ("restarts", "a cosine that starts again"),
        ),
    ),
    PlanField(
        "optimizer.warmup_steps", "", "Over how many steps the rate rises from zero.",
        higher="A gentler start.", lower="The full rate sooner.", advice="0 with AdamW.", unit="steps",
        low=0,
        high=1000000, known_as=("lr_warmup", "lr_warmup_steps"),
    ),
    PlanField(
        "optimizer.restarts", "", "How often the cosine starts again (scheduler = restarts).",
        higher="Shorter waves.", lower="Longer waves.", advice="3.", low=1, high=1000,
        known_as=("lr_scheduler_num_cycles",),
    ),
    PlanField(
        "optimizer.gradient_clipping", "largest gradient norm; 0: off",
        "The largest norm the gradient may have.",
        higher="Odd pictures pull harder.", lower="Steadier, slower.", advice="1.", low=0, high=1000,
        known_as=("max_grad_norm",),
    ),
)  # fmt: skip

_LENGTH = (
    PlanField(
        "length.epochs", "each one leaves a checkpoint to choose from",
        "How often the pictures are gone through.",
        _BASIC, higher="Longer; the late checkpoints are overtrained.",
        lower="Shorter; may end before it is learnt.",
        advice="10: the best usually lies at 3 to 6.", unit="epochs", low=1, high=10000,
        known_as=("epoch", "max_train_epochs", "num_epochs"),
    ),
    PlanField(
        "length.steps", "0: by epochs", "Where the run ends in steps, in place of epochs.",
        higher="Longer.", lower="Shorter.", advice="0.", unit="steps", low=0, high=10000000,
        known_as=("max_train_steps",),
    ),
    PlanField(
        "length.batch_size", "pictures in one step", "How many pictures one step learns from.", _BASIC,
        higher="Steadier and faster for each picture; more memory, fewer steps.",
        lower="Less memory, finer likeness.", advice="1; 4 for a style.", unit="pictures", low=1, high=512,
        known_as=("train_batch_size", "batch"),
    ),
    PlanField(
        "length.gradient_accumulation", "steps gathered before the weights move",
        "How many batches are gathered before the weights move.",
        higher="As a larger batch, without its memory.", lower="The weights move more often.", advice="1.",
        low=1,
        high=1024, known_as=("gradient_accumulation_steps",),
    ),
    PlanField(
        "length.save_every_epochs", "", "How many epochs lie between two checkpoints.",
        higher="Fewer files.", lower="More to choose from.", advice="1.", unit="epochs", low=1, high=10000,
        known_as=("save_every_n_epochs",),
    ),
)  # fmt: skip

_LOSS = (
    PlanField(
        "loss.min_snr_gamma", "0: off", "Limits how much nearly clean pictures count (min-SNR weighting).",
        higher="Closer to the plain loss.", lower="Learns faster, details less.",
        advice="0; 5 is usual where it is on.",
        low=0, high=100,
    ),
    PlanField(
        "loss.noise_offset", "0: off",
        "Shifts each picture's noise as a whole, for darker and brighter pictures.",
        higher="Stronger contrast, colours may shift.", lower="Brightness stays average.",
        advice="0; 0.03 to 0.05 where on.",
        low=0, high=1,
    ),
    PlanField(
        "loss.multires_noise_iterations", "0: off",
        "Adds noise of coarser and coarser grain (pyramid noise).",
        higher="Coarser grain joins.", lower="Plain noise.", advice="0; 6 to 8 where on.", low=0, high=16,
    ),
    PlanField(
        "loss.multires_noise_discount", "", "How much each coarser grain counts against the one before.",
        higher="Coarse noise counts more.", lower="Coarse noise counts less.", advice="0.3.", low=0, high=1,
    ),
    PlanField(
        "loss.scale_weight_norms", "0: off", "The largest norm a module's update may reach.",
        higher="Leaves it free.", lower="Holds every module close to the base.", advice="0; 1 where on.",
        low=0, high=1000,
        known_as=("max_norm",),
    ),
)  # fmt: skip

_SAMPLES = (
    PlanField(
        "samples.prompts", "drawn with the same seed each time",
        "What is drawn during training, to see it grow.", _BASIC,
        advice="Two or three, with the trigger; none is fine.", known_as=("sample_prompts",
        "validation_prompt"),
    ),
    PlanField(
        "samples.every_epochs", "", "How many epochs lie between two rounds of samples.",
        higher="Less time spent.", lower="Seen more often.", advice="1.", unit="epochs", low=1, high=10000,
        known_as=("sample_every_n_epochs",),
    ),
    PlanField(
        "samples.steps", "", "Sampling steps of a sample.", higher="Finer, slower.",
        lower="Faster, rougher.",
        advice="20.", unit="steps", low=1, high=200,
    ),
    PlanField(
        "samples.cfg", "", "How strictly a sample follows its prompt (CFG scale).",
        higher="Stricter, harsher.", lower="Freer, softer.", advice="5.", low=1, high=30,
        known_as=("cfg_scale", "guidance"),
    ),
    PlanField("samples.seed", "", "The first sample's seed; the next takes the next.", low=0,
    high=2**63 - 2, advice="Any."),
)  # fmt: skip

_MACHINE = (
    PlanField(
        "machine.precision", "auto: bf16 where the card has it", "The numbers the base is computed in.",
        advice="auto.",
        known_as=("mixed_precision",),
        choices=(
            ("auto", "bf16 where the card has it, else fp16; fp32 on the CPU"), ("bf16",
            "16 bits, wide range"),
            ("fp16", "16 bits with loss scaling, for older cards"), ("fp32",
            "32 bits: exact, twice the memory"),
        ),
    ),
    PlanField(
        "machine.memory_limit_gb", "auto: what the card has free",
        "How much of the card's memory may be used.",
        higher="Faster settings fit.", lower="Room is left for other programs.", advice="auto.", unit="GB",
        low=0,
        high=4096, above_low=True,
    ),
    PlanField(
        "machine.seed", "the same seed gives the same LoRA",
        "What noise, order and starting weights derive from.",
        advice="Any.", low=0, high=2**63 - 2,
    ),
)  # fmt: skip

_OUTPUT = (
    PlanField(
        "output.name", "the file's name; empty: made from trigger and class",
        "What the LoRA's files are called.", _BASIC,
        advice="Short, without spaces.",
        pattern=r'(?:[^\x00-\x1f\x7f/\\:*?"<>|.][^\x00-\x1f\x7f/\\:*?"<>|]{0,99})?',
        form='a file name of up to 100 characters without folder or any of \\ : * ? " < > |',
        known_as=("output_name",),
    ),
    PlanField(
        "output.precision", "numbers in the file", "The numbers in the LoRA file.",
        advice="bf16; fp16 for old programs.", known_as=("save_precision",),
        choices=(("bf16", "16 bits"), ("fp16", "16 bits, read by the oldest programs"), ("fp32",
        "twice the size")),
    ),
)  # fmt: skip

FIELDS: dict[str, PlanField] = {
    entry.key: entry
    for part in (
        _SUBJECT, _PICTURES, _REGULARIZATION, _CAPTIONS, _BASE, _NETWORK, _OPTIMIZER, _LENGTH, _LOSS,
        _SAMPLES,
        _MACHINE, _OUTPUT,
    )
    for entry in part
}  # fmt: skip

# One line under each section's head in a plan file.
SECTIONS: dict[str, str] = {
    "subject": "What is trained, and the words that call it.",
    "pictures": "The training pictures; every one keeps its shape.",
    "regularization": "Class pictures, or prior prediction: what keeps the class word from becoming the subject.",
    "captions": "How the text beside each picture becomes what is trained.",
    "base": "The SDXL model that is trained on.",
    "network": "The adapter.",
    "optimizer": "What moves the weights, and how fast.",
    "length": "How long; steps = epochs x pictures x repeats / batch, bucket by bucket.",
    "loss": "Variations on the plain loss; all off is the usual choice.",
    "samples": "Pictures drawn during training.",
    "machine": "What may be used of the computer; memory is measured and fitted at the start.",
    "output": "The files that training writes.",
}
