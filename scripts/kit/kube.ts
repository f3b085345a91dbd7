/**
 * The Kubernetes API as plain JSON over the official client's credentials and watches. The client's typed models are left
 * aside on purpose: their serializer drops fields that it does not know (`x-kubernetes-*` of a CRD), and server-side apply
 * must send exactly what stands in Git.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Response } from 'undici'
import { ApiServer, kubernetesClient } from './api-server.ts'
import { messageOf } from './errors.ts'

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Metadata
  // biome-ignore lint/suspicious/noExplicitAny: the shape below the header depends on the kind
  readonly [field: string]: any
}

export interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/** Names one object. */
export interface ObjectRef {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
}

/** Names a set of objects. */
export interface ListRef {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly labelSelector?: string
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubeObject
  /** When the event reached us, in milliseconds since the epoch. */
  readonly atMs: number
}

/** An answer of the API server that is not a success, cut to status and message. */
export class KubeError extends Error {
  readonly exitCode = 1
  readonly status: number
  constructor(action: string, status: number, message: string) {
    super(`Cannot ${action}: ${message} (HTTP ${status})`)
    this.name = 'KubeError'
    this.status = status
  }
}

const FIELD_MANAGER = 'holdfast'
const REQUEST_TIMEOUT_MS = 15_000
/** A watch is begun at most so often. */
const AGAIN_MS = 250

export class Kube {
  readonly #server: ApiServer
  readonly #resources = new Map<string, Promise<ApiResource[]>>()

  private constructor(server: ApiServer) {
    this.#server = server
  }

  /** A file that is not there, or no kubeconfig, is what the first request fails with. */
  static fromFile(path: string): Kube {
    return new Kube(new ApiServer(path))
  }

  /** @returns undefined where there is no such object. */
  async get(ref: ObjectRef): Promise<KubeObject | undefined> {
    return this.#unlessMissing(async () => (await this.request('GET', await this.#path(ref))) as KubeObject)
  }

  async list(ref: ListRef): Promise<KubeObject[]> {
    return (await this.#listPage(ref)).items
  }

  /** Server-side apply of one object; fields that another manager holds are taken over. */
  async apply(object: KubeObject, fieldManager = FIELD_MANAGER): Promise<KubeObject> {
    const path = `${await this.#path(refOf(object))}?fieldManager=${fieldManager}&force=true`
    return (await this.request('PATCH', path, { body: object, type: 'application/apply-patch+yaml' })) as KubeObject
  }

  async create(object: KubeObject, fieldManager = FIELD_MANAGER): Promise<KubeObject> {
    const { name: _name, ...collection } = refOf(object)
    const path = `${await this.#path(collection)}?fieldManager=${fieldManager}`
    return (await this.request('POST', path, { body: object, type: 'application/json' })) as KubeObject
  }

  /** What would come of `create`, with all of admission and of validation; nothing is kept. @throws KubeError that says who refused. */
  async dryRun(object: KubeObject): Promise<KubeObject> {
    const { name: _name, ...collection } = refOf(object)
    const path = `${await this.#path(collection)}?dryRun=All`
    return (await this.request('POST', path, { body: object, type: 'application/json' })) as KubeObject
  }

  async mergePatch(ref: ObjectRef, patch: object): Promise<KubeObject> {
    return (await this.request('PATCH', await this.#path(ref), { body: patch, type: 'application/merge-patch+json' })) as KubeObject
  }

  /** @param graceS how long a pod may take to end. @default what the pod says. @returns whether the object was there. */
  async delete(ref: ObjectRef, propagation: 'Background' | 'Foreground' | 'Orphan' = 'Background', graceS?: number): Promise<boolean> {
    const grace = graceS === undefined ? '' : `&gracePeriodSeconds=${graceS}`
    const path = `${await this.#path(ref)}?propagationPolicy=${propagation}${grace}`
    return (await this.#unlessMissing(() => this.request('DELETE', path))) !== undefined
  }

  /** Deletes an object as it was seen. @throws KubeError with 409 where it is another one, or changed, by now. */
  async deleteUnchanged(seen: KubeObject): Promise<void> {
    const { uid, resourceVersion } = seen.metadata
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } }
    await this.request('DELETE', await this.#path(refOf(seen)), { body, type: 'application/json' })
  }

  /**
   * Calls `onEvent` for every object that is there and for every change, until disposed. A broken connection is renewed;
   * objects that vanished meanwhile are reported as DELETED. What `onEvent` throws is a bug, and ends the process as any promise does that
   * nobody hears.
   * @param onRefused told why, once, where the cluster does not let it look (403), or has nothing of the kind (404). It goes on asking.
   */
  watch(ref: ListRef, onEvent: (event: WatchEvent) => void, onRefused: (why: string) => void = () => {}): Disposable {
    const stop = new AbortController()
    void this.#watchForever(ref, { onEvent, onRefused, signal: stop.signal })
    return { [Symbol.dispose]: () => stop.abort() }
  }

  /** An answer as it comes, a refusal too; `path` is below the server's address. */
  async fetch(path: string, init: RequestInit = {}): Promise<globalThis.Response> {
    const { body, method, signal } = init
    const headers = Object.fromEntries(new Headers(init.headers))
    return (await this.#server.ask(path, {
      headers,
      method: method ?? 'GET',
      signal: signal ?? AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(body == null ? {} : { body: String(body) }),
    })) as unknown as globalThis.Response
  }

  /** The address that the kubeconfig names. */
  async address(): Promise<string> {
    return (await this.#server.address()) ?? ''
  }

  /** A raw request; `path` is below the server's address. */
  async request(method: Method, path: string, content?: { body: object; type: string }): Promise<unknown> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS)
    const response = await this.#send(method, path, { signal, ...(content === undefined ? {} : { content }) })
    const text = await response.text()
    return text === '' || !response.headers.get('content-type')?.includes('json') ? text : JSON.parse(text)
  }

  /**
   * The lines of an answer as they come, such as a log that is followed. It ends with the answer; an unfinished last line is
   * left out. @throws when the connection breaks or the signal aborts.
   */
  async *lines(path: string, signal: AbortSignal): AsyncGenerator<string> {
    const { body } = await this.#send('GET', path, { signal })
    if (body !== null) yield* splitLines(body)
  }

  /** @throws KubeError for any answer but a success. */
  async #send(
    method: Method,
    path: string,
    { content, signal }: { content?: { body: object; type: string }; signal: AbortSignal },
  ): Promise<Response> {
    const headers = content === undefined ? {} : { 'content-type': content.type }
    const body = content === undefined ? {} : { body: JSON.stringify(content.body) }
    const response = await this.#server.ask(path, { method, headers, signal, ...body })
    if (!response.ok) throw new KubeError(`${method} ${path.split('?')[0]}`, response.status, apiMessage(await response.text()))
    return response
  }

  async #watchForever(ref: ListRef, { onEvent, onRefused, signal: disposed }: Watching): Promise<void> {
    const bug = new AbortController()
    const signal = AbortSignal.any([disposed, bug.signal])
    const known = new Map<string | undefined, KubeObject>()
    // The client takes what is thrown to it for a line that cannot be parsed, and says nothing.
    const emit: Emit = (type, object) => {
      if (type === 'DELETED') known.delete(object.metadata.uid)
      else known.set(object.metadata.uid, object)
      try {
        if (!signal.aborted) onEvent({ type, object, atMs: Date.now() })
      } catch (thrown) {
        bug.abort(thrown)
      }
    }
    let told: string | undefined
    while (!signal.aborted) {
      // What lasted for a while is renewed at once; what is refused, or away, is not asked at full speed.
      const pause = sleep(AGAIN_MS, undefined, { signal }).catch(() => {})
      const refusal = await this.#listAndWatch(ref, { known, emit, signal })
      if (refusal !== undefined && refusal !== told && !signal.aborted) onRefused(refusal)
      told = refusal
      await pause
    }
    bug.signal.throwIfAborted()
  }

  /** Ends when the connection does. @returns why it was refused; undefined where it was not, or merely for now. */
  async #listAndWatch(ref: ListRef, { known, emit, signal }: Following): Promise<string | undefined> {
    try {
      const page = await this.#listPage(ref)
      catchUp(known, page.items, emit)
      signal.throwIfAborted()
      await this.#watchOnce(ref, { resourceVersion: page.resourceVersion, emit, signal })
      return undefined
    } catch (thrown) {
      return thrown instanceof KubeError && [403, 404].includes(thrown.status) ? thrown.message : undefined
    }
  }

  /** Ends when the connection does. @throws KubeError where the server does not open one. */
  async #watchOnce(ref: ListRef, from: { resourceVersion: string; emit: Emit; signal: AbortSignal }): Promise<void> {
    const path = await this.#path(ref)
    const query = { resourceVersion: from.resourceVersion, labelSelector: ref.labelSelector }
    const ended = Promise.withResolvers<{ readonly statusCode?: number; readonly message: string } | null>()
    const onEvent = (type: string, object: KubeObject) => {
      if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') from.emit(type, withHeader(object, ref))
    }
    const [{ Watch }, config] = await Promise.all([kubernetesClient(), this.#server.config])
    const connection = await new Watch(config).watch(path, query, onEvent, ended.resolve)
    const stop = () => connection.abort()
    from.signal.addEventListener('abort', stop, { once: true })
    if (from.signal.aborted) stop()
    const error = await ended.promise.finally(() => from.signal.removeEventListener('abort', stop))
    if (error?.statusCode !== undefined) throw new KubeError(`watch ${path}`, error.statusCode, error.message)
  }

  async #listPage(ref: ListRef): Promise<{ items: KubeObject[]; resourceVersion: string }> {
    const query = ref.labelSelector === undefined ? '' : `?labelSelector=${encodeURIComponent(ref.labelSelector)}`
    const list = (await this.request('GET', `${await this.#path(ref)}${query}`)) as {
      items: KubeObject[]
      metadata: { resourceVersion: string }
    }
    return { items: list.items.map((item) => withHeader(item, ref)), resourceVersion: list.metadata.resourceVersion }
  }

  /** The URL path of an object, or of its collection where no name is given; the plural comes from API discovery. */
  async #path(ref: { apiVersion: string; kind: string; namespace?: string; name?: string }): Promise<string> {
    const { apiVersion, kind, namespace, name } = ref
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    const resource = await this.#resource(base, kind)
    const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${namespace}` : ''
    return `${base}${scope}/${resource.name}${name === undefined ? '' : `/${name}`}`
  }

  async #resource(base: string, kind: string): Promise<ApiResource> {
    const found = (await this.#known(base)).find((each) => each.kind === kind && !each.name.includes('/'))
    if (found !== undefined) return found
    this.#resources.delete(base) // a CRD may come later
    throw new KubeError(`find the resource of ${kind}`, 404, `the cluster has no kind ${kind} at ${base}`)
  }

  /** A group that does not exist has no kinds; a server that does not answer says nothing about them. */
  async #known(base: string): Promise<ApiResource[]> {
    const known = this.#resources.get(base) ?? this.#discover(base)
    this.#resources.set(base, known)
    return known.catch((thrown) => {
      this.#resources.delete(base)
      if (thrown instanceof KubeError && thrown.status === 404) return []
      throw thrown
    })
  }

  async #discover(base: string): Promise<ApiResource[]> {
    return ((await this.request('GET', base)) as { resources: ApiResource[] }).resources
  }

  async #unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (thrown) {
      if (thrown instanceof KubeError && thrown.status === 404) return undefined
      throw thrown
    }
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Emit = (type: WatchEvent['type'], object: KubeObject) => void

interface Watching {
  readonly onEvent: (event: WatchEvent) => void
  readonly onRefused: (why: string) => void
  readonly signal: AbortSignal
}

interface Following {
  readonly known: ReadonlyMap<string | undefined, KubeObject>
  readonly emit: Emit
  readonly signal: AbortSignal
}

/** Between two connections objects may have come, changed and gone. */
function catchUp(known: ReadonlyMap<string | undefined, KubeObject>, items: readonly KubeObject[], emit: Emit): void {
  const present = new Set(items.map((item) => item.metadata.uid))
  for (const [uid, object] of [...known]) if (!present.has(uid)) emit('DELETED', object)
  for (const item of items) {
    if (known.get(item.metadata.uid)?.metadata.resourceVersion !== item.metadata.resourceVersion) emit('ADDED', item)
  }
}

/** Complete lines of a text that comes in pieces, which may cut lines and letters anywhere. */
export async function* splitLines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

interface ApiResource {
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
}

/** What is said of an object in its status: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties */
export interface StatusCondition {
  readonly type: string
  /** `True`, `False` or `Unknown`. */
  readonly status: string
  readonly reason?: string
  readonly message?: string
  readonly lastTransitionTime?: string
  /** Of a Deployment's. */
  readonly lastUpdateTime?: string
  /** Of a node's. */
  readonly lastHeartbeatTime?: string
}

/** The condition of a type, such as `Ready`. */
export function conditionOf(object: KubeObject | undefined, type: string): StatusCondition | undefined {
  return (object?.status?.conditions as readonly StatusCondition[] | undefined)?.find((each) => each.type === type)
}

/** Whether a pod, a node or another object is ready, by its own conditions. */
export function saysReady(object: KubeObject): boolean {
  return conditionOf(object, 'Ready')?.status === 'True'
}

/** What names an object. */
export function refOf(object: KubeObject): ObjectRef {
  const { apiVersion, kind, metadata } = object
  return { apiVersion, kind, name: metadata.name, ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }) }
}

/** Members of a list come without their kind. */
function withHeader(object: KubeObject, { apiVersion, kind }: ListRef): KubeObject {
  return { ...object, apiVersion, kind }
}

function apiMessage(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text
  } catch (thrown) {
    return text.slice(0, 300) || messageOf(thrown)
  }
}
