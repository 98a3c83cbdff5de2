import { z } from 'zod'
import { DEVICE_NAME, describeBadDevice } from '../method/device-name.js'
import { realNumber, wholeNumber } from '../method/number-ranges.js'
import { evaluationSetSchema } from './data-schema.js'

export const LR_SCHEDULERS = ['linear', 'cosine', 'wsd', 'constant'] as const

/** What `report_to` can name. */
const REPORTERS = ['tensorboard'] as const
type Reporter = (typeof REPORTERS)[number]
/** Other trackers have no maintained JavaScript package; their own tools read what a run leaves. */
const REPORT_TO =
  'expected tensorboard or none (W&B imports TensorBoard files: wandb sync OUTPUT_DIR/tensorboard; other trackers can read OUTPUT_DIR/events.jsonl)'
const reporter = () => z.enum(REPORTERS, { error: REPORT_TO })

const MAX_ROWS = 1_000_000

export const trainingSchema = z
  .strictObject({
    max_steps: z
      .exactOptional(wholeNumber({ min: 1, max: 1_000_000_000 }))
      .describe('Number of optimiser steps. Give this or num_train_epochs, not both.'),
    num_train_epochs: z
      .exactOptional(realNumber({ above: 0, max: 1_000_000 }))
      .describe('Passes over the training data. Default 1 when max_steps is not given.'),
    per_device_train_batch_size: wholeNumber({ min: 1, max: MAX_ROWS })
      .default(8)
      .describe('Rows in one forward and backward pass.'),
    gradient_accumulation_steps: wholeNumber({ min: 1, max: MAX_ROWS })
      .default(1)
      .describe('Passes per optimiser step; the result does not depend on how a step is split.'),
    learning_rate: realNumber({ min: 1e-12, max: 1e6 })
      .default(5e-4)
      .describe('Peak learning rate of AdamW.'),
    lr_scheduler_type: z
      .enum(LR_SCHEDULERS)
      .default('linear')
      .describe('Shape of the learning rate after warm-up; wsd is warm-up, stable, decay.'),
    warmup_ratio: z
      .exactOptional(realNumber({ min: 0, max: 1 }))
      .describe('Share of all steps in which the rate rises from 0. Default 0. Excludes warmup_steps.'),
    warmup_steps: z
      .exactOptional(wholeNumber({ min: 0, max: 1_000_000_000 }))
      .describe('Steps in which the rate rises from 0. Excludes warmup_ratio.'),
    decay_ratio: realNumber({ above: 0, max: 1 })
      .default(0.2)
      .describe('Share of all steps in which a wsd schedule decays, at the end.'),
    min_lr_ratio: realNumber({ min: 0, max: 1 })
      .default(0)
      .describe('Final learning rate as a share of learning_rate.'),
    weight_decay: realNumber({ min: 0, max: 1000 }).default(0).describe('Decoupled weight decay of AdamW.'),
    adam_beta1: realNumber({ min: 0, max: 0.999999 }).default(0.9).describe('Decay of the first moment.'),
    adam_beta2: realNumber({ min: 0, max: 0.999999 }).default(0.999).describe('Decay of the second moment.'),
    adam_epsilon: realNumber({ min: 1e-20, max: 1 })
      .default(1e-8)
      .describe('Added to the denominator of AdamW.'),
    ema_decay: z
      .exactOptional(realNumber({ above: 0, max: 0.999999 }))
      .describe(
        'Keep an exponential moving average of what is trained, with this decay a step: about the last 1 / (1 - ema_decay) steps count. ' +
          'Saved beside the weights; evaluation.weights says which of the two count. Default: none is kept.',
      ),
    max_grad_norm: realNumber({ min: 1e-9, max: 1e12 })
      .default(1)
      .describe('Gradients are clipped to this norm; a very large value (1.0e9) never clips.'),
    seed: wholeNumber({ min: 0 }).default(42).describe('Seed of initial weights and data order.'),
    bf16: z
      .union([z.boolean(), z.literal('auto')])
      .default('auto')
      .describe('bfloat16 autocast with float32 parameters; auto: only where the hardware has it.'),
    gradient_checkpointing: z
      .boolean()
      .default(false)
      .describe('Recompute activations in the backward pass: less memory, more time.'),
    loss_chunk_size: z
      .union([wholeNumber({ min: 1, max: 16_777_216 }), z.literal('auto')])
      .default('auto')
      .describe(
        'Tokens per chunk of the output projection and loss; bounds peak memory. auto: 512 on the CPU, as many as make 2^27 logits on a device.',
      ),
    dataloader_drop_last: z
      .boolean()
      .default(false)
      .describe('Drop the last batch of an epoch when it has fewer rows than per_device_train_batch_size.'),
    logging_steps: wholeNumber({ min: 1, max: 1_000_000_000 })
      .default(10)
      .describe('Print a line every this many steps; the run folder records every step anyway.'),
    save_steps: wholeNumber({ min: 1, max: 1_000_000_000 })
      .default(500)
      .describe(
        'Save a checkpoint every this many steps; one is saved at the end and when the run is stopped anyway.',
      ),
    ddp_timeout: wholeNumber({ min: 1, max: 31_536_000 })
      .default(1800)
      .describe(
        'Seconds that a rank of several waits for the others before it takes one of them for hanging.',
      ),
    ddp_backend: z
      .enum(['auto', 'gloo', 'nccl'])
      .default('auto')
      .describe(
        'How tensors of CUDA devices travel between ranks. "nccl": from device to device; "gloo": over the host; "auto": by NCCL where every rank has it and a device of its own. What is on the CPU goes over the host.',
      ),
    sharded_optimizer: z
      .union([z.enum(['auto', 'off']), z.literal(false)])
      .default('auto')
      .describe(
        'Of several ranks each keeps and updates its share of the moments of the optimizer (ZeRO-1). "off", or false: every rank keeps all of them. A method that reads them has them whole.',
      ),
    save_total_limit: wholeNumber({ min: 1, max: 1_000_000 })
      .default(2)
      .describe(
        'Checkpoints that are kept: the newest ones; where evaluations are compared always the best one too.',
      ),
    load_best_model_at_end: z
      .boolean()
      .default(false)
      .describe(
        'Publish the model of the best evaluation instead of the last one; its checkpoint is saved and never removed.',
      ),
    metric_for_best_model: z
      .exactOptional(z.string().min(1, { error: 'expected the name of a figure' }))
      .describe(
        'Figure that the best model is chosen by: eval_loss, eval_<source>_loss (data.val_set_size), eval_bits_per_byte or ' +
          'eval_<set>_bits_per_byte (evaluation.sets), tasks/<task>/<metric> (evaluation.tasks). Default eval_loss.',
      ),
    greater_is_better: z
      .exactOptional(z.boolean())
      .describe(
        'Whether a greater value of metric_for_best_model is better. Default: false for losses and bits per byte, for a task as its metric says.',
      ),
    early_stopping_patience: z
      .exactOptional(wholeNumber({ min: 1, max: 1_000_000 }))
      .describe('Stop when so many evaluations in a row were no better than the best before.'),
    early_stopping_threshold: realNumber({ min: 0, max: 1e6 })
      .default(0)
      .describe('How much better an evaluation must be to count for early_stopping_patience.'),
    resume_from_checkpoint: z
      .exactOptional(z.string().min(1, { error: 'expected a folder' }))
      .describe(
        'Start this run from a checkpoint folder of another run on the same data (relative to the config file): model, ' +
          'optimiser, step and place in the data; the state of the method too when it is the same. A run that was ' +
          'interrupted goes on by itself and needs no key.',
      ),
    report_to: z
      .union([z.literal('none'), reporter(), z.array(reporter())], { error: REPORT_TO })
      .transform((to): readonly Reporter[] => (to === 'none' ? [] : typeof to === 'string' ? [to] : to))
      .prefault([])
      .describe('Where figures go besides the run folder: [tensorboard], or none.'),
    logging_dir: z
      .exactOptional(z.string().min(1))
      .describe(
        'Folder of the TensorBoard files, relative to the WORKING directory. Default: tensorboard in output_dir.',
      ),
    device: z
      .string({ error: ({ input }) => describeBadDevice(input) })
      .regex(DEVICE_NAME, { error: ({ input }) => describeBadDevice(input) })
      .default('auto')
      .describe(
        'Where the model is trained: cpu, cuda, cuda:N (a GPU of NVIDIA), mps (of Apple), or auto: CUDA where the LibTorch ' +
          'in use has it and sees a device, else the CPU.',
      ),
    deterministic: z
      .boolean()
      .default(false)
      .describe(
        'On a device: only operators that give the same bits every time, so that equal runs are equal there too; some are slower. ' +
          'The CPU repeats itself anyway.',
      ),
    tf32: z
      .boolean()
      .default(false)
      .describe(
        'On CUDA: float32 matrix products in TF32, which rounds their inputs to 10 bits. Off, as in PyTorch; bf16 does not need it.',
      ),
    threads: z
      .exactOptional(wholeNumber({ min: 1, max: 1024 }))
      .describe('Threads of the engine. Default: the physical cores.'),
  })
  .describe('Optimiser, schedule and batch.')

/** How the tasks of a run are asked: names as in `adapt eval`. */
const taskOptionsSchema = z
  .strictObject({
    every_steps: z
      .exactOptional(realNumber({ above: 0, max: 1_000_000_000 }))
      .describe(
        'Ask the tasks every this many steps; below 1: that share of all steps. Default: evaluation.every_steps. They are asked at the end anyway.',
      ),
    max_time_share: z
      .exactOptional(realNumber({ above: 0, max: 1 }))
      .describe(
        'Most that the tasks may take of the time of the run; evaluations that would take more are left out, but for the last one.',
      ),
    limit: z
      .exactOptional(realNumber({ above: 0, max: 1_000_000_000 }))
      .describe('Documents of each task; below 1: that share of them.'),
    num_fewshot: z
      .exactOptional(wholeNumber({ min: 0, max: 1000 }))
      .describe('Examples before each document; a task that says 0 stays at 0.'),
    fewshot_seed: wholeNumber({ min: 0 }).default(1234).describe('Seed of the draw of examples.'),
    include_path: z
      .array(z.string().min(1, { error: 'expected a folder' }))
      .default([])
      .describe('Folders with task files of your own, relative to the config file.'),
    apply_chat_template: z
      .boolean()
      .default(false)
      .describe("Write prompts by the tokenizer's chat template."),
    fewshot_as_multiturn: z
      .boolean()
      .default(false)
      .describe('With apply_chat_template: examples as turns of their own.'),
    system_instruction: z.exactOptional(z.string()).describe('Stands before the description of each task.'),
    add_bos_token: z
      .exactOptional(z.boolean())
      .describe("bos before contexts. Default: as the tokenizer's own encode."),
    training_overlap: z
      .exactOptional(z.enum(['warn', 'refuse', 'ignore']))
      .describe(
        'When documents of the tasks share 13 words in a row with the training data: warn (the default), refuse the run, or ignore, which does not look.',
      ),
  })
  .describe('How and when the tasks are asked; the window is data.max_length.')

export const evaluationSchema = z
  .strictObject({
    every_steps: z
      .exactOptional(wholeNumber({ min: 1, max: 1_000_000_000 }))
      .describe('Evaluate every this many steps. Default: only at the end.'),
    per_device_eval_batch_size: z
      .union([wholeNumber({ min: 1, max: MAX_ROWS }), z.literal('auto')])
      .default(16)
      .describe(
        'Rows in one evaluation pass, or auto: as many as half of the free memory holds. Figures do not depend on it.',
      ),
    weights: z
      .enum(['raw', 'ema'])
      .default('raw')
      .describe(
        'Weights that are evaluated, compared and published in model/: those that are trained, or their moving average (training.ema_decay).',
      ),
    sets: z.array(evaluationSetSchema).default([]).describe('Held-out text; reported in bits per byte.'),
    tasks: z
      .array(z.string().min(1, { error: 'expected the name or the file of a task' }))
      .default([])
      .describe(
        'Benchmark tasks: names, groups, tags, patterns, or task files (.yaml, relative to the config file). adapt eval --tasks list shows them.',
      ),
    task_options: taskOptionsSchema.prefault({}),
  })
  .describe('Evaluation on held-out text and benchmark tasks.')
