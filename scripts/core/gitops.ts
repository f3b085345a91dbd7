/** What Git holds for Argo CD: the `deploy` ref's tree, made of the stack and a target. Pure but for the parts' own reading. */
import { isDeepStrictEqual } from 'node:util'
import { parse, stringify } from 'yaml'
import type { KubeObject } from '#kit/kube'
import { ENVIRONMENTS, type Environment, FIRST_ENVIRONMENT } from './environments.ts'
import type { Digest, NamespaceSpec, Part, Refs, Stack, StoredImage, Target } from './types.ts'

export const ARGOCD_NAMESPACE = 'argocd'
export const SOURCE_REF = 'source'
export const DEPLOY_REF = 'deploy'
export const OWN_REFS: Refs = { source: SOURCE_REF, deploy: DEPLOY_REF }
/** The Application that makes all others; it is applied directly and stands in no ref, so that nothing reverts it. */
export const ROOT_APPLICATION = 'root'
const PLATFORM_PROJECT = 'platform'
const IN_CLUSTER = 'https://kubernetes.default.svc'

export interface ApplicationSpec {
  readonly name: string
  /** @default 'platform' */
  readonly project?: string
  /** Where objects without a namespace of their own go. */
  readonly namespace: string
  readonly sources: readonly object[]
  /** What Argo CD leaves as it finds it, also when it syncs. @default nothing */
  readonly ignoreDifferences?: readonly object[]
  /** Whether the root makes it before others. @default false */
  readonly first?: boolean
}

/** Of what the root makes in its first wave. A wave is followed by a pause of 2 s, but only where the next one has something to do. */
const FIRST_WAVE = { annotations: { 'argocd.argoproj.io/sync-wave': '-1' } }

/**
 * Without an end: an Application may hold objects whose kinds another one has yet to define, and once its retries were spent Argo CD
 * would leave a commit alone, with nobody there to help. Each try takes the newest commit.
 */
const RETRY = { limit: -1, refresh: true, backoff: { duration: '2s', factor: 1, maxDuration: '2s' } }

/** An Application with the platform's sync policy: automated, pruning, self-healing, with retries. */
export function application(spec: ApplicationSpec): KubeObject {
  const { name, project = PLATFORM_PROJECT, namespace, sources, ignoreDifferences = [], first = false } = spec
  const ignores = ignoreDifferences.length > 0
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: {
      name,
      namespace: ARGOCD_NAMESPACE,
      labels: PART_OF,
      finalizers: ['resources-finalizer.argocd.argoproj.io'],
      ...(first ? FIRST_WAVE : {}),
    },
    spec: {
      project,
      destination: { server: IN_CLUSTER, namespace },
      sources,
      syncPolicy: {
        automated: { prune: true, selfHeal: true },
        // Only what differs: the root has an object for every Application, and applying them all again costs each commit a second or two.
        syncOptions: ['ServerSideApply=true', 'ApplyOutOfSyncOnly=true', ...(ignores ? ['RespectIgnoreDifferences=true'] : [])],
        retry: RETRY,
      },
      ...(ignores ? { ignoreDifferences } : {}),
    },
  }
}

/** The source of a part whose objects are rendered into `deploy`. */
export function renderedSource(part: string, { repoUrl, refs = OWN_REFS }: Target): object {
  return { repoURL: repoUrl, targetRevision: refs.deploy, path: `rendered/${part}` }
}

export interface ProjectSpec {
  readonly name: string
  readonly namespaces: readonly string[]
  readonly objects: readonly { readonly apiVersion: string; readonly kind: string }[]
}

/** An AppProject that allows these kinds in these namespaces and no more. */
export function project({ name, namespaces, objects }: ProjectSpec, { repoUrl }: Pick<Target, 'repoUrl'>): KubeObject {
  const kinds = [
    ...new Map(objects.map((object) => [`${groupOf(object)}/${object.kind}`, { group: groupOf(object), kind: object.kind }])).values(),
  ]
  const sorted = kinds.toSorted((a, b) => `${a.group}/${a.kind}`.localeCompare(`${b.group}/${b.kind}`))
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'AppProject',
    metadata: { name, namespace: ARGOCD_NAMESPACE, labels: PART_OF, ...FIRST_WAVE },
    spec: {
      sourceRepos: [repoUrl],
      destinations: namespaces.map((namespace) => ({ server: IN_CLUSTER, namespace })),
      clusterResourceWhitelist: sorted.filter(({ kind }) => isClusterScoped(kind)),
      namespaceResourceWhitelist: sorted.filter(({ kind }) => !isClusterScoped(kind)),
    },
  }
}

/** The first Application and its project: all that Argo CD is told directly. */
export function rootObjects(target: Target): KubeObject[] {
  const kinds = ['Application', 'AppProject'].map((kind) => ({ apiVersion: 'argoproj.io/v1alpha1', kind }))
  const root = application({
    name: ROOT_APPLICATION,
    project: ROOT_APPLICATION,
    namespace: ARGOCD_NAMESPACE,
    sources: [{ repoURL: target.repoUrl, targetRevision: (target.refs ?? OWN_REFS).deploy, path: 'applications' }],
  })
  return [project({ name: ROOT_APPLICATION, namespaces: [ARGOCD_NAMESPACE], objects: kinds }, target), root]
}

/** A namespace with its pod-security level and its quota. */
export function namespaceObjects({ name, podSecurity, quota }: NamespaceSpec): KubeObject[] {
  const labels = { ...PART_OF, 'pod-security.kubernetes.io/enforce': podSecurity, 'pod-security.kubernetes.io/warn': podSecurity }
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
    { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'quota', namespace: name, labels: PART_OF }, spec: { hard: quota } },
  ]
}

/** What is rendered from the stack whatever the environments hold: objects, and their files in `deploy`. */
export interface Rendered {
  readonly objects: readonly KubeObject[]
  readonly files: ReadonlyMap<string, string>
}

/** A part's own objects for a cluster. Only on this machine are Services published by ports of the node. */
export async function renderPart(part: Part, target: Target): Promise<readonly KubeObject[]> {
  const objects = (await part.rendered?.(target)) ?? []
  return target.cluster.kind === 'k3s' ? objects : objects.map(unpublished)
}

function unpublished(object: KubeObject): KubeObject {
  if (object.kind !== 'Service' || object.spec.type !== 'NodePort') return object
  const ports = (object.spec.ports as readonly { nodePort?: number }[]).map(({ nodePort: _, ...port }) => port)
  return { ...object, spec: { ...object.spec, type: 'ClusterIP', ports } }
}

/** Namespaces, quotas and every part's own objects. */
export async function renderObjects(stack: Stack, target: Target): Promise<Rendered> {
  const namespaces = spacesOf(stack).flatMap(namespaceObjects)
  const parts = await Promise.all(stack.parts.map(async (part) => ({ name: part.name, objects: await renderPart(part, target) })))
  const folders = [{ name: 'namespaces', objects: namespaces }, ...parts]
  const files = folders.flatMap((folder) => folder.objects.map((object) => renderedFile(folder, object)))
  return { objects: folders.flatMap(({ objects }) => objects), files: new Map(files) }
}

/**
 * The files of `deploy` that change when one part is rendered anew: its objects and Applications, and the project, which comes to allow
 * what is new in it. All else stays as it runs, whatever the working tree holds by now; null is a file that goes.
 */
export async function filesWithPart(files: Files, part: Part, target: Target): Promise<Readonly<Record<string, string | null>>> {
  const objects = await renderPart(part, target)
  const folder = folderOf(part)
  const written = new Map([
    ...objects.map((object) => renderedFile(part, object)),
    ...applicationsIn(part, { target, files }).map(applicationFile),
    ...projectFor(files, objects),
  ])
  const gone = [...files.keys()].filter((path) => path.startsWith(folder) && !written.has(path))
  const changed = [...written].filter(([path, content]) => files.get(path) !== content)
  return Object.fromEntries([...changed, ...gone.map((path) => [path, null] as const)])
}

/** Where `deploy` holds the objects of a part. */
export const folderOf = ({ name }: Pick<Part, 'name'>) => `rendered/${name}/`

const renderedFile = (part: Pick<Part, 'name'>, object: KubeObject) => [`${folderOf(part)}${fileName(object)}`, toYaml(object)] as const

/** The platform's project with the kinds and namespaces of these objects; what it allows already, it allows on. */
function projectFor(files: Files, objects: readonly KubeObject[]): ApplicationFile[] {
  const path = `applications/appproject.${ARGOCD_NAMESPACE}.${PLATFORM_PROJECT}.yaml`
  const present: KubeObject | undefined = parse(files.get(path) ?? 'null') ?? undefined
  if (present === undefined) return []
  const wanted = project({ name: PLATFORM_PROJECT, namespaces: namespacesOf(objects, []), objects }, { repoUrl: '' }).spec
  const widened = (field: string) => [...present.spec[field], ...wanted[field].filter((each: object) => !holds(present.spec[field], each))]
  const spec = Object.fromEntries(
    ['destinations', 'clusterResourceWhitelist', 'namespaceResourceWhitelist'].map((field) => [field, widened(field)]),
  )
  return [applicationFile({ ...present, spec: { ...present.spec, ...spec } })]
}

const holds = (list: readonly object[], wanted: object) => list.some((each) => isDeepStrictEqual(each, wanted))

/** Puts what follows from the stack into `deploy`: rendered objects, and Applications with the values of their environments. */
export function composeDeploy(
  files: Map<string, string>,
  stack: Stack,
  { target, rendered }: { target: Target; rendered: Rendered },
): void {
  const applications = applicationObjects(stack, { target, rendered, files }).map(applicationFile)
  const all = new Map([...rendered.files, ...applications, ...promotedFiles(stack, { target, files })])
  for (const path of files.keys()) if (/^(applications|rendered)\//.test(path) && !all.has(path)) files.delete(path)
  for (const [path, content] of all) files.set(path, content)
}

function applicationObjects(
  stack: Stack,
  { target, rendered, files }: { target: Target; rendered: Rendered; files: ReadonlyMap<string, string> },
): KubeObject[] {
  const { objects } = rendered
  const following = stack.parts.filter((part) => followsTree(part, target.environment))
  const own = following.flatMap((part) => applicationsIn(part, { target, files }))
  const namespaces = application({ name: 'namespaces', namespace: ARGOCD_NAMESPACE, sources: [renderedSource('namespaces', target)] })
  return [...own, namespaces, project({ name: PLATFORM_PROJECT, namespaces: namespacesOf(objects, spacesOf(stack)), objects }, target)]
}

/** An image moves with the working tree in the first environment alone; whatever has none follows it everywhere. */
export const followsTree = ({ release }: Part, environment: Environment) => release === undefined || environment === FIRST_ENVIRONMENT

/**
 * The Applications of the other environments, as they stand: what runs there, its chart and its settings, changes by promotions and
 * rollbacks, never with the working tree.
 */
function promotedFiles(stack: Stack, { target, files }: { target: Target; files: Files }): ApplicationFile[] {
  return stack.parts.flatMap((part) =>
    promotedIn(files, part).flatMap((environment) =>
      applicationsIn(part, { target: { ...target, environment }, files })
        .map(applicationFile)
        .map(([path, content]) => [path, files.get(path) ?? content] as const),
    ),
  )
}

/** An environment begins with its first digest. */
function promotedIn(files: Files, part: Part): readonly Environment[] {
  return ENVIRONMENTS.filter((each) => !followsTree(part, each) && digestIn(files, { part: part.name, environment: each }) !== undefined)
}

type ApplicationFile = readonly [path: string, content: string]

const applicationFile = (object: KubeObject): ApplicationFile => [`applications/${fileName(object)}`, toYaml(object)]

/** A part's Applications and projects in the target's environment, with the values that `deploy` holds for it. */
function applicationsIn(part: Part, { target, files }: { target: Target; files: Files }): readonly KubeObject[] {
  return part.applications(target, valuesIn(files, { part: part.name, environment: target.environment }))
}

const spacesOf = (stack: Stack) => stack.parts.flatMap((part) => part.namespaces)
/** Where `deploy` holds the values of a part in an environment. */
export const valuesPath = (environment: Environment, part: string) => `environments/${environment}/${part}.yaml`
/** Where `deploy` holds an Application. */
export const applicationPath = (name: string) => `applications/application.${ARGOCD_NAMESPACE}.${name}.yaml`

type Files = ReadonlyMap<string, string>

/** A part in an environment. */
export interface ValuesOf {
  readonly part: string
  readonly environment: Environment
}

/** The values of a part in an environment: first of all its image's digest. */
export function valuesIn(files: Files, { part, environment }: ValuesOf): Readonly<Record<string, unknown>> {
  return parse(files.get(valuesPath(environment, part)) ?? '{}') ?? {}
}

/** The digest that `deploy` says an environment runs; undefined where it runs nothing. */
export function digestIn(files: Files, of: ValuesOf): Digest | undefined {
  return (valuesIn(files, of) as { image?: { digest?: Digest } }).image?.digest
}

/**
 * The files of `deploy` that change when an environment runs another digest: the part's values there, and its Applications. Other
 * values stay.
 */
export function filesWithDigest(files: Files, part: Part, { target, digest }: { target: Target; digest: Digest }): Record<string, string> {
  const of = { part: part.name, environment: target.environment }
  const path = valuesPath(of.environment, of.part)
  const values = toYaml({ ...valuesIn(files, of), image: { digest } })
  const objects = applicationsIn(part, { target, files: new Map([...files, [path, values]]) })
  return { [path]: values, ...Object.fromEntries(objects.map(applicationFile)) }
}

/**
 * The files of `deploy` that change when an environment runs nothing any more: its Applications go, other values stay. Their project goes
 * with the next rendering of the stack: an Application whose project is gone before it has removed what it made never ends.
 */
export function filesWithoutDigest(files: Files, part: Part, target: Target): Record<string, string | null> {
  const of = { part: part.name, environment: target.environment }
  const { image: _, ...others } = valuesIn(files, of)
  const values = Object.keys(others).length === 0 ? null : toYaml(others)
  const applications = applicationsIn(part, { target, files }).filter(({ kind }) => kind === 'Application')
  const gone = applications.map((object) => [applicationFile(object)[0], null])
  return { [valuesPath(of.environment, of.part)]: values, ...Object.fromEntries(gone) }
}

/** Argo CD reads YAML 1.1, where a bare `no` is false. */
export const toYaml = (object: object) => stringify(object, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false })

/** The Applications among the files of `deploy`. */
export function applicationNames(files: ReadonlyMap<string, string>): string[] {
  return [...files.keys()].flatMap((path) => /^applications\/application\.argocd\.(.+)\.yaml$/.exec(path)?.[1] ?? [])
}

/** Objects of a part may live outside its own namespaces (a RoleBinding in kube-system). */
function namespacesOf(objects: readonly KubeObject[], spaces: readonly NamespaceSpec[]): string[] {
  const names = objects.flatMap(({ metadata }) => metadata.namespace ?? [])
  return [...new Set([ARGOCD_NAMESPACE, ...spaces.map(({ name }) => name), ...names])].toSorted()
}

/**
 * Moves an environment's digest when the image's inputs changed since its last deploy: a rollback or promotion stays until
 * then. @returns whether it moved.
 */
export function moveDigest(
  files: Map<string, string>,
  part: Part,
  { environment, image }: { environment: Environment; image: StoredImage },
): boolean {
  const path = valuesPath(environment, part.name)
  const inputsPath = `environments/${environment}/${part.name}.inputs`
  if (files.get(inputsPath)?.trim() === image.key) return false
  files.set(path, toYaml({ ...(parse(files.get(path) ?? '{}') as object), image: { digest: image.digest } }))
  files.set(inputsPath, `${image.key}\n`)
  return true
}

const PART_OF = { 'app.kubernetes.io/part-of': 'holdfast' }

/** Kinds of our parts that have no namespace. Argo CD keeps two lists, so they must be told apart without a cluster. */
const CLUSTER_KINDS = new Set([
  'Namespace',
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
  'StorageClass',
  'APIService',
  'PriorityClass',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'ValidatingWebhookConfiguration',
  'ClusterImagePolicy',
])

/** Whether objects of a kind have no namespace. */
export function isClusterScoped(kind: string): boolean {
  return CLUSTER_KINDS.has(kind)
}

const groupOf = ({ apiVersion }: { apiVersion: string }) => (apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '')

function fileName({ kind, metadata }: KubeObject): string {
  const scope = metadata.namespace === undefined ? '' : `${metadata.namespace}.`
  return `${kind.toLowerCase()}.${scope}${metadata.name.replaceAll(':', '-')}.yaml`
}
