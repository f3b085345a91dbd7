/**
 * Proves another version of Kubernetes on a cluster of its own, which is gone afterwards: no commit takes it back where people work. Node by
 * node, under load and between proofs; where one of them does not hold, it shows too whether there is a way back.
 */
import { Failure, UserError } from '#kit/errors'
import type { Images } from '#kit/images'
import type { KubeObject } from '#kit/kube'
import { formatMs } from '#kit/progress'
import { bringUp } from './bring-up.ts'
import { drain } from './drain.ts'
import type { Installed } from './install.ts'
import { type KubernetesPlan, renderKubernetesPlan } from './kubernetes-plan.ts'
import { backInUse, type MovedNode, type Moving, moveNode, problemOf } from './move-node.ts'
import { headline, type Result, rowsOf } from './render.ts'
import { checkAnswering, type OpenRun, openRun, selectScenarios } from './run.ts'
import type { Context, Scenario } from './scenario.ts'
import type { Run, Stack } from './types.ts'
import { prove } from './upgrade.ts'

export interface KubernetesReport extends Pick<KubernetesPlan, 'part' | 'from' | 'to' | 'cluster' | 'spared'> {
  /** Whether every node was moved, no request failed, and every proof held afterwards. */
  readonly held: boolean
  readonly why?: string
  readonly before: readonly Result[]
  readonly nodes: readonly MovedNode[]
  readonly after: readonly Result[]
  /** Absent where it held. */
  readonly back?: BackInPlace
}

/** What became of the nodes that were touched, made of the old version again on what the new one left on their volumes. */
export interface BackInPlace {
  readonly nodes: readonly string[]
  /** Whether everything was Healthy and every proof held again. */
  readonly holds: boolean
  readonly why?: string
  readonly proofs: readonly Result[]
}

export interface KubernetesUpgrade extends Run {
  readonly plan: KubernetesPlan
  readonly images: Images
  /** How the pods are taken off a node. @default by evictions, which ask the disruption budgets */
  readonly empty?: typeof drain
}

interface Upgrading extends Moving {
  readonly plan: KubernetesPlan
  readonly proofs: readonly Scenario[]
}

interface Facts {
  readonly before: Result[]
  readonly nodes: MovedNode[]
  readonly after: Result[]
}

/**
 * Whatever comes of it, an interrupt included, its cluster is removed.
 * @throws UserError where there is a cluster of that name; Failure where a proof does not hold before anything is moved
 */
export async function upgradeKubernetes(whole: Stack, { plan, empty = drain, ...request }: KubernetesUpgrade): Promise<KubernetesReport> {
  const stack = { ...whole, parts: whole.kubernetes.parts }
  const { part, from, to, cluster, spared } = plan
  const { images, progress, signal } = request
  await checkAbsent(stack, plan)
  progress.say(renderKubernetesPlan(plan))
  await using _cluster = removedAtTheEnd(stack, cluster, request)
  const installed = await bringUpAt(stack, plan, request)
  await using run = await openRun(stack, { name: cluster, progress, signal })
  const x = { run, installed, images, empty, plan, machines: machinesOf(run), proofs: await proofsOf(stack, run) }
  const facts: Facts = { before: [], nodes: [], after: [] }
  const touched: string[] = []
  await prove(run, x.proofs, { into: facts.before, what: `Cannot move ${part} from ${from}` })
  const report = { part, from, to, cluster, spared, ...facts }
  try {
    await moveAll(x, { facts, touched })
    return { ...report, held: true }
  } catch (thrown) {
    run.signal.throwIfAborted()
    if (!(thrown instanceof Failure)) throw thrown
    progress.say(`Going back to ${part} ${from}: ${thrown.message}`)
    return { ...report, held: false, why: thrown.message, back: await goBack(x, touched) }
  }
}

/** A cluster of that name may be somebody's. */
async function checkAbsent({ clusters }: Stack, { part, cluster }: KubernetesPlan): Promise<void> {
  if (!(await clusters.local.exists(cluster))) return
  throw new UserError({
    what: `Cannot upgrade '${part}'`,
    why: `there is a cluster '${cluster}' already`,
    next: `Remove it with npm run local:down -- --name ${cluster}`,
  })
}

function removedAtTheEnd({ clusters }: Stack, name: string, { progress }: Pick<Run, 'progress'>): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => void (await clusters.local.down({ name, all: false, progress })) }
}

/** The images of both versions come first: later nobody waits for them under load. */
async function bringUpAt(stack: Stack, plan: KubernetesPlan, run: Run & { readonly images: Images }): Promise<Installed> {
  const request = { ...run, name: plan.cluster, nodes: plan.nodes }
  await stack.clusters.local.prepare({ ...request, kubernetes: plan.to })
  return bringUp(stack, { ...request, kubernetes: plan.from })
}

function machinesOf({ context: { cluster } }: OpenRun): Moving['machines'] {
  if (cluster.machines !== undefined) return cluster.machines
  throw new Failure({ what: 'Cannot move a node', why: `the machines of '${cluster.name}' are not ours` })
}

async function proofsOf(stack: Stack, { context }: OpenRun): Promise<readonly Scenario[]> {
  const proofs = stack.kubernetes.proofs.flatMap((name) => selectScenarios(stack, 'proof', { names: [name] }))
  await checkAnswering(
    context.cluster,
    proofs.flatMap(({ asks = [] }) => asks),
  )
  return proofs
}

/** No kubelet may be newer than the API server, whichever way it goes. */
async function moveAll(x: Upgrading, { facts, touched }: { readonly facts: Facts; readonly touched: string[] }): Promise<void> {
  const { run, plan, machines, proofs } = x
  const what = `Cannot keep ${plan.part} ${plan.to}`
  const before = await identitiesIn(run.context)
  const all = await machines.list()
  for (const machine of plan.isBack ? all.toReversed() : all) {
    touched.push(machine.node)
    const moved = await moveNode(x, { machine, to: plan.to })
    facts.nodes.push(moved)
    const problem = problemOf(moved, plan.to)
    if (problem !== undefined) throw new Failure({ what, why: `${machine.node}: ${problem}` })
  }
  const after = await identitiesIn(run.context)
  if (after.join() !== before.join()) throw new Failure({ what, why: 'nodes, namespaces, volumes or commits are not those of before' })
  await prove(run, proofs, { into: facts.after, what })
}

/** What a cluster has that no other one has. */
async function identitiesIn({ cluster: { kube }, git }: Context): Promise<readonly string[]> {
  const lists = await Promise.all(['Node', 'Namespace', 'PersistentVolumeClaim'].map((kind) => kube.list({ apiVersion: 'v1', kind })))
  const { sha = '' } = await (await git()).readDeploy()
  return [...lists.flat().map(({ metadata }: KubeObject) => metadata.uid ?? ''), sha].toSorted()
}

/** In place and without emptying anything: nobody is served any more by what did not hold. */
async function goBack(x: Upgrading, touched: readonly string[]): Promise<BackInPlace> {
  const { run, plan, machines, images, proofs } = x
  const { progress, signal } = run
  const nodes = touched.toReversed()
  const again: Result[] = []
  try {
    for (const node of nodes) {
      await progress.step(`Replace ${node} by one of ${plan.from}`, () =>
        machines.replace(node, { kubernetes: plan.from, images, progress, signal }),
      )
      await backInUse(x, node, signal)
    }
    await prove(run, proofs, { into: again, what: `Cannot go on with ${plan.part} ${plan.from}` })
    return { nodes, holds: true, proofs: again }
  } catch (thrown) {
    signal.throwIfAborted()
    if (!(thrown instanceof Failure)) throw thrown
    return { nodes, holds: false, why: thrown.message, proofs: again }
  }
}

// ── For a terminal ──────────────────────────────────────────────────────────────────────────────────────────────────

/** What it came to, below it what was seen, and what it means for the cluster that was spared. */
export function renderKubernetes(report: KubernetesReport): string {
  const { part, from, to, cluster, spared, held, why, before, nodes, after, back } = report
  return [
    `${held ? '✓' : '✗'} ${part} ${from} → ${to}: ${held ? 'every node moved, and nobody noticed' : why}`,
    ...before.map((result) => `    before: ${headline(result)}`),
    ...nodes.flatMap(nodeLines),
    ...after.map((result) => `    after: ${headline(result)}`),
    ...(back === undefined ? [] : backLines(back, from)),
    `    '${cluster}' is gone; '${spared}' was not touched: it runs what it ran${held ? '' : `. Do not pin ${to}`}`,
  ].join('\n')
}

function nodeLines({ node, says, served, emptiedMs, replacedMs, healthyMs, load }: MovedNode): string[] {
  const times = `empty after ${formatMs(emptiedMs)}, ready again ${formatMs(replacedMs)} later, all Healthy ${formatMs(healthyMs)} later`
  return [`    ${node} says ${says.join(' and ')}: ${times}; pods of the service that moved: ${served}`, `        load: ${load.seen}`]
}

function backLines({ nodes, holds, why, proofs }: BackInPlace, from: string): string[] {
  const end = holds ? `there is one: ${nodes.join(', ')} of ${from} again, on the same data` : `there is none in place: ${why}`
  return [`    way back: ${end}`, ...proofs.map((result) => `    back: ${headline(result)}`)]
}

/** The same as data: one object. */
export function kubernetesJson(report: KubernetesReport): string {
  const { before, after, back } = report
  const rows = { before: rowsOf(before), after: rowsOf(after) }
  return JSON.stringify({ ...report, ...rows, ...(back === undefined ? {} : { back: { ...back, proofs: rowsOf(back.proofs) } }) }, null, 2)
}
