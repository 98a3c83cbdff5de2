import { ConfigError } from '../../errors.js'

/** A low-rank adapter, with PEFT's names and defaults. */
export interface LoraConfig {
  /** Rank of A and B. Default 8. */
  readonly r: number
  /** The adapter's part is scaled by loraAlpha / r. Default 8. */
  readonly loraAlpha: number
  /** Share of the adapter's inputs that are dropped in training, in [0, 1). Default 0. */
  readonly loraDropout: number
  /** Scale by loraAlpha / sqrt(r) instead (Kalajdzievski 2023). Default false. */
  readonly useRslora: boolean
  /**
   * Which linear layers: names such as `q_proj` (the last parts of a module's name), `all-linear`, or one regular
   * expression over whole names such as `model.layers.0.self_attn.q_proj`.
   */
  readonly targetModules: readonly string[] | string
}

/** PEFT's defaults; the target modules are those of its mapping for the Llama family. */
export const LORA_DEFAULTS: LoraConfig = {
  r: 8,
  loraAlpha: 8,
  loraDropout: 0,
  useRslora: false,
  targetModules: ['q_proj', 'v_proj'],
}

/** What the product B A x is multiplied by. */
export function loraScaling({ r, loraAlpha, useRslora }: LoraConfig): number {
  return loraAlpha / (useRslora ? Math.sqrt(r) : r)
}

/** @throws {ConfigError} BAD_LORA for a rank, alpha or dropout out of range. */
export function assertLoraConfig({ r, loraAlpha, loraDropout }: LoraConfig, where: string): void {
  const fail = (key: string, expected: string, value: number): never => {
    throw new ConfigError('BAD_LORA', `${where}: ${key}: expected ${expected}, received ${value}`)
  }
  if (!Number.isInteger(r) || r < 1 || r > 65_536) fail('r', 'an integer from 1 to 65536', r)
  if (!Number.isFinite(loraAlpha) || loraAlpha <= 0) fail('lora_alpha', 'a number > 0', loraAlpha)
  if (!(loraDropout >= 0 && loraDropout < 1)) fail('lora_dropout', 'a number in [0, 1)', loraDropout)
}
