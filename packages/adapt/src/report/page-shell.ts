import { type Html, html, Html as Markup, visibleText } from './html.js'
import { PAGE_STYLE } from './page-style.js'

/** A part of a page under a heading of its own. */
export interface PageSection {
  /** Anchor of the page's table of contents. */
  readonly id: string
  readonly title: string
  readonly body: Html
}

/** What a page shows; the shell around it is the same for all reports. */
export interface Page {
  readonly title: string
  /** Between the title and the table of contents. */
  readonly head: Html
  readonly sections: readonly PageSection[]
  /** Markup at the end of the body, and the style sheet that it needs. */
  readonly scripts?: { readonly body: Html; readonly style: Html }
  readonly credit?: string
}

/** One HTML file that asks for nothing outside itself, and runs no script unless it brings one. */
export function renderPage({ title, head, sections, scripts, credit = '' }: Page): string {
  const script = scripts === undefined ? '' : " script-src 'unsafe-inline';"
  const policy = `default-src 'none'; style-src 'unsafe-inline';${script} img-src data:; base-uri 'none'; form-action 'none'`
  const links = sections.map((section) => html`<a href="#${section.id}">${section.title}</a>`)
  const blocks = sections.map(
    (section) => html`<section id="${section.id}"><h2>${section.title}</h2>${section.body}</section>`,
  )
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${visibleText(title)}</title>
<style>${scripts?.style ?? ''}${new Markup(PAGE_STYLE)}</style>
</head>
<body>
<header><h1>${visibleText(title)}</h1>${head}<nav>${links}</nav></header>
<main>
${blocks}
</main>
<footer>Made by ADAPT for TypeScript.${credit}</footer>
${scripts?.body ?? ''}</body>
</html>
`.markup
}

/** Facts as pairs of a name and what is said of it, side by side where there is room. */
export function renderFacts(facts: readonly (readonly [name: string, value: Html])[]): Html {
  const items = facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)
  return facts.length === 0 ? html`` : html`<dl class="facts">${items}</dl>`
}
