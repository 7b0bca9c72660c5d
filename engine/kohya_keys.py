"""The keys of kohya's GUI presets that lorasmith does not take, and why: no behaviour, only words.

From the list of fields that kohya_ss saves (kohya_gui/lora_gui.py, versions 21 to 26).
"""

from __future__ import annotations

# What lorasmith always does or decides itself; the preset's value changes nothing.
AUTOMATIC: dict[str, str] = {
    "cache_latents": "latents are always cached",
    "cache_latents_to_disk": "latents are always cached on disk",
    "skip_cache_check": "caches are keyed by content, so they cannot be stale",
    "vae_batch_size": "the VAE works picture by picture",
    "sdxl_cache_text_encoder_outputs": "text is cached whenever the text encoders are not trained",
    "sdxl_no_half_vae": "the VAE never runs in fp16 unless one made for it is given",
    "gradient_checkpointing": "a dry step measures whether checkpointing is needed",
    "cpu_offload_checkpointing": "a dry step measures whether checkpointing is needed",
    "lowvram": "memory is measured and fitted at the start",
    "highvram": "memory is measured and fitted at the start",
    "mem_eff_attn": "PyTorch's own attention is used",
    "xformers": "PyTorch's own attention is used",
    "full_bf16": "the base is held in 16 bits, the adapter always in fp32",
    "full_fp16": "the base is held in 16 bits, the adapter always in fp32",
    "clip_skip": "SDXL always reads the last but one layer; kohya ignores it there as well",
    "stop_text_encoder_training": "kohya ignores it for LoRAs as well",
    "stop_text_encoder_training_pct": "kohya ignores it for LoRAs as well",
    "no_token_padding": "text is padded as SDXL was trained",
    "num_cpu_threads_per_process": "lorasmith starts its own processes",
    "max_data_loader_n_workers": "cached data needs no loader processes",
    "persistent_data_loader_workers": "cached data needs no loader processes",
    "dynamo_backend": "lorasmith starts its own processes",
    "dynamo_mode": "lorasmith starts its own processes",
    "dynamo_use_dynamic": "lorasmith starts its own processes",
    "dynamo_use_fullgraph": "lorasmith starts its own processes",
    "main_process_port": "lorasmith starts its own processes",
    "num_machines": "lorasmith trains on one machine",
    "save_state": "the state is always saved, so that a run can be resumed",
    "save_state_on_train_end": "the state is always saved, so that a run can be resumed",
    "save_last_n_steps": "every checkpoint is kept",
    "save_last_n_steps_state": "every checkpoint is kept",
    "save_last_n_epochs": "every checkpoint is kept",
    "save_last_n_epochs_state": "every checkpoint is kept",
    "save_model_as": "files are always .safetensors",
    "save_as_bool": "a state of kohya's window",
    "model_list": "a state of kohya's window",
    "noise_offset_type": "says which of its noise settings kohya uses",
    "logging_dir": "the record lies in the run's own folder",
    "output_dir": "files lie in the run's own folder",
    "log_config": "the plan lies in the run's own folder",
    "log_with": "the record lies in the run's own folder",
    "log_tracker_name": "the record lies in the run's own folder",
    "log_tracker_config": "the record lies in the run's own folder",
    "wandb_run_name": "the record lies in the run's own folder",
    "wandb_api_key": "nothing is sent anywhere; the value is not copied",
    "huggingface_repo_id": "nothing is sent anywhere",
    "huggingface_token": "nothing is sent anywhere; the value is not copied",
    "huggingface_repo_type": "nothing is sent anywhere",
    "huggingface_repo_visibility": "nothing is sent anywhere",
    "huggingface_path_in_repo": "nothing is sent anywhere",
    "save_state_to_huggingface": "nothing is sent anywhere",
    "async_upload": "nothing is sent anywhere",
    "train_inpainting": "inpainting bases are not trained",
    "training_comment": "a remark of its author; a trigger in it is theirs",
    "metadata_author": "the file's metadata is written from the run",
    "metadata_description": "the file's metadata is written from the run",
    "metadata_license": "the file's metadata is written from the run",
    "metadata_tags": "the file's metadata is written from the run",
    "metadata_title": "the file's metadata is written from the run",
    "sample_sampler": "samples are drawn with Euler",
    "lr_scheduler_power": "only polynomial schedules have a power",
    "use_wandb": "the record lies in the run's own folder",
}

SECRETS = frozenset({"wandb_api_key", "huggingface_token"})

# Settings lorasmith does not have: what each would have done. Off in a preset, they lose nothing.
UNSUPPORTED: dict[str, str] = {
    "adaptive_noise_scale": "lorasmith's noise offset does not follow each picture's brightness",
    "noise_offset_random_strength": "lorasmith's noise offset has a fixed strength",
    "ip_noise_gamma": "lorasmith does not perturb the noisy picture",
    "ip_noise_gamma_random_strength": "lorasmith does not perturb the noisy picture",
    "caption_dropout_every_n_epochs": "whole epochs without captions are not offered; captions.dropout is",
    "weighted_captions": "brackets in captions are trained as they stand",
    "color_aug": "pictures are not recoloured",
    "random_crop": "pictures are cropped at the centre, and only what a bucket cuts off",
    "masked_loss": "there are no masks",
    "min_timestep": "all noise levels are trained",
    "max_timestep": "all noise levels are trained",
    "loss_type": "the loss is the squared error",
    "huber_schedule": "the loss is the squared error",
    "huber_c": "the loss is the squared error",
    "huber_scale": "the loss is the squared error",
    "debiased_estimation_loss": "of the loss weightings min-SNR is offered",
    "scale_v_pred_loss_like_noise_pred": "of the loss weightings min-SNR is offered",
    "v_pred_like_loss": "of the loss weightings min-SNR is offered",
    "rank_dropout": "of the dropouts the one on the inner values is offered (network.dropout)",
    "module_dropout": "of the dropouts the one on the inner values is offered (network.dropout)",
    "dim_from_weights": "training starts from nothing, not from another LoRA",
    "lora_network_weights": "training starts from nothing, not from another LoRA",
    "network_weights": "training starts from nothing, not from another LoRA",
    "down_lr_weight": "all blocks are trained alike",
    "mid_lr_weight": "all blocks are trained alike",
    "up_lr_weight": "all blocks are trained alike",
    "block_lr_zero_threshold": "all blocks are trained alike",
    "block_dims": "all blocks have one rank",
    "block_alphas": "all blocks have one rank",
    "conv_block_dims": "all blocks have one rank",
    "conv_block_alphas": "all blocks have one rank",
    "conv_dims": "all blocks have one rank",
    "conv_alphas": "all blocks have one rank",
    "loraplus_lr_ratio": "both factors of the adapter have one rate",
    "loraplus_text_encoder_lr_ratio": "both factors of the adapter have one rate",
    "loraplus_unet_lr_ratio": "both factors of the adapter have one rate",
    "train_lora_ggpo": "gradient-guided perturbation is not offered",
    "ggpo_sigma": "gradient-guided perturbation is not offered",
    "ggpo_beta": "gradient-guided perturbation is not offered",
    "fp8_base": "the base is held in 16 bits",
    "fp8_base_unet": "the base is held in 16 bits",
    "save_every_n_steps": "checkpoints are saved by epochs (length.save_every_epochs)",
    "sample_every_n_steps": "samples are drawn by epochs (samples.every_epochs)",
    "dataset_config": "the pictures of a dataset file are not read; name folders under [[pictures.folders]]",
    "resume": "a kohya state cannot be resumed",
    "resume_from_huggingface": "a kohya state cannot be resumed",
    "multi_gpu": "several GPUs are asked for with lorasmith train --processes N",
    "num_processes": "several GPUs are asked for with lorasmith train --processes N",
    "gpu_ids": "cards are chosen with CUDA_VISIBLE_DEVICES",
    "extra_accelerate_launch_args": "lorasmith starts its own processes",
    "lr_scheduler_type": "of the schedules constant, cosine, linear and restarts are offered",
    "lr_scheduler_args": "of the schedules constant, cosine, linear and restarts are offered",
    "t5xxl_lr": "a second text encoder's rate is optimizer.text_encoder_2_learning_rate",
}

# Beside "", none, 0 and false, what leaves such a setting off.
OFF_VALUES: dict[str, tuple[object, ...]] = {
    "max_timestep": (1000,),
    "loss_type": ("l2",),
    "huber_schedule": ("snr", "constant", "exponential"),
    "huber_c": (0.1,),
    "huber_scale": (1,),
    "ggpo_sigma": (0.03,),
    "ggpo_beta": (0.01,),
    "num_processes": (1,),
}
# Without their switch these mean nothing, whatever they hold.
NEEDS: dict[str, str] = {
    "huber_schedule": "loss_type",
    "huber_c": "loss_type",
    "huber_scale": "loss_type",
    "ggpo_sigma": "train_lora_ggpo",
    "ggpo_beta": "train_lora_ggpo",
    "lr_scheduler_args": "lr_scheduler_type",
}

# Settings of LyCORIS's own kinds of adapter.
LYCORIS = frozenset(
    {
        "factor", "bypass_mode", "use_cp", "use_tucker", "use_scalar", "rank_dropout_scale", "constrain", "rescaled",
        "train_norm", "decompose_both", "train_on_input", "unit", "LyCORIS_preset",
    }
)  # fmt: skip

# Settings of other models that share kohya's window: by the key's beginning, or whole.
OTHER_MODEL_PREFIXES = (
    "flux1_", "sd3_", "hunyuan_", "anima_", "lumina_", "t5xxl", "train_t5xxl", "img_", "txt_", "single_", "double_",
    "clip_g", "apply_t5_", "logit_", "pos_emb_", "show_timesteps", "train_double_block_", "train_single_block_",
)  # fmt: skip
OTHER_MODEL_KEYS = frozenset(
    {
        "ae", "clip_l", "mode_scale", "save_clip", "save_t5xxl", "weighting_scheme", "discrete_flow_shift",
        "model_prediction_type", "timestep_sampling", "split_mode", "split_qkv", "train_blocks", "guidance_scale",
        "mem_eff_save", "enable_all_linear", "blocks_to_swap", "in_dims", "model_type",
    }
)  # fmt: skip
# Switches that make a preset one for another model altogether.
OTHER_MODEL_SWITCHES: dict[str, str] = {
    "flux1_checkbox": "Flux",
    "sd3_checkbox": "Stable Diffusion 3",
    "hunyuan_image_checkbox": "HunyuanImage",
    "anima_checkbox": "Anima",
    "lumina_checkbox": "Lumina",
}
