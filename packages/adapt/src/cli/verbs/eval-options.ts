/** Options of `adapt eval`, as the command line gives them. */
export interface EvalOptions {
  readonly model?: string
  readonly adapter?: string
  readonly tokenizer?: string
  readonly text?: readonly string[]
  readonly tasks?: readonly string[]
  readonly includePath?: readonly string[]
  readonly numFewshot?: number
  readonly fewshotSeed?: number
  readonly applyChatTemplate?: boolean
  readonly fewshotAsMultiturn?: boolean
  readonly systemInstruction?: string
  readonly addBosToken?: boolean
  readonly against?: string
  readonly report?: string
  readonly output?: string
  readonly bf16?: boolean
  readonly maxLength?: number
  readonly batchSize?: number | 'auto'
  readonly device?: string
  readonly limit?: number
  readonly json?: boolean
}

/** Names of tasks, with commas between them or given one by one. */
export const namesOf = (tasks: readonly string[]): string[] =>
  tasks
    .flatMap((names) => names.split(','))
    .map((name) => name.trim())
    .filter(Boolean)
