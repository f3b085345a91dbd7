/**
 * The cloud commands from end to end without an account: Terraform with AWS's real provider, against moto and a double of EKS whose cluster
 * is a real one on this machine. It proves our commands, not AWS.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetResourcesCommand, ResourceGroupsTaggingAPIClient } from '@aws-sdk/client-resource-groups-tagging-api'
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { Agent, fetch } from 'undici'
import { runChild } from '#kit/child'
import { type Counts, formatCounts, isCounts } from '#kit/counts'
import { CLUSTER_LABEL, listByLabel } from '#kit/docker'
import { messageOf } from '#kit/errors'
import { exec } from '#kit/exec'
import { Images } from '#kit/images'
import { root } from '#kit/paths'
import { createProgress, formatMs } from '#kit/progress'
import { pythonProgram } from '#kit/python'
import { Terraform } from '../../cloud/terraform.ts'
import { imageStore } from '../../local/local.ts'
import { MOTO } from '../config/moto-fixture.ts'
import { assert, suite, type Test } from '../suite.ts'
import { gateway, NAME, NETWORK } from './behind.ts'
import { command, type Ended } from './commands.ts'
import { CREDENTIALS } from './double.ts'
import { differences, PARITY } from './parity.ts'
import { AWS_CLI, REGION, type Rehearsal, startRehearsal } from './rehearsal.ts'
import { BRANCH, startRemote, type UserRemote } from './remote.ts'

const test = suite('rehearsal')

const MINUTE_MS = 60_000
const SECRET = 'holdfast-dev-repo'
const CLUSTER = 'holdfast-dev'
const PROOFS = ['alert-fires', 'hand-edit', 'hpa-scales', 'rollout-lossless']
/** The whole of it, from the first request to the last: what `npm test` may spend on it. Said, not asserted: it is the machine's too. */
const BUDGET_MS = 12 * MINUTE_MS

const progress = createProgress()
const abort = new AbortController()
const held = new AsyncDisposableStack()
const times: [string, number][] = []
let rehearsal: Rehearsal
let remote: UserRemote
let env: Record<string, string | undefined>

const why = await unavailable()
if (why !== undefined) test.skip('the cloud commands from end to end', why)
/** Declares a test where Terraform can be had. */
const onTerraform: (...given: Parameters<Test>) => void = why === undefined ? test : () => {}

test.before(
  async () => {
    if (why !== undefined) return
    const { signal } = abort
    const images = new Images({ progress, signal })
    const registry = await imageStore({ images, progress, signal })
    rehearsal = held.use(await startRehearsal({ progress, signal, registry }))
    await gateway()
    remote = held.use(await startRemote({ cluster: NAME, network: NETWORK, images, signal }))
    await remote.push()
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-rehearsal-'))
    held.defer(() => rm(folder, { recursive: true, force: true }))
    env = { ...rehearsal.env, ...remote.env, HOLDFAST_DIR: folder, XDG_STATE_HOME: folder, HOLDFAST_CLUSTER: CLUSTER }
    await giveKey()
  },
  { timeoutMs: 5 * MINUTE_MS },
)

test.after(
  async () => {
    abort.abort()
    await held.disposeAsync()
    const total = times.reduce((sum, [, ms]) => sum + ms, 0)
    for (const [what, ms] of [...times, [`together, of ${formatMs(BUDGET_MS)}`, total] as const]) {
      progress.say(`  ${formatMs(ms).padStart(12)}  ${what}`)
    }
    progress[Symbol.dispose]()
  },
  { timeoutMs: 2 * MINUTE_MS },
)

onTerraform(
  'cloud:up makes the environment, installs the stack and ends with the Ready nodes',
  async () => {
    const { stdout } = await succeed('cloud:up', 'cloud-up', [...UP(), '--yes'])
    const { nodes, cluster, plan } = JSON.parse(stdout)
    assert.is(cluster, CLUSTER)
    assert.equal(nodes, { all: 2, ready: [`holdfast-${NAME}`, `holdfast-${NAME}.2`] })
    assert.ok(plan.counts.made > 80, `${plan.counts.made} made`)
    assert.is(((await stat(kubeconfig())).mode & 0o777).toString(8), '600')
  },
  { timeoutMs: 6 * MINUTE_MS },
)

onTerraform('a token for another cluster is refused by this one', async () => {
  assert.match(await asks(CLUSTER), /^Kubernetes 1\.36/)
  assert.is(await asks('holdfast-staging'), 'refused')
})

onTerraform(
  'the cluster keeps the contract that every cluster keeps',
  async () => {
    const { passed, failed } = await folder('contract')
    assert.ok(passed > 5 && failed === 0, `${passed} passed, ${failed} failed`)
  },
  { timeoutMs: 3 * MINUTE_MS },
)

onTerraform(
  `the proofs hold unchanged: ${PROOFS.join(', ')}`,
  async () => {
    const { stdout } = await run('the four proofs', 'cloud-test', [...PROOFS, '--json'])
    const proofs = JSON.parse(stdout) as { name: string; verdict: string; reason: string }[]
    assert.equal(proofs.map(({ name }) => name).toSorted(), PROOFS)
    assert.equal(
      proofs.filter(({ verdict }) => verdict !== 'held').map(({ name, verdict, reason }) => `${name}: ${verdict}: ${reason}`),
      [],
    )
  },
  { timeoutMs: 8 * MINUTE_MS },
)

onTerraform('what runs differs from the local stack in named ways only, ten at most, each with its reason', async () => {
  const found = await differences(remote.url, remote.env)
  assert.ok(PARITY.length <= 10)
  assert.equal(found.unnamed, [])
  assert.equal(found.unused, [])
})

onTerraform(
  'a second cloud:up has nothing to change, and goes through',
  async () => {
    const { stdout } = await succeed('second cloud:up', 'cloud-up', UP()) // without --yes: there is nothing to confirm
    assert.equal(JSON.parse(stdout).plan.counts, { made: 0, changed: 0, replaced: 0, destroyed: 0 })
  },
  { timeoutMs: 4 * MINUTE_MS },
)

onTerraform(
  'cloud:status tells age, cost and expiry',
  async () => {
    const { stdout } = await succeed('cloud:status', 'cloud-status', ['--json'])
    const { state, ageMs, expiresAt, cost } = JSON.parse(stdout)
    assert.is(state, 'ACTIVE')
    assert.ok(ageMs > 0 && Date.parse(expiresAt) > Date.now() && cost.monthly > 100, stdout)
  },
  { timeoutMs: MINUTE_MS },
)

onTerraform(
  'cloud:down leaves nothing: no resource with our tags, no container, no volume',
  async () => {
    const { stdout } = await succeed('cloud:down', 'cloud-down', ['--confirm', 'dev'])
    assert.match(stdout, /Removed log group \/aws\/eks\/holdfast-dev\/cluster/)
    assert.match(stdout, /Nothing is left$/)
    assert.equal(await taggedArns(), [])
    for (const type of ['volume', 'network'] as const) assert.equal(await listByLabel(type, `${CLUSTER_LABEL}=${NAME}`), [])
  },
  { timeoutMs: 4 * MINUTE_MS },
)

/** Why Terraform, its provider or moto cannot be had here; undefined where they can. */
async function unavailable(): Promise<string | undefined> {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-terraform-'))
  try {
    await using terraform = await Terraform.open({ folder: join(root, 'cloud', 'platform'), dataDir })
    await terraform.init('none')
    await Promise.all([pythonProgram(MOTO, 'moto_server'), pythonProgram(AWS_CLI, 'aws')])
    return undefined
  } catch (thrown) {
    return `terraform, moto: ${messageOf(thrown)}`
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

const UP = () => [
  '--json',
  '--allow-cidr',
  '203.0.113.7',
  '--repo',
  remote.url,
  '--branch',
  BRANCH,
  '--repo-secret',
  SECRET,
  '--timing',
  'local',
]
const kubeconfig = () => join(env.HOLDFAST_DIR ?? '', CLUSTER, 'kubeconfig')

async function succeed(what: string, name: string, args: readonly string[]): Promise<Ended> {
  const ended = await run(what, name, args)
  assert.is(ended.exitCode, 0, `${what} ended with ${ended.exitCode}: ${ended.stderr.split('\n').slice(-5).join('\n')}`)
  return ended
}

async function run(what: string, name: string, args: readonly string[]): Promise<Ended> {
  const ended = await command(name, args, { env, signal: abort.signal, onLine: (line) => progress.say(`  ${line}`) })
  times.push([what, ended.ms])
  return ended
}

async function folder(name: string): Promise<Counts> {
  const onLine = (line: string) => progress.say(`  ${line}`)
  const { message, ms } = await runChild(join(root, 'test', 'run.ts'), {
    args: [name, ''],
    env: env as Record<string, string>,
    signal: abort.signal,
    onLine,
  })
  times.push([`test ${name}`, ms])
  if (!isCounts(message)) throw new Error('it reported nothing')
  progress.say(formatCounts(message))
  return message
}

async function giveKey(): Promise<void> {
  const client = new SecretsManagerClient({ region: REGION, endpoint: rehearsal.motoUrl, credentials: CREDENTIALS })
  const SecretString = JSON.stringify({ username: 'reader', password: 'reads-only' })
  await client.send(new CreateSecretCommand({ Name: SECRET, SecretString }))
}

async function taggedArns(): Promise<string[]> {
  const client = new ResourceGroupsTaggingAPIClient({ region: REGION, endpoint: rehearsal.motoUrl, credentials: CREDENTIALS })
  const TagFilters = [
    { Key: 'project', Values: ['holdfast'] },
    { Key: 'env', Values: ['dev'] },
  ]
  const { ResourceTagMappingList = [] } = await client.send(new GetResourcesCommand({ TagFilters }))
  // What moto shows of the dead, as AWS does: a gateway that is gone, a key that waits for its deletion.
  return ResourceTagMappingList.flatMap(({ ResourceARN = '' }) => (/natgateway|:kms:/.test(ResourceARN) ? [] : [ResourceARN]))
}

/** What the API server says to somebody with a token for that cluster. */
async function asks(cluster: string): Promise<string> {
  const { stdout } = await exec('aws', ['--region', REGION, 'eks', 'get-token', '--cluster-name', cluster, '--output', 'json'], { env })
  const { token } = JSON.parse(stdout).status
  const { endpoint = '', ca = '' } = rehearsal.double.eks.clusters.get(CLUSTER)?.access ?? {}
  const dispatcher = new Agent({ connect: { ca: Buffer.from(ca, 'base64').toString() } })
  const answer = await fetch(`${endpoint}/api/v1/nodes`, { dispatcher, headers: { authorization: `Bearer ${token}` } })
  if (answer.status === 401) return 'refused'
  const { items } = (await answer.json()) as { items: { status: { nodeInfo: { kubeletVersion: string } } }[] }
  return `Kubernetes ${items[0]?.status.nodeInfo.kubeletVersion.slice(1)}`
}

test.run()
