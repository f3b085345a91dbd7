/** What breaks alerting: a rule that says something else, a sink that is away, no fault at all. */
import { type Context, lookAll, type Mutant, pauseSync, type UndoStep } from '#core'
import type { KubeObject, ObjectRef } from '#kit/kube'
import { refOf } from '#kit/kube'
import { waitFor } from '#kit/wait'
import { MONITORING_NAMESPACE } from '../operator/part.ts'
import { type WrittenRule as Rule, ruleLoaded } from './observers.ts'

const SINK: ObjectRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'sink', namespace: MONITORING_NAMESPACE }
const LOAD_TIMEOUT_MS = 90_000

export const noErrors: Mutant = { name: 'no-load', expect: 'not injected', skipAct: true, holdMs: 10_000 }

export const sinkAway: Mutant = {
  name: 'sink-away',
  expect: 'violated',
  async break(context) {
    const { kube } = context.cluster
    const pause = await pauseSync(context, 'alert-sink')
    return {
      async apply() {
        await pause.apply()
        await kube.mergePatch(SINK, { spec: { replicas: 0 } })
      },
      undo: [{ op: 'patch', ref: SINK, patch: { spec: { replicas: 1 } } }, ...pause.undo],
    }
  },
}

/** Prometheus evaluates a changed rule; the run begins once it has loaded it. */
export function ruleWith(name: string, alert: string, change: (rule: Rule) => Rule): Mutant {
  return {
    name,
    expect: 'violated',
    async break(context) {
      const { kube } = context.cluster
      const object = await ruleObject(context, alert)
      const pause = await pauseSync(context, 'alert-rules')
      const groups: { rules: Rule[] }[] = object.spec.groups.map((group: { rules: Rule[] }) => ({
        ...group,
        rules: group.rules.map((rule) => (rule.alert === alert ? change(rule) : rule)),
      }))
      return {
        async apply() {
          await pause.apply()
          await kube.mergePatch(refOf(object), { spec: { groups } })
          const changed = groups.flatMap(({ rules }) => rules).find((rule) => rule.alert === alert)
          await untilLoaded(context, alert, changed)
        },
        undo: [
          { op: 'patch', ref: refOf(object), patch: { spec: { groups: object.spec.groups } } },
          ...pause.undo,
          // Last: the operator has to write the ConfigMap first.
          ...(await nudges(context)),
        ],
      }
    },
  }
}

async function ruleObject({ cluster: { kube } }: Context, alert: string): Promise<KubeObject> {
  const objects = await kube.list({ apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', namespace: MONITORING_NAMESPACE })
  const found = objects.find(({ spec }) => spec.groups.some((group: { rules: Rule[] }) => group.rules.some((rule) => rule.alert === alert)))
  if (found === undefined) throw new Error(`No PrometheusRule in ${MONITORING_NAMESPACE} has the alert ${alert}`)
  return found
}

/** By what was changed, not by what the cluster holds: something may put the rule back. */
async function untilLoaded(context: Context, alert: string, changed: Rule | undefined): Promise<void> {
  const look = async () => {
    for (const step of await nudges(context)) if (step.op === 'patch') await context.cluster.kube.mergePatch(step.ref, step.patch)
    return lookAll([ruleLoaded(alert, changed)], context)
  }
  await waitFor(`Prometheus to load a changed ${alert}`, look, { timeoutMs: LOAD_TIMEOUT_MS, everyMs: 1_000, signal: context.signal })
}

/** The kubelet renews a pod's ConfigMaps when the pod changes, and otherwise only about once a minute. */
async function nudges({ cluster: { kube } }: Context): Promise<UndoStep[]> {
  const pods = await kube.list({
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: MONITORING_NAMESPACE,
    labelSelector: 'app.kubernetes.io/name=prometheus',
  })
  const patch = { metadata: { annotations: { 'holdfast.dev/nudged': new Date().toISOString() } } }
  return pods.map((pod) => ({ op: 'patch', ref: refOf(pod), patch }))
}
