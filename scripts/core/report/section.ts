/** One run in a report: its verdict, its story as a picture and as a table, its times, claims and evidence, and how to run it again. */
import { gzipSync } from 'node:zlib'
import { messageOf } from '#kit/errors'
import { formatMs } from '#kit/progress'
import { FIRST_ENVIRONMENT } from '../environments.ts'
import { shortDigest } from '../history.ts'
import { percentile } from '../judge.ts'
import { isGood, type Result } from '../render.ts'
import type { Judgement, MeasuredTime, RunRecord, SignalResult } from '../scenario.ts'
import { partName, renderSpread, renderTimeline } from './chart.ts'
import { type Html, html } from './html.ts'
import { happeningsOf, signedMs } from './readout.ts'
import { type Timeline, tellingRound, timelineOf } from './timeline.ts'

/** Longer tables are in the record, which is in the page. */
const MOST_HAPPENINGS = 200

/** A whole run. */
export function renderRun(result: Result): Html {
  const { judgement } = result
  return html`<p class="verdict">${renderChip(result)} ${judgement.reason}</p>
${drawn(result)}
${judgement.times.length > 0 && renderTimes(judgement.times)}
${judgement.claims.length > 0 && claims(judgement)}
${evidence(result)}
${reproduce(result)}`
}

/** One record that this version cannot draw takes no other one's page away. */
function drawn(result: Result): Html | undefined {
  try {
    const timeline = storyOf(result)
    return timeline && figure(result, timeline)
  } catch (thrown) {
    return html`<p class="note">Its timeline cannot be drawn: the record lacks what this version reads (${messageOf(thrown)}).</p>`
  }
}

/** Undefined for a run without a round. */
function storyOf({ record, judgement, scenario, timing }: Result): Timeline | undefined {
  const options = { scenario, timing, mutant: record.mutant }
  const index = tellingRound(record.rounds, judgement, options)
  const round = record.rounds[index]
  return round === undefined ? undefined : timelineOf(round, index, options)
}

// ── Verdicts ────────────────────────────────────────────────────────────────────────────────────────────────────────

const ICONS = { held: '✓', violated: '✗', 'no data': '○', 'not injected': '◇', aborted: '■' } as const

/** The verdict as a word, with a sign and a colour that say the same. */
export function renderChip(result: Result): Html {
  const { judgement, mutant } = result
  const good = isGood(result)
  const icon = good ? '✓' : ICONS[judgement.verdict === 'held' ? 'violated' : judgement.verdict]
  const remark = mutant === undefined ? '' : good ? ', as it should be' : `, should be ${mutant.expect}`
  const tone = good ? 'good' : ['no data', 'not injected'].includes(judgement.verdict) ? 'busy' : 'bad'
  return html`<span class="chip tone-${tone}"><span aria-hidden="true">${icon}</span> ${judgement.verdict}${remark}</span>`
}

// ── The story ───────────────────────────────────────────────────────────────────────────────────────────────────────

function figure({ record }: Result, timeline: Timeline): Html {
  const count = record.rounds.length
  const which = count < 2 ? '' : `Round ${timeline.round + 1} of ${count}, the one that shows most. `
  return html`<figure>
<figcaption>${which}${story(timeline)}</figcaption>
${renderTimeline(timeline)}
</figure>
${table(timeline)}`
}

/** What the picture shows, in one sentence. */
function story({ act: { name, bittenMs, healedMs }, endMs }: Timeline): Html {
  const bite =
    bittenMs === undefined ? html`<b class="bad">no effect was seen</b>` : html`it took effect after <b>${formatMs(bittenMs)}</b>`
  const end =
    healedMs === undefined
      ? html`what should have followed had not come after <b class="bad">${formatMs(endMs)}</b>`
      : html`all that was to follow had come after <b class="good">${formatMs(healedMs)}</b>`
  return html`At 0 s: <b>${name}</b>; ${bite}; ${end}.`
}

function table(timeline: Timeline): Html {
  const all = happeningsOf(timeline)
  const rows = all
    .slice(0, MOST_HAPPENINGS)
    .map(({ atMs, what }) => html`<tr><td class="number">${signedMs(atMs)}</td><td>${what}</td></tr>`)
  const sums = timeline.lanes.filter(({ sum }) => sum !== '').map(({ title, sum }) => html`<li>${title}: ${sum}</li>`)
  const left = all.length - rows.length
  return html`<details><summary>The timeline in words</summary>
${sums.length > 0 && html`<ul>${sums}</ul>`}
${scrollable('What happened, in time order', html`<table><thead><tr><th scope="col" class="number">time</th><th scope="col">what</th></tr></thead><tbody>${rows}</tbody></table>`)}
${left > 0 && html`<p class="note">${left} more are in the record.</p>`}</details>`
}

/** A table that is wider than a phone scrolls by itself, by keyboard too. */
export function scrollable(label: string, content: Html): Html {
  return html`<div class="scroll" role="group" aria-label="${label}" tabindex="0">${content}</div>`
}

// ── Times and claims ────────────────────────────────────────────────────────────────────────────────────────────────

/** Each measured time: its values upon the bound, and what the bound is the sum of. */
export function renderTimes(times: readonly MeasuredTime[]): Html {
  return html`<h3>Measured times</h3>
<ul class="times">${times.map(renderTime)}</ul>`
}

function renderTime(time: MeasuredTime): Html {
  const { bound, lowerMs, upperMs, partsMs } = time
  const parts = Object.entries(partsMs).map(([part, ms]) => `${partName(part)} ${formatMs(ms)}`)
  return html`<li><div class="cap"><span class="name">${bound}</span> <span class="sum">${valuesOf(time)}</span></div>
${renderSpread(time)}
<p class="note">bound ${formatMs(lowerMs)} to ${formatMs(upperMs)} = ${parts.join(' + ')}</p></li>`
}

/** One value, or the spread of many. */
export function valuesOf({ valuesMs }: Pick<MeasuredTime, 'valuesMs'>): string {
  const [only] = valuesMs
  if (only === undefined) return 'not measured'
  if (valuesMs.length === 1) return formatMs(only)
  const at = (share: number) => formatMs(percentile(valuesMs, share) ?? 0)
  return `n ${valuesMs.length}: ${at(0)} to ${at(1)}, p50 ${at(0.5)}, p95 ${at(0.95)}`
}

const OUTCOMES = { true: ['good', '✓'], false: ['bad', '✗'], 'no data': ['busy', '○'] } as const

function claims({ claims: all }: Judgement): Html {
  return html`<h3>Claims about all the evidence</h3>
<ul class="claims">${all.map(({ name, outcome, seen }) => {
    const [tone, icon] = OUTCOMES[outcome]
    return html`<li><span class="sign tone-${tone}" aria-hidden="true">${icon}</span> <span>${name}: <b>${seen}</b>${outcome !== 'true' && ` (${outcome})`}</span></li>`
  })}</ul>`
}

// ── Evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────

function evidence({ record }: Result): Html {
  const facts = [
    ['Started', sayTime(record.startedAt)],
    ['Took', formatMs(Date.parse(record.endedAt) - Date.parse(record.startedAt))],
    ['Cluster', `${record.cluster} (${record.clusterKind}), ${record.timing} timing`],
    ['Environment', record.environment ?? 'not recorded'],
    ['Digest', record.digest ?? 'not one digest before and after the run, or not recorded'],
    ...Object.entries(record.versions).map(([what, version]) => [what, version] as const),
  ] as const
  return html`<details><summary>Versions, steady state, raw data</summary>
<dl class="facts">${facts.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>
${steady('Before', record.steadyBefore)}${steady('After the undo', record.steadyAfter)}
<p>${downloadOf(record)}</p></details>`
}

/** `2026-11-25 20:07:24 UTC`, of the same in ISO 8601. */
export function sayTime(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC`
}

function steady(when: string, results: readonly SignalResult[]): Html {
  const items = results.map(({ name, ok, seen }) => html`<li>${ok ? '✓' : '✗'} ${name}: ${seen}</li>`)
  return html`<p class="label">${when}</p>
${items.length === 0 ? html`<p class="note">not looked at</p>` : html`<ul class="plain">${items}</ul>`}`
}

/** The whole record, packed into the link itself: nothing is left out, and no other file is needed. */
export function downloadOf(record: RunRecord): Html {
  const json = JSON.stringify(record)
  const packed = gzipSync(json, { level: 9 })
  const name = `${record.id}.json.gz`
  return html`<a download="${name}" href="data:application/gzip;base64,${packed.toString('base64')}">The whole record</a> <span class="note">(${kilobytes(packed.length)} packed, ${kilobytes(json.length)} JSON)</span>`
}

const kilobytes = (bytes: number) => `${Math.max(1, Math.round(bytes / 1000)).toLocaleString('en')} kB`

const COMMANDS = { proof: 'prove', chaos: 'chaos' } as const

/** The one that a command means without `--name`. */
const DEFAULT_CLUSTER = 'local'

/** What makes the same run again, on a stack with the same digest. */
export function commandOf({
  record: { kind, scenario, cluster, environment = FIRST_ENVIRONMENT, mutant },
}: Pick<Result, 'record'>): string {
  const flags = [
    ...(cluster === DEFAULT_CLUSTER ? [] : ['--name', cluster]),
    ...(environment === FIRST_ENVIRONMENT ? [] : ['--env', environment]),
    ...(mutant === undefined ? [] : ['--mutate']),
  ]
  return ['npm run', COMMANDS[kind], '--', scenario, ...flags].join(' ')
}

function reproduce(result: Result): Html {
  const { mutant, digest } = result.record
  const with_ = digest === undefined ? '' : ` It ran on ${shortDigest(digest)}.`
  return html`<p class="reproduce">Run it again${mutant !== undefined && ', with every mutant of it'}: <code>${commandOf(result)}</code>${with_}</p>`
}
