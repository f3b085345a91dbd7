/** Against an API server of plain HTTP: connections; of watches how often it is asked, what is told, and that no error of ours is lost. */
import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kube } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'

const test = suite('kube')

const PODS = { apiVersion: 'v1', kind: 'Pod' }
const podOf = (name: string) => ({ metadata: { name, uid: name, resourceVersion: '1' } })

interface Server extends AsyncDisposable {
  readonly kube: Kube
  readonly kubeconfig: string
  /** When each list was asked for. */
  readonly listedAtMs: number[]
  readonly connections: { opened: number; closeAll(): void }
}

/** It has these pods by turns, and opens a watch as it is told to. */
async function serve(watch: (response: ServerResponse) => void, pods: readonly (readonly string[])[] = [['a']]): Promise<Server> {
  const listedAtMs: number[] = []
  const list = () => {
    listedAtMs.push(performance.now())
    return { items: (pods[listedAtMs.length - 1] ?? pods.at(-1) ?? []).map(podOf), metadata: { resourceVersion: '1' } }
  }
  const server = createServer(({ url = '' }, response) => {
    if (url.includes('watch=true')) return watch(response)
    const body = url === '/api/v1' ? { resources: [{ name: 'pods', kind: 'Pod', namespaced: true }] } : list()
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
  })
  const connections = { opened: 0, closeAll: () => server.closeAllConnections() }
  server.on('connection', () => connections.opened++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-kube-'))
  const kubeconfig = join(folder, 'kubeconfig')
  await writeFile(kubeconfig, JSON.stringify(configOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)))
  return {
    kube: Kube.fromFile(kubeconfig),
    kubeconfig,
    listedAtMs,
    connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    },
  }
}

const configOf = (server: string) => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }], // the client's condition for plain HTTP
  users: [{ name: 'u', user: {} }],
  contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
  'current-context': 'x',
})

const refuse = (status: number) => (response: ServerResponse) => void response.writeHead(status).end()

const until = (what: string, isTrue: () => boolean, signal: AbortSignal) =>
  waitFor(what, async () => (isTrue() ? ready(undefined) : pending('not yet')), { timeoutMs: 9_000, everyMs: 10, signal })

test('a connection is kept for the next request, and one that broke meanwhile is replaced', async () => {
  await using server = await serve(refuse(403))
  for (let i = 0; i < 10; i++) await server.kube.list(PODS)
  const { opened } = server.connections
  assert.ok(opened <= 2, `${opened} for ten requests`) // one that has just answered may not be free yet
  server.connections.closeAll()
  await sleep(50) // what has ended is known then
  await server.kube.list(PODS)
  assert.is(server.connections.opened, opened + 1)
})

test('a watch that is refused is asked for again and again, at a pace; a refusal that stays is told once', async ({ signal }) => {
  for (const [status, told] of [
    [403, ['Cannot watch /api/v1/pods: Forbidden (HTTP 403)']],
    [429, []],
  ] as const) {
    await using server = await serve(refuse(status))
    const refusals: string[] = []
    const seen: string[] = []
    const lists = 8
    {
      using _watch = server.kube.watch(
        PODS,
        ({ type }) => seen.push(type),
        (why) => refusals.push(why),
      )
      await until(`${lists} lists`, () => server.listedAtMs.length >= lists, signal)
    }
    const [first = 0] = server.listedAtMs
    const tookMs = (server.listedAtMs[lists - 1] ?? 0) - first
    assert.ok(tookMs > (lists - 1) * 200, `${lists} lists in ${tookMs} ms`)
    assert.equal(refusals, told)
    assert.equal(seen, ['ADDED'], 'what is there is told all the same')
  }
})

test('what listens for the end of a watch goes with each connection', async ({ signal }) => {
  const { any } = AbortSignal
  const signals: AbortSignal[] = []
  AbortSignal.any = (of) => {
    const made = any.call(AbortSignal, of)
    signals.push(made)
    return made
  }
  await using server = await serve(refuse(403))
  using _watch = server.kube.watch(PODS, () => {})
  AbortSignal.any = any
  assert.is(signals.length, 1, 'the watch has one of its own')
  await until('6 lists', () => server.listedAtMs.length >= 6, signal)
  const listeners = signals.flatMap((each) => getEventListeners(each, 'abort'))
  assert.ok(listeners.length <= 2, `${listeners.length} listeners: of a pause, and of a connection`)
})

test('a kind that is not there yet is told of once, and looked for', async ({ signal }) => {
  await using server = await serve(refuse(200))
  const refusals: string[] = []
  using _watch = server.kube.watch(
    { ...PODS, kind: 'Thing' },
    () => assert.unreachable(),
    (why) => refusals.push(why),
  )
  await until('the refusal', () => refusals.length > 0, signal)
  await sleep(600)
  assert.equal(refusals, ['Cannot find the resource of Thing: the cluster has no kind Thing at /api/v1 (HTTP 404)'])
})

test('a connection that ends is renewed, and what vanished meanwhile is told', async ({ signal }) => {
  await using server = await serve(
    (response) => response.writeHead(200).end(),
    [
      ['a', 'b'],
      ['b', 'c'],
    ],
  )
  const seen: string[] = []
  using _watch = server.kube.watch(PODS, ({ type, object }) => seen.push(`${type} ${object.metadata.name}`))
  await until('the second list', () => seen.length >= 4, signal)
  assert.equal(seen, ['ADDED a', 'ADDED b', 'DELETED a', 'ADDED c'])
})

test('what is thrown to a watch is no line that cannot be read: it ends the process', async () => {
  const event = { type: 'MODIFIED', object: podOf('a') }
  await using server = await serve((response) => void response.writeHead(200).write(`${JSON.stringify(event)}\n`))
  const script = `import { Kube } from ${JSON.stringify(import.meta.resolve('../../scripts/kit/kube.ts'))}
    const onEvent = ({ type }) => {
      console.log(type)
      if (type === 'MODIFIED') throw new TypeError('no such thing')
    }
    Kube.fromFile(${JSON.stringify(server.kubeconfig)}).watch(${JSON.stringify(PODS)}, onEvent)
    setTimeout(() => process.exit(0), 5000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  assert.equal(await once(child, 'close'), [1, null], output)
  assert.match(output, /^ADDED\nMODIFIED\n[\s\S]*TypeError: no such thing/)
})

test.run()
