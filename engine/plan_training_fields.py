"""What the fields on base, network, training, samples, machine and files mean. See plan_fields."""

from __future__ import annotations

from engine.plan_field import BASIC, PlanField

_BASE = (
    PlanField(
        "base.model", "an SDXL .safetensors file, a diffusers folder or a hub name",
        "The SDXL model that is trained on.", BASIC,
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
        BASIC,
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
        BASIC, higher="Learns in fewer steps, overtrains sooner; too high breaks pictures.",
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
        BASIC, higher="Longer; the late checkpoints are overtrained.",
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
        "length.batch_size", "pictures in one step", "How many pictures one step learns from.", BASIC,
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
        "What is drawn during training, to see it grow.", BASIC,
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
        "What the LoRA's files are called.", BASIC,
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

TRAINING_FIELDS = (*_BASE, *_NETWORK, *_OPTIMIZER, *_LENGTH, *_LOSS, *_SAMPLES, *_MACHINE, *_OUTPUT)
