/** Mutants that many scenarios share: each breaks one healer of the workload. */
import { type KubeObject, refOf } from '#kit/kube'
import { waitFor } from '#kit/wait'
import { pauseSync } from './delivery.ts'
import { lookAll } from './observe.ts'
import type { Act, Context, Mutant } from './scenario.ts'
import { commitValues, restoreValues } from './values.ts'
import { ENVIRONMENT, inSync, rolledOut, WORKLOAD, WORKLOAD_NAME, WORKLOAD_PODS } from './workload.ts'

const ROLLOUT_TIMEOUT_MS = 90_000

/** Nobody acts: what is seen then was not brought about by the act. */
export const actSkipped = (holdMs = 8_000): Mutant => ({ name: 'act-skipped', expect: 'not injected', skipAct: true, holdMs })

/** One act alone is left out, and all that prepares for it is done: load alone must not be taken for the fault. */
export function leftOut(act: string, name = 'fault-skipped'): Mutant {
  return { name, expect: 'not injected', steps: (steps) => steps.filter((step) => step.name !== act), holdMs: 8_000 }
}

/** What ends the fault is left out: it must not heal without. */
export const neverEnds = ({ name }: Act, holdMs: number): Mutant => ({
  name: 'never-ends',
  expect: 'violated',
  holdMs,
  steps: (steps) => steps.filter((step) => step.name !== name),
})

/** Argo CD compares, and syncs nothing by itself. */
export const autoSyncOff = (holdMs: number, ...applications: readonly string[]): Mutant => ({
  name: 'auto-sync-off',
  expect: 'violated',
  holdMs,
  break: (context) => pauseSync(context, ...applications),
})

/** The workload under other values, in Git and running before the scenario begins. */
export function withValuesOf(name: string, change: object): Mutant {
  return {
    name,
    expect: 'violated',
    break: async (context) => ({
      async apply() {
        await commitValues(context, `Mutant: ${name}`, change)
        await untilCalm(context, name)
      },
      undo: await restoreValues(context),
    }),
  }
}

type Container = KubeObject['spec']

/** Its container with other fields, which no chart would write: Argo CD would put them right. */
export function withContainer(name: string, change: (container: Container) => object): Mutant {
  return {
    name,
    expect: 'violated',
    async break(context) {
      const { kube } = context.cluster
      const pause = await pauseSync(context, WORKLOAD_NAME)
      const [container] = (await kube.get(WORKLOAD))?.spec.template.spec.containers ?? []
      // A list is replaced as a whole.
      const patchOf = (fields: object) => ({ spec: { template: { spec: { containers: [fields] } } } })
      return {
        async apply() {
          await pause.apply()
          await kube.mergePatch(WORKLOAD, patchOf({ ...container, ...change(container) }))
          await untilCalm(context, name, [rolledOut])
        },
        undo: [{ op: 'patch', ref: WORKLOAD, patch: patchOf(container) }, ...pause.undo],
      }
    },
  }
}

async function untilCalm(context: Context, name: string, signals = [inSync, rolledOut]): Promise<void> {
  const calm = () => lookAll(signals, context)
  await waitFor(`the workload to run with ${name}`, calm, { timeoutMs: ROLLOUT_TIMEOUT_MS, signal: context.signal })
}

/** A pod that starts takes a long while until it is asked whether it can be used. */
export const startsLate = (delayS: number): Mutant =>
  withContainer('starts-late', ({ startupProbe }) => ({ startupProbe: { ...startupProbe, initialDelaySeconds: delayS } }))

/** Whoever makes pods is not allowed to. */
export const noNewPods = (holdMs: number): Mutant => {
  const quota: KubeObject = {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'no-new-pods', namespace: ENVIRONMENT },
    spec: { hard: { pods: '0' } },
  }
  const { apiVersion, kind, metadata } = quota
  return {
    name: 'no-new-pods',
    expect: 'violated',
    holdMs,
    async break({ cluster: { kube } }) {
      const replicaSets = await kube.list({ ...WORKLOAD_PODS, apiVersion: 'apps/v1', kind: 'ReplicaSet' })
      // Refused again and again, they would be tried again only after minutes; at once after a change of their own.
      const patch = { metadata: { annotations: { 'holdfast.dev/refused': new Date().toISOString() } } }
      return {
        apply: async () => void (await kube.create(quota)),
        undo: [
          { op: 'delete', ref: { apiVersion, kind, name: metadata.name, namespace: ENVIRONMENT } },
          ...replicaSets.map((object) => ({ op: 'patch' as const, ref: refOf(object), patch })),
        ],
      }
    },
  }
}
