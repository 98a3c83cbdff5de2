import { headlineFigures, type TaskFigure } from '../record/index.js'
import type { TaskAnswer } from '../report/index.js'
import type { TaskSample } from './read-task-samples.js'

/** Answers that a page shows of all tasks, about, and most of one task and kind. */
const MAX_ANSWERS = 96
const MAX_OF_KIND = 6
/** Documents of a task that are looked through. */
const MAX_READ = 2000

/** The first right and wrong documents of each task. @param samplesOf  The samples of a task in order. */
export function chooseAnswers(
  figures: readonly TaskFigure[],
  samplesOf: (task: string) => Iterable<TaskSample>,
): TaskAnswer[] {
  const headlines = headlineFigures(figures)
  const most = Math.max(1, Math.min(MAX_OF_KIND, Math.floor(MAX_ANSWERS / 2 / Math.max(1, headlines.length))))
  return headlines.flatMap(({ task, alias, metric, filter }) => {
    const found = { right: [] as TaskAnswer[], wrong: [] as TaskAnswer[] }
    let read = 0
    for (const sample of samplesOf(task)) {
      read += 1
      if (read > MAX_READ || (found.right.length >= most && found.wrong.length >= most)) break
      if (sample.filter !== filter) continue
      const answer = toAnswer(sample, alias, metric)
      const kind = answer.isRight ? found.right : found.wrong
      if (kind.length < most) kind.push(answer)
    }
    return [...found.right, ...found.wrong].sort((a, b) => a.document - b.document)
  })
}

function toAnswer(sample: TaskSample, task: string, metric: string): TaskAnswer {
  const { doc_id: document, arguments: asked, filtered_resps: answers, target } = sample
  const isRight = Number(sample[metric]) > 0.5
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value ?? ''))
  const likelihoods = answers.map((answer) => (Array.isArray(answer) ? Number(answer[0]) : Number.NaN))
  const head = { task, document, isRight }
  const prompt = text(asked[0]?.[0])
  if (likelihoods.length === 0 || !likelihoods.every(Number.isFinite)) {
    // What the model wrote, whatever a filter made of it.
    const said = [sample.resps?.[0]].flat()[0]
    const written = text(typeof said === 'string' ? said : answers[0])
    return { ...head, prompt, choices: [], written, target: text(target) }
  }
  if (likelihoods.length === 1) return { ...head, prompt, choices: [], target: text(target) }
  // The choices once more without context, where they were asked for.
  const isDoubled = Array.isArray(sample.metrics) && sample.metrics.includes('acc_mutual_info')
  const count = isDoubled ? likelihoods.length / 2 : likelihoods.length
  const pairs = asked.slice(0, count).map((one) => ({ context: text(one[0]), choice: text(one[1]) }))
  // Where every choice is a context of its own, the choices are what differs.
  const isPartial = new Set(pairs.map(({ choice }) => choice)).size === 1
  const best = likelihoods.slice(0, count).reduce((most, value, i, all) => (value > all[most]! ? i : most), 0)
  const isTarget = (choice: string, i: number): boolean => {
    if (isPartial) return isRight && i === best
    return typeof target === 'number' ? target === i : text(target).trim() === choice.trim()
  }
  return {
    ...head,
    prompt: isPartial ? '' : prompt,
    choices: pairs.map(({ context, choice }, i) => ({
      text: isPartial ? context + choice : choice,
      logLikelihood: likelihoods[i]!,
      isTarget: isTarget(choice, i),
    })),
  }
}
