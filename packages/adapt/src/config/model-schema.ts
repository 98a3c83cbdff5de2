import { z } from 'zod'
import { realNumber, wholeNumber } from '../method/number-ranges.js'
import { LLAMA_PRESETS, type LlamaPreset } from '../model/dimensions/model-config.js'

/** Ids of the built-in model shapes. */
export const MODEL_PRESETS = Object.keys(LLAMA_PRESETS) as [LlamaPreset, ...LlamaPreset[]]

const width = () => z.exactOptional(wholeNumber({ min: 1, max: 1_048_576 }))
const count = () => z.exactOptional(wholeNumber({ min: 1, max: 65_536 }))

const llamaOverrides = z
  .strictObject({
    hidden_size: width().describe('Width D of the residual stream.'),
    intermediate_size: width().describe('Width of the feed-forward layer.'),
    num_hidden_layers: count().describe('Number of transformer blocks.'),
    num_attention_heads: count().describe('Number of query heads; divides hidden_size.'),
    num_key_value_heads: count().describe('Number of key/value heads; divides num_attention_heads.'),
    vocab_size: z
      .exactOptional(wholeNumber({ min: 2, max: 16_777_216 }))
      .describe('Rows of the embedding. Default: the size of the tokenizer.'),
    rms_norm_eps: z
      .exactOptional(realNumber({ min: 1e-12, below: 1 }))
      .describe('Added to the mean square inside RMSNorm.'),
    rope_theta: z
      .exactOptional(realNumber({ min: 1, max: 1e12 }))
      .describe('Base of the rotary frequencies.'),
    tie_word_embeddings: z
      .exactOptional(z.boolean())
      .describe('Share the input embedding with the output projection.'),
    max_position_embeddings: z
      .exactOptional(wholeNumber({ min: 2, max: 16_777_216 }))
      .describe('Longest sequence the model is made for, in tokens.'),
    initializer_range: z
      .exactOptional(realNumber({ min: 1e-9, max: 1 }))
      .describe('Standard deviation of the initial weights.'),
  })
  .describe('Overrides of the preset, named as in a Hugging Face LlamaConfig.')

const scratchModel = z
  .strictObject({
    init: z.literal('scratch').describe('Start from random weights.'),
    preset: z.enum(MODEL_PRESETS).describe('Built-in model shape.'),
    config: z.exactOptional(llamaOverrides),
  })
  .describe('A new model with random weights.')

/** Defaults are PEFT's. */
const loraSchema = z
  .strictObject({
    r: wholeNumber({ min: 1, max: 65_536 }).default(8).describe('Rank of the two matrices of an adapter.'),
    lora_alpha: realNumber({ min: 1e-6, max: 1e6 })
      .default(8)
      .describe('The adapter is scaled by lora_alpha / r.'),
    lora_dropout: realNumber({ min: 0, below: 1 })
      .default(0)
      .describe("Share of an adapter's inputs that training drops."),
    use_rslora: z.boolean().default(false).describe('Scale by lora_alpha / sqrt(r) instead.'),
    target_modules: z
      .exactOptional(z.union([z.array(z.string().min(1)).min(1), z.string().min(1)]))
      .describe(
        'Linear layers with an adapter: names such as q_proj, "all-linear", or one regular expression over full names. ' +
          'Default [q_proj, v_proj].',
      ),
  })
  .describe('Low-rank adapters; the model itself is frozen.')

const folderModel = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .describe(
        'Hugging Face model folder (config.json and *.safetensors), or a hub id: org/name, org/name@revision.',
      ),
    dtype: z
      .exactOptional(z.enum(['float32', 'bfloat16', 'auto']))
      .describe(
        'Of the weights in memory; auto: as stored. Default float32; with an adapter bfloat16 where training.bf16 holds.',
      ),
    lora: z.exactOptional(loraSchema),
    adapter: z
      .exactOptional(z.string().min(1))
      .describe(
        'PEFT adapter folder to train on, relative to the config file, or a hub id; it brings its own rank and targets.',
      ),
  })
  .describe('A model that exists already.')

export const modelSchema = z
  .union([scratchModel, folderModel])
  .describe('The model to train: either { init: scratch, preset } or { path }.')
