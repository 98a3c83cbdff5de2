import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'
import type { TaskAnswer } from './report-tasks.js'

const MAX_PROMPT = 900
const MAX_ANSWER = 400

/** Some documents of each task with what the model preferred; right and wrong ones can be hidden, without a script. */
export function renderTaskAnswers(
  runs: readonly { readonly name: string; readonly answers: readonly TaskAnswer[] }[],
): Html {
  if (runs.every(({ answers }) => answers.length === 0)) return html``
  const filter = (id: string, text: string, isChosen: boolean) =>
    html`<input type="radio" name="answers" id="answers-${id}"${isChosen ? html` checked` : html``}><label for="answers-${id}">${text}</label>`
  const blocks = runs.flatMap(({ name, answers }, i) => {
    const tasks = [...new Set(answers.map(({ task }) => task))]
    const heading = runs.length === 1 ? html`` : html`<h4 class="part">${visibleText(name)}</h4>`
    return [heading, ...tasks.map((task, j) => renderTask(task, answers, i + j === 0))]
  })
  return html`<h3>Single documents</h3>
<p class="about">The first right and wrong ones of each task at the last evaluation. \u25b8 marks what the model preferred, \u2713 the right answer; log-likelihoods in nats.</p>
<div class="answers">${filter('all', 'all', true)}${filter('right', 'right', false)}${filter('wrong', 'wrong', false)}${blocks}</div>`
}

function renderTask(task: string, answers: readonly TaskAnswer[], isOpen: boolean): Html {
  const own = answers.filter((answer) => answer.task === task)
  const right = own.filter(({ isRight }) => isRight).length
  const summary = `${visibleText(task)}: ${right} right, ${own.length - right} wrong shown`
  return html`<details${isOpen ? html` open` : html``}><summary>${summary}</summary>${own.map(renderAnswer)}</details>`
}

function renderAnswer({ document, isRight, prompt, choices, written, target }: TaskAnswer): Html {
  const kind = isRight ? 'right' : 'wrong'
  const best = choices.reduce((most, { logLikelihood }) => Math.max(most, logLikelihood), -Infinity)
  const rows = choices.map(({ text, logLikelihood, isTarget }) => {
    const isPreferred = logLikelihood === best
    return html`<tr class="${isPreferred ? 'preferred' : ''}"><td class="sign">${isPreferred ? '\u25b8' : ''}${isTarget ? '\u2713' : ''}</td><td class="what">${beginning(text)}</td><td>${formatNumber(logLikelihood, 'ratio')}</td></tr>`
  })
  const table = choices.length === 0 ? html`` : html`<table><tbody>${rows}</tbody></table>`
  const line = (sign: string, text: string | undefined): Html =>
    text === undefined
      ? html``
      : html`<tr><td class="sign">${sign}</td><td class="what">${beginning(text)}</td></tr>`
  const open =
    written === undefined && target === undefined
      ? html``
      : html`<table><tbody>${line('\u25b8', written)}${line('\u2713', target)}</tbody></table>`
  return html`<article class="answer ${kind}"><div><div class="from">document ${document} \u00b7 <span class="diff ${isRight ? 'good' : 'bad'}">${kind}</span></div>${renderPrompt(prompt)}</div><div>${table}${open}</div></article>`
}

/** The end of a prompt: what is asked stands behind the examples. */
function renderPrompt(prompt: string): Html {
  if (prompt === '') return html``
  const cut = prompt.length > MAX_PROMPT ? prompt.slice(-MAX_PROMPT).replace(/^[\udc00-\udfff]/, '') : prompt
  const left =
    cut.length < prompt.length
      ? html`<span class="none">${prompt.length - cut.length} characters before \u2026 </span>`
      : html``
  return html`<div class="text" tabindex="0"><div>${left}${visibleText(cut)}</div></div>`
}

function beginning(text: string): Html {
  const cut = text.length > MAX_ANSWER ? text.slice(0, MAX_ANSWER).replace(/[\ud800-\udbff]$/, '') : text
  return html`${visibleText(cut)}${cut.length < text.length ? ' \u2026' : ''}`
}
