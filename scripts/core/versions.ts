/** Which version of a part runs: what Git names, and what the programs say that run. */
import { type Kube, type KubeObject, refOf } from '#kit/kube'
import { type Condition, pending, ready, terminal } from '#kit/wait'
import { podsOf, workloadsIn } from './direct.ts'
import { folderOf } from './gitops.ts'
import { firstProblem } from './health.ts'
import { imageName } from './manifest.ts'
import type { Part, Upgrades } from './types.ts'
import { isRolledOut } from './workload.ts'

/** The label of a workload that says which version its programs are of; a part writes it. */
export const VERSION_LABEL = 'app.kubernetes.io/version'
/** Its first lines: a program names its version as it starts. */
const LOG_BYTES = 65_536

type Files = ReadonlyMap<string, string>

/** The version that `deploy` holds of a part; undefined where it names none, or several. */
export function versionIn(files: Files, part: Part, upgrades: Upgrades): string | undefined {
  const versions = new Set(versionedIn(files, part, upgrades).map(({ metadata }) => metadata.labels?.[VERSION_LABEL]))
  return versions.size === 1 ? [...versions][0] : undefined
}

/** The workloads of a part. */
export function workloadsOf(files: Files, part: Part): KubeObject[] {
  return workloadsIn(Object.fromEntries([...files].filter(([path]) => path.startsWith(folderOf(part)))))
}

/** Those whose programs are of its version. */
export function versionedIn(files: Files, part: Part, { image }: Upgrades): KubeObject[] {
  return workloadsOf(files, part).filter(({ spec }) => containersOf(spec.template.spec, image).length > 0)
}

/** The version of each part that can be upgraded, as the workloads that run carry it; a part none of whose run is left out. */
export async function runningVersions(kube: Kube, parts: readonly Part[]): Promise<Readonly<Record<string, string>>> {
  const lists = ['Deployment', 'StatefulSet'].map((kind) => kube.list({ apiVersion: 'apps/v1', kind, labelSelector: VERSION_LABEL }))
  const workloads = (await Promise.all(lists)).flat()
  const versionOf = ({ name, upgrades }: Part) => {
    const own = workloads.find(({ spec }) => upgrades !== undefined && containersOf(spec.template.spec, upgrades.image).length > 0)
    const version: string | undefined = own?.metadata.labels?.[VERSION_LABEL]
    return version === undefined ? [] : [[name, version] as const]
  }
  return Object.fromEntries(parts.flatMap(versionOf))
}

interface Container {
  readonly name: string
  readonly image: string
}

const containersOf = ({ containers }: { readonly containers: readonly Container[] }, image: string) =>
  containers.filter((each) => imageName(each.image) === image)

/** A running program, and what it says of itself. */
export interface RunningProgram {
  readonly pod: string
  /** By digest. */
  readonly image: string
  /** Undefined where its log does not begin with its start any more, or not yet. */
  readonly version: string | undefined
}

export interface WantedVersion {
  readonly version: string
  readonly upgrades: Upgrades
  /** Whether silence is taken for it: of pods that were not replaced the first lines may be gone. @default false */
  readonly mayBeSilent?: boolean
}

/**
 * Whether the pods of these workloads, and no others, run what they name and say that they are of this version. Looks once.
 * @param workloads as Git has them.
 */
export async function lookAtPrograms(
  kube: Kube,
  workloads: readonly KubeObject[],
  { version, upgrades, mayBeSilent = false }: WantedVersion,
): Promise<Condition<readonly RunningProgram[]>> {
  if (workloads.length === 0) return pending(`no workload runs the image '${upgrades.image}'`)
  const looks = await Promise.all(workloads.map((workload) => lookAtWorkload(kube, workload, upgrades)))
  const waiting = looks.find(({ state }) => state !== 'ready')
  if (waiting !== undefined) return waiting
  const programs = looks.flatMap((look) => (look.state === 'ready' ? look.value : []))
  const isOther = (program: RunningProgram) => program.version !== version && !(mayBeSilent && program.version === undefined)
  const other = programs.find(isOther)
  return other === undefined ? ready(programs) : pending(`${other.pod} says ${other.version ?? 'nothing'} of its version`)
}

/** Clocks differ by as much. */
const SKEW_MS = 5_000

/** A pod of these workloads that was made since and that no waiting mends: whoever would tell of it may be that pod. */
export async function lookForBroken(kube: Kube, workloads: readonly KubeObject[], sinceMs: number): Promise<Condition<never> | undefined> {
  const pods = (await Promise.all(workloads.map((workload) => kube.list(podsOf(workload))))).flat()
  const made = pods.filter(({ metadata }) => Date.parse(metadata.creationTimestamp ?? '') > sinceMs - SKEW_MS)
  const problem = firstProblem(made)
  return problem === undefined ? undefined : terminal(problem)
}

async function lookAtWorkload(kube: Kube, wanted: KubeObject, upgrades: Upgrades): Promise<Condition<RunningProgram[]>> {
  const [live, pods] = await Promise.all([kube.get(refOf(wanted)), kube.list(podsOf(wanted))])
  if (!isRolledOut(live) || pods.length !== (live?.spec.replicas ?? 1)) return pending(`${wanted.metadata.name} is not rolled out`)
  const containers = pods.flatMap((pod) => containersOf(pod.spec, upgrades.image).map((container) => ({ pod, container })))
  const programs = await Promise.all(containers.map((each) => programOf(kube, each, upgrades)))
  const given = containersOf(wanted.spec.template.spec, upgrades.image).map(({ image }) => image)
  const stray = programs.find(({ image }) => !given.includes(image))
  return stray === undefined ? ready(programs) : pending(`${stray.pod} runs ${stray.image}`)
}

async function programOf(
  kube: Kube,
  { pod: { metadata }, container }: { readonly pod: KubeObject; readonly container: Container },
  upgrades: Upgrades,
): Promise<RunningProgram> {
  const query = `container=${container.name}&limitBytes=${LOG_BYTES}`
  const log = await kube.request('GET', `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/log?${query}`)
  const said = String(log).split('\n').map(upgrades.says)
  return { pod: metadata.name, image: container.image, version: said.find((version) => version !== undefined) }
}
