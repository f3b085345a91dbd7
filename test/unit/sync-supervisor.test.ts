/** The first process of a pod that takes code, with the service itself behind it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bundled } from '#kit/images'
import { root } from '#kit/paths'
import { pending, ready, waitFor } from '#kit/wait'
import { assert, suite } from '../suite.ts'

const test = suite('sync supervisor')
const SLOW = { timeoutMs: 120_000 }
const TOKEN = 'a-token'

interface Pod extends AsyncDisposable {
  readonly process: ChildProcess
  get(path: string, port?: 'service' | 'probes' | 'metrics'): Promise<Response>
  put(code: string, token?: string): Promise<Response>
  /** Ends it in order. @returns its exit code */
  end(): Promise<number | null>
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** As the chart starts it, with ports and folders of its own. */
async function startPod(folder: string): Promise<Pod> {
  const [service, probes, metrics, sync] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const ports = { service, probes, metrics }
  const supervisor = await readFile(join(root, 'chart/sync/supervisor.ts'), 'utf8')
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', supervisor], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: {
      ...{ HOST: '127.0.0.1', PORT: String(service), PROBES_PORT: String(probes), METRICS_PORT: String(metrics), VERSION: 'image' },
      ...{ SYNC_PORT: String(sync), SYNC_TOKEN: TOKEN, SYNC_FOLDER: folder, SYNC_IMAGE_CODE: join(folder, 'image.mjs') },
    },
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const get: Pod['get'] = (path, port = 'service') =>
    fetch(`http://127.0.0.1:${ports[port]}${path}`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(5_000) })
  const look = async () => ((await get('/ready', 'probes')).ok ? ready(undefined) : pending('it is not'))
  await waitFor('the service to be ready', look, { timeoutMs: 30_000, everyMs: 50 })
  return {
    process: child,
    get,
    put: (code, token = TOKEN) => fetch(`http://127.0.0.1:${sync}/code`, { method: 'PUT', body: code, headers: { 'x-sync-token': token } }),
    async end() {
      child.kill('SIGTERM')
      return (await exited)[0]
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** A folder with the image's code, and that code. */
async function createPlace(): Promise<Disposable & { readonly path: string; readonly code: string }> {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-sync-'))
  const code = await bundled('service/main.ts')
  writeFileSync(join(path, 'image.mjs'), code)
  return { path, code, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

const versionAt = async (pod: Pod) => (await pod.get('/api/products')).headers.get('x-version')

test(
  'new code takes over once it is ready, on all three ports, and no request fails meanwhile',
  async () => {
    using place = await createPlace()
    await using pod = await startPod(place.path)
    assert.is(await versionAt(pod), 'image')
    const seen: (string | null)[] = []
    let over = false
    const asking = (async () => {
      while (!over) {
        const answer = await pod.get('/api/products')
        assert.is(answer.status, 200)
        seen.push(answer.headers.get('x-version'))
        await sleep(5)
      }
    })()
    const answer = await pod.put(place.code.replaceAll('Windlass', 'Capstan'))
    const version = await answer.text()
    assert.is(answer.status, 200, version)
    assert.match(version, /^sync-[0-9a-f]{12}$/, 'it does not pass for an image')
    assert.match(await (await pod.get('/api/products')).text(), 'Capstan')
    await sleep(500) // the one before has ended by then
    over = true
    await asking
    assert.equal([...new Set(seen)], ['image', version], 'each once, in this order')
    assert.match(await (await pod.get('/metrics', 'metrics')).text(), 'app_requests_total')
    assert.is((await pod.get('/health', 'probes')).status, 200)
  },
  SLOW,
)

test(
  'code that does not start is refused with what it said, and what ran runs on',
  async () => {
    using place = await createPlace()
    await using pod = await startPod(place.path)
    const answer = await pod.put(`throw new Error('the brace is missing')\n${place.code}`)
    assert.is(answer.status, 422)
    assert.match(await answer.text(), /^it ended \(1\): [\s\S]*the brace is missing/)
    assert.is(await versionAt(pod), 'image')
    assert.is((await pod.put(place.code)).status, 200, 'the next one is taken')
  },
  SLOW,
)

test(
  'nobody without the token is heard',
  async () => {
    using place = await createPlace()
    await using pod = await startPod(place.path)
    for (const token of ['', 'another', `${TOKEN}x`]) assert.is((await pod.put(place.code, token)).status, 403)
    assert.is(await versionAt(pod), 'image')
  },
  SLOW,
)

test(
  'a container that starts again begins with the code that it had taken; SIGTERM ends it as it ends the service',
  async () => {
    using place = await createPlace()
    let version: string
    {
      await using pod = await startPod(place.path)
      version = await (await pod.put(place.code)).text()
      assert.is(await pod.end(), 0)
    }
    await using again = await startPod(place.path)
    assert.is(await versionAt(again), version)
  },
  SLOW,
)

test(
  'the end of the service is the end of its first process, so that the kubelet sees it',
  async () => {
    using place = await createPlace()
    await using pod = await startPod(place.path)
    const exited = once(pod.process, 'exit') as Promise<[number | null]>
    const answer = await pod.put(`setTimeout(() => process.exit(7), 3000)\n${place.code}`)
    assert.is(answer.status, 200)
    assert.is((await exited)[0], 7)
  },
  SLOW,
)

test.run()
