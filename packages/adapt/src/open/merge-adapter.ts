import { existsSync, readdirSync, statSync } from 'node:fs'
import { publishModel } from '../checkpoint/index.js'
import { printable } from '../dataset/index.js'
import { AdaptError, ConfigError } from '../errors.js'
import {
  CHAT_TEMPLATE_FOLDER,
  CONFIG_FILE,
  GENERATION_FILE,
  INDEX_FILE,
  TOKENIZER_FILES,
} from '../hub/index.js'
import { mergeLora, parseShardSize, readStopTokens } from '../model/index.js'
import { findTurnEnds, loadTokenizer } from '../tokenize/index.js'
import { holdsInput } from './config-inputs.js'
import { loadModel, locateModel } from './locate-model.js'

/** Which adapter is folded into which model, and where the result goes. */
export interface MergeRequest {
  /** What `locateModel` finds a model or an adapter in. */
  readonly model: string
  /** PEFT folder on top of the model. */
  readonly adapter?: string
  /** New folder. */
  readonly out: string
  /** Of the weights that are written. Default auto: as the model is stored. */
  readonly dtype?: 'float32' | 'bfloat16' | 'auto'
  /** Largest weight file, for instance 2GB. Default 5GB. */
  readonly maxShardSize?: string
  /** Replace what is at `out`. */
  readonly overwrite?: boolean
  /** Gets what is fetched of a hub id. */
  readonly onLine?: (line: string) => void
}

/**
 * Writes a Hugging Face folder of a model with its adapter folded in, ready for programs that know no adapters.
 * @throws {ConfigError} OUTPUT_EXISTS; NOTHING_TO_MERGE without an adapter; what loading throws.
 */
export async function mergeAdapter({
  model: folder,
  adapter,
  out,
  dtype = 'auto',
  maxShardSize,
  overwrite = false,
  onLine = () => {},
}: MergeRequest): Promise<void> {
  if (maxShardSize !== undefined) parseShardSize(maxShardSize)
  if (existsSync(out) && !(statSync(out).isDirectory() && readdirSync(out).length === 0) && !overwrite) {
    throw new ConfigError(
      'OUTPUT_EXISTS',
      `${printable(out)}: exists; choose another folder or pass --overwrite`,
    )
  }
  const places = await locateModel(folder, adapter, { onLine })
  if (places.adapter === undefined) {
    throw new ConfigError(
      'NOTHING_TO_MERGE',
      `${printable(folder)}: is a model without an adapter; give the adapter's folder, or one as --adapter`,
    )
  }
  requireReplaceable(out, [places.model, places.adapter])
  const stopIds = await stopTokens(places.adapter, places.tokenizer, onLine)
  const model = loadModel(places, { dtype })
  try {
    mergeLora(model)
    publishModel(model, out, {
      tokenizerFolder: places.tokenizer,
      stopIds,
      maxShardSize,
      dtype: storedDtype(model.headWeight.dtype),
    })
  } finally {
    model.dispose()
  }
}

/**
 * Where the merged model has to stop besides where its base does: what the adapter's generation config says, else what
 * the chat template in the adapter's folder ends an answer with.
 */
async function stopTokens(
  adapter: string,
  tokenizerFolder: string,
  onLine: (line: string) => void,
): Promise<readonly number[]> {
  const stated = readStopTokens(adapter)
  if (stated.length > 0 || tokenizerFolder !== adapter) return stated
  try {
    const tokenizer = loadTokenizer(tokenizerFolder)
    if (tokenizer.chat.template === undefined) return []
    const { ids, warnings } = await findTurnEnds(tokenizer)
    for (const warning of warnings) onLine(`warning: ${warning}`)
    return ids
  } catch (error) {
    if (!(error instanceof AdaptError)) throw error
    onLine(`warning: cannot tell where an answer ends: ${error.message}`)
    return []
  }
}

/**
 * What is replaced is removed: it must be a model folder and nothing that the merge reads.
 * @throws {ConfigError} OUTPUT_EXISTS
 */
function requireReplaceable(out: string, inputs: readonly string[]): void {
  if (!existsSync(out)) return
  const refuse = (why: string): never => {
    throw new ConfigError('OUTPUT_EXISTS', `${printable(out)}: ${why}; choose another folder`)
  }
  const used = inputs.find((input) => holdsInput(out, input))
  if (used !== undefined) refuse(`holds what is merged (${printable(used)})`)
  if (!statSync(out).isDirectory()) refuse('is a file')
  const known: readonly string[] = [
    CONFIG_FILE,
    GENERATION_FILE,
    INDEX_FILE,
    CHAT_TEMPLATE_FOLDER,
    ...TOKENIZER_FILES,
  ]
  const other = readdirSync(out).find((name) => !known.includes(name) && !name.endsWith('.safetensors'))
  if (other !== undefined) refuse(`holds files that are no model (${printable(other)})`)
}

function storedDtype(dtype: string): 'float32' | 'bfloat16' {
  return dtype === 'bfloat16' ? 'bfloat16' : 'float32'
}
