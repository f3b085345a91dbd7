/** Alertmanager is restarted while an alert fires: what it has already said, it does not say again. */
import {
  type Context,
  isChange,
  loadMeasured,
  type Mutant,
  NOBODY_NOTICES,
  noRequestFailed,
  pauseSync,
  present,
  type RecordedEvent,
  type Scenario,
  type Signal,
  untils,
} from '#core'
import { type ObjectRef, saysReady } from '#kit/kube'
import { type Condition, pending, ready, waitFor } from '#kit/wait'
import { MONITORING_NAMESPACE } from '../operator/part.ts'
import { errorRate, errorsFor } from './error-rate.ts'
import { arrives, fireAndResolve, LOAD, observesOf, oneOfEach, steadyOf, untilResolved } from './lifecycle.ts'

export const POD: ObjectRef = { apiVersion: 'v1', kind: 'Pod', name: 'alertmanager-alertmanager-0', namespace: MONITORING_NAMESPACE }
export const ALERTMANAGER: ObjectRef = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'Alertmanager',
  name: 'alertmanager',
  namespace: MONITORING_NAMESPACE,
}
const RESTART = 'restart Alertmanager'
const READY_AGAIN = 'Alertmanager is ready again'

const restartLoad = errorsFor('restart', { faultyMs: 50_000, cleanMs: 35_000 })

const isPod = (event: RecordedEvent) => isChange(event) && event.object.kind === 'Pod' && event.object.metadata.name === POD.name
const isGone = (event: RecordedEvent) => isPod(event) && event.type === 'DELETED'
const isReady = (event: RecordedEvent) => isPod(event) && isChange(event) && saysReady(event.object)

/** What it has said is kept on a volume; on one that goes with the pod, it says it again, or never says that it is over. */
const logForgotten: Mutant = {
  name: 'log-forgotten',
  expect: 'violated',
  async break(context) {
    const { kube } = context.cluster
    const storage = (await kube.get(ALERTMANAGER))?.spec.storage
    const pause = await pauseSync(context, 'alertmanager')
    return {
      async apply() {
        await pause.apply()
        await kube.mergePatch(ALERTMANAGER, { spec: { storage: { volumeClaimTemplate: null, emptyDir: {} } } })
        await waitFor('Alertmanager to run without a volume', () => runsOnEmptyDir(context), { timeoutMs: 90_000, signal: context.signal })
      },
      undo: [{ op: 'patch', ref: ALERTMANAGER, patch: { spec: { storage: { ...storage, emptyDir: null } } } }, ...pause.undo],
    }
  },
}

async function runsOnEmptyDir({ cluster: { kube } }: Context): Promise<Condition<void>> {
  const pod = await kube.get(POD)
  const kept = pod?.spec.volumes.some((volume: { persistentVolumeClaim?: object }) => volume.persistentVolumeClaim !== undefined)
  return pod !== undefined && !kept && saysReady(pod) ? ready(undefined) : pending(pod === undefined ? 'no pod' : 'not ready on its own')
}

export const answering: Signal = {
  name: 'Alertmanager is ready',
  async look({ cluster: { kube } }) {
    const pod = await kube.get(POD)
    const kept = pod?.spec.volumes.some((volume: { persistentVolumeClaim?: object }) => volume.persistentVolumeClaim !== undefined) === true
    const isReady = pod !== undefined && saysReady(pod)
    return { ok: isReady, seen: `${isReady ? 'ready' : 'not ready'}, ${kept ? 'on a volume' : 'without one'}` }
  },
}

export const alertmanagerRestarted: Scenario = {
  name: 'alertmanager-restarted',
  kind: 'proof',
  about: 'Alertmanager is restarted (SIGTERM) while an alert fires: in all, one notification and one resolution arrive.',
  isExtra: true,
  asks: ['prometheus', 'alertmanager', 'sink'],
  steady: [...steadyOf(errorRate), answering],
  watches: [{ apiVersion: 'v1', kind: 'Pod', namespace: MONITORING_NAMESPACE }],
  observes: observesOf(errorRate),
  // Not `untilArrived`: here the pod's end is what bites, and the evaluation that shows the value above its limit is the one that finds the
  // alert pending. An event that is no bite serves one step only.
  steps: (timing) => [
    { kind: 'load', name: LOAD, profile: restartLoad },
    ...untils(arrives(errorRate), timing),
    { kind: 'act', name: RESTART, run: async ({ cluster }) => void (await cluster.kube.delete(POD)) },
    { kind: 'until', isBite: true, name: 'its pod is gone', timeoutMs: 60_000, matches: isGone },
    { kind: 'until', name: READY_AGAIN, timeoutMs: 60_000, matches: isReady },
    ...untilResolved(errorRate, timing),
  ],
  claims: () => [loadMeasured(restartLoad), noRequestFailed(600), oneOfEach],
  bounds: (timing) => [
    ...fireAndResolve(errorRate, timing),
    { name: 'Alertmanager ready again', from: RESTART, to: READY_AGAIN, lowerMs: 500, partsMs: { stopMs: 10_000, startMs: 20_000 } },
  ],
  mutants: [
    { name: 'not-restarted', expect: 'not injected', steps: (steps) => steps.filter(({ name }) => name !== RESTART) },
    logForgotten,
  ],
  harm: {
    targets: present(POD),
    held: 'Nothing has to be held: the pod is made anew, and how soon it speaks again is what is measured.',
    limit: NOBODY_NOTICES,
  },
}
