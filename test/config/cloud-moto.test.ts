/**
 * The cloud's Terraform and the cloud commands with the real provider, against moto and the double of EKS: what needs an API that answers.
 * They make, keep, resume and take away. It proves our use of AWS, not AWS.
 */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { parseBootstrap } from '../../cloud/outputs.ts'
import { effectsOf, type PlanJson } from '../../cloud/plan.ts'
import { assert, type Body, suite } from '../suite.ts'
import { type Account, BUCKET, BUCKET_VARIABLES, openAccount, STATES } from './cloud-account.ts'
import { declareLocks } from './cloud-lock-cases.ts'

const test = suite('cloud on moto')

const BACKEND = { file: '../environments/dev.s3.tfbackend', values: { bucket: STATES, region: 'us-east-2' } }
const PLAN = {
  varFiles: ['../environments/dev.tfvars'],
  variables: {
    owner: 'platform@example.org',
    expires_at: '2026-12-01T18:00:00Z',
    state_bucket: STATES,
    endpoint_public_cidrs: ['203.0.113.7/32'],
    commit: 'abcdef0',
  },
}

const account = await openAccount()
if (typeof account === 'string') test.skip('Terraform with the real provider, and the cloud commands without a cluster', account)
else {
  let commands: Commands | undefined
  test.before(() => {
    commands = begin(account)
  })
  test.after(() => account[Symbol.asyncDispose]())
  const ran = () => commands as Commands
  declarePlatform(account)
  declareLocks(slow, account)
  declareCommands(account, ran)
  declareBucket(account, ran)
}

type Commands = ReturnType<typeof begin>

/** The commands, begun at once and each after the one before: the others of this file go on meanwhile. */
function begin(made: Account) {
  // The provider looks for a minute whether the bucket's settings stay as they are; all others find it there.
  const bucket = made.run('cloud-plan', ['--env', 'staging', '--json', '--allow-cidr', '203.0.113.7'])
  const up = made.untilBucket().then(async () => {
    await leaveLock(made)
    return made.run('cloud-up', ['--infrastructure', '--yes', '--json', '--allow-cidr', '203.0.113.7'])
  })
  const plan = up.then(() => made.run('cloud-plan', ['--json', '--detailed-exitcode']))
  const notYet = plan.then(() => made.run('cloud-down', ['--if-expired', '--confirm', 'dev']))
  const left = notYet.then(() => made.leaveGroup())
  const down = left.then(() => made.run('cloud-down', ['--confirm', 'dev']))
  const status = down.then(() => made.run('cloud-status'))
  return { bucket, up, plan, notYet, left, down, status }
}

function declarePlatform(account: Account): void {
  slow('dev is planned from nothing by the real provider, and everything that can be tagged is', async ({ signal }) => {
    await using terraform = await account.open('platform', 'dev', signal)
    await terraform.init(BACKEND)
    const json = await terraform.show(await terraform.plan(PLAN))
    const { made, ...others } = effectsOf(json)
    assert.equal(Object.values(others).flat(), [])
    assert.is(made.length, 60)
    assert.equal(untagged(json), [])
    const groups = json.output_changes?.node_groups?.after as Record<string, { pods_per_node: number }> | undefined
    assert.is(groups?.spot?.pods_per_node, 110, 'the pods per node are not known before anything is made')
    assert.equal(await terraform.stateList(), [])
  })

  slow('credentials of another account are refused', async ({ signal }) => {
    await using terraform = await account.open('platform', 'dev', signal)
    const variables = { ...PLAN.variables, account_id: '999999999999' }
    await assert.rejects(terraform.plan({ ...PLAN, variables }), /AWS account ID not allowed: 123456789012/)
  })
}

function declareCommands(account: Account, ran: () => Commands): void {
  slow('what is not there is neither shown nor taken down, and nothing is made for it', async () => {
    const elsewhere = ['--env', 'prod', '--region', 'us-west-2']
    const down = ['--confirm', 'prod', '--even-prod', ...elsewhere]
    for (const refused of [account.run('cloud-status', elsewhere), account.run('cloud-down', down)]) {
      const { exitCode, stderr } = await refused
      assert.is(exitCode, 2)
      assert.match(stderr, /there is no state in us-west-2: no bucket holdfast-state-123456789012-us-west-2\. Run npm run cloud:up/)
    }
    const { exitCode, stderr } = await account.run('cloud-down', ['--if-expired', ...down])
    assert.equal([exitCode, stderr], [0, 'There is no state of prod. Nothing was changed'])
  })

  slow('cloud:up takes the lock away that an earlier run of ours has left, says so, and makes what its plan says', async () => {
    const { exitCode, stdout, stderr } = await ran().up
    assert.is(exitCode, 0, stderr)
    assert.match(stderr, /A plan of ours \(me@here, since 2026-11-26T05:06:07\) has ended and left the state locked \(1-2-3\)/)
    const { counts, refused } = JSON.parse(stdout).plan
    assert.ok(counts.made > 80, `${counts.made} were made`)
    assert.equal([counts.destroyed, refused], [0, []])
  })

  slow('then there is nothing to change, whoever looks, who reaches the API is kept, and what has time left is not removed', async () => {
    const { exitCode, stdout } = await ran().plan
    assert.equal(JSON.parse(stdout).counts, { made: 0, changed: 0, replaced: 0, destroyed: 0 })
    assert.is(exitCode, 0)
    const notYet = await ran().notYet
    assert.is(notYet.exitCode, 0)
    assert.match(notYet.stderr, /The time of dev is not over: 20\d\d-\S+Z\. Nothing was changed$/)
  })

  slow('cloud:down takes all of it, also where the cluster does not answer, and names what it found besides', async () => {
    const { exitCode, stdout, stderr } = await ran().down
    assert.match(stdout, /The cluster could not be emptied: /)
    assert.match(stdout, new RegExp(`Removed security group ${await ran().left} \\(free\\)`))
    assert.match(stdout, /Nothing is left$/)
    assert.is(exitCode, 0, stderr)
    assert.is((await ran().status).exitCode, 1)
  })
}

function declareBucket(account: Account, ran: () => Commands): void {
  slow('the first command makes the bucket, a second plan of it is empty, and it cannot be destroyed', async ({ signal }) => {
    const { exitCode, stdout, stderr } = await ran().bucket
    assert.is(exitCode, 0, stderr)
    assert.ok(JSON.parse(stdout).counts.made > 90, 'staging is planned from nothing')
    await using first = await account.open('bootstrap', 'first', signal)
    await first.init(account.stateAt(BUCKET))
    assert.equal(parseBootstrap(await first.output()), { account_id: '123456789012', region: 'us-east-2', state_bucket: BUCKET })
    assert.ok((await first.plan({ variables: BUCKET_VARIABLES })).isEmpty)
    await assert.rejects(first.plan({ variables: BUCKET_VARIABLES, destroy: true }), /Instance cannot be destroyed/)
  })

  slow('a machine without its state adopts the bucket', async ({ signal }) => {
    await using second = await account.open('bootstrap', 'second', signal)
    await second.init(account.stateAt('second'))
    const plan = await second.plan({ variables: { ...BUCKET_VARIABLES, adopt: true } })
    const { made, replaced, destroyed } = effectsOf(await second.show(plan))
    assert.ok(made.length > 0 && made.every(({ type }) => type !== 'aws_s3_bucket'), 'a second bucket would be made')
    assert.equal([...replaced, ...destroyed], [])
  })
}

/** As a run of ours does that is killed with its command. */
async function leaveLock(account: Account): Promise<void> {
  const gone = spawnSync('true')
  await account.plantLock(BUCKET, 'dev/terraform.tfstate', { id: '1-2-3', who: 'me@here' })
  await writeFile(account.devRecord, JSON.stringify({ id: '1-2-3', pid: gone.pid, started: 'before' }))
}

/** Against the real provider everything takes its time. */
function slow(name: string, body: Body): void {
  test(name, body, { timeoutMs: 300_000 })
}

const TAGS = ['commit', 'env', 'owner', 'project', 'repo', 'ttl']

/** Resources that lack one of the tags by which they are swept and paid for. */
function untagged({ resource_changes: changes = [] }: PlanJson): string[] {
  const taggable = changes.filter(({ change }) => change.after?.tags_all !== undefined)
  assert.ok(taggable.length > 25, `only ${taggable.length} resources can be tagged`)
  return taggable.flatMap(({ address, change }) => {
    const names = Object.keys(change.after?.tags_all as object)
    return TAGS.every((tag) => names.includes(tag)) ? [] : [address]
  })
}

test.run()
