/** Changes of `deploy` while the stack runs: what an environment runs, and what Git holds beside it. */
import { isDeepStrictEqual } from 'node:util'
import { parse } from 'yaml'
import type { Kube, KubeObject } from '#kit/kube'
import { type Condition, overdue, pending, ready, waitFor } from '#kit/wait'
import { REFRESH, refOfApplication } from './applications.ts'
import { applyFiles, unlessDown } from './direct.ts'
import { nameIn } from './environments.ts'
import { applicationPath, ROOT_APPLICATION, toYaml, type ValuesOf, valuesPath } from './gitops.ts'
import { applicationState } from './health.ts'
import type { Context, Undo } from './scenario.ts'
import type { GitRemote, Pushed } from './types.ts'

/** One commit to `deploy`. Plain data, so that an undo can hold it. */
export interface DeployChange {
  readonly message: string
  /** Path to content; null for a file that goes. */
  readonly files: Readonly<Record<string, string | null>>
  /** The Applications, beside the root, whose own sources it changes. */
  readonly applications: readonly string[]
  /**
   * Whether it restores what Argo CD itself is made of: where Argo CD does not look at the commit, which may be for what runs now, the
   * objects are applied directly as well. @default false
   */
  readonly bootstraps?: boolean
}

/** While no name can be found, each comparison of Argo CD 3.5.7 takes 36 s; the one after it is the first that sees the commit. */
const COMPARED_TIMEOUT_MS = 120_000
/** An Argo CD that has looked at nothing for so long is taken for one that cannot. */
const DOWN_AFTER_MS = 60_000
/** From an order to start its pods to a comparison: they pull, elect and read the whole cluster first. */
const RESTORED_TIMEOUT_MS = 180_000
const TELL_AGAIN_MS = 500

/**
 * Commits, and tells Argo CD until it has compared the root and these Applications with the commit. What they then sync, it does
 * by itself.
 */
export async function commitDeploy(context: Pick<Context, 'cluster' | 'git' | 'signal'>, change: DeployChange): Promise<Pushed> {
  const { cluster, git, signal } = context
  const { files, applications, bootstraps = false } = change
  const pushed = await pushDeploy(await git(), change)
  const look = async () => {
    const behind = await notCompared(cluster.kube, [ROOT_APPLICATION, ...applications], pushed.sha)
    await Promise.all(behind.map((name) => refresh(cluster.kube, name)))
    return behind.length === 0 ? ready(true) : pending(`${behind.join(', ')} not compared with ${pushed.sha.slice(0, 7)}`)
  }
  const untilSeen = (timeoutMs: number, probe: () => Promise<Condition<boolean>> = look) =>
    waitFor('Argo CD to see the commit', probe, { timeoutMs, everyMs: TELL_AGAIN_MS, signal })
  if (!bootstraps) await untilSeen(COMPARED_TIMEOUT_MS)
  else if (!(await untilSeen(DOWN_AFTER_MS, () => unlessDown(cluster.kube, files, look)).catch(overdue))) {
    await applyFiles(cluster.kube, files, signal)
    await untilSeen(RESTORED_TIMEOUT_MS)
  }
  return pushed
}

/** Commits to `deploy`, and tells nobody. */
export function pushDeploy(git: GitRemote, { message, files }: Pick<DeployChange, 'message' | 'files'>): Promise<Pushed> {
  return git.updateDeploy(message, (all) => {
    for (const [path, content] of Object.entries(files)) {
      if (content === null) all.delete(path)
      else all.set(path, content)
    }
  })
}

async function notCompared(kube: Kube, names: readonly string[], sha: string): Promise<string[]> {
  const found = await Promise.all(names.map(async (name) => ({ name, application: await kube.get(refOfApplication(name)) })))
  return found.flatMap(({ name, application }) =>
    application !== undefined && applicationState(application).revisions.includes(sha) ? [] : [name],
  )
}

/** Has Argo CD compare an Application at once. */
export async function refresh(kube: Kube, name: string): Promise<void> {
  await kube.mergePatch(refOfApplication(name), { metadata: { annotations: { [REFRESH]: 'normal' } } })
}

type Files = ReadonlyMap<string, string>

/** Where `deploy` holds a part's values in an environment, and the Application that carries them to the chart. */
export const pathsOf = ({ part, environment }: ValuesOf) =>
  [valuesPath(environment, part), applicationPath(nameIn(environment, part))] as const

/** The files that hold a part's values in an environment, as they stand: what an undo writes back. */
export function valuesFiles(files: Files, of: ValuesOf): Readonly<Record<string, string | null>> {
  return Object.fromEntries(pathsOf(of).map((path) => [path, files.get(path) ?? null]))
}

/** The commit that an environment takes its chart from, as it was named to Argo CD; undefined where it has no Application. */
export function sourceRevisionIn(files: Files, of: ValuesOf): string | undefined {
  return parse(files.get(pathsOf(of)[1]) ?? '{}').spec?.sources[0].targetRevision
}

/** The values that the chart gets, those that follow from the stack included. */
export function valuesOfChart(files: Files, of: ValuesOf): Readonly<Record<string, unknown>> {
  return parse(files.get(pathsOf(of)[1]) ?? '{}').spec?.sources[0].helm.valuesObject ?? {}
}

/** The same files with these values changed: the values themselves, and the Application that carries them to the chart. */
export function withValues(files: Files, of: ValuesOf, change: object): Readonly<Record<string, string>> {
  const [values, application] = pathsOf(of)
  const object = parse(files.get(application) ?? '{}')
  const [source, ...others] = object.spec.sources
  const helm = { ...source.helm, valuesObject: { ...source.helm.valuesObject, ...change } }
  return {
    [values]: toYaml({ ...parse(files.get(values) ?? '{}'), ...change }),
    [application]: toYaml({ ...object, spec: { ...object.spec, sources: [{ ...source, helm }, ...others] } }),
  }
}

// ── Holding Argo CD off ─────────────────────────────────────────────────────────────────────────────────────────────

/** A change that is made for a while. */
export interface Interlude {
  readonly apply: () => Promise<void>
  readonly undo: Undo
}

type Spec = KubeObject['spec']

/**
 * Those of these Applications that the stack has, under another spec for a while. It is changed in Git: of what is patched in the
 * cluster, Argo CD puts some back. Even with self-heal off it now and then starts a sync, by a copy of its state that is out of date.
 */
export async function changeApplications(
  context: Pick<Context, 'cluster' | 'git' | 'signal'>,
  names: readonly string[],
  change: (spec: Spec) => Spec,
): Promise<Interlude> {
  const { files } = await (await context.git()).readDeploy()
  const present = names.filter((name) => files.has(applicationPath(name)))
  const whole = Object.fromEntries(present.map((name) => [applicationPath(name), files.get(applicationPath(name)) ?? '']))
  const objects = present.map((name): KubeObject => parse(files.get(applicationPath(name)) ?? ''))
  const changed = objects.map((object): KubeObject => ({ ...object, spec: change(object.spec) }))
  const listed = present.join(', ')
  return {
    async apply() {
      const written = Object.fromEntries(changed.map((object) => [applicationPath(object.metadata.name), toYaml(object)]))
      await commitDeploy(context, { message: `Hold Argo CD off: ${listed}`, files: written, applications: [] })
      for (const object of changed) await untilSpec(context, object)
    },
    undo: [{ op: 'commit', message: `Argo CD again: ${listed}`, files: whole, applications: [] }],
  }
}

/** Applications that nothing syncs by itself. */
export function pauseSync(context: Pick<Context, 'cluster' | 'git' | 'signal'>, ...names: readonly string[]): Promise<Interlude> {
  // Said, and not left out: a field that somebody else has written too would stay.
  const automated = { enabled: false, prune: true, selfHeal: false }
  return changeApplications(context, names, (spec) => ({ ...spec, syncPolicy: { ...spec.syncPolicy, automated } }))
}

/** Until the root has brought the change, and Argo CD has looked at the Application with it. */
async function untilSpec({ cluster: { kube }, signal }: Pick<Context, 'cluster' | 'signal'>, wanted: KubeObject): Promise<void> {
  const { name } = wanted.metadata
  const facts = ({ spec }: KubeObject) => [spec.syncPolicy.automated, spec.syncPolicy.syncOptions, spec.ignoreDifferences ?? []]
  const look = async (isSeen: (live: KubeObject) => boolean) => {
    const live = await kube.get(refOfApplication(name))
    return live !== undefined && isSeen(live) ? ready(undefined) : pending('it is not')
  }
  const options = { timeoutMs: COMPARED_TIMEOUT_MS, everyMs: 200, signal }
  await waitFor(`${name} to be as Git has it`, () => look((live) => isDeepStrictEqual(facts(live), facts(wanted))), options)
  await refresh(kube, name)
  await waitFor(`Argo CD to look at ${name}`, () => look(({ metadata }) => metadata.annotations?.[REFRESH] === undefined), options)
}
