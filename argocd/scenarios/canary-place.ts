/** The environment of a canary: its objects, its values in Git, what is read from its events, and what a mutant changes of it. */
import {
  type Context,
  commitDeploy,
  type Environment,
  inSync,
  isPresent,
  type RecordedEvent,
  rolledOut,
  rolloutIn,
  type Signal,
  storeVariant,
  type Undo,
  type ValuesOf,
  type Variant,
  valuesFiles,
  valuesOfChart,
  WORKLOAD_NAME,
  withValues,
} from '#core'
import type { KubeObject, ListRef, ObjectRef } from '#kit/kube'

export interface CanaryPlace {
  /** Its workload is a Rollout. */
  readonly environment: Environment
}

/** The chart's own. */
export const analysisTemplateRef = ({ environment }: CanaryPlace): ObjectRef => ({
  ...rolloutIn(environment),
  kind: 'AnalysisTemplate',
  name: `${WORKLOAD_NAME}-canary`,
})

export function watchesOf(place: CanaryPlace): readonly ListRef[] {
  const { environment: namespace } = place
  const { apiVersion } = rolloutIn(namespace)
  return [
    { apiVersion: 'apps/v1', kind: 'Deployment', namespace },
    { apiVersion, kind: 'Rollout', namespace },
    { apiVersion, kind: 'AnalysisRun', namespace },
    podsOf(place),
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      namespace,
      labelSelector: `kubernetes.io/service-name=${WORKLOAD_NAME}`,
    },
  ]
}

const podsOf = ({ environment: namespace }: CanaryPlace): ListRef => ({
  apiVersion: 'v1',
  kind: 'Pod',
  namespace,
  labelSelector: `app.kubernetes.io/name=${WORKLOAD_NAME}`,
})

// ── Its values in Git ───────────────────────────────────────────────────────────────────────────────────────────────

const valuesAt = ({ environment }: CanaryPlace): ValuesOf => ({ part: WORKLOAD_NAME, environment })

/** One commit of other values. */
export async function commitAt(place: CanaryPlace, context: Context, change: Commit): Promise<void> {
  const { files } = await (await context.git()).readDeploy()
  const values = change.values(valuesOfChart(files, valuesAt(place)))
  await commitDeploy(context, { message: change.message, files: withValues(files, valuesAt(place), values), applications: [] })
}

export interface Commit {
  readonly message: string
  /** @param now what the chart gets now. */
  readonly values: (now: Readonly<Record<string, unknown>>) => object
}

/** The values as they stand in Git now, and other files, written back. */
export async function restoreAt(place: CanaryPlace, context: Pick<Context, 'git'>, others: readonly OtherFile[] = []): Promise<Undo> {
  const { files } = await (await context.git()).readDeploy()
  const kept = Object.fromEntries(others.map(({ path }) => [path, files.get(path) ?? null]))
  return [
    {
      op: 'commit',
      message: 'Undo of a proof',
      files: { ...valuesFiles(files, valuesAt(place)), ...kept },
      applications: others.map(({ application }) => application),
    },
  ]
}

/** A file of `deploy`, and the Application whose it is. */
export interface OtherFile {
  readonly path: string
  readonly application: string
}

/** Puts another version of what runs there into the registry, and commits its digest. */
export async function deployAt(place: CanaryPlace, context: Context, version: Variant): Promise<void> {
  const digest = await storeVariant(context, place.environment, version)
  await commitAt(place, context, { message: `Proof: a ${version.name} version`, values: () => ({ image: { digest } }) })
}

// ── Signals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Nothing is tried out, and no pod is on its way out. */
export const STEADY: readonly Signal[] = [inSync, rolledOut]

// ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const ofKind = (kind: string, event: RecordedEvent) => (isPresent(event) && event.object.kind === kind ? event.object : undefined)

export const rolloutOf = (event: RecordedEvent): KubeObject | undefined => ofKind('Rollout', event)
export const templateIn = (objects: readonly KubeObject[]): KubeObject | undefined => objects.find(({ kind }) => kind === 'Deployment')

/** The revision that serves, as it is called in the names of its pods. */
export function stableHash(objects: readonly KubeObject[]): string | undefined {
  return objects.find(({ kind }) => kind === 'Rollout')?.status?.stableRS
}

export const isOfRevision = (hash: string | undefined, pod: string) => hash !== undefined && pod.startsWith(`${WORKLOAD_NAME}-${hash}-`)

/** An analysis that began in this round. */
export function analysisOf(event: RecordedEvent, before: readonly KubeObject[]): KubeObject | undefined {
  const run = ofKind('AnalysisRun', event)
  return before.some(({ metadata }) => metadata.uid === run?.metadata.uid) ? undefined : run
}

interface Measurement {
  readonly phase: string
  readonly value?: string
}

/** Measurements of one metric that came to this result, and by a number: `[NaN]` and `[]` are none. */
export function measured(run: KubeObject | undefined, metric: string, phase: 'Successful' | 'Failed'): number {
  return measurementsOf(run, metric).filter((each) => each.phase === phase && /^\[-?[\d.]+(e[+-]?\d+)?\]$/.test(each.value ?? '')).length
}

/** How many measurements of all metrics came to this result. */
export function countOf(run: KubeObject | undefined, phase: 'Successful' | 'Failed' | 'Inconclusive' | 'Error'): number {
  const results = (run?.status?.metricResults ?? []) as { measurements?: readonly Measurement[] }[]
  return results.flatMap(({ measurements = [] }) => measurements).filter((each) => each.phase === phase).length
}

function measurementsOf(run: KubeObject | undefined, metric: string): readonly Measurement[] {
  const results = (run?.status?.metricResults ?? []) as { name: string; measurements?: readonly Measurement[] }[]
  return results.find(({ name }) => name === metric)?.measurements ?? []
}
