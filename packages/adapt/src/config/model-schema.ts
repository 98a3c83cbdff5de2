import { z } from 'zod'
import { realNumber, wholeNumber } from './number-ranges.js'

/** Ids of the built-in model shapes; the dimensions themselves are a table of the model folder. */
export const MODEL_PRESETS = ['llama-1m', 'llama-3m', 'llama-10m', 'llama-120m'] as const

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
      .exactOptional(realNumber({ above: 0, below: 1 }))
      .describe('Added to the mean square inside RMSNorm.'),
    rope_theta: z.exactOptional(realNumber({ min: 1 })).describe('Base of the rotary frequencies.'),
    tie_word_embeddings: z
      .exactOptional(z.boolean())
      .describe('Share the input embedding with the output projection.'),
    max_position_embeddings: z
      .exactOptional(wholeNumber({ min: 2, max: 16_777_216 }))
      .describe('Longest sequence the model is made for, in tokens.'),
    initializer_range: z
      .exactOptional(realNumber({ above: 0, max: 1 }))
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

const folderModel = z
  .strictObject({
    path: z.string().min(1).describe('Hugging Face model folder (config.json and *.safetensors).'),
  })
  .describe('A model that exists already.')

export const modelSchema = z
  .union([scratchModel, folderModel])
  .describe('The model to train: either { init: scratch, preset } or { path }.')
