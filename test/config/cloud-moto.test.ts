/** The cloud's Terraform with the real provider, against moto: what needs an API that answers. It proves our use of AWS, not AWS. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '#kit/errors'
import { parseBootstrap } from '../../cloud/outputs.ts'
import { effectsOf, type PlanJson } from '../../cloud/plan.ts'
import { Terraform, type TerraformOptions } from '../../cloud/terraform.ts'
import { findToolchain } from '../../cloud/toolchain.ts'
import { assert, suite } from '../suite.ts'
import { CLOUD, Tester } from './cloud-fixture.ts'
import { type Moto, startMoto } from './moto-fixture.ts'

const test = suite('cloud on moto')
const MINUTES = { timeoutMs: 240_000 }
const BUCKET = 'holdfast-123456789012-us-east-2'
const BACKEND = { file: '../environments/dev.s3.tfbackend', values: { bucket: BUCKET, region: 'us-east-2' } }
const PLAN = {
  varFiles: ['../environments/dev.tfvars'],
  variables: {
    owner: 'platform@example.org',
    expires_at: '2026-12-01T18:00:00Z',
    state_bucket: BUCKET,
    endpoint_public_cidrs: ['203.0.113.7/32'],
    commit: 'abcdef0',
  },
}

const moto = await start()
if (typeof moto === 'string') test.skip('Terraform with the real provider', moto)
else declare(moto)

/** @returns why not, where a tool cannot be had. */
async function start(): Promise<Moto | string> {
  try {
    await findToolchain()
    const tester = await Tester.open()
    if (typeof tester === 'string') return tester
    await tester[Symbol.asyncDispose]()
    return await startMoto()
  } catch (thrown) {
    return `terraform, moto: ${messageOf(thrown)}`
  }
}

function declare(aws: Moto): void {
  let folder = ''
  test.before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-moto-'))
  })
  test.after(async () => {
    await aws[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const open = (root: string, name: string, options: Partial<TerraformOptions> = {}) =>
    Terraform.open({ folder: join(CLOUD, root), dataDir: join(folder, name), env: aws.env, ...options })
  const bootstrap = { owner: 'platform@example.org', bucket: BUCKET }
  const stateAt = (name: string) => ({ values: { path: join(folder, `${name}.tfstate`) } })

  test(
    'the bucket is made, a second plan is empty, and a machine without its state adopts it',
    async ({ signal }) => {
      await using first = await open('bootstrap', 'first', { signal })
      await first.init(stateAt('first'))
      await first.apply(await first.plan({ variables: bootstrap }))
      assert.equal(parseBootstrap(await first.output()), { account_id: '123456789012', region: 'us-east-2', state_bucket: BUCKET })
      assert.ok((await first.plan({ variables: bootstrap })).isEmpty)

      await using second = await open('bootstrap', 'second', { signal })
      await second.init(stateAt('second'))
      const plan = await second.plan({ variables: { ...bootstrap, adopt: true } })
      const { made, replaced, destroyed } = effectsOf(plan.json)
      assert.not.ok(made.some(({ type }) => type === 'aws_s3_bucket'))
      assert.equal([replaced, destroyed], [[], []])
      await second.apply(plan)
      assert.ok((await second.plan({ variables: { ...bootstrap, adopt: true } })).isEmpty)
      await assert.rejects(second.plan({ variables: { ...bootstrap, adopt: true }, destroy: true }), /prevent_destroy/)
    },
    MINUTES,
  )

  let planned: PlanJson | undefined
  test(
    'dev is planned from nothing by the real provider, and everything that can be tagged is',
    async ({ signal }) => {
      await using dev = await open('platform', 'dev', { signal })
      await dev.init(BACKEND)
      const plan = await dev.plan(PLAN)
      planned = plan.json
      const { made, ...others } = effectsOf(plan.json)
      assert.equal(Object.values(others).flat(), [])
      assert.is(made.length, 60)
      const tags = made.flatMap(({ address, change }) => {
        const all = change.after?.tags_all as Record<string, string> | undefined
        return all === undefined ? [] : [{ address, names: Object.keys(all).filter((name) => name !== 'Name' && !name.includes('/')) }]
      })
      assert.ok(tags.length > 25, `only ${tags.length} resources have tags`)
      for (const { address, names } of tags)
        assert.equal(names.sort(), ['commit', 'env', 'owner', 'project', 'repo', 'ttl'], `${address} lacks a tag`)
      assert.equal(await dev.stateList(), [])
    },
    MINUTES,
  )

  test('what is known before anything is made tells the pods per node', () => {
    const groups = planned?.output_changes?.node_groups?.after as Record<string, { pods_per_node: number }> | undefined
    assert.is(groups?.base?.pods_per_node, 110)
    assert.is(groups?.spot?.pods_per_node, 110)
  })

  test(
    'a second writer is refused while somebody holds the lock',
    async ({ signal }) => {
      const lock = {
        ID: '11111111-2222-3333-4444-555555555555',
        Operation: 'OperationTypeApply',
        Who: 'someone@elsewhere',
        Version: '1.11.4',
      }
      const url = `${aws.url}/${BUCKET}/dev/terraform.tfstate.tflock`
      const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=testing/20261126/us-east-2/s3/aws4_request' }
      assert.is((await fetch(url, { method: 'PUT', headers, body: JSON.stringify(lock) })).status, 200)
      await using dev = await open('platform', 'dev', { signal })
      await assert.rejects(dev.plan(PLAN), /state lock[\s\S]*someone@elsewhere[\s\S]*terraform force-unlock 11111111-2222/)
      assert.is((await fetch(url, { method: 'DELETE', headers })).status, 204)
    },
    MINUTES,
  )

  test(
    'wrong credentials are refused before anything is read',
    async ({ signal }) => {
      await using dev = await open('platform', 'dev', { signal })
      const variables = { ...PLAN.variables, account_id: '999999999999' }
      await assert.rejects(dev.plan({ ...PLAN, variables }), /AWS account ID not allowed: 123456789012/)
    },
    MINUTES,
  )

  test(
    'an apply that is interrupted keeps what it made, gives its lock back, and is destroyed from there',
    async ({ signal }) => {
      const stop = new AbortController()
      await using dev = await open('platform', 'dev', { signal: AbortSignal.any([signal, stop.signal]) })
      const plan = await dev.plan(PLAN)
      const note = (text: string) => {
        if (/^[1-9]\d* of 60 resources$/.test(text)) stop.abort(new Error('interrupted'))
      }
      await assert.rejects(dev.apply(plan, note), /^interrupted$/)

      await using again = await open('platform', 'dev', { signal })
      const kept = await again.stateList()
      assert.ok(
        kept.some((address) => address === 'aws_kms_key.this' || address.startsWith('module.')),
        `only ${kept} was kept`,
      )
      const goesOn = effectsOf((await again.plan(PLAN)).json)
      assert.ok(goesOn.made.length > 0 && goesOn.made.length < 60, `${goesOn.made.length} of 60 are left to make`)
      assert.equal([goesOn.replaced, goesOn.destroyed], [[], []])
      await again.apply(await again.plan({ ...PLAN, destroy: true }))
      assert.equal(
        (await again.stateList()).filter((address) => !address.includes('data.')),
        [],
      )
    },
    MINUTES,
  )
}

test.run()
