/** moto's server: an AWS in memory that the real provider talks to. */
import { spawn } from 'node:child_process'
import { exitOf, signalGroup } from '#kit/group'
import { pythonProgram } from '#kit/python'
import { pending, ready, waitFor } from '#kit/wait'
import { freePort } from './registry-fixture.ts'

export interface Moto extends AsyncDisposable {
  readonly url: string
  /** What AWS's own tools and Terraform's provider need in their environment to talk to it, and to nobody else. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** @throws UserError where there is no Python, or PyPI does not answer. */
export async function startMoto(): Promise<Moto> {
  const program = await pythonProgram('cloud/tools/moto.txt', 'moto_server')
  const port = await freePort()
  const child = spawn(program, ['-H', '127.0.0.1', '-p', `${port}`], {
    stdio: 'ignore',
    detached: true,
    // It has AWS's own policies only where it is told to load them.
    env: { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' },
  })
  const exit = exitOf(child)
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    signalGroup(child, 'SIGKILL')
    await exit
  }
  const answers = async () => ((await fetch(`${url}/moto-api/`)).ok ? ready(undefined) : pending('an error'))
  try {
    await waitFor('moto to answer', answers, { timeoutMs: 60_000, everyMs: 200 })
  } catch (thrown) {
    await stop()
    throw thrown
  }
  return { url, env: envFor(url), [Symbol.asyncDispose]: stop }
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
