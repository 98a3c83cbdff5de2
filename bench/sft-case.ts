/** The files that both sides of `bench:sft` read: base model, initial adapter, tokenised data. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createModel, loadTokenizer, type ModelConfig, saveModelFolder } from '@adapt-ts/adapt'
import {
  type Device,
  type DType,
  emptyCache,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
} from '@adapt-ts/torch'
import { modelShape } from './model-shapes.js'
import { benchFolder } from './peer-process.js'
import { createRandomModel } from './step-runner.js'

/** One conversation turn as both sides get it; the mask is 1 on the tokens that are trained. */
export interface SftRow {
  readonly input_ids: readonly number[]
  readonly completion_mask: readonly number[]
}

/** What both programs are told; see python/sft_peer.py. */
export interface SftOptions {
  readonly model: string
  readonly adapter: string
  readonly data: string
  readonly dtype: DType
  readonly rows: number
  readonly gradient_checkpointing: boolean
  readonly threads: number
  readonly device: Device
  readonly learning_rate: number
  readonly max_grad_norm: number
  readonly pad_id: number
  readonly gradients: string | null
}

const LORA = { r: 16, lora_alpha: 32, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] } as const
const LEAST_LENGTH = 64

/** Numbers in [0, 1) from a linear congruential generator. */
export function uniforms(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** How the rows of a case are made. */
export interface SftShape {
  readonly rows: number
  readonly batches: number
  /** Tokens of the longest row, or of every row. */
  readonly length: number
  readonly equalLengths: boolean
  readonly model: string
  readonly device: Device
}

/** Passages of the examples' corpus, 64 to `length` tokens (log-uniform), the first 20 to 50 % of each a prompt. */
async function writeRows(
  path: string,
  { rows: numRows, batches, length: most, equalLengths }: SftShape,
): Promise<{ rows: SftRow[]; padId: number }> {
  const examples = join(benchFolder, '..', 'examples')
  const tokenizer = loadTokenizer(join(examples, 'tokenizer'))
  const lines = gunzipSync(readFileSync(join(examples, 'corpus', 'sqlite-manual.jsonl.gz'))).toString('utf8')
  const texts = lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { text: string }).text)
  const ids = (await tokenizer.encodeBatch(texts)).flatMap((list) => [...list])
  const uniform = uniforms(7)
  let at = 0
  const rows = Array.from({ length: numRows * batches }, (): SftRow => {
    const drawn = Math.round(LEAST_LENGTH * (most / LEAST_LENGTH) ** uniform())
    const length = equalLengths ? most : drawn
    const numPrompt = Math.round(length * (0.2 + 0.3 * uniform()))
    if (at + length > ids.length) at = 0
    const passage = ids.slice(at, at + length - 1)
    at += length
    return {
      input_ids: [...passage, tokenizer.eosId],
      completion_mask: Array.from({ length }, (_, t) => (t < numPrompt ? 0 : 1)),
    }
  })
  writeFileSync(path, JSON.stringify(rows))
  return { rows, padId: tokenizer.padId! }
}

/**
 * An adapter as PEFT writes it, A as PEFT draws it. B is small and random where PEFT starts with zeros: with zeros
 * A has no gradient in the first step, and half of what is compared would be zero.
 */
function writeAdapter(folder: string, modelFolder: string, config: ModelConfig): void {
  mkdirSync(folder)
  const { hiddenSize: D, numHiddenLayers, numAttentionHeads: H, numKeyValueHeads: K, headDim: E } = config
  const uniform = uniforms(11)
  const random = (shape: [number, number], bound: number) =>
    tensor(
      Float32Array.from({ length: shape[0] * shape[1] }, () => bound * (2 * uniform() - 1)),
      shape,
    )
  scope(() => {
    const tensors = new Map<string, Tensor>()
    for (let layer = 0; layer < numHiddenLayers; layer++) {
      for (const target of LORA.targets) {
        const outSize = target === 'k_proj' || target === 'v_proj' ? K * E : D
        const inSize = target === 'o_proj' ? H * E : D
        const name = `base_model.model.model.layers.${layer}.self_attn.${target}`
        tensors.set(`${name}.lora_A.weight`, random([LORA.r, inSize], 1 / Math.sqrt(inSize)))
        tensors.set(`${name}.lora_B.weight`, random([outSize, LORA.r], 0.02))
      }
    }
    writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors)
  })
  const peftConfig = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: modelFolder,
    r: LORA.r,
    lora_alpha: LORA.lora_alpha,
    lora_dropout: 0,
    bias: 'none',
    use_rslora: false,
    target_modules: LORA.targets,
    inference_mode: true,
  }
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(peftConfig, null, 2))
}

/** Writes everything below `folder`; the base has random weights in `dtype`. */
export async function writeSftCase(
  folder: string,
  dtype: 'float32' | 'bfloat16',
  shape: SftShape,
): Promise<{ readonly rows: readonly SftRow[]; readonly options: Omit<SftOptions, 'threads'> }> {
  const paths = {
    model: join(folder, 'model'),
    adapter: join(folder, 'adapter'),
    data: join(folder, 'data.json'),
  }
  mkdirSync(folder)
  const config = modelShape(shape.model)
  const model =
    shape.device === 'cpu'
      ? createModel(config, { seed: 3 })
      : createRandomModel(config, { dtype, device: shape.device, requiresGrad: false })
  const data = await writeRows(paths.data, shape)
  const tokenizerFolder = join(benchFolder, '..', 'examples', 'tokenizer')
  saveModelFolder(model, paths.model, { dtype, tokenizerFolder, padId: data.padId })
  model.dispose()
  emptyCache(shape.device)
  writeAdapter(paths.adapter, paths.model, config)
  const options = {
    ...paths,
    dtype,
    device: shape.device,
    rows: shape.rows,
    gradient_checkpointing: false,
    learning_rate: 2e-4,
    max_grad_norm: 1,
    pad_id: data.padId,
    gradients: null,
  }
  return { rows: data.rows, options }
}
