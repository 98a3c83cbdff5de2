import type { Document } from '../dataset/index.js'
import type { PreparationTools } from '../method/preparation.js'

/** What a preparation asks for in a test; anything else that it calls is an error. */
export function toolsOf(parts: Partial<PreparationTools>): PreparationTools {
  return {
    progress() {},
    charge() {},
    warn() {},
    isScored: () => true,
    onFirst: (work) => work(),
    seed: 0,
    totalSteps: 1,
    recompute: false,
    ...parts,
  } as PreparationTools
}

/** The part of the tools that gives texts: a prompt and a response for each sample, or text that is no response to anything. */
export function textTools(
  texts: readonly (string | readonly [prompt: string, response: string])[],
): Partial<PreparationTools> {
  return {
    data: { numSamples: texts.length } as PreparationTools['data'],
    async *texts() {
      for (const [index, given] of texts.entries()) {
        const [prompt, response] = typeof given === 'string' ? ['', given] : given
        yield { index, prompt, text: prompt + response }
      }
    },
  }
}

/** Anchors of plain text, all of one task or of the tasks given. */
export function anchorsOf(texts: readonly string[], tasks: readonly string[] = []): Document[] {
  return texts.map((text, i) => ({
    id: `anchor-${i}`,
    source: tasks[i] ?? 'task',
    path: 'anchors.jsonl',
    line: i + 1,
    byteOffset: 0,
    weight: 1,
    content: { kind: 'text', text },
  }))
}
