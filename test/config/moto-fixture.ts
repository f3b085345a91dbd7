/** moto's server: an AWS in memory that the real provider talks to. */
import { spawn } from 'node:child_process'
import { createServer, type IncomingHttpHeaders, type RequestListener, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { exitOf, signalGroup } from '#kit/group'
import { pythonProgram } from '#kit/python'
import { pending, ready, waitFor } from '#kit/wait'
import { freePort } from './registry-fixture.ts'

/** What pins it. */
export const MOTO = 'cloud/tools/moto.txt'

export interface Moto extends AsyncDisposable {
  readonly url: string
  /** What AWS's own tools and Terraform's provider need in their environment to talk to it, and to nobody else. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** @throws UserError where there is no Python, or PyPI does not answer. */
export async function startMoto(): Promise<Moto> {
  const program = await pythonProgram(MOTO, 'moto_server')
  const port = await freePort()
  const child = spawn(program, ['-H', '127.0.0.1', '-p', `${port}`], {
    stdio: 'ignore',
    detached: true,
    // It has AWS's own policies only where it is told to load them.
    env: { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' },
  })
  const exit = exitOf(child)
  process.once('exit', () => signalGroup(child, 'SIGKILL')) // also where a file breaks before its hooks
  const inner = `http://127.0.0.1:${port}`
  const front = createServer(inFrontOf(inner)).listen(0, '127.0.0.1')
  const stop = async () => {
    front.closeAllConnections()
    front.close()
    signalGroup(child, 'SIGKILL')
    await exit
  }
  const answers = async () => ((await fetch(`${inner}/moto-api/`)).ok ? ready(undefined) : pending('an error'))
  try {
    await waitFor('moto to answer', answers, { timeoutMs: 60_000, everyMs: 200 })
  } catch (thrown) {
    await stop()
    throw thrown
  }
  const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`
  return { url, env: envFor(url), [Symbol.asyncDispose]: stop }
}

/**
 * Passes everything on, but keeps what two settings of a bucket say: moto reads a policy without its conditions, so one that refuses
 * what does not come by TLS refuses everyone, and it gives a lifecycle back without the size that S3 adds, for which the provider waits.
 */
function inFrontOf(inner: string): RequestListener {
  const kept = new Map<string, Buffer>()
  return async (asked, response) => {
    const { method = 'GET', url = '/', headers } = asked
    const body = await buffer(asked)
    if (/\?(policy|lifecycle)=?$/.test(url)) keep(kept, { method, url, body }, response)
    else pass({ to: new URL(url, inner), method, headers, body }, response)
  }
}

function keep(
  kept: Map<string, Buffer>,
  { method, url, body }: { method: string; url: string; body: Buffer },
  response: ServerResponse,
): void {
  if (method === 'PUT') kept.set(url, body)
  if (method === 'DELETE') kept.delete(url)
  const known = kept.get(url)
  response.setHeader('x-amz-transition-default-minimum-object-size', 'all_storage_classes_128K') // as S3 has it since 2024-09
  if (method !== 'GET') response.writeHead(204).end()
  else if (known !== undefined) response.end(known)
  else response.writeHead(404).end(NOT_THERE(url))
}

const NOT_THERE = (url: string) => `<Error><Code>NoSuch${url.includes('policy') ? 'BucketPolicy' : 'LifecycleConfiguration'}</Code></Error>`

interface Passed {
  readonly to: URL
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** By node's own client: what a signature covers must arrive as it was sent. */
function pass({ to, method, headers, body }: Passed, response: ServerResponse): void {
  const onward = request(to, { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  onward.on('error', (error) => response.writeHead(502).end(error.message))
  onward.end(body)
}

function envFor(url: string): Moto['env'] {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_REGION: 'us-east-2',
    AWS_ACCESS_KEY_ID: 'testing',
    AWS_SECRET_ACCESS_KEY: 'testing',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PROFILE: undefined,
    AWS_SESSION_TOKEN: undefined,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  }
}
