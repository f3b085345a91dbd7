/** The script in the k6 that the image carries, started as the Job starts it, against a server of this machine. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LoadProfile, type LoadSecond, plannedRequests } from '#core'
import { type ExecResult, exec } from '#kit/exec'
import { goBuild } from '#kit/go'
import { root } from '#kit/paths'
import { K6_ENV, k6Args } from '../../load/job.ts'
import { type CountsLine, parseLine, type RequestLine } from '../../load/lines.ts'
import { k6Binary } from '../../load/part.ts'
import { planOf } from '../../load/plan.ts'
import { createSeconds } from '../../load/seconds.ts'
import { assert, suite } from '../suite.ts'

const test = suite('load script')
/** Cold, k6 is compiled: 72 s on two cores. */
const BUILD_TIMEOUT_MS = 540_000

interface Asked {
  readonly path: string
  readonly fault: string | undefined
}

interface Service {
  readonly url: string
  readonly asked: readonly Asked[]
  readonly connections: number
}

let k6 = ''
let server: Server
let service: Service

/** Answers as ours does, and has paths that redirect and that never answer. */
async function startService(): Promise<Service> {
  const asked: Asked[] = []
  let connections = 0
  server = createServer((request, response) => {
    const fault = request.headers['x-fault'] as string | undefined
    asked.push({ path: request.url ?? '', fault })
    if (request.url === '/hangs') return
    const status = request.url === '/moved' ? 302 : Number(fault?.replace('status=', '') ?? 200)
    response.writeHead(status, {
      'x-pod': `pod-${asked.length % 2}`,
      'x-version': 'v1',
      ...(status === 302 ? { location: '/target' } : {}),
    })
    response.end('{}')
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    asked,
    get connections() {
      return connections
    },
  }
}

/** Runs k6 in a folder with the script and this plan. */
async function runK6(plan: string, signal: AbortSignal): Promise<ExecResult> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-load-'))
  try {
    await copyFile(join(root, 'load/script.k6.ts'), join(folder, 'script.k6.ts'))
    await writeFile(join(folder, 'plan.json'), plan)
    return await exec(k6, k6Args(folder), { env: K6_ENV, signal, accept: [0, 107] })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const fault = { path: '/api/products', headers: { 'x-fault': 'status=500' }, expect: 500 }
const profile: LoadProfile = {
  name: 'it',
  about: '',
  stages: [
    { name: 'hang', forMs: 1000, ratePerS: 2, requests: [{ path: '/hangs' }] },
    { name: 'mixed', forMs: 2000, ratePerS: 20, requests: [{ path: '/api/products', weight: 3 }, fault] },
    { name: 'moved', forMs: 1000, fromPerS: 5, ratePerS: 15, requests: [{ path: '/moved' }] },
  ],
}

async function runAgainstService(signal: AbortSignal) {
  const { stdout, stderr, exitCode } = await runK6(JSON.stringify(planOf(profile, service.url)), signal)
  const lines = stdout.trimEnd().split('\n').map(parseLine)
  const requests = lines.filter((line): line is RequestLine => line.kind === 'request')
  const counts = lines.filter((line): line is CountsLine => line.kind === 'counts')
  return { requests, counts, stderr, exitCode, of: (stage: string) => requests.filter((request) => request.stage === stage) }
}

async function checkRun(signal: AbortSignal): Promise<void> {
  const { requests, counts, stderr, exitCode, of } = await runAgainstService(signal)
  assert.equal([exitCode, stderr], [0, ''])
  const planned = plannedRequests(profile)
  assert.ok(Math.abs(requests.length - planned) <= 3, `${requests.length} of ${planned}`)
  assert.equal(counts, [{ kind: 'counts', requests: requests.length, iterations: requests.length, dropped: 0 }])
  assert.is(service.connections, service.asked.length, 'every request has a connection of its own')

  const hung = of('hang')
  assert.ok(hung.length >= 2 && hung.every(({ status, ok, error }) => status === 0 && !ok && error === 'request timeout'))
  assert.ok(hung.every(({ tookMs }) => tookMs >= 5000 && tookMs < 6000))

  const mixed = of('mixed')
  const faults = mixed.filter(({ status }) => status === 500).length
  // Spread evenly, so two off at most, where chance would be off by as much as six.
  assert.ok(Math.abs(faults - mixed.length / 4) <= 2, `${faults} of ${mixed.length} are a quarter`)
  assert.ok(mixed.every(({ ok, pod, version }) => ok && pod.startsWith('pod-') && version === 'v1'))
  assert.is(service.asked.filter((each) => each.fault === 'status=500').length, faults)

  assert.ok(of('moved').every(({ status, ok }) => status === 302 && !ok))
  assert.not(
    service.asked.some(({ path }) => path === '/target'),
    'a redirect was followed',
  )

  const seconds: LoadSecond[] = []
  const collect = createSeconds((second) => seconds.push(second))
  for (const request of requests) collect.add(request)
  collect.settle()
  assert.is(
    seconds.reduce((sum, second) => sum + second.requests, 0),
    requests.length,
  )
}

const hasGo = (await exec('sh', ['-c', 'command -v go'], { accept: [0, 1, 127] })).exitCode === 0

if (hasGo) {
  test.before(
    async ({ signal }) => {
      k6 = await goBuild(k6Binary, { os: process.platform, arch: process.arch === 'x64' ? 'amd64' : process.arch }, signal)
      service = await startService()
    },
    { timeoutMs: BUILD_TIMEOUT_MS },
  )
  test.after(() => {
    server.closeAllConnections()
    server.close()
  })
  test('every request is told, by the plan, with what came of it', ({ signal }) => checkRun(signal), { timeoutMs: 20_000 })
  test('a plan that cannot be read sends nothing and counts nothing', async ({ signal }) => {
    const { stdout, exitCode } = await runK6('{', signal)
    assert.is(exitCode, 107)
    assert.ok(stdout.split('\n').every((line) => parseLine(line).kind === 'word'))
  })
} else {
  test.skip('the script runs', 'go is not on the PATH')
}

test.run()
