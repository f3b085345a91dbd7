/** The sink on a port, its end, the process itself, the client that asks it, and what the part renders. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Cluster, Digest, StoredImage, Target } from '#core'
import type { KubeObject } from '#kit/kube'
import { sinkHeartbeat, sinkMessages } from '../../alerts/sink/client.ts'
import { alertSink } from '../../alerts/sink/part.ts'
import { type RunningServer, serve } from '../../alerts/sink/server.ts'
import { readSettings } from '../../alerts/sink/settings.ts'
import { nodePortOf } from '../../local/ports.ts'
import { assert, suite } from '../suite.ts'
import { openSink, slackBody, type TestSink, temporaryFolder, webhookBody } from './sink-fixture.ts'

const test = suite('sink-process')

async function withServer(use: (server: RunningServer, sink: TestSink) => Promise<void>): Promise<void> {
  await using folder = await temporaryFolder()
  const sink = await openSink({ dir: folder.path })
  const server = await serve(sink.app, { host: '127.0.0.1', port: 0 })
  try {
    await use(server, sink)
  } finally {
    await server.stop(1_000)
  }
}

const post = (url: string, body: string | ReadableStream | object) => {
  const sent = typeof body === 'string' || body instanceof ReadableStream ? body : JSON.stringify(body)
  return fetch(url, { method: 'POST', body: sent, duplex: 'half' } as RequestInit)
}

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Asks, and resolves once the server has taken the request, as it says where it is expected to. */
async function taken(url: string): Promise<{ readonly answer: Promise<Answer> }> {
  const asked = request(url, { headers: { expect: '100-continue' } }).end()
  const response = once(asked, 'response')
  await once(asked, 'continue')
  const read = async (): Promise<Answer> => {
    const [answer] = (await response) as [IncomingMessage]
    return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
  }
  return { answer: read() }
}

test('the port takes what the core takes, and gives its answers', () =>
  withServer(async (server) => {
    const taken = await post(`${server.url}/slack`, slackBody())
    assert.equal([taken.status, taken.headers.get('content-type'), await taken.text()], [200, 'text/plain; charset=utf-8', 'ok'])
    const refused = await post(`${server.url}/slack`, '{')
    assert.equal([refused.status, await refused.text()], [400, 'invalid_payload'])
    const page = (await (await fetch(`${server.url}/messages?alert=HighErrorRate`)).json()) as { total: number }
    assert.is(page.total, 1)
    assert.is((await fetch(`${server.url}/messages`, { method: 'DELETE' })).status, 405)
  }))

test('a body over the limit is answered 413, declared or streamed, also one of many times the limit', () =>
  withServer(async (server) => {
    for (const bytes of [262_145, 8_000_000]) {
      const body = 'x'.repeat(bytes)
      for (const each of [body, new Blob([body]).stream()]) assert.is((await post(`${server.url}/slack`, each)).status, 413)
    }
    assert.is((await fetch(`${server.url}/health`)).status, 200)
  }))

test('what has no Web form is answered 400, and a client that breaks off does no harm', () =>
  withServer(async (server, sink) => {
    for (const [method, path] of [
      ['OPTIONS', '*'],
      ['TRACE', '/health'],
    ]) {
      const sent = request(server.url, { method, path }).end()
      const [response] = await once(sent, 'response')
      assert.is(response.resume().statusCode, 400)
    }
    const broken = connect(Number(new URL(server.url).port), '127.0.0.1')
    const half = 'POST /slack HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"text":"half'
    await new Promise((sent) => broken.write(half, sent))
    broken.destroy()
    assert.is((await fetch(`${server.url}/health`)).status, 200)
    assert.is((await sink.messages()).total, 0)
  }))

test('stop() ends what waits with an answer, refuses what is new, and waits for no idle connection', () =>
  withServer(async (server, sink) => {
    const silent = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {})
    await once(silent, 'connect')
    const waiting = await taken(`${server.url}/messages?afterId=0&waitMs=20000`)
    const startedAt = performance.now()
    sink.app.close()
    assert.is(await server.stop(5_000), 0)
    assert.ok(performance.now() - startedAt < 1_000)
    const { headers, body } = await waiting.answer
    assert.equal([headers.connection, JSON.parse(body)], ['close', { total: 0, messages: [] }])
    await assert.rejects(fetch(`${server.url}/health`), /fetch failed/)
    silent.destroy()
  }))

test('stop() cuts what is still in flight at its limit, and says how many', () =>
  withServer(async (server) => {
    const slow = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => {})
    slow.write('POST /slack HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\nexpect: 100-continue\r\n\r\n{')
    await once(slow, 'data')
    assert.is(await server.stop(100), 1)
    slow.destroy()
  }))

test('readSettings() has a port and a limit of its own, and refuses each malformed variable', () => {
  assert.equal(readSettings({ DATA_DIR: '/data', PORT: '' }), { host: '127.0.0.1', port: 8080, dataDir: '/data', historyLimit: 1_000 })
  const cases: [Record<string, string>, string][] = [
    [{}, 'DATA_DIR is not set, expected the folder that keeps what arrives'],
    [{ DATA_DIR: '/data', PORT: '65536' }, 'PORT is "65536", expected a whole number from 0 to 65535'],
    [{ DATA_DIR: '/data', HISTORY_LIMIT: '0' }, 'HISTORY_LIMIT is "0", expected a whole number from 1 to 5000'],
    [{ DATA_DIR: '/data', HISTORY_LIMIT: '1e3' }, 'HISTORY_LIMIT is "1e3", expected a whole number from 1 to 5000'],
  ]
  for (const [env, message] of cases) {
    assert.throws(
      () => readSettings(env),
      (error: Error) => error.message === `Cannot start the alert sink: ${message}`,
    )
  }
})

interface Process {
  readonly child: ChildProcess
  readonly ended: Promise<unknown[]>
  readonly output: () => string
  /** @returns its address, once it listens */
  readonly listening: () => Promise<string>
}

function start(env: Record<string, string>): Process {
  const main = fileURLToPath(new URL('../../alerts/sink/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const listening = async () => {
    while (!output.includes('\n')) await once(child.stdout, 'data')
    return JSON.parse(output.slice(0, output.indexOf('\n'))).url as string
  }
  return { child, ended: once(child, 'close'), output: () => output, listening }
}

test(
  'the process ends with 2 and 1 and one sentence where it cannot start, and keeps what it acknowledged after SIGKILL and SIGTERM',
  async () => {
    await using folder = await temporaryFolder()
    const env = { DATA_DIR: `${folder.path}/data`, PORT: '0' }
    const bad = start({ PORT: '0' })
    const unusable = start({ DATA_DIR: '/dev/null/data', PORT: '0' })
    assert.equal(await bad.ended, [2, null])
    assert.is(bad.output(), 'Cannot start the alert sink: DATA_DIR is not set, expected the folder that keeps what arrives\n')
    assert.equal(await unusable.ended, [1, null])
    assert.match(unusable.output(), /^Cannot start the alert sink: ENOTDIR: [^\n]+\n$/)

    const killed = start(env)
    const url = await killed.listening()
    for (const text of ['a', 'b']) assert.is((await post(`${url}/slack`, { text })).status, 200)
    await post(`${url}/heartbeat`, webhookBody())
    killed.child.kill('SIGKILL')
    assert.equal(await killed.ended, [null, 'SIGKILL'])

    const stopped = start(env)
    const next = await stopped.listening()
    await post(`${next}/slack`, { text: 'c' })
    const { messages } = (await (await fetch(`${next}/messages`)).json()) as { messages: { id: number; text: string }[] }
    assert.equal(
      messages.map(({ id, text }) => [id, text]),
      [
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ],
    )
    assert.is(((await (await fetch(`${next}/heartbeat`)).json()) as { count: number }).count, 1)
    const waiting = await taken(`${next}/messages?afterId=3&waitMs=20000`)
    stopped.child.kill('SIGTERM')
    assert.is((await waiting.answer).status, 200)
    assert.equal(await stopped.ended, [0, null])
    const lines = stopped.output().trim().split('\n')
    assert.equal(
      lines.map((line) => JSON.parse(line).message),
      ['listening', 'message kept', 'stopping', 'stopped'],
    )
  },
  { timeoutMs: 60_000 },
)

/** A cluster whose sink is at `url`. */
function clusterAt(url: string): Cluster {
  return {
    fetch: (service: string, path: string, init?: RequestInit) => fetch(`${url}${path}`, { ...init, headers: { service } }),
  } as Cluster
}

test('the client gives pages and heartbeats, and waits for a message', () =>
  withServer(async (server, sink) => {
    const cluster = clusterAt(server.url)
    assert.equal(await sinkMessages(cluster), { total: 0, messages: [] })
    const waiting = sinkMessages(cluster, { afterId: 0, waitMs: 5_000, alert: 'HighErrorRate', state: 'firing', since: 1, limit: 1 })
    await sink.post('/slack', slackBody())
    assert.equal(
      (await waiting).messages.map(({ id }) => id),
      [1],
    )
    await sink.post('/heartbeat', webhookBody())
    assert.is((await sinkHeartbeat(cluster)).count, 1)
  }))

async function closedPort(): Promise<string> {
  let port = ''
  await withServer(async (server) => {
    port = new URL(server.url).port
  })
  return port
}

test('the client says in one sentence why it has no answer, and gives an abort on as it is', async () => {
  const next = 'Look at it with npm run local:status'
  const answering = (status: number, body: string) => ({ fetch: async () => new Response(body, { status }) }) as unknown as Cluster
  const closed = await closedPort()
  const cases: [() => Promise<unknown>, string][] = [
    [() => sinkMessages(clusterAt(`http://127.0.0.1:${closed}`)), `connect ECONNREFUSED 127.0.0.1:${closed}`],
    [() => sinkMessages(answering(400, '{"error":"Parameter \'x\' is wrong"}')), "it answered 400: Parameter 'x' is wrong"],
    [() => sinkMessages(answering(502, '<html>\n  bad\n</html>')), 'it answered 502: <html> bad </html>'],
    [() => sinkMessages(answering(200, '{"status":"healthy"}')), 'it answered 200: {"status":"healthy"}'],
    [() => sinkHeartbeat(answering(200, '[]')), 'it answered 200: []'],
  ]
  for (const [ask, why] of cases) {
    const error = await assert.rejects(ask(), 'Cannot ask the alert sink')
    assert.is(error.message, `Cannot ask the alert sink: ${why}. ${next}`)
  }
  await withServer(async (server) => {
    const stop = new AbortController()
    const waiting = sinkMessages(clusterAt(server.url), { afterId: 0, waitMs: 20_000, signal: stop.signal })
    stop.abort(new Error('enough'))
    assert.is((await assert.rejects(waiting, 'enough')).message, 'enough')
  })
})

function targetWith(speedup: number): Target {
  const image: StoredImage = { spec: alertSink.images[0] as StoredImage['spec'], key: 'k', digest: 'sha256:ab' as Digest, way: 'built' }
  return {
    cluster: {},
    timing: { speedup },
    images: new Map([[image.spec.name, image]]),
    repoUrl: 'http://git.test/x.git',
  } as unknown as Target
}

async function rendered(kind: string, speedup = 1): Promise<KubeObject> {
  const objects = (await alertSink.rendered?.(targetWith(speedup))) ?? []
  const found = objects.filter((object) => object.kind === kind)
  assert.is(found.length, 1, kind)
  return found[0] as KubeObject
}

test('the part renders its objects into monitoring: image by digest, scrapes on the target’s clock', async () => {
  const objects = (await alertSink.rendered?.(targetWith(15))) ?? []
  assert.equal(
    objects.map(({ kind }) => kind),
    ['ServiceAccount', 'PersistentVolumeClaim', 'Deployment', 'Service', 'ServiceMonitor'],
  )
  for (const { kind, metadata } of objects) assert.equal([metadata.name, metadata.namespace], ['sink', 'monitoring'], kind)
  const deployment = await rendered('Deployment')
  assert.is(deployment.spec.template.spec.containers[0].image, 'docker.io/holdfast/alert-sink@sha256:ab')
  assert.is(deployment.spec.strategy.type, 'Recreate')
  assert.equal((await rendered('ServiceMonitor', 15)).spec.endpoints, [
    { port: 'http', path: '/metrics', interval: '2s', scrapeTimeout: '2s' },
  ])
  assert.is((await rendered('ServiceMonitor', 1)).spec.endpoints[0].interval, '30s')
  const [application] = alertSink.applications(targetWith(1), {})
  assert.is(application?.spec.sources[0].path, 'rendered/alert-sink')
})

test('the node port is the one at which the cluster publishes the sink', async () => {
  const [port] = (await rendered('Service')).spec.ports
  assert.equal([port.nodePort, port.port, port.targetPort], [nodePortOf('sink'), 80, 'http'])
})

test.run()
