/**
 * The first process of a pod whose code comes from a working tree, `npm run local:deploy -- --sync`, and not from its image. It has the
 * service's ports, starts the service behind them, and once newer code is ready there sends it what comes from then on. Code that does
 * not come to be ready never serves. Run by Node as it is, out of the pod's own spec: it imports nothing that an image would have to hold.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const { env } = process
const host = env.HOST ?? '0.0.0.0'
const imageCode = env.SYNC_IMAGE_CODE ?? '/app/server.mjs'
const syncedCode = `${env.SYNC_FOLDER ?? '/sync'}/server.mjs`
const token = Buffer.from(env.SYNC_TOKEN ?? '')

/** The service's own ports: what is reached from outside, by the variable that names it. */
const PORTS = { PORT: 8080, METRICS_PORT: 9464, PROBES_PORT: 8081 } as const
type PortName = keyof typeof PORTS
const NAMES = Object.keys(PORTS) as PortName[]
const READY_MS = 8_000
const LOOK_MS = 20
/** With these many bytes of code something else was sent. */
const MOST_BYTES = 64 * 2 ** 20
/** Of what a process said on stderr, for who sent its code. */
const SAID_CHARACTERS = 2_000

interface Service {
  readonly child: ChildProcess
  readonly ports: Readonly<Record<PortName, number>>
  readonly said: () => string
}

let current: Service | undefined
let isEnding = false

async function start(file: string, version: string | undefined): Promise<Service> {
  const ports = Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await freePort()]))) as Service['ports']
  const given = Object.fromEntries(NAMES.map((name) => [name, String(ports[name])]))
  // Nobody has to be told that one behind a port which stays goes: it may end as soon as it has answered.
  const own = { ...env, ...given, HOST: '127.0.0.1', METRICS_HOST: '', PROBES_HOST: '', SYNC_TOKEN: '', DRAIN_MS: '0' }
  const child = spawn(process.execPath, [file], {
    env: version === undefined ? own : { ...own, VERSION: version },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  let said = ''
  child.stderr?.on('data', (piece: Buffer) => {
    process.stderr.write(piece)
    said = (said + piece).slice(-SAID_CHARACTERS)
  })
  child.once('exit', (code) => {
    if (current?.child === child) process.exit(code ?? 1) // so that the kubelet sees it
  })
  return { child, ports, said: () => said.trim() }
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until it is ready, or would be if its database answered. @returns why it is not */
async function problemOf({ child, ports, said }: Service): Promise<string | undefined> {
  const untilMs = performance.now() + READY_MS
  let status = 'silent'
  while (performance.now() < untilMs) {
    if (child.exitCode !== null || child.signalCode !== null) return `it ended (${child.exitCode ?? child.signalCode}): ${said()}`
    status = await statusAt(ports.PROBES_PORT)
    if (status === 'ready') return undefined
    await sleep(LOOK_MS)
  }
  return status === 'waiting' ? undefined : `it was ${status} after ${READY_MS / 1000} s: ${said()}`
}

async function statusAt(port: number): Promise<string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/ready`, { signal: AbortSignal.timeout(1_000) })
    return ((await answer.json()) as { status?: string }).status ?? 'silent'
  } catch {
    return 'silent'
  }
}

// ── New code ────────────────────────────────────────────────────────────────────────────────────────────────────────

const versionOf = (code: string | Buffer) => `sync-${createHash('sha256').update(code).digest('hex').slice(0, 12)}`

/** @returns why it does not run */
async function take(code: Buffer): Promise<string | undefined> {
  const draft = `${syncedCode}.new.mjs`
  await writeFile(draft, code)
  const service = await start(draft, versionOf(code))
  const problem = await problemOf(service)
  if (problem !== undefined || isEnding) {
    service.child.kill('SIGKILL')
    return problem ?? 'the pod ends'
  }
  await rename(draft, syncedCode) // what a container that starts again begins with
  const before = current
  current = service
  before?.child.kill('SIGTERM')
  return undefined
}

let turn: Promise<unknown> = Promise.resolve()

/** One after the other. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work, work)
  turn = mine.catch(() => {})
  return mine
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function isAllowed(request: IncomingMessage): boolean {
  const given = Buffer.from(String(request.headers['x-sync-token'] ?? ''))
  return token.length > 0 && given.length === token.length && timingSafeEqual(given, token)
}

async function answer(request: IncomingMessage): Promise<readonly [status: number, text: string]> {
  if (!isAllowed(request)) return [403, 'this is not the token of the sync that runs']
  if (request.method !== 'PUT' || request.url !== '/code') return [404, 'PUT /code takes the code of the service']
  const code = await bodyOf(request)
  const problem = await inTurn(() => take(code))
  return problem === undefined ? [200, versionOf(code)] : [422, problem]
}

const control = createServer(async (request, response) => {
  const failed = (thrown: unknown) => [500, thrown instanceof Error ? thrown.message : String(thrown)] as const
  const [status, text] = await answer(request).catch(failed)
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text)
})

// ── The service's ports ─────────────────────────────────────────────────────────────────────────────────────────────

/** What is open stays with whom it was opened to, until that has answered. */
function forward(name: PortName): void {
  const server = createTcpServer({ allowHalfOpen: true }, (client) => {
    if (current === undefined) return void client.destroy()
    join(client, connect({ port: current.ports[name], host: '127.0.0.1', allowHalfOpen: true }))
  })
  server.listen(Number(env[name] ?? PORTS[name]), host)
}

function join(client: Socket, service: Socket): void {
  client.pipe(service).pipe(client)
  client.on('error', () => service.destroy()).on('close', () => service.destroy())
  service.on('error', () => client.destroy()).on('close', () => client.destroySoon())
}

// ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    isEnding = true
    if (current === undefined) process.exit(0)
    current.child.kill('SIGTERM') // its end is ours
  })

await inTurn(async () => {
  const isSynced = existsSync(syncedCode)
  current = await start(isSynced ? syncedCode : imageCode, isSynced ? versionOf(await readFile(syncedCode)) : undefined)
})
for (const name of NAMES) forward(name)
control.listen(Number(env.SYNC_PORT ?? 9465), host)
