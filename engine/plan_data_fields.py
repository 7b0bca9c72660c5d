"""What the fields on the subject, its pictures and captions mean. See plan_fields."""

from __future__ import annotations

from engine.plan_field import BASIC, PlanField

_SUBJECT = (
    PlanField(
        "subject.kind", "what is trained",
        "What is trained: it sets sensible defaults and how results are judged.",
        BASIC, advice="Choose what the LoRA shall be called for.",
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
        BASIC, advice="A rare word or a look-alike's name; two or three tokens, no everyday word.",
        known_as=("trigger", "instance_token", "token", "trigger_word", "keyword"),
    ),
    PlanField(
        "subject.class_prompt", "the everyday word for it, e.g. woman, dog, vase",
        "The everyday word for what is trained; the base's knowledge of it is built upon.",
        BASIC, advice="The plainest noun that fits; a style takes a word such as \"style\".",
        known_as=("class", "class_token", "class_tokens"),
    ),
)  # fmt: skip

_PICTURES = (
    PlanField(
        "pictures.folders", "", "The folders (or .zip files) that hold the training pictures.", BASIC,
        advice="10 to 100 varied pictures; one folder is usual.", known_as=("train_data_dir", "images",
        "datasets"),
    ),
    PlanField(
        "pictures.folders.path", "from this file's folder, or absolute",
        "Where the pictures lie: a folder or a .zip.",
        BASIC, known_as=("image_dir", "folder", "dir"),
    ),
    PlanField(
        "pictures.folders.repeats", "how often each picture is taken in an epoch",
        "How often each picture is taken in one epoch.", BASIC,
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
        "The side of the square whose area the pictures are fitted to, in their own shape.", BASIC,
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

DATA_FIELDS = (*_SUBJECT, *_PICTURES, *_REGULARIZATION, *_CAPTIONS)
