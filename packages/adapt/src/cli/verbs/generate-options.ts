/** Options of `adapt generate`, as the command line gives them. */
export interface GenerateCommandOptions {
  readonly model: string
  readonly adapter?: string
  readonly tokenizer?: string
  readonly prompt?: string
  readonly system?: string
  readonly chatTemplate?: string
  readonly raw?: boolean
  readonly maxNewTokens: number
  readonly temperature: number
  readonly topP: number
  readonly topK: number
  readonly seed: number
  readonly device?: string
  readonly dtype: 'float32' | 'bfloat16' | 'auto'
  readonly json?: boolean
  readonly prompts?: readonly string[]
  readonly output?: string
  readonly promptField?: string
  readonly completionField?: string
  readonly overwrite?: boolean
}
