/**
 * Names that other trainers (transformers, TRL, Axolotl, LLaMA-Factory, nanoGPT and their kin) have for keys of ours,
 * where spelling alone would not lead from one to the other. Used by what is said of an unknown key or option.
 */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  'model.path': [
    ...[
      'model_name_or_path',
      'base_model',
      'model_name',
      'model_id',
      'model_path',
      'pretrained',
      'checkpoint',
    ],
  ],
  'model.dtype': ['torch_dtype'],
  'model.lora': ['peft', 'peft_config', 'lora_config', 'use_lora', 'use_peft', 'qlora'],
  'model.lora.r': ['lora_r', 'lora_rank', 'rank'],
  'model.lora.lora_alpha': ['alpha'],
  'model.lora.lora_dropout': ['dropout'],
  'model.lora.target_modules': ['lora_target', 'lora_target_modules'],
  'model.preset': ['model_size', 'architecture'],
  tokenizer: ['tokenizer_name', 'tokenizer_path', 'tokenizer_name_or_path', 'tokenizer_config'],
  'data.train': [
    ...['dataset', 'datasets', 'dataset_name', 'dataset_path', 'data_path', 'train_data', 'train_dataset'],
    ...['train_file', 'train_files', 'training_data', 'corpus'],
  ],
  'data.max_length': [
    ...['max_seq_length', 'max_seq_len', 'max_sequence_length', 'sequence_length', 'sequence_len', 'seq_len'],
    ...['seq_length', 'cutoff_len', 'block_size', 'model_max_length', 'context_length', 'max_len', 'n_ctx'],
  ],
  'data.packing': ['sample_packing', 'pack', 'pack_sequences', 'group_by_length', 'neat_packing'],
  'data.val_set_size': ['val_size', 'eval_size', 'test_size', 'validation_split', 'eval_split', 'val_split'],
  'data.chat_template': ['template', 'conversation_template', 'prompt_template'],
  'data.completion_only_loss': ['train_on_inputs', 'train_on_prompt', 'mask_prompt', 'train_on_input'],
  'data.num_workers': [
    ...[
      'dataloader_num_workers',
      'preprocessing_num_workers',
      'dataset_num_proc',
      'num_proc',
      'dataset_processes',
    ],
  ],
  'data.cache_dir': ['dataset_prepared_path', 'cache', 'tokenized_path'],
  'data.mixing': ['mix_strategy', 'interleave_probs', 'sampling'],
  anchors: ['anchor', 'targets', 'target_data', 'validation_examples'],
  'evaluation.sets': [
    ...[
      'eval_dataset',
      'eval_datasets',
      'eval_data',
      'eval_file',
      'eval_files',
      'validation_file',
      'test_file',
    ],
    ...['test_datasets', 'validation_data', 'val_data', 'heldout', 'held_out', 'eval_sets', 'datasets_eval'],
  ],
  'evaluation.every_steps': [
    ...[
      'eval_steps',
      'eval_every',
      'eval_interval',
      'evaluation_strategy',
      'eval_strategy',
      'evaluation_steps',
    ],
    ...['evals_per_epoch', 'eval_freq', 'val_check_interval'],
  ],
  'evaluation.tasks': [
    ...[
      'eval_tasks',
      'benchmarks',
      'downstream_tasks',
      'icl_tasks',
      'downstream_evaluators',
      'lm_eval_tasks',
    ],
  ],
  'evaluation.task_options.num_fewshot': ['num_shots', 'n_shot', 'fewshot', 'shots'],
  'training.metric_for_best_model': ['monitor', 'keep_best', 'best_metric', 'early_stopping_metric'],
  'training.load_best_model_at_end': ['save_best', 'save_best_model', 'keep_best_model', 'save_best_only'],
  'evaluation.per_device_eval_batch_size': ['eval_batch_size', 'val_batch_size'],
  'training.max_steps': [
    ...[
      'steps',
      'iterations',
      'iters',
      'num_steps',
      'total_steps',
      'train_steps',
      'num_train_steps',
      'max_iters',
    ],
    ...['num_iterations', 'max_train_steps'],
  ],
  'training.num_train_epochs': ['epochs', 'num_epochs', 'n_epochs', 'max_epochs', 'train_epochs'],
  'training.per_device_train_batch_size': [
    ...[
      'batch_size',
      'micro_batch_size',
      'train_batch_size',
      'per_gpu_train_batch_size',
      'mini_batch_size',
      'bs',
    ],
    ...['device_batch_size', 'per_device_batch_size', 'micro_batch', 'bsz'],
  ],
  'training.gradient_accumulation_steps': [
    ...[
      'grad_accum',
      'grad_accum_steps',
      'accumulation_steps',
      'gradient_accumulation',
      'accumulate_grad_batches',
    ],
    ...['grad_accumulation_steps', 'accum_steps'],
  ],
  'training.learning_rate': ['lr', 'max_lr', 'base_lr', 'peak_lr', 'lr_max'],
  'training.min_lr_ratio': ['min_lr', 'min_learning_rate', 'lr_min', 'cosine_min_lr_ratio'],
  'training.lr_scheduler_type': ['lr_scheduler', 'scheduler', 'scheduler_type', 'lr_schedule', 'schedule'],
  'training.warmup_ratio': ['warmup', 'warmup_fraction', 'warmup_proportion', 'lr_warmup_ratio'],
  'training.warmup_steps': ['num_warmup_steps', 'warmup_iters', 'lr_warmup_steps'],
  'training.weight_decay': ['wd', 'decay'],
  'training.adam_beta1': ['beta1'],
  'training.adam_beta2': ['beta2'],
  'training.ema_decay': ['ema', 'use_ema', 'model_ema', 'model_ema_decay', 'ema_rate', 'ema_beta'],
  'training.adam_epsilon': ['eps', 'epsilon', 'adam_eps'],
  'training.max_grad_norm': [
    ...[
      'grad_clip',
      'clip_grad',
      'clip_grad_norm',
      'gradient_clipping',
      'gradient_clip_val',
      'grad_norm',
      'clip',
    ],
  ],
  'training.seed': ['random_seed', 'data_seed', 'manual_seed'],
  'training.bf16': ['fp16', 'mixed_precision', 'precision', 'amp', 'half_precision', 'use_bf16'],
  'training.gradient_checkpointing': ['activation_checkpointing', 'recompute', 'checkpoint_activations'],
  'training.logging_steps': ['log_every', 'log_steps', 'log_interval', 'logging_interval', 'log_freq'],
  'training.save_steps': [
    ...['save_every', 'save_interval', 'save_freq', 'save_strategy', 'checkpoint_every', 'saves_per_epoch'],
    ...['checkpointing_steps'],
  ],
  'training.save_total_limit': ['keep_checkpoints', 'max_checkpoints', 'keep_last'],
  'training.resume_from_checkpoint': [
    ...[
      'resume',
      'resume_from',
      'auto_resume',
      'auto_resume_from_checkpoints',
      'resume_path',
      'resume_from_path',
    ],
  ],
  'training.report_to': ['wandb', 'wandb_project', 'use_wandb', 'use_tensorboard', 'logger', 'loggers'],
  'training.logging_dir': ['log_dir', 'tensorboard_dir'],
  'training.deterministic': ['full_determinism', 'use_deterministic_algorithms', 'deterministic_algorithms'],
  'training.tf32': ['allow_tf32', 'use_tf32'],
  'training.device': [
    ...['device_map', 'device_type', 'cuda', 'gpu', 'gpu_id', 'gpu_ids', 'use_cpu', 'use_cuda', 'use_gpu'],
    ...['no_cuda', 'accelerator', 'cuda_device', 'use_mps_device'],
  ],
  'training.threads': ['num_threads', 'n_threads', 'cpu_threads'],
  'method.preset': ['preset'],
  'method.gate.temperature': ['temp', 'tau'],
  output_dir: [
    'output',
    'out',
    'out_dir',
    'output_folder',
    'output_path',
    'save_dir',
    'run_dir',
    'save_path',
  ],
}

/** Names for which there is no key, and why. */
const NO_KEY: Readonly<Record<string, string>> = {
  ...named(['optim', 'optimizer', 'optimiser'], 'the optimiser is AdamW'),
  ...named(
    ['load_in_4bit', 'load_in_8bit', 'quantization', 'quantization_bit', 'bnb_4bit_compute_dtype'],
    'weights are not quantised; model.dtype: bfloat16 halves those that lora freezes',
  ),
  ...named(
    ['deepspeed', 'fsdp', 'fsdp_config', 'ddp', 'world_size', 'num_gpus', 'gpus', 'local_rank'],
    'ranks are processes with a device each: adapt launch --nproc N, torchrun or srun starts them; training.ddp_backend and training.sharded_optimizer say how they share the work',
  ),
  ...named(
    ['attn_implementation', 'flash_attention', 'flash_attn', 'use_flash_attention_2', 'sdp_attention'],
    'the engine chooses its attention',
  ),
  ...named(
    ['do_train', 'do_eval', 'do_predict', 'stage', 'finetuning_type', 'rl'],
    'the command says what is done; model.lora makes it an adapter',
  ),
  ...named(['trust_remote_code'], 'no code of a model folder is ever run'),
  ...named(
    ['push_to_hub', 'hub_model_id', 'hub_token', 'hub_strategy'],
    'nothing is uploaded; OUTPUT_DIR/model is the folder to publish',
  ),
  ...named(
    ['torch_compile', 'liger_kernel', 'use_liger_kernel', 'unsloth'],
    'the engine chooses its kernels',
  ),
  ...named(
    ['overwrite_cache', 'overwrite_output_dir', 'remove_unused_columns'],
    'nothing has to be said: caches are known by their content, unused columns are not read; --overwrite replaces a run',
  ),
  ...named(
    ['special_tokens', 'eos_token', 'pad_token', 'bos_token', 'added_tokens'],
    "tokens are those of the tokenizer's folder",
  ),
  ...named(
    ['dataset_text_field', 'text_column', 'field_messages', 'dataset_kwargs'],
    'the entry of a file says it: data.train: [{ path, text_field, messages_field, columns }]',
  ),
}

function named(names: readonly string[], reason: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, reason]))
}

/** Keys of a config as dotted paths, by what other trainers call them. */
export const foreignNames: ReadonlyMap<string, string> = new Map(
  Object.entries(KEYS).flatMap(([key, names]) => names.map((name) => [name, key])),
)

/** The key of a config (as a dotted path) that another trainer calls by this name; case and dashes do not matter. */
export function keyOfForeignName(name: string): string | undefined {
  return foreignNames.get(normal(name))
}

/** Why there is no key for what other trainers call by this name. */
export function reasonForNoKey(name: string): string | undefined {
  const found = normal(name)
  return Object.hasOwn(NO_KEY, found) ? NO_KEY[found] : undefined
}

function normal(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll('-', '_')
}
