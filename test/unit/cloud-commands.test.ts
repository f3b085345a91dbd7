/** The cloud commands without a cloud: what is refused before anything is made, what a plan costs and may do, what fits. */
import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Failure } from '#kit/errors'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { Aws, principalOf } from '../../cloud/aws.ts'
import { describeCluster, kubeconfig } from '../../cloud/eks.ts'
import { briefOf, refuseLoss, renderBrief } from '../../cloud/gate.ts'
import type { PlanJson } from '../../cloud/plan.ts'
import { fitOf, type Group, sizeOf } from '../../cloud/preflight.ts'
import { estimateOf } from '../../cloud/prices.ts'
import { inEcr } from '../../cloud/relay.ts'
import { parseCidr, parseCloud } from '../../cloud/request.ts'
import { checkToken } from '../rehearsal/authenticator.ts'
import { assert, suite } from '../suite.ts'

const test = suite('cloud, without one')

const WHAT = 'Cannot bring dev up'

// ── What is refused ─────────────────────────────────────────────────────────────────────────────────────────────────

test('who reaches the API is an address or an office, never the internet', () => {
  assert.is(parseCidr('203.0.113.7', WHAT), '203.0.113.7/32')
  assert.is(parseCidr('198.51.0.0/16', WHAT), '198.51.0.0/16')
  assert.throws(() => parseCidr('0.0.0.0/0', WHAT), /'0\.0\.0\.0\/0' lets the whole internet reach the Kubernetes API/)
  assert.throws(() => parseCidr('128.0.0.0/1', WHAT), /lets more than a \/16 reach/)
  for (const text of ['', 'here', '1.2.3', '1.2.3.256', '1.2.3.4/33', '::1'])
    assert.throws(() => parseCidr(text, WHAT), /no address or range of IPv4/)
})

test('a flag that cannot be meant is refused with a sentence', () => {
  const flags = { env: 'dev', region: 'us-east-2' }
  assert.throws(() => parseCloud({ ...flags, env: 'devv' }, WHAT), /there is no environment 'devv'\. Did you mean 'dev'\?/)
  assert.throws(() => parseCloud({ ...flags, region: 'cn-north-1' }, WHAT), /'cn-north-1' is no commercial region/)
  assert.throws(() => parseCloud({ ...flags, ttl: '60d' }, WHAT), /'60d' is no time to live/)
  assert.throws(() => parseCloud({ ...flags, domain: 'a.example' }, WHAT), /a domain needs its hosted zone/)
  assert.throws(() => parseCloud({ ...flags, timing: 'fast' }, WHAT), /there is no timing 'fast'/)
  assert.is(parseCloud({ ...flags, ttl: '3d' }, WHAT).ttlHours, 72)
})

const REFUSED: readonly (readonly [name: string, args: readonly string[], sentence: RegExp])[] = [
  ['cloud-up', ['--allow-cidr', '0.0.0.0/0'], /^Cannot bring dev up: '0\.0\.0\.0\/0' lets the whole internet reach/m],
  ['cloud-plan', ['--env', 'test'], /^Cannot plan test: there is no environment 'test'/m],
  ['cloud-status', ['--region', 'mars'], /^Cannot show dev: 'mars' is no commercial region/m],
  ['cloud-down', ['--env', 'prod', '--confirm', 'prod'], /^Cannot take prod down: it is prod\. Add --even-prod/m],
  ['cloud-down', ['--confirm', 'staging'], /^Cannot take dev down: 'staging' is not 'dev'/m],
  ['cloud-down', [], /^Cannot take dev down: nobody is there to confirm it\. Confirm it with --confirm dev/m],
]

for (const [name, args, sentence] of REFUSED) {
  test(
    `${[name, ...args].join(' ')} ends with 2 and a sentence, before anybody is asked`,
    async () => {
      const nobody = { AWS_ENDPOINT_URL: 'http://127.0.0.1:1', AWS_EC2_METADATA_DISABLED: 'true' }
      const options = { accept: [2], env: nobody, cwd: root, input: '' }
      const { stderr } = await exec(process.execPath, [join('scripts', `${name}.ts`), ...args], options)
      assert.match(stderr, sentence)
      assert.is(stderr.trim().split('\n').length, 1)
    },
    { timeoutMs: 30_000 },
  )
}

// ── What AWS refuses ────────────────────────────────────────────────────────────────────────────────────────────────

/** An AWS that refuses everything. */
async function refusing<T>(work: (aws: Aws) => Promise<T>): Promise<T> {
  const server = createServer((_, response) => {
    response.writeHead(403, { 'content-type': 'application/json', 'x-amzn-errortype': 'AccessDeniedException' })
    response.end(JSON.stringify({ message: 'User x is not authorized' }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const before = { ...process.env }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  Object.assign(process.env, { AWS_ENDPOINT_URL: url, AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x' })
  try {
    return await work(new Aws('us-east-2'))
  } finally {
    process.env = before
    server.closeAllConnections()
    server.close()
  }
}

test('what AWS refuses is told in a sentence, with what was asked', async () => {
  await refusing(async (aws) => {
    const refused = await assert.rejects(describeCluster(aws, 'holdfast-dev'), 'AWS')
    assert.is(refused.message, 'AWS refuses DescribeCluster: User x is not authorized')
    assert.instance(refused, Failure)
  })
})

// ── The plan ────────────────────────────────────────────────────────────────────────────────────────────────────────

const change = (type: string, actions: string[], after: object | null = {}) => ({
  address: `module.x.${type}.this`,
  mode: 'managed',
  type,
  name: 'this',
  change: { actions, before: actions.includes('create') && !actions.includes('delete') ? null : {}, after, replace_paths: [['name']] },
})
const planOf = (...changes: object[]) => ({ format_version: '1.2', resource_changes: changes }) as unknown as PlanJson

test('a plan that replaces or destroys the cluster or the database is refused by name', () => {
  for (const [type, actions] of [
    ['aws_eks_cluster', ['delete', 'create']],
    ['aws_eks_cluster', ['create', 'delete']],
    ['aws_db_instance', ['delete']],
  ] as const) {
    const brief = briefOf(planOf(change(type, [...actions], actions.includes('create' as never) ? {} : null)), 'us-east-2')
    assert.throws(() => refuseLoss(brief), new RegExp(`it replaces or destroys module\\.x\\.${type}\\.this`))
  }
  const halfMade = { ...change('aws_eks_cluster', ['delete', 'create']), action_reason: 'replace_because_tainted' }
  refuseLoss(briefOf(planOf(halfMade), 'us-east-2'))
  refuseLoss(briefOf(planOf(change('aws_nat_gateway', ['delete', 'create']), change('aws_eks_cluster', ['update'])), 'us-east-2'))
})

test('a brief counts what is made, and names what is touched and why', () => {
  const brief = briefOf(planOf(change('aws_vpc', ['create']), change('aws_nat_gateway', ['delete', 'create'])), 'us-east-2')
  assert.equal(brief.counts, { made: 1, changed: 0, replaced: 1, destroyed: 0 })
  assert.match(renderBrief(brief), /replaced module\.x\.aws_nat_gateway\.this \(name\)/)
})

const GROUP = {
  type: 'aws_eks_node_group',
  values: { capacity_type: 'SPOT', instance_types: ['m6i.large'], scaling_config: [{ desired_size: 2 }] },
}

test('a month costs what the table says, Spot is less, and what it does not know is unknown', () => {
  const { monthly, spotSaving } = estimateOf([{ type: 'aws_eks_cluster', values: {} }, GROUP], 'us-east-2')
  assert.is(monthly, Math.round((73 + 0.4 * 0.096 * 2 * 730) * 100) / 100)
  assert.is(spotSaving, Math.round(0.6 * 0.096 * 2 * 730 * 100) / 100)
  const elsewhere = estimateOf([GROUP], 'eu-central-1')
  assert.equal([elsewhere.monthly, elsewhere.lines[0]?.monthly], [0, undefined])
  assert.ok(elsewhere.unknown.includes('Spot node (m6i.large)'))
  const odd = estimateOf(
    [{ type: 'aws_eks_node_group', values: { ...GROUP.values, instance_types: ['m6i.large', 'x9.huge'] } }],
    'us-east-2',
  )
  assert.is(odd.lines[0]?.monthly, undefined)
})

// ── Room ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const size = (vcpus: number, memoryMiB: number, [interfaces, addresses]: readonly [number, number]) =>
  sizeOf({
    VCpuInfo: { DefaultVCpus: vcpus },
    MemoryInfo: { SizeInMiB: memoryMiB },
    NetworkInfo: { MaximumNetworkInterfaces: interfaces, Ipv4AddressesPerInterface: addresses },
  })

test('with prefixes a t3.large holds 110 pods and a t3.nano 34, and EKS keeps its part of each', () => {
  assert.is(size(2, 8192, [3, 12]).pods, 110)
  assert.is(size(2, 512, [2, 2]).pods, 34)
  assert.equal(size(2, 8192, [3, 12]), { vcpus: 2, pods: 110, cpuMillis: 1930, memoryMiB: 8192 - (255 + 11 * 110) - 100 })
})

test('an HPA of 5 fits on three t3.large, and one t3.small says what it lacks', () => {
  const sizes = new Map([
    ['t3.large', size(2, 8192, [3, 12])],
    ['t3.small', size(2, 2048, [3, 4])],
  ])
  const group = (type: string, desired: number): Group => ({
    name: 'base',
    types: [type],
    capacityType: 'ON_DEMAND',
    desired,
    max: desired,
  })
  assert.ok(fitOf([group('t3.large', 3)], sizes).ok)
  const { ok, lines } = fitOf([group('t3.small', 1)], sizes)
  assert.not.ok(ok)
  assert.match(lines.join(), /3024 of \d{1,3} MiB/)
  assert.not.ok(fitOf([], sizes).ok)
})

// ── Names and tokens ────────────────────────────────────────────────────────────────────────────────────────────────

test('a session is known by its role', () => {
  assert.is(principalOf('arn:aws:sts::123456789012:assumed-role/operator/me'), 'arn:aws:iam::123456789012:role/operator')
  assert.is(principalOf('arn:aws:iam::123456789012:user/me'), 'arn:aws:iam::123456789012:user/me')
})

test('the relay calls an image by its repository, and leaves one alone that is it already', () => {
  const repositories = { 'holdfast/service': '1.dkr.ecr.us-east-2.amazonaws.com/holdfast-dev/holdfast/service' }
  assert.is(inEcr('/v2/holdfast/service/manifests/sha256:1', repositories), '/v2/holdfast-dev/holdfast/service/manifests/sha256:1')
  assert.is(inEcr('/v2/holdfast/service/blobs/uploads/?mount=1', repositories), '/v2/holdfast-dev/holdfast/service/blobs/uploads/?mount=1')
  for (const path of ['/v2/', '/v2/holdfast-dev/holdfast/service/tags/list', '/v2/another/manifests/1'])
    assert.is(inEcr(path, repositories), path)
})

test('a kubeconfig holds no credential: the AWS CLI is asked for a token of that cluster', () => {
  const text = kubeconfig({ name: 'holdfast-dev', endpoint: 'https://x', ca: 'Y2E=', region: 'us-east-2' })
  assert.match(text, /- eks\n\s+- get-token\n\s+- --cluster-name\n\s+- holdfast-dev/)
  assert.not.match(text, /token:|client-key|password/)
})

const KEY = { accessKeyId: 'AKID', secretAccessKey: 'secret' }

/** As `aws eks get-token` makes one; each field may be another. */
function tokenFor(
  cluster: string,
  { key = KEY, signed = 'host;x-k8s-aws-id', atMs = Date.now(), action = 'GetCallerIdentity' } = {},
): string {
  const date = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, '')
  const scope = [date.slice(0, 8), 'us-east-2', 'sts']
  const query = new URLSearchParams({
    Action: action,
    Version: '2011-06-15',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': [key.accessKeyId, ...scope, 'aws4_request'].join('/'),
    'X-Amz-Date': date,
    'X-Amz-Expires': '60',
    'X-Amz-SignedHeaders': signed,
  })
  const canonical = [...query]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join('&')
  const headers = signed.includes('x-k8s') ? `host:sts.test\nx-k8s-aws-id:${cluster}\n` : 'host:sts.test\n'
  const sha = (text: string) => createHash('sha256').update(text).digest('hex')
  const text = [
    'AWS4-HMAC-SHA256',
    date,
    [...scope, 'aws4_request'].join('/'),
    sha(['GET', '/', canonical, headers, signed, sha('')].join('\n')),
  ].join('\n')
  const hmac = (by: string | Buffer, content: string) => createHmac('sha256', by).update(content).digest()
  const signature = hmac([...scope, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${key.secretAccessKey}`), text).toString('hex')
  return `k8s-aws-v1.${Buffer.from(`https://sts.test/?${canonical}&X-Amz-Signature=${signature}`).toString('base64url')}`
}

test('the double takes a token that is signed for its cluster, and no other', () => {
  const problem = (token: string) => checkToken(token, 'holdfast-dev', KEY).problem
  assert.is(problem(tokenFor('holdfast-dev')), undefined)
  assert.match(problem(tokenFor('holdfast-staging')) ?? '', /not signed for the cluster 'holdfast-dev'/)
  assert.match(problem(tokenFor('holdfast-dev', { key: { ...KEY, secretAccessKey: 'other' } })) ?? '', /not signed/)
  assert.match(problem(tokenFor('holdfast-dev', { key: { ...KEY, accessKeyId: 'OTHER' } })) ?? '', /key 'OTHER' is not known/)
  assert.match(problem(tokenFor('holdfast-dev', { signed: 'host' })) ?? '', /leaves x-k8s-aws-id out/)
  assert.match(problem(tokenFor('holdfast-dev', { atMs: Date.now() - 16 * 60_000 })) ?? '', /expired/)
  assert.match(problem(tokenFor('holdfast-dev', { action: 'AssumeRole' })) ?? '', /asks for 'AssumeRole'/)
  assert.match(problem('bearer') ?? '', /no token of aws/)
})

test.run()
