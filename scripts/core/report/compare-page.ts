/** A comparison as a page of its own. */
import { shortDigest } from '../history.ts'
import { renderRanges } from './chart.ts'
import { type ComparedRow, type ComparedTime, type Comparison, isWorse, type Side, sayCount, saySpread } from './compare.ts'
import { type Html, html } from './html.ts'
import { renderPage } from './page.ts'
import { sayTime, scrollable } from './section.ts'

/** What changed between two runs; both sides of every time upon its bound. */
export function renderComparisonHtml(comparison: Comparison): string {
  const { before, after, rows } = comparison
  const title = comparisonHeadline(comparison)
  return renderPage(
    title,
    html`<header class="top tone-${isWorse(comparison) ? 'bad' : 'good'}"><div class="wrap">
<p class="brand">Holdfast</p>
<h1>${title}</h1>
</div></header>
<main id="main" class="wrap">
<section aria-labelledby="sides"><h2 id="sides">What was compared</h2>${sides(before, after)}</section>
<section aria-labelledby="changes"><h2 id="changes">Scenarios</h2>${rows.map(block)}</section>
</main>`,
  )
}

function comparisonHeadline({ rows }: Comparison): string {
  const count = (change: ComparedRow['change']) => rows.filter((row) => row.change === change).length
  const slower = rows.flatMap(({ times }) => times).filter(({ change }) => change === 'slower').length
  const times = slower === 0 ? '' : `, ${slower} ${slower === 1 ? 'time is' : 'times are'} slower`
  const [worse, better] = [count('worse'), count('better')]
  if (worse > 0) return `${worse} of ${rows.length} got worse${times}`
  return better > 0 ? `Nothing got worse, ${better} got better${times}` : `No verdict changed${times}`
}

function sides(before: Side, after: Side): Html {
  const facts: readonly [string, (side: Side) => string][] = [
    ['Runs', ({ runs }) => String(runs)],
    ['Began', ({ startedAt }) => (startedAt === undefined ? '–' : sayTime(startedAt))],
    ['Environment', ({ environments }) => environments.join(', ') || 'not recorded'],
    ['Digest', ({ digests }) => digests.map(shortDigest).join(', ') || 'not recorded'],
    ['Versions', ({ versions }) => versions.join(', ')],
  ]
  const rows = facts.map(([term, say]) => {
    const [own, other] = [say(before), say(after)]
    return html`<tr><th scope="row">${term}</th><td>${own}</td><td>${own === other ? other : html`<b>${other}</b>`}</td></tr>`
  })
  return scrollable(
    'What was compared',
    html`<table><thead><tr><td></td><th scope="col">before</th><th scope="col">after</th></tr></thead><tbody>${rows}</tbody></table>`,
  )
}

const TONES = { same: 'idle', better: 'good', worse: 'bad', 'only before': 'busy', 'only after': 'busy' } as const

function block({ name, mutant, before, after, change, times }: ComparedRow): Html {
  const reds = [before?.red, after?.red].map(
    (red, i) => red !== undefined && html`<p class="note">${i === 0 ? 'before' : 'after'}: ${red}</p>`,
  )
  return html`<article class="compared"><h3>${name}${mutant !== undefined && ` / mutant ${mutant}`} <span class="chip tone-${TONES[change]}">${change}</span></h3>
<p>${sayCount(before)} → ${sayCount(after)}</p>${reds}
<ul class="times">${times.map(timeOf)}</ul></article>
`
}

function timeOf(time: ComparedTime): Html {
  const { bound, before, after, change } = time
  const said = change === 'slower' || change === 'faster' ? html` <b class="${change === 'slower' ? 'bad' : 'good'}">${change}</b>` : ''
  return html`<li><div class="cap"><span class="name">${bound}${said}</span></div>
${renderRanges(time)}
<p class="note">before ${saySpread(before)}<br>after ${saySpread(after)}</p></li>`
}
