/**
 * The cloud commands from end to end without an account: Terraform with AWS's real provider, against moto and a double of EKS whose cluster
 * is a real one on this machine. It proves our commands, not AWS.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { GetResourcesCommand, ResourceGroupsTaggingAPIClient } from '@aws-sdk/client-resource-groups-tagging-api'
import { Agent, fetch } from 'undici'
import { runChild } from '#kit/child'
import { type Counts, formatCounts, isCounts } from '#kit/counts'
import { CLUSTER_LABEL, listByLabel } from '#kit/docker'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { createProgress, formatMs } from '#kit/progress'
import { assert, suite, type Test } from '../suite.ts'
import { NAME } from './behind.ts'
import { command, type Ended } from './commands.ts'
import { CREDENTIALS } from './double.ts'
import { differences, PARITY } from './parity.ts'
import { CLUSTER, openPlace, type Place, unavailable } from './place.ts'
import { REGION } from './rehearsal.ts'

const test = suite('rehearsal')

const MINUTE_MS = 60_000
const PROOFS = ['alert-fires', 'hand-edit', 'hpa-scales', 'rollout-lossless']
/** The whole of it, from the first request to the last: what `npm test` may spend on it. Said, not asserted: it is the machine's too. */
const BUDGET_MS = 12 * MINUTE_MS

const progress = createProgress()
const abort = new AbortController()
const held = new AsyncDisposableStack()
const times: [string, number][] = []
let place: Place
let rehearsal: Place['rehearsal']
let remote: Place['remote']
let env: Place['env']

const why = await unavailable()
if (why !== undefined) test.skip('the cloud commands from end to end', why)
/** Declares a test where Terraform can be had. */
const onTerraform: (...given: Parameters<Test>) => void = why === undefined ? test : () => {}

test.before(
  async () => {
    if (why !== undefined) return
    place = held.use(await openPlace({ progress, signal: abort.signal }))
    ;({ rehearsal, remote, env } = place)
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

const UP = () => place.upArgs
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
