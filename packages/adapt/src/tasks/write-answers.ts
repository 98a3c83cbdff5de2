import type { DType } from '@adapt-ts/torch'
import { generateTexts, type TextPrompt } from '../generate/index.js'
import type { CausalLM } from '../model/index.js'
import { ALONE, inRounds, type Ranks } from '../ranks.js'
import type { Tokenizer } from '../tokenize/index.js'
import { evaluationStopped } from './score-texts.js'

export interface WriteAnswersOptions {
  readonly temperature: number
  readonly autocastDtype?: DType | undefined
  /** Positions of a pass, and those whose keys and values are kept at once; no answer depends on them. */
  readonly maxPositions: number
  readonly maxCachedPositions: number
  readonly isCancelled?: (() => boolean) | undefined
  /** Those that write the same answers with the same model, each its part. All get all of them. Default: none. */
  readonly ranks?: Ranks | undefined
}

/** Answers that a rank writes between two meetings. */
const ANSWERS_OF_RANK = 64

/** Continues prompts that are drawn alike. @throws {AdaptError} EVALUATION_CANCELLED (exit 75) and what `generateTexts` throws. */
export async function writeAnswers(
  model: CausalLM,
  tokenizer: Tokenizer,
  prompts: readonly TextPrompt[],
  { isCancelled, ranks = ALONE, ...options }: WriteAnswersOptions,
  onAnswer: (place: number, text: string) => void,
): Promise<void> {
  const isAlone = ranks.worldSize === 1
  const perRank = isAlone ? prompts.length : ANSWERS_OF_RANK
  const stopped = () => (isCancelled?.() === true ? evaluationStopped() : undefined)
  await inRounds(ranks, {
    numRounds: Math.ceil(prompts.length / Math.max(1, perRank * ranks.worldSize)),
    async work(round) {
      const first = (round * ranks.worldSize + ranks.rank) * perRank
      const written: [place: number, text: string][] = []
      await generateTexts(model, tokenizer, prompts.slice(first, first + perRank), {
        ...options,
        stopIds: [tokenizer.eosId],
        onStep() {
          const stop = stopped()
          if (stop !== undefined) throw stop
        },
        onText: (place, { text }) => {
          if (isAlone) onAnswer(place, text)
          else written.push([first + place, text])
        },
      })
      return written
    },
    tell(parts) {
      for (const [place, text] of parts.flat()) onAnswer(place, text)
    },
    stopped,
  })
}
