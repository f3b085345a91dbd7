/** How an object of the cluster is, in a word that a person would use. */
import { conditionOf, type KubeObject, saysReady } from '#kit/kube'

/** How a state is to be looked at; never the only thing that tells it. */
export type Tone = 'good' | 'busy' | 'bad' | 'idle' | 'info'

export interface State {
  readonly text: string
  readonly tone: Tone
}

/** The state of an object whose kind has one that a person would ask for; undefined for any other kind. */
export function stateOf(object: KubeObject): State | undefined {
  return STATES[object.kind]?.(object)
}

const STATES: Readonly<Record<string, (object: KubeObject) => State>> = {
  Pod: podState,
  Node: nodeState,
  Application: applicationState,
  AnalysisRun: phaseState,
  Rollout: phaseState,
}

const state = (text: string, tone: Tone): State => ({ text, tone })

interface Container {
  readonly ready: boolean
  readonly restartCount: number
  readonly state?: { readonly waiting?: { readonly reason?: string }; readonly terminated?: { readonly reason?: string } }
}

const containersOf = (pod: KubeObject): Container[] => pod.status?.containerStatuses ?? []

function podState(pod: KubeObject): State {
  const reason = containersOf(pod)
    .map(({ state: now }) => now?.waiting?.reason ?? now?.terminated?.reason)
    .find((each) => each !== undefined && each !== 'ContainerCreating')
  if (pod.metadata.deletionTimestamp !== undefined) return state('ending', 'idle')
  if (saysReady(pod)) return state('ready', 'good')
  if (reason !== undefined) return state(reason, 'bad')
  return restartsOf(pod) > 0 ? state('starting again', 'busy') : state('starting', 'busy')
}

/** How often any container of a pod was started anew. */
export function restartsOf(pod: KubeObject | undefined): number {
  return pod === undefined ? 0 : containersOf(pod).reduce((sum, { restartCount }) => sum + restartCount, 0)
}

function nodeState(node: KubeObject): State {
  const ready = conditionOf(node, 'Ready')?.status
  if (ready !== 'True') return state(ready === 'Unknown' ? 'lost' : 'not ready', 'bad')
  return node.spec?.unschedulable === true ? state('ready, cordoned', 'busy') : state('ready', 'good')
}

function applicationState({ status, operation }: KubeObject): State {
  const [sync, health] = [status?.sync?.status ?? 'Unknown', status?.health?.status ?? 'Unknown']
  const runs = operation !== undefined || status?.operationState?.phase === 'Running'
  if (runs) return state(`${sync}, syncing`, 'busy')
  const isBad = sync === 'OutOfSync' || health === 'Degraded' || health === 'Missing'
  const isGood = sync === 'Synced' && health === 'Healthy'
  return state(isGood ? sync : `${sync}, ${health}`, isBad ? 'bad' : isGood ? 'good' : 'busy')
}

function phaseState({ status }: KubeObject): State {
  const phase: string = status?.phase || 'Pending' // it begins as an empty one
  if (['Successful', 'Healthy'].includes(phase)) return state(phase, 'good')
  return state(phase, ['Failed', 'Error', 'Degraded'].includes(phase) ? 'bad' : 'busy')
}
