/** A report as one HTML file: it asks nobody for anything, runs no script, and holds its own evidence. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatMs } from '#kit/progress'
import { LOAD_SOURCE, total } from '../evidence.ts'
import { shortDigest } from '../history.ts'
import { isGood, type Result } from '../render.ts'
import { isFrom, type MeasuredTime } from '../scenario.ts'
import { renderSpread } from './chart.ts'
import { type Group, goodOf, groupsOf, type Series, shareUsed, tellingRuns } from './groups.ts'
import { Html, html } from './html.ts'
import { downloadOf, renderChip, renderRun, renderTimes, sayTime, scrollable, valuesOf } from './section.ts'

const STYLE = join(import.meta.dirname, 'style.css')

/** All results of one run of a command. */
export function renderHtml(results: readonly Result[]): string {
  const groups = groupsOf(results)
  const tone = results.length > 0 && results.every(isGood) ? 'good' : 'bad'
  return renderPage(
    headlineOf(results),
    html`<header class="top tone-${tone}"><div class="wrap">
<p class="brand">Holdfast</p>
<h1>${headlineOf(results)}</h1>
${runFacts(results)}
</div></header>
<main id="main" class="wrap">
${results.length > 0 && summary(groups)}
${groups.map(section)}
</main>`,
  )
}

/** A page of ours around its content; the style is allowed by its hash, and nothing else is. */
export function renderPage(title: string, content: Html): string {
  const style = readFileSync(STYLE, 'utf8')
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'`
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Holdfast</title>
<link rel="icon" href="data:,">
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
${content}
<footer class="wrap"><p>Made from the records of runs alone. This file runs no script, and asks nobody for anything.</p></footer>
</body>
</html>
`
  return page.toString()
}

/** What came of it all, in one sentence. */
export function headlineOf(results: readonly Result[]): string {
  const [good, count] = [goodOf(results), results.length]
  const runs = count === 1 ? 'run' : 'runs'
  if (count === 0) return 'Nothing was run'
  if (good === count) return count === 1 ? 'The run came out as it should' : `All ${count} ${runs} came out as they should`
  return `${count - good} of ${count} ${runs} did not come out as ${count - good === 1 ? 'it' : 'they'} should`
}

function runFacts(results: readonly Result[]): Html {
  const records = results.map(({ record }) => record)
  const times = records.flatMap(({ startedAt, endedAt }) => [Date.parse(startedAt), Date.parse(endedAt)])
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const distinct = (values: readonly (string | undefined)[]) => [...new Set(values)].map((value) => value ?? 'not recorded').join(', ')
  const versions = [...new Set(records.flatMap((record) => Object.entries(record.versions).map(([what, version]) => `${what} ${version}`)))]
  const facts =
    records.length === 0
      ? []
      : [
          ['Started', sayTime(new Date(first).toISOString())],
          ['Took', formatMs(last - first)],
          ['Cluster', distinct(records.map(({ cluster, clusterKind }) => `${cluster} (${clusterKind})`))],
          ['Environment', distinct(records.map(({ environment }) => environment))],
          ['Digest', distinct(records.map(({ digest }) => digest && shortDigest(digest)))],
          ['Versions', versions.join(', ')],
        ]
  return html`<dl class="facts">${facts.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`
}

// ── The summary ─────────────────────────────────────────────────────────────────────────────────────────────────────

function summary(groups: readonly Group[]): Html {
  const head = ['Scenario', 'Verdict', 'Closest to its bound', 'Requests', 'Mutants red', 'Took']
  return html`<section aria-labelledby="summary"><h2 id="summary">Summary</h2>
${scrollable(
  'Summary of all scenarios',
  html`<table class="summary"><thead><tr>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${groups.map(summaryRow)}</tbody></table>`,
)}</section>`
}

function summaryRow({ scenario, series }: Group): Html {
  const own = series.find(({ results: [first] }) => first.record.mutant === undefined)
  const mutants = series.filter((each) => each !== own)
  const cell = (label: string, content: Html | string) => html`<td data-label="${label}"><div>${content}</div></td>`
  const all = series.flatMap(({ results }) => results)
  return html`<tr><th scope="row"><a href="#${scenario.name}">${scenario.name}</a></th>
${cell('Verdict', own === undefined ? 'only mutants were run' : verdictOf(own))}
${cell('Closest to its bound', own === undefined ? '–' : closest(own.times))}
${cell('Requests', requestsOf(own?.results ?? []))}
${cell('Mutants red', mutants.length === 0 ? '–' : redOf(mutants))}
${cell('Took', formatMs(all.reduce((sum, { record }) => sum + Date.parse(record.endedAt) - Date.parse(record.startedAt), 0)))}</tr>
`
}

const worstOf = (results: Series['results']) => results.find((result) => !isGood(result)) ?? results[0]

function verdictOf({ results }: Series): Html {
  return html`${renderChip(worstOf(results))}${results.length > 1 && html` <span class="note">${goodOf(results)} of ${results.length}</span>`}`
}

function closest(times: readonly MeasuredTime[]): Html {
  const time = times.toSorted((a, b) => (shareUsed(b) ?? 0) - (shareUsed(a) ?? 0))[0]
  if (time === undefined || time.valuesMs.length === 0) return html`–`
  const slowest = Math.max(...time.valuesMs)
  return html`<div class="closest">${renderSpread(time)}<span class="note">${time.bound}: ${formatMs(slowest)} of ${formatMs(time.upperMs)}</span></div>`
}

function requestsOf(results: readonly Result[]): string {
  const events = results.flatMap(({ record }) => record.rounds.flatMap((round) => round.events))
  if (!events.some((event) => isFrom(LOAD_SOURCE, event))) return '–'
  return `${total({ events }, 'failed')} of ${total({ events }, 'requests').toLocaleString('en')} failed`
}

function redOf(mutants: readonly Series[]): Html {
  const results = mutants.flatMap((each) => each.results)
  const red = goodOf(results)
  return html`<b class="${red === results.length ? 'good' : 'bad'}">${red} of ${results.length}</b>`
}

// ── Scenarios ───────────────────────────────────────────────────────────────────────────────────────────────────────

function section({ scenario, series }: Group): Html {
  return html`<section class="scenario" aria-labelledby="${scenario.name}">
<h2 id="${scenario.name}">${scenario.name}</h2>
<p class="about">${scenario.about}</p>
${scenario.harm !== undefined && html`<p class="note">How the fault is held: ${scenario.harm.held}</p>`}
${series.map(seriesBlock)}
</section>
`
}

/** What was run itself stands open; mutants are opened by who wants to know. */
function seriesBlock(series: Series): Html {
  const [first] = series.results
  const content = series.results.length === 1 ? renderRun(first) : manyRuns(series)
  if (first.record.mutant === undefined) return html`<div class="runs">${content}</div>`
  const { reason } = worstOf(series.results).judgement
  return html`<details class="mutant"${openIfRed(series)}><summary>${series.title} ${verdictOf(series)} <span class="note">${reason}</span></summary>
<div class="runs">${content}</div></details>
`
}

const openIfRed = ({ results }: Series) => results.some((result) => !isGood(result)) && html` open`

function manyRuns(series: Series): Html {
  const { results, times } = series
  const shown = tellingRuns(series)
  const rows = results.map((result) => {
    const evidence = shown.includes(result) ? 'below' : downloadOf(result.record)
    const { record, judgement } = result
    return html`<tr><td>${sayTime(record.startedAt)}</td><td>${renderChip(result)}</td><td>${slowestOf(result)}</td><td>${judgement.reason}</td><td>${evidence}</td></tr>`
  })
  return html`<p class="verdict"><b class="${goodOf(results) === results.length ? 'good' : 'bad'}">${goodOf(results)} of ${results.length}</b> came out as they should</p>
${times.length > 0 && renderTimes(times)}
<h3>All runs</h3>
${scrollable('All runs', html`<table class="runs-table"><thead><tr><th scope="col">started</th><th scope="col">verdict</th><th scope="col">times</th><th scope="col">reason</th><th scope="col">record</th></tr></thead><tbody>${rows}</tbody></table>`)}
${shown.map((result) => html`<article class="one-of-many"><h3>${isGood(result) ? 'The slowest' : 'Not as it should be'}: ${sayTime(result.record.startedAt)}</h3>${renderRun(result)}</article>`)}`
}

function slowestOf({ judgement }: Result): string {
  return judgement.times.map((time) => `${time.bound} ${valuesOf(time)}`).join('; ')
}
