/** What became of the watched objects: how many pods serve, each pod's states, and whatever else changed. */

import { restartsOf, type State, stateOf } from '../states.ts'
import type { History } from './histories.ts'
import { joined, type Lane, MOST_ROWS, type Row, type Series, type Source, type Span, type Tick } from './lane.ts'

const WORKLOADS = ['Deployment', 'StatefulSet', 'DaemonSet', 'Rollout']

export function replicaLanes(source: Source): Lane[] {
  const workloads = source.histories.filter(({ kind }) => WORKLOADS.includes(kind))
  return workloads.flatMap(({ kind, name, versions }) => {
    const at = (pick: (object: Version) => number | undefined) =>
      versions.map(({ atMs, object }) => ({ atMs: source.since(atMs), value: (object && pick(object)) ?? 0 }))
    const wanted = at(({ spec, status }) => spec?.replicas ?? status?.desiredNumberScheduled ?? 1)
    const ready = servingPoints(source, name) ?? at(({ status }) => status?.readyReplicas ?? status?.numberReady)
    // A Deployment whose pods a Rollout has asks for none.
    if (wanted.every(({ value }) => value === 0)) return []
    return [replicas(kind, name, { wanted, ready })]
  })
}

type Version = NonNullable<History['versions'][number]['object']>
type Points = Series['points']

/** What the Service offers traffic to is asked first: a ready pod that nobody is sent to serves nobody. */
function servingPoints({ histories, since }: Source, service: string): Points | undefined {
  const slices = histories.filter(({ kind, versions }) => kind === 'EndpointSlice' && serviceOf(versions[0]?.object) === service)
  if (slices.length !== 1) return undefined
  return slices[0]?.versions.map(({ atMs, object }) => ({ atMs: since(atMs), value: readyEndpoints(object) }))
}

const serviceOf = (slice: Version | undefined) => (slice?.metadata as { labels?: Record<string, string> })?.labels?.[SERVICE_LABEL]
const SERVICE_LABEL = 'kubernetes.io/service-name'

function readyEndpoints(slice: Version | undefined): number {
  const endpoints = (slice?.endpoints ?? []) as { conditions?: { ready?: boolean } }[]
  return endpoints.filter(({ conditions }) => conditions?.ready === true).length
}

function replicas(kind: string, name: string, { wanted, ready }: { wanted: Points; ready: Points }): Lane {
  const [least, most] = [Math.min(...ready.map(({ value }) => value)), Math.max(...ready.map(({ value }) => value))]
  return {
    kind: 'lines',
    title: `${kind} ${name}: pods`,
    sum: `${least === most ? least : `${least} to ${most}`} ready`,
    unit: '',
    isStep: true,
    series: [
      { name: 'wanted', tone: 'idle', isWanted: true, points: wanted },
      { name: 'ready', tone: 'good', points: ready },
    ],
  }
}

export function podLanes(source: Source): Lane[] {
  const pods = source.histories.filter(({ kind }) => kind === 'Pod')
  if (pods.length === 0) return []
  const rows = pods.slice(0, MOST_ROWS).map((history) => ({ ...rowOf(history, source), ticks: restarts(history, source) }))
  const count = rows.flatMap(({ ticks }) => ticks).length
  const sum = `${pods.length} in all${count === 0 ? '' : `, ${count} ${count === 1 ? 'restart' : 'restarts'}`}`
  return [{ kind: 'rows', title: 'Pods', sum, rows }]
}

function restarts({ versions }: History, { since }: Source): Tick[] {
  return versions.flatMap(({ atMs, object }, i) => {
    const more = restartsOf(object) > restartsOf(versions[i - 1]?.object)
    return i > 0 && more ? [{ atMs: since(atMs), text: 'started anew', tone: 'bad' as const }] : []
  })
}

// ── States ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The states of an object that followed each other; alike ones are one. */
function rowOf({ name, versions }: History, { since, endMs }: Source): Row {
  const spans = versions.flatMap(({ atMs, object }, i): Span[] => {
    if (object === undefined) return []
    const next = versions[i + 1]?.atMs
    return [{ ...(stateOf(object) ?? THERE), fromMs: since(atMs), toMs: next === undefined ? endMs : since(next) }]
  })
  return { name, spans: joined(spans.filter(({ fromMs, toMs }) => toMs > fromMs)), ticks: [] }
}

const THERE: State = { text: 'there', tone: 'good' }

const DRAWN_ELSEWHERE = ['Pod', 'EndpointSlice', 'HorizontalPodAutoscaler']

/** Of every other kind those that changed, with a tick for each change that its state does not show. */
export function objectLanes(source: Source): Lane[] {
  const others = source.histories.filter(({ kind }) => !DRAWN_ELSEWHERE.includes(kind))
  return [...Map.groupBy(others, ({ kind }) => kind)].flatMap(([kind, all]) => {
    const rows = all.map((history) => ({ ...rowOf(history, source), ticks: changes(history, source) })).filter(isEventful)
    if (rows.length === 0) return []
    const left = all.length - rows.length
    const sum = left === 0 ? '' : `${left} more did not change`
    return [{ kind: 'rows' as const, title: `${kind}s`, sum, rows: rows.slice(0, MOST_ROWS) }]
  })
}

const isEventful = ({ spans, ticks }: Row) => spans.length !== 1 || ticks.length > 0

/** Changes that a state does not tell: what is wanted of an object, where its generation counts that; else anything. */
function changes({ versions }: History, { since, startMs }: Source): Tick[] {
  return versions.slice(1).flatMap(({ atMs, object }, i) => {
    const before = versions[i]?.object
    const hasState = object !== undefined && stateOf(object) !== undefined
    const isSame = object?.metadata.generation !== undefined && object.metadata.generation === before?.metadata.generation
    if (hasState || isSame || since(atMs) <= startMs) return []
    return [{ atMs: since(atMs), text: textOf(before, object), tone: 'info' as const }]
  })
}

function textOf(before: Version | undefined, after: Version | undefined): string {
  if (after === undefined) return 'deleted'
  return before === undefined ? 'made again' : 'changed'
}

/** How busy an HPA finds its pods. */
export function usageLanes({ histories, since }: Source): Lane[] {
  return histories
    .filter(({ kind }) => kind === 'HorizontalPodAutoscaler')
    .flatMap(({ name, versions }) => {
      const seen = versions.flatMap(({ atMs, object }) => {
        const value = cpuOf(object?.status?.currentMetrics)?.current?.averageUtilization
        return value === undefined ? [] : [{ atMs: since(atMs), value }]
      })
      const target = versions.flatMap(({ atMs, object }) => {
        const value = cpuOf(object?.spec?.metrics)?.target?.averageUtilization
        return value === undefined ? [] : [{ atMs: since(atMs), value }]
      })
      if (seen.length === 0) return []
      const sum = `at most ${Math.max(...seen.map(({ value }) => value))} %`
      const series: Series[] = [
        { name: 'target', tone: 'idle', isWanted: true, points: target },
        { name: 'seen', tone: 'busy', points: seen },
      ]
      return [{ kind: 'lines' as const, title: `CPU as HPA ${name} sees it`, sum, unit: '%', isStep: true, series }]
    })
}

interface CpuMetric {
  readonly resource?: { readonly name: string; readonly current?: Percent; readonly target?: Percent }
}
interface Percent {
  readonly averageUtilization?: number
}

function cpuOf(metrics: readonly CpuMetric[] | undefined): CpuMetric['resource'] {
  return metrics?.find(({ resource }) => resource?.name === 'cpu')?.resource
}
