/** What breaks the judging of canaries: a template that looks elsewhere, at nothing or too kindly, and a hand that skips it. */
import { type Act, type Context, lookAll, type Mutant, rolloutIn, type Step, WORKLOAD_NAME } from '#core'
import type { KubeObject } from '#kit/kube'
import { type Condition, pending, waitFor } from '#kit/wait'
import { analysisTemplateRef, type CanaryPlace, commitAt, restoreAt, STEADY } from './canary-place.ts'

/** Longer than all measurements that may come to nothing. */
const HOLD_MS = 45_000
const CALM_TIMEOUT_MS = 60_000

interface Metric {
  readonly name: string
  readonly failureLimit: number
  readonly consecutiveSuccessLimit: number
  readonly provider: { readonly prometheus: { readonly query: string } }
}

/** Judged by another template, which says nothing of Git's own: Argo CD puts that one back with every sync. */
function judgedBy(place: CanaryPlace, name: string, change: (metric: Metric) => object): Mutant {
  const ref = { ...analysisTemplateRef(place), name: `proof-${name}` }
  return {
    name,
    expect: 'violated',
    holdMs: HOLD_MS,
    async break(context) {
      const { kube } = context.cluster
      const original = await kube.get(analysisTemplateRef(place))
      if (original === undefined) throw new Error(`No AnalysisTemplate '${analysisTemplateRef(place).name}' in ${place.environment}`)
      const { apiVersion, kind, namespace = '' } = ref
      const spec = { ...original.spec, metrics: original.spec.metrics.map(change) }
      const copy: KubeObject = { apiVersion, kind, metadata: { name: ref.name, namespace }, spec }
      return {
        async apply() {
          await kube.apply(copy)
          const values = (now: Readonly<Record<string, unknown>>) => ({ analysis: { ...(now.analysis ?? {}), template: ref.name } })
          await commitAt(place, context, { message: `Mutant: ${name}`, values })
          const options = { timeoutMs: CALM_TIMEOUT_MS, signal: context.signal }
          await waitFor(`the rollout to be judged by '${ref.name}'`, () => isJudgedBy(place, ref.name, context), options)
        },
        undo: [...(await restoreAt(place, context)), { op: 'delete', ref }],
      }
    },
  }
}

async function isJudgedBy(place: CanaryPlace, template: string, context: Context): Promise<Condition<void>> {
  const rollout = await context.cluster.kube.get(rolloutIn(place.environment))
  if (!JSON.stringify(rollout?.spec.strategy).includes(`"${template}"`)) return pending('it is still judged by another')
  return lookAll(STEADY, context)
}

const withQuery = (metric: Metric, query: string) => ({
  ...metric,
  provider: { ...metric.provider, prometheus: { ...metric.provider.prometheus, query } },
})

/** Nothing counts under that name: no value is no failure. */
export const metricRenamed = (place: CanaryPlace): Mutant =>
  judgedBy(place, 'metric-renamed', (metric) =>
    withQuery(metric, metric.provider.prometheus.query.replaceAll('app_requests_total', 'app_requests_renamed_total')),
  )

/** As many bad measurements as it likes. A count below the limits' sum would be refused. */
export const failureLimit99 = (place: CanaryPlace): Mutant =>
  judgedBy(place, 'failure-limit-99', (metric) => ({ ...metric, failureLimit: 99, count: 99 + metric.consecutiveSuccessLimit + 99 }))

/** No comparison holds for it. */
export const nanOnly = (place: CanaryPlace): Mutant => judgedBy(place, 'nan-only', (metric) => withQuery(metric, 'vector(0) / vector(0)'))

export const noData = (place: CanaryPlace): Mutant => judgedBy(place, 'no-data', (metric) => withQuery(metric, 'vector(1) < 0'))

/** Somebody skips what is left, as `kubectl argo rollouts promote --full` does. */
export function promotedByHand(place: CanaryPlace, after: string): Mutant {
  const promote: Act = {
    kind: 'act',
    name: 'promote by hand',
    async run({ cluster }) {
      const path = `/apis/argoproj.io/v1alpha1/namespaces/${place.environment}/rollouts/${WORKLOAD_NAME}/status`
      await cluster.kube.request('PATCH', path, { body: { status: { promoteFull: true } }, type: 'application/merge-patch+json' })
    },
  }
  const insert = (steps: readonly Step[]) => steps.flatMap((step) => (step.name === after ? [step, promote] : [step]))
  return { name: 'promoted-by-hand', expect: 'violated', steps: insert }
}
