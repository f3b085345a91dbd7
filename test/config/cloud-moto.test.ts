/** The cloud's Terraform with the real provider, against moto: what needs an API that answers. It proves our use of AWS, not AWS. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '#kit/errors'
import { parseBootstrap } from '../../cloud/outputs.ts'
import { effectsOf, type PlanJson } from '../../cloud/plan.ts'
import { Terraform } from '../../cloud/terraform.ts'
import { assert, type Body, suite } from '../suite.ts'
import { CLOUD, Tester } from './cloud-fixture.ts'
import { type Moto, startMoto } from './moto-fixture.ts'

const test = suite('cloud on moto')
const BUCKET = 'holdfast-123456789012-us-east-2'
const STATES = 'states-of-this-test'
const BACKEND = { file: '../environments/dev.s3.tfbackend', values: { bucket: STATES, region: 'us-east-2' } }
const BOOTSTRAP = { owner: 'platform@example.org', bucket: BUCKET }
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
/** moto checks no signature, but wants one. */
const SIGNED = { authorization: 'AWS4-HMAC-SHA256 Credential=testing/20261126/us-east-2/s3/aws4_request' }
const LOCATION = '<CreateBucketConfiguration><LocationConstraint>us-east-2</LocationConstraint></CreateBucketConfiguration>'

/** @returns why not, where a tool cannot be had. */
async function start(): Promise<Moto | string> {
  const tester = await Tester.open()
  if (typeof tester === 'string') return tester
  await tester[Symbol.asyncDispose]()
  return startMoto().catch((thrown) => `moto: ${messageOf(thrown)}`)
}

const moto = await start()

if (typeof moto === 'string') test.skip('Terraform with the real provider', moto)
else {
  const slow = (name: string, body: Body) => test(name, body, { timeoutMs: 240_000 })
  const open = (root: string, name: string, signal?: AbortSignal) => {
    const options = { folder: join(CLOUD, root), dataDir: join(folder, name), env: moto.env }
    return Terraform.open(signal === undefined ? options : { ...options, signal })
  }
  const stateAt = (name: string) => ({ values: { path: join(folder, `${name}.tfstate`) } })
  const makeBucket = async () => {
    await using first = await open('bootstrap', 'first')
    await first.init(stateAt('first'))
    await first.apply(await first.plan({ variables: BOOTSTRAP }))
  }

  let folder = ''
  let bootstrapped: Promise<unknown> = Promise.resolve('it was not begun')
  test.before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-moto-'))
    // The provider looks for a minute whether the bucket's settings stay as they are: the others do not wait for it.
    bootstrapped = makeBucket().catch((thrown) => thrown)
    assert.is((await fetch(`${moto.url}/${STATES}`, { method: 'PUT', headers: SIGNED, body: LOCATION })).status, 200)
  })
  test.after(async () => {
    await bootstrapped
    await moto[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  slow('dev is planned from nothing by the real provider, and everything that can be tagged is', async ({ signal }) => {
    await using dev = await open('platform', 'dev', signal)
    await dev.init(BACKEND)
    const { json } = await dev.plan(PLAN)
    const { made, ...others } = effectsOf(json)
    assert.equal(Object.values(others).flat(), [])
    assert.is(made.length, 60)
    assert.equal(untagged(json), [])
    const groups = json.output_changes?.node_groups?.after as Record<string, { pods_per_node: number }> | undefined
    assert.is(groups?.spot?.pods_per_node, 110, 'the pods per node are not known before anything is made')
    assert.equal(await dev.stateList(), [])
  })

  slow('a second writer is refused while somebody holds the lock', async ({ signal }) => {
    const lock = {
      ID: '11111111-2222-3333-4444-555555555555',
      Operation: 'OperationTypeApply',
      Who: 'someone@elsewhere',
      Version: '1.11.4',
    }
    const url = `${moto.url}/${STATES}/dev/terraform.tfstate.tflock`
    assert.is((await fetch(url, { method: 'PUT', headers: SIGNED, body: JSON.stringify(lock) })).status, 200)
    await using dev = await open('platform', 'dev', signal)
    await assert.rejects(dev.plan(PLAN), /state lock[\s\S]*someone@elsewhere[\s\S]*terraform force-unlock 11111111-2222/)
    assert.is((await fetch(url, { method: 'DELETE', headers: SIGNED })).status, 204)
  })

  slow('credentials of another account are refused', async ({ signal }) => {
    await using dev = await open('platform', 'dev', signal)
    const variables = { ...PLAN.variables, account_id: '999999999999' }
    await assert.rejects(dev.plan({ ...PLAN, variables }), /AWS account ID not allowed: 123456789012/)
  })

  slow('an apply that is interrupted keeps what it made, gives its lock back, and is destroyed from there', async ({ signal }) => {
    const stop = new AbortController()
    await using dev = await open('platform', 'dev', AbortSignal.any([signal, stop.signal]))
    const plan = await dev.plan(PLAN)
    const note = (text: string) => {
      if (/^[1-9]\d* of 60 resources$/.test(text)) stop.abort(new Error('interrupted'))
    }
    await assert.rejects(dev.apply(plan, note), /^interrupted$/)

    await using again = await open('platform', 'dev', signal)
    const made = async () => (await again.stateList()).filter((address) => !/(^|\.)data\./.test(address))
    assert.ok((await made()).length > 0, 'what was made is not in the state')
    const rest = effectsOf((await again.plan(PLAN)).json)
    assert.ok(rest.made.length > 0 && rest.made.length < 60, `${rest.made.length} of 60 are left to make`)
    // What it was about to make when it was stopped is tainted: Terraform cannot know whether it is whole.
    const otherwise = rest.replaced.filter(({ action_reason: reason }) => reason !== 'replace_because_tainted')
    assert.equal([...otherwise, ...rest.destroyed], [])
    await again.apply(await again.plan({ ...PLAN, destroy: true }))
    assert.equal(await made(), [])
  })

  slow('the bucket is made, a second plan is empty, and it cannot be destroyed', async ({ signal }) => {
    assert.is(await bootstrapped, undefined)
    await using first = await open('bootstrap', 'first', signal)
    assert.equal(parseBootstrap(await first.output()), { account_id: '123456789012', region: 'us-east-2', state_bucket: BUCKET })
    assert.ok((await first.plan({ variables: BOOTSTRAP })).isEmpty)
    await assert.rejects(first.plan({ variables: BOOTSTRAP, destroy: true }), /Instance cannot be destroyed/)
  })

  slow('a machine without its state adopts the bucket', async ({ signal }) => {
    await using second = await open('bootstrap', 'second', signal)
    await second.init(stateAt('second'))
    const { json } = await second.plan({ variables: { ...BOOTSTRAP, adopt: true } })
    const { made, replaced, destroyed } = effectsOf(json)
    assert.ok(made.length > 0 && made.every(({ type }) => type !== 'aws_s3_bucket'), 'a second bucket would be made')
    assert.equal([...replaced, ...destroyed], [])
  })
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
