/** Where the cloud commands are rehearsed: what stands in for AWS, the user's remote with its key, and a folder of its own for all they keep. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { messageOf } from '#kit/errors'
import { Images } from '#kit/images'
import type { Progress } from '#kit/progress'
import { pythonProgram } from '#kit/python'
import { imageStore } from '../../local/local.ts'
import { whyNoTerraform } from '../config/cloud-fixture.ts'
import { MOTO } from '../config/moto-fixture.ts'
import { gateway, NAME, NETWORK } from './behind.ts'
import { CREDENTIALS } from './double.ts'
import { AWS_CLI, REGION, type Rehearsal, startRehearsal } from './rehearsal.ts'
import { BRANCH, startRemote, type UserRemote } from './remote.ts'

/** The environment's cluster. */
export const CLUSTER = 'holdfast-dev'
const SECRET = 'holdfast-dev-repo'

export interface Place extends AsyncDisposable {
  readonly rehearsal: Rehearsal
  readonly remote: UserRemote
  /** Of our commands. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Flags without which `cloud:plan` and `cloud:up` would ask the internet, or the real clock. */
  readonly upArgs: readonly string[]
}

export async function openPlace({ progress, signal }: { progress: Progress; signal: AbortSignal }): Promise<Place> {
  await using begun = new AsyncDisposableStack()
  const images = new Images({ progress, signal })
  const registry = await imageStore({ images, progress, signal })
  const rehearsal = begun.use(await startRehearsal({ progress, signal, registry }))
  await gateway()
  const remote = begun.use(await startRemote({ cluster: NAME, network: NETWORK, images, signal }))
  await remote.push()
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-rehearsal-'))
  begun.defer(() => rm(folder, { recursive: true, force: true }))
  await giveKey(rehearsal)
  const held = begun.move()
  return {
    rehearsal,
    remote,
    env: { ...rehearsal.env, ...remote.env, HOLDFAST_DIR: folder, XDG_STATE_HOME: folder, HOLDFAST_CLUSTER: CLUSTER },
    upArgs: upArgsOf(remote.url),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

function upArgsOf(url: string): readonly string[] {
  const repo = ['--repo', url, '--branch', BRANCH, '--repo-secret', SECRET]
  return ['--json', '--allow-cidr', '203.0.113.7', ...repo, '--timing', 'local']
}

async function giveKey({ motoUrl }: Rehearsal): Promise<void> {
  const client = new SecretsManagerClient({ region: REGION, endpoint: motoUrl, credentials: CREDENTIALS })
  const SecretString = JSON.stringify({ username: 'reader', password: 'reads-only' })
  await client.send(new CreateSecretCommand({ Name: SECRET, SecretString }))
}

/** Why Terraform, its provider or moto cannot be had here; undefined where they can. */
export async function unavailable(): Promise<string | undefined> {
  const why = await whyNoTerraform()
  if (why !== undefined) return why
  return Promise.all([pythonProgram(MOTO, 'moto_server'), pythonProgram(AWS_CLI, 'aws')]).then(
    () => undefined,
    (thrown) => `moto: ${messageOf(thrown)}`,
  )
}
